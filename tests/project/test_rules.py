"""The house rules: version and changelog, sizes, import directions, quick starts, and no traces of a machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from pkgutil import iter_modules
from urllib.parse import urlsplit

import pytest

from support.paths import PACKAGE, ROOT
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
        assert coming not in [version for version, _ in released], f"{coming} is released; raise _version.py"
    else:
        assert released and released[0][0] == __version__, "the top released version is not _version.py's"


def test_sizes_are_within_the_limits():
    done = run(sys.executable, "scripts/sizes.py")
    assert done.returncode == 0, done.stdout + done.stderr


def test_imports_keep_their_direction():
    lint = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = run(sys.executable, "-c", lint, "--no-cache")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_module_above_the_line_is_held_torch_free():
    contracts = {contract["id"]: contract for contract in SETTINGS["importlinter"]["contracts"]}
    layers = [name.strip("() ") for line in contracts["layers"]["layers"] for name in line.split("|")]
    free = layers[layers.index("fused") + 1 :]
    there = {f"unrolled.{module.name}" for module in iter_modules([str(PACKAGE)]) if module.name in free}
    assert set(contracts["torch-free"]["source_modules"]) == there


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
