"""Docstrings and help texts as Markdown that the code host and the documentation site show alike."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

CODE = re.compile(r"(`+[^`]*`+)")
# A letter of the notation, as in x^<t> or [a^<t-1>, x^<t>]. As plain text, Markdown takes <t> for an HTML tag.
LETTER = re.compile(r"\[?[\w~ŷ]+\^<[^<>]+>(?:, [\w~ŷ]+\^<[^<>]+>\])?")
MARK = re.compile(r"\*(?=\S)|(?<=\S)\*|(?<!\w)_|_(?!\w)")  # inside a word an underscore marks nothing


def escaped(text: str) -> str:
    """Text whose angle brackets, asterisks and underscores are shown as they are; code in backquotes is kept."""
    parts = CODE.split(text)
    return "".join(part if at % 2 else _escaped(part) for at, part in enumerate(parts))


def _escaped(text: str) -> str:
    pieces = CODE.split(LETTER.sub(lambda found: f"`{found[0]}`", text))
    return "".join(
        piece if at % 2 else MARK.sub(r"\\\g<0>", piece.replace("<", "&lt;"))
        for at, piece in enumerate(pieces)
    )


def cell(text: str) -> str:
    """Text on one line, fit for a cell of a table."""
    parts = CODE.split(" ".join(text.split()))
    # A vertical bar ends a cell, in code too, so code with one becomes plain text.
    plain = (part.strip("`") if at % 2 and "|" in part else part for at, part in enumerate(parts))
    return escaped("".join(plain)).replace("|", "&#124;")


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table; the cells are Markdown already."""
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def paragraphs(docstring: str) -> str:
    """A docstring as paragraphs. Indented lines stay as they are: they are code."""
    found: list[str] = []
    for part in re.split(r"\n\s*\n", docstring.strip("\n")):
        indented = all(line.startswith("    ") for line in part.splitlines())
        found.append(part if indented else escaped(part))
    return "\n\n".join(found) + "\n"


def write(pages: Mapping[Path, str], check: bool, script: str) -> int:
    """Write pages; check: report those that are not up to date instead. Returns the exit code."""
    old = [path for path, text in pages.items() if not path.exists() or path.read_text("utf-8") != text]
    for path in old:
        if check:
            print(f"error: {path.name} is old; run scripts/{script}", file=sys.stderr)
        else:
            path.write_text(pages[path], encoding="utf-8")
    return 1 if check and old else 0
