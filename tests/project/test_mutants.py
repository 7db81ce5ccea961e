"""The script that changes the package to test the tests: which changes it makes, and how it judges them."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import PACKAGE, ROOT

sys.path.insert(0, str(ROOT / "scripts"))
import mutants
from mutations import changed, listed


@pytest.mark.parametrize(
    ("line", "after"),
    [
        ("a < b", ["a <= b"]),
        ("a <= b < c", ["a < b < c", "a <= b <= c"]),
        ("a is None", ["a is not None"]),
        ("a - b * c", ["a + b * c", "a - b / c"]),
        ("a and (not b)", ["a or not b", "a and b"]),
        ("-a", ["a"]),
        ("a if b else c", ["c if b else a"]),
        ("a[b:c]", ["a[b + 1:c]", "a[b:c - 1]"]),
        ("a[:]", ["a[1:]", "a[:-1]"]),
        ("f(a, b)", ["f(b, a)"]),
        ("f(a, a)", []),
        ("isinstance(a, b)", []),
        (
            "a.transpose(0, 1)",
            ["a.transpose(1, 1)", "a.transpose(-1, 1)", "a.transpose(0, 2)", "a.transpose(0, 0)"],
        ),
        ("folder / 'a' + b", ["folder / 'a' - b"]),
        ("min(a)", ["max(a)"]),
        ("a.any()", ["a.all()"]),
        ("1", ["2", "0"]),
        ("0.5", ["1.5", "-0.5"]),
        ("4096", ["8192"]),
        ("True", ["False"]),
        ("zip(a, strict=True)", []),
        ("f'{a + 1}'", []),
        ("'text'", []),
        ("'text' % a", []),
    ],
)
def test_changes_of_an_expression(line: str, after: list[str]):
    source = f"x = {line}\n"
    found = [changed(source, one.number) for one in listed(source)]
    assert found == [f"x = {text}" for text in after]


@pytest.mark.parametrize(
    ("lines", "after"),
    [
        ("f()", ["pass"]),
        ("a.b = c", ["pass"]),
        ("a += b", ["pass", "a -= b"]),
        ("del a[b]", ["pass"]),
        ("while a:\n    break", ["while a:\n    continue"]),
        ("for a in b:\n    continue", ["for a in b:\n    break"]),
        ("if a:\n    raise b", ["if not a:\n    raise b", "pass"]),
        ("if a < b:\n    raise c", ["pass", "if a <= b:\n    raise c"]),
        ("if a:\n    b = c", ["if not a:\n    b = c"]),
        ('"""Docstring."""', []),
        ("a: int | None = b", []),
        ("@f(1)\nclass A:\n    pass", []),
    ],
)
def test_changes_of_a_statement(lines: str, after: list[str]):
    assert [changed(lines, one.number) for one in listed(lines)] == after


def test_a_change_is_named_by_its_words_and_not_by_its_line():
    source = "def f(a):\n    return a + 1\n\n\nclass A:\n    def f(self, a):\n        return [a > 1, a > 1]\n"
    texts = [one.text for one in listed(source)]
    assert texts[0] == "f: return a + 1 -> return a - 1"
    assert "A.f: return [a > 1, a > 1] -> return [a >= 1, a > 1]" in texts
    assert listed(source)[0].line == 2
    assert texts == [one.text for one in listed("\n\n" + source)]
    assert len(set(texts)) == len(texts)
    repeated = "def f(a):\n    g(a)\n    g(a)\n"
    assert [one.text for one in listed(repeated)] == ["f: g(a) -> pass", "f: g(a) -> pass #2"]


def test_every_change_of_every_area_is_a_program_with_a_name_of_its_own():
    for area, files in mutants.AREAS.items():
        found = mutants.candidates(area, files)
        assert len({mutant.key for mutant in found}) == len(found) >= 50
        for mutant in found[::150]:
            source = (PACKAGE / mutant.file).read_text(encoding="utf-8")
            assert ast.dump(ast.parse(changed(source, mutant.number))) != ast.dump(ast.parse(source))
        for tests in files.values():
            assert all((ROOT / "tests" / name).is_file() for name in tests)


def test_the_same_seed_draws_the_same_mutants_and_as_many_from_each_area():
    areas = {name: mutants.AREAS[name] for name in ("vocabulary", "ctc")}
    first, again, other = (mutants.drawn(areas, 19, seed) for seed in (0, 0, 1))
    assert first == again != other
    assert [sum(mutant.area == name for mutant in first) for name in areas] == [10, 10]


def test_equivalent_mutants_have_reasons_and_are_still_there():
    reasons = mutants.equivalents()
    assert all(reasons.values())
    every = {one.key for area, files in mutants.AREAS.items() for one in mutants.candidates(area, files)}
    assert reasons.keys() - every == set(), "remove these: the source has changed"


SMALL = '''"""A module to be changed."""


def middle(values):
    """The value in the middle."""
    return sorted(values)[len(values) // 2]


def larger(a, b):
    """The larger one."""
    return a if a >= b else b


def halvings(a):
    """How often it can be halved."""
    count = 0
    while a:
        a >>= 1
        count += 1
    return count


def unseen(a):
    """No test calls it."""
    return -a
'''
TESTS = """from unrolled.small import halvings, larger, middle


def test_all():
    assert middle([3, 1, 2, 5, 4]) == 3
    assert larger(1, 2) == larger(2, 1) == 2
    assert [halvings(a) for a in (0, 1, 5)] == [0, 1, 3]
"""
TRY = """
import sys
from pathlib import Path
import mutants

root, areas = Path(sys.argv[1]), {"small": {"small.py": ("test_small.py",)}}
found = mutants.candidates("small", areas["small"], root)
wanted = {
    "middle: sorted(values)[len(values) // 2] -> sorted(values)[len(values) // 3]",
    "larger: return a if a >= b else b -> return a if a > b else b",
    "halvings: a >>= 1 -> pass",
    "unseen: return -a -> return a",
}
found = [mutant for mutant in found if mutant.text in wanted]
reasons = {f"small.py: {next(text for text in wanted if text.startswith('larger'))}": "either of two equal values"}
outcomes = list(mutants.mutate(areas, found, reasons, root=root, patience=1.0))
for one in outcomes:
    print(one.mutant.text.partition(":")[0], one.what)
print(*mutants.table(outcomes), sep="\\n")
print(mutants.share_killed(outcomes))
"""


def test_a_mutant_is_killed_or_survives_or_is_equivalent(tmp_path: Path):
    """On a small package of its own, whose tests are run for each of four changes."""
    for name, text in (
        ("src/unrolled/__init__.py", ""),
        ("src/unrolled/small.py", SMALL),
        ("tests/test_small.py", TESTS),
        ("pyproject.toml", '[tool.pytest.ini_options]\naddopts = "--import-mode=importlib"\n'),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    command = [sys.executable, "-c", TRY, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT / "scripts")
    assert done.returncode == 0, done.stderr
    *outcomes, _, _, row, total, share = done.stdout.splitlines()
    assert outcomes == ["larger equivalent", "middle killed", "halvings time-out", "unseen survived"]
    assert row == "| small | 4 | 1 | 2 | 1 | 1 |" and total == "| all | 4 | 1 | 2 | 1 | 1 |"
    assert float(share) == pytest.approx(200 / 3)
    assert (tmp_path / "src/unrolled/small.py").read_text() == SMALL, "changes are made in a copy"
    assert not (tmp_path / "output").exists()
