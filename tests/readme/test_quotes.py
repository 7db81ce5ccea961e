"""Each file of this folder checks the sentences of README.md that its docstring quotes.

This file checks that these sentences are in README.md, word for word, that every item of "What is promised" is quoted,
and that the tables of README.md name every command and every task.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from support.paths import ROOT, TESTS
from unrolled.cli import VERBS
from unrolled.tasks.presets import COMBINATIONS, TASKS

README = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
FILES = sorted(path for path in (TESTS / "readme").glob("test_*.py") if path != Path(__file__).resolve())
QUOTED = re.compile(r'^\* "(.+?)"$', re.DOTALL | re.MULTILINE)  # an item of a list, of one line or more


def quotes(path: Path) -> list[str]:
    """The sentences that the docstring of a file quotes, with single spaces."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return [" ".join(quoted.split()) for quoted in QUOTED.findall(docstring)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_quotes_sentences_of_the_readme(path: Path):
    found = quotes(path)
    assert found, "the docstring quotes no sentence"
    assert [quoted for quoted in found if quoted not in README] == []


def test_every_item_of_what_is_promised_has_a_file():
    section = README.partition("## What is promised")[2].partition(" ## ")[0]
    items = re.findall(r"\* \*\*(.+?)\*\*", section)
    quoted = " ".join(one for path in FILES for one in quotes(path))
    assert len(items) >= 5
    assert [item for item in items if item not in quoted] == []


def test_the_tables_name_every_command_and_every_task():
    assert [verb for verb in VERBS if f"`unrolled {verb}" not in README] == []
    named = re.findall(r"`([\w:]+)`", README)
    assert [task for task in (*TASKS, *COMBINATIONS) if task not in named] == []
    tasks = README.partition("| you have | you want | [task](docs/tasks/index.md) |")[2].partition("## ")[0]
    rows = [row.split(" | ")[-1] for row in tasks.split(" | | ")]
    listed = {name for row in rows for name in re.findall(r"`([\w:]+)`", row)}
    assert {name for name in listed if ":" in name} <= COMBINATIONS.keys()
