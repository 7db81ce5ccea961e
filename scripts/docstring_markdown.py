"""Docstrings and help texts as Markdown that the code host and the documentation site show alike."""

from __future__ import annotations

import re

CODE = re.compile(r"(`+[^`]*`+)")
# A letter of the notation, as in x^<t> or [a^<t-1>, x^<t>]. As plain text, Markdown takes <t> for an HTML tag.
LETTER = re.compile(r"\[?[\w~ŷ]+\^<[^<>]+>(?:, [\w~ŷ]+\^<[^<>]+>\])?")
MARK = re.compile(r"\*|(?<!\w)_|_(?!\w)")  # inside a word an underscore marks nothing


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
    return escaped(" ".join(text.split())).replace("|", "&#124;")
