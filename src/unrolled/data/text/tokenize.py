"""Split text into tokens (words, pieces between white space, characters) and join them again.

A person's text is never changed except by `lower`: no Unicode normalisation, no quotes straightened.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from itertools import chain

from unrolled.core.errors import UsageError, suggest

END = "\0"  # stands between documents in `split_marked`; readers refuse it in a text


@dataclass(frozen=True)
class Unit:
    """What a token is: how a text is split, split with line ends kept, and joined again; `name` for people."""

    name: str
    split: Callable[[str], list[str]]
    split_marked: Callable[[str], list[str]]
    join: Callable[[Iterable[str]], str]


def split(text: str, unit: str, lower: bool = False) -> list[str]:
    """The tokens of a text; raises UsageError for a unit that is not in UNITS."""
    return find_unit(unit).split(text.lower() if lower else text)


def split_marked(text: str, unit: str, lower: bool = False) -> list[str]:
    """As `split`, but every line end and every END is a token of its own, whatever the unit."""
    return find_unit(unit).split_marked(text.lower() if lower else text)


def join(tokens: Iterable[str], unit: str) -> str:
    """Readable text from tokens: words with spaces between them and punctuation attached."""
    return find_unit(unit).join(tokens)


def find_unit(unit: str) -> Unit:
    """The unit of this name; raises UsageError with a suggestion."""
    if unit not in UNITS:
        raise UsageError(f"unknown unit {unit!r}", expected=" or ".join(UNITS), hint=suggest(unit, UNITS))
    return UNITS[unit]


@cache
def _marks() -> frozenset[str]:
    """Combining marks, and the invisible joiners that Persian and Malayalam write inside words."""
    codes = chain(range(0x300, 0x1F000), range(0xE0100, 0xE01F0))  # all blocks with marks
    marks = (chr(code) for code in codes if unicodedata.category(chr(code))[0] == "M")
    return frozenset(marks) | {"\u200c", "\u200d"}


@cache
def _word_pattern(letter: str, marked: bool) -> re.Pattern[str]:
    """Letters and digits with apostrophes inside ("don't"), or one other visible character."""
    return re.compile(rf"{letter}+(?:['\u2019]{letter}+)*|[^\w\s]" + (r"|\n" if marked else ""))


def _words(text: str, marked: bool = False) -> list[str]:
    """The words of a text, its line ends too if `marked`.

    Python's `\\w` leaves out combining marks, which would cut decomposed accents and every Hindi word into pieces.
    Where they occur they count as letters; only there, since that pattern is ten times slower.
    """
    letter = r"\w" if text.isascii() or _marks().isdisjoint(text) else rf"[\w{''.join(sorted(_marks()))}]"
    return _word_pattern(letter, marked).findall(text)


_WHITE_MARKED = re.compile(r"[^\s\0]+|[\n\0]")
_ATTACH_LEFT = frozenset(".,;:!?)]}%\u2026\u2019\u201d\xbb\u060c\u3002\u3001\uff0c\uff01\uff1f\uff1a\uff1b")
_ATTACH_RIGHT = frozenset("([{$\xa3\u20ac#@\u201c\u2018\xab\xbf\xa1")
_ATTACH_BOTH = frozenset("-/_")
_QUOTES = frozenset("\"'`")


def _join_words(tokens: Iterable[str]) -> str:
    """Spaces between words, none inside punctuation's pairs; straight quotes open and close in turn."""
    parts: list[str] = []
    glued, opened = True, set[str]()  # glued: no space is due; opened: straight quotes not yet closed
    for token in tokens:
        closing = token in _ATTACH_LEFT or token in _ATTACH_BOTH or token in opened
        parts.append(token if glued or closing else " " + token)
        glued = token in _ATTACH_RIGHT or token in _ATTACH_BOTH or (token in _QUOTES and token not in opened)
        if token in _QUOTES:
            opened ^= {token}
    return "".join(parts)


UNITS: dict[str, Unit] = {
    "word": Unit(
        "words",
        _words,
        lambda text: _words(text, marked=True),
        _join_words,
    ),
    "white": Unit("words between white space", str.split, _WHITE_MARKED.findall, " ".join),
    "char": Unit("characters", list, list, "".join),
}
