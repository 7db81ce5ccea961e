"""The rules of the project: version, changelog, sizes, imports, quick starts, pages, no traces of a machine."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grimp
import pytest

from support.paths import PACKAGE, ROOT
from unrolled.core import extensions
from unrolled.core.version import __version__

SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]


def run(*command: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True, timeout=300)


def test_changelog_agrees_with_the_version():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## \[([^]]+)\](.*)$", text, re.MULTILINE)
    assert headings, "CHANGELOG.md has no '## [version]' heading"
    assert headings[0][0] == "Unreleased", "the first heading is always [Unreleased], be it empty"
    released = headings[1:]
    for version, rest in released:
        assert re.fullmatch(r" - \d{4}-\d\d-\d\d", rest), f"{version}: expected '## [{version}] - YYYY-MM-DD'"
    if ".dev" in __version__:
        coming = __version__.partition(".dev")[0]
        assert coming not in [version for version, _ in released], (
            f"{coming} is released; raise core/version.py"
        )
    else:
        assert released and released[0][0] == __version__, "the top released version is not core/version.py's"


def test_sizes_are_within_the_limits():
    done = run(sys.executable, "scripts/sizes.py")
    assert done.returncode == 0, done.stdout + done.stderr


def test_imports_keep_their_direction():
    lint = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = run(sys.executable, "-c", lint, "--no-cache")
    assert done.returncode == 0, done.stdout + done.stderr


def contracts() -> dict[str, dict[str, Any]]:
    return {contract["id"]: contract for contract in SETTINGS["importlinter"]["contracts"]}


def modules() -> dict[str, Path]:
    """Every module of the package by its name."""
    found: dict[str, Path] = {}
    for path in PACKAGE.rglob("*.py"):
        parts = ("unrolled", *path.relative_to(PACKAGE).with_suffix("").parts)
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


def test_no_module_imports_itself_through_others():
    graph = grimp.build_graph("unrolled")
    names = {name for name in graph.modules if name.startswith("unrolled")}
    waiting = {name: graph.find_modules_directly_imported_by(name) & names for name in names}
    while free := [name for name, imported in waiting.items() if not imported]:
        for name in free:
            del waiting[name]
        for imported in waiting.values():
            imported -= set(free)
    assert waiting == {}, "these import each other in a circle"


def test_every_package_has_a_place_few_files_and_names_that_say_something():
    layers = contracts()["layers"]["layers"]
    assert {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()} == set(layers)
    assert {path.name for path in PACKAGE.iterdir() if path.is_file()} <= {
        "__init__.py",
        "__main__.py",
        "py.typed",
    }
    for folder in {path.parent for path in PACKAGE.rglob("*.py")}:
        files = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
        assert len(files) <= 15, f"{folder.name} has {len(files)} files"
    vague = re.compile(r"util|misc|common|helper")
    tracked = run("git", "ls-files").stdout.splitlines()
    assert not [name for name in tracked if name.endswith(".py") and vague.search(Path(name).name)]


def test_code_in_a_packages_init_is_a_registry_or_a_public_api():
    public = {"unrolled", "unrolled.nn", "unrolled.estimators", "unrolled.models.native", "unrolled.cli"}
    public |= {"unrolled.testing"}
    shelves = {
        contract["modules"][0].removesuffix(".*")
        for contract in contracts().values()
        if contract["type"] == "independence"
    }
    for name, path in modules().items():
        if path.name == "__init__.py" and name not in public | shelves | {"unrolled.models.engines"}:
            body = ast.parse(path.read_text(encoding="utf-8")).body
            assert len(body) == 1, f"{name}: a docstring only"


def imports_in_functions() -> set[str]:
    """`importing module -> imported module` for every import statement inside a function."""
    found: set[str] = set()
    for name, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for inner in ast.walk(node):
                    if isinstance(inner, ast.Import):
                        found |= {f"{name} -> {alias.name}" for alias in inner.names}
                    if isinstance(inner, ast.ImportFrom):
                        found.add(f"{name} -> {inner.module}")
    return found


def test_every_import_inside_a_function_is_listed_with_its_reason():
    patterns = SETTINGS["unrolled"]["lazy_imports"]
    found = imports_in_functions()
    assert [one for one in sorted(found) if not any(fnmatch(one, p) for p in patterns)] == []
    assert [p for p in patterns if not any(fnmatch(one, p) for one in found)] == [], "nothing needs these"


@pytest.mark.parametrize("script", ["draw_architecture.py", "list_files.py", "reference.py"])
def test_pages_that_scripts_write_are_up_to_date(script: str):
    done = run(sys.executable, f"scripts/{script}", "--check")
    assert done.returncode == 0, done.stderr


def test_files_that_texts_name_exist():
    """Docstrings, comments and pages name files such as `data/readers/table.py`."""
    name = re.compile(r"(?<![\w/.*{-])(?:[\w.-]+/)*\w+\.(?:py|cpp|h|md|toml|sh)\b(?![\w(*])")
    there = {
        path
        for path in run("git", "ls-files", "--cached", "--others", "--exclude-standard").stdout.splitlines()
    }
    ends = {"/".join(parts[i:]) for parts in (path.split("/") for path in there) for i in range(len(parts))}
    elsewhere = re.compile(
        r"yours\.py|my-cells/\S+|leaky\.py|F\.toml|malloc\.h|stdint\.h"
    )  # examples, headers of the system
    missing: list[str] = []
    for path in [
        *PACKAGE.rglob("*.py"),
        *(ROOT / "docs").rglob("*.md"),
        ROOT / "README.md",
        *ROOT.glob("csrc/unrolled.h"),
    ]:
        if path.name == "log.md":  # names files as they were called on the day
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            missing += [
                f"{path.relative_to(ROOT)}:{number}: {found}"
                for found in name.findall(line)
                if found.replace("../", "") not in ends and not elsewhere.search(found)
            ]
    assert missing == []


def test_names_in_modules_that_texts_mention_exist():
    """`module.name` in a docstring or page: a module of that name has it. Names of tensors and groups look alike."""
    tensors = re.compile(r"(layers|core)\.\d|crf\.T|attention\.W_k|data\.bad|" + "|".join(extensions.GROUPS))
    known: dict[str, set[str]] = {}
    for name, path in modules().items():
        found = known.setdefault(name.rpartition(".")[2], set())
        found |= {"py", *(other.stem for other in path.parent.iterdir() if path.name == "__init__.py")}
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
            elif isinstance(node, ast.ImportFrom):
                found |= {alias.asname or alias.name for alias in node.names}
    missing = [
        f"{path.name}: {module}.{name}"
        for path in [*PACKAGE.rglob("*.py"), *(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]
        if path.name != "log.md"
        for module, name in re.findall(r"`([a-z_]+)\.(\w+)", path.read_text(encoding="utf-8"))
        if name not in known.get(module, {name}) and not tensors.match(f"{module}.{name}")
    ]
    assert missing == []


@pytest.mark.parametrize(
    "start", [("-c", "import unrolled"), ("-m", "unrolled", "--help"), ("-m", "unrolled", "--version")]
)
def test_starting_imports_neither_torch_nor_numpy(start: tuple[str, ...]):
    # -X importtime names every module that is imported, on stderr, whatever the process does afterwards.
    done = run(sys.executable, "-X", "importtime", *start)
    assert done.returncode == 0, done.stderr[-2000:]
    names = [line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line]
    loaded = {name.partition(".")[0] for name in names}
    assert "unrolled" in loaded
    assert not loaded & {"torch", "numpy"}


def tracked_texts() -> list[tuple[str, str]]:
    """Name and text of every file that is, or would be, in the repository."""
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if listed.returncode:
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [(str(p.relative_to(ROOT)), p.read_text("utf-8", "replace")) for p in paths if p.is_file()]


def index_hosts() -> set[str]:
    """The hosts that pip is told to ask on this machine, the public ones aside."""
    told = run(sys.executable, "-m", "pip", "config", "list").stdout
    told += "\n".join(value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_")))
    hosts = {urlsplit(url).hostname for url in re.findall(r"https?://[^\s'\"]+", told)}
    return {host for host in hosts if host} - {"pypi.org", "download.pytorch.org"}


def test_no_file_names_a_machine_or_an_index():
    # Written in two parts, so that this file does not find itself.
    folders = ["/" + "work/", "/" + "root/", "/" + "home/", "/" + "Users/", f"{Path.home()}/", f"{ROOT}/"]
    forbidden = re.compile(
        "|".join([*(rf"(?<![\w.$}}~-]){re.escape(f)}" for f in folders), *map(re.escape, index_hosts())])
        + r"|index-url[= ]+https?://(?!pypi\.org|download\.pytorch\.org)"
    )
    texts = tracked_texts()
    found = [f"{name}: {match[0]}" for name, text in texts for match in forbidden.finditer(text)]
    assert not found, found
