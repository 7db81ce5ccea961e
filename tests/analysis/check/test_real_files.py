"""`check` and `--fix` on files as people have them: encodings, quotes, missing numbers, time stamps, bad rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.small_models import run
from unrolled.analysis.check.example_report import Parts, check, check_and_clean
from unrolled.analysis.check.example_text import in_words
from unrolled.core.config import build
from unrolled.data.text.encoding import plausible_encoding, wrong_encoding

GERMAN = "text,label\n" + "Schöne Grüße aus Köln,gut\nsehr müde,schlecht\n" * 8


def put(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def report(task: str, *paths: Path, **options: Any) -> dict[str, Any]:
    return check(build(task, options), Parts(paths))


@pytest.mark.parametrize(
    ("text", "encoding", "guess"),
    [
        ("Grüße: “so”, 5 €, naïve", "cp1252", "cp1252"),
        ("Das kostet 5 €", "cp1252", "cp1252"),
        ("Привет, как дела сегодня", "cp1251", None),
        ("こんにちは世界", "shift_jis", None),
        ("text without a mark", "utf-16-le", "utf-16-le"),
        ("text without a mark", "utf-16-be", "utf-16-be"),
    ],
)
def test_guesses_of_encodings(tmp_path: Path, text: str, encoding: str, guess: str | None):
    assert plausible_encoding(text.encode(encoding)) == guess
    assert wrong_encoding(put(tmp_path / "a.txt", (text + "\n").encode(encoding))) == guess
    assert wrong_encoding(put(tmp_path / "b.txt", text)) is None


def test_a_copy_in_utf8_of_a_file_that_is_not(tmp_path: Path):
    file = put(tmp_path / "a.csv", GERMAN.encode("cp1252"))
    found = check_and_clean(build("classify", {}), Parts((file,)), tmp_path / "clean", force=False)
    assert (
        found["fatal"]
        == f"{file}:2: byte 0xf6 at offset 14 is not UTF-8; expected text in UTF-8; try --encoding cp1252"
    )
    (kind,) = [kind for kind in found["odd"] if kind.startswith("not UTF-8")]
    assert found["odd"][kind]["examples"] == [f"{file}:2: read here as cp1252 (a guess)"]
    assert found["fix"]["fatal"] is None and found["fix"]["files"][0]["encoding"] == "cp1252"
    copy = (tmp_path / "clean" / "a.csv").read_text(encoding="utf-8")
    assert copy.startswith("text,label\nSchöne Grüße aus Köln,gut\n")
    named = report("classify", file, encoding="cp1252")
    assert named["fatal"] is None and named["parts"]["train"]["sequences"] == 16


def test_the_rule_for_quotes_is_told(tmp_path: Path):
    lines = [f'{name} "{i}\tyes' if i % 2 else f"{name} {i}\tno" for i, name in enumerate(["a", "b"] * 10)]
    file = put(tmp_path / "a.tsv", "text\tlabel\n" + "\n".join(lines) + "\n")
    found = report("classify", file)
    assert found["parts"]["train"]["sequences"] == 20 and found["fatal"] is None
    assert f"{file}: separated by tabs, quotes are ordinary characters" in in_words(found)
    quoted = put(tmp_path / "b.tsv", 'text\tlabel\n"a\tb"\tyes\n"c ""d"""\tno\n')
    assert f"{quoted}: separated by tabs, quotes surround fields" in in_words(report("classify", quoted))
    assert "(--quoting none)" in in_words(report("classify", file, quoting="none"))


def test_rows_that_a_quote_joined_are_odd(tmp_path: Path):
    lines = ['",good', *["fine,good"] * 12, '",bad', *["last,bad"] * 4]
    file = put(tmp_path / "a.csv", "text,label\n" + "\n".join(lines) + "\n")
    odd = report("classify", file)["odd"][
        "row that may contain other rows (is a quote missing? see --quoting)"
    ]
    assert odd["examples"] == [f"{file}:2: 14 of its lines have the same number of fields as the header"]


def test_rows_before_an_open_quote_are_kept(tmp_path: Path):
    file = put(tmp_path / "a.csv", "text,label\n" + "a,x\nb,y\n" * 5 + '"open,x\nmore,y\n')
    found = check_and_clean(build("classify", {}), Parts((file,)), tmp_path / "clean", force=False)
    assert "never closed" in found["fatal"] and found["fix"]["fatal"] is None
    assert (tmp_path / "clean" / "a.csv").read_text() == "text,label\na,x\nb,y\n"
    assert found["fix"]["files"][0]["bad_rows"] == 2


def test_a_copy_that_lost_most_rows_is_an_error(tmp_path: Path):
    file = put(tmp_path / "a.csv", "text,label\n" + "a,x\nb,y\n" + "c\n" * 6)
    done = run("check", "classify", file, "--fix", tmp_path / "clean")
    assert done.code == 2 and "has lost 6 of 8 rows, which are bad" in done.out
    assert "--skip-bad 6" not in done.out and "--columns, --format or --quoting may be wrong" in done.out


def test_missing_numbers_and_time_stamps_are_told(tmp_path: Path):
    rows = [f"2024-05-01 {t:02}:00,{t % 5},{t % 3}" for t in range(20)]
    rows[4] = "2024-05-01 04:00,n/a,1"
    rows[9] = "2024-05-01 08:00,2,1"
    del rows[13:16]
    file = put(tmp_path / "a.csv", "when,x,z\n" + "\n".join(rows) + "\n")
    found = report("numbers:number", file, horizon=1, history=4)
    part = found["parts"]["train"]
    assert [column["missing"] for column in part["columns"]] == [1, 0] and found["fatal"] is None
    assert part["times"].startswith(
        "time stamps from 2024-05-01 to 2024-05-01T19:00:00, the usual step is 1 h"
    )
    assert found["odd"]["gaps in time"]["count"] == 2
    assert found["odd"]["repeated time stamps"]["examples"] == [
        f"{file}:2: step 10: 2024-05-01T08:00:00, then 2024-05-01T08:00:00 (0 s, the usual step is 1 h)"
    ]
    assert "1 missing" in in_words(found)
    regular = report("numbers:number", file, horizon=1, history=4, resample="1h")
    assert regular["parts"]["train"]["steps"] == 20 and "gaps in time" not in regular["odd"]
    none = put(tmp_path / "b.csv", "x,z\n1,2\n3,4\n5,6\n")
    assert "needs time stamps" in report("numbers:number", none, horizon=1, resample="1h")["fatal"]


def test_files_of_a_folder_that_are_no_text_are_told(tmp_path: Path):
    for number in range(20):
        put(tmp_path / f"chapter-{number:02}.md", "a line of text\n" * 50)
    put(tmp_path / "requirements.txt", "one\ntwo\nthree\n")
    put(tmp_path / "picture.svg", "<svg/>\n")
    done = run("check", "language", tmp_path)
    assert "21 documents" in done.out
    assert f"1 file is ignored in folders (1 .svg), such as {tmp_path / 'picture.svg'}" in done.out
