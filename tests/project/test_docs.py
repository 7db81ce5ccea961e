"""The documentation is true: code blocks run, links lead somewhere, the table of files is whole."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import ROOT

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"!?\[[^]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
FENCED = re.compile(r"^(`{3,}|~{3,}).*?^\1", re.MULTILINE | re.DOTALL)


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


pages = pytest.mark.parametrize("page", PAGES, ids=name)


def prose(page: Path) -> str:
    """A page without its code blocks, in which brackets mean something else."""
    return FENCED.sub("", page.read_text(encoding="utf-8"))


def slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {slug(heading) for heading in headings}


@pytest.mark.parametrize(
    "page", [page for page in PAGES if "```" in page.read_text(encoding="utf-8")], ids=name
)
def test_code_blocks_run(page: Path):
    # In a process of its own: the pages register a cell, and no test may see it.
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "run_docs.py", page],
        capture_output=True,
        text=True,
        timeout=3_000,
    )
    assert done.returncode == 0, done.stderr


@pages
def test_relative_links_lead_to_a_file(page: Path):
    broken: list[str] = []
    for link in LINK.findall(prose(page)):
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


def test_every_page_is_reached_from_the_readme():
    reached, waiting = set[Path](), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop().resolve()
        if page not in reached and page.suffix == ".md" and page.exists():
            reached.add(page)
            links = (link.partition("#")[0] for link in LINK.findall(prose(page)))
            waiting += [page.parent / link for link in links if link and ":" not in link]
    assert {page for page in PAGES if page not in reached} == set()


def test_the_log_lists_its_sections_at_the_top():
    top, *sections = re.split(r"^## ", prose(ROOT / "docs" / "log.md"), flags=re.MULTILINE)
    listed = [link.removeprefix("#") for link in LINK.findall(top) if link.startswith("#")]
    assert listed == [slug(section.partition("\n")[0]) for section in sections]


def test_the_navigation_of_the_site_has_every_page_once():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    docs = ROOT / "docs"
    assert sorted(re.findall(r"[\w/-]+\.md", navigation)) == sorted(
        page.relative_to(docs).as_posix() for page in docs.rglob("*.md")
    )


@pages
def test_angle_brackets_stand_in_code(page: Path):
    """Elsewhere Markdown takes `<t>` for an HTML tag and does not show it."""
    text = re.sub(r"`+[^`]*`+|<!--.*?-->|^    [^\n]*$", "", prose(page), flags=re.MULTILINE | re.DOTALL)
    assert re.findall(r"<[a-zA-Z/][^>]*>?", text) == []


def test_every_option_of_the_command_line_that_a_page_types_exists():
    from unrolled.cli import VERBS, parser_of

    for page in PAGES:
        for verb, rest in re.findall(r"^\$.*?\bunrolled (\w+)(.*)$", page.read_text("utf-8"), re.MULTILINE):
            assert verb in VERBS, f"{name(page)}: unrolled {verb}"
            known = set(parser_of(verb)._option_string_actions)
            for option in re.findall(r"(?<=\s)--[\w-]+", rest.partition("|")[0].partition("#")[0]):
                assert option in known, f"{name(page)}: unrolled {verb} {option}"
