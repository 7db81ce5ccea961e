"""Split text into tokens (words, pieces between white space, characters) and join them again.

The text is never changed, except to lower case by `lower`: no Unicode normalisation, no replacement of
quotes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import UsageError, suggest

END = "\0"  # separates documents in `split_marked`; readers reject this character in texts
JOINER = "\uffed"  # marks a side of a punctuation token that has no space in the text
WORD_JOINERS = "word+joiners"


@dataclass(frozen=True)
class Unit:
    """A token unit: functions that split a text into tokens and join them again.

    name: plural noun for messages.
    split: splits a text.  split_marked: the same, with each line end and END as a token.
    join: joins tokens to a text.  bare: returns a token as it is written in a text, without joiners.
    characters: whether each token is one character.
    sample: default number of tokens of a generated sample.
    preview: default number of tokens of the sample that is printed during training.
    """

    name: str
    split: Callable[[str], list[str]]
    split_marked: Callable[[str], list[str]]
    join: Callable[[Iterable[str]], str]
    bare: Callable[[str], str] = str
    characters: bool = False
    sample: int = 60
    preview: int = 30


def split(text: str, unit: str, lower: bool = False) -> list[str]:
    """Split a text into tokens. Raises UsageError for an unknown unit."""
    return find_unit(unit).split(text.lower() if lower else text)


def split_words(text: str) -> list[str]:
    """Split a text at spaces, tabs and line ends."""
    return _BETWEEN_BLANKS.findall(text)


def split_marked(text: str, unit: str, lower: bool = False) -> list[str]:
    """Split like `split`, but each line end and each END is a separate token, for all units."""
    return find_unit(unit).split_marked(text.lower() if lower else text)


def join(tokens: Iterable[str], unit: str) -> str:
    """Join tokens to a text.

    For "char" the result equals the text before `split`. For "word+joiners" it does too, except that each run
    of white space becomes one space. For "word" the spaces around punctuation follow fixed rules.
    """
    return find_unit(unit).join(tokens)


def find_unit(unit: str) -> Unit:
    """Return the unit with this name. Raises UsageError with a suggestion if there is none."""
    found = UNITS.get(unit) or WRITTEN_UNITS.get(unit)
    if found is None:
        raise UsageError(f"unknown unit {unit!r}", expected=" or ".join(UNITS), hint=suggest(unit, UNITS))
    return found


def of_characters(unit: str | None) -> bool:
    """Whether each token of this unit is one character. False for unknown units and for None."""
    known = UNITS.get(unit or "")
    return known is not None and known.characters


def written(unit: str) -> str:
    """Return the unit for a model that also writes text. Tokens of this unit can be joined exactly."""
    return {"word": WORD_JOINERS}.get(unit, unit)


def as_option(unit: str) -> str:
    """Return the option value of a model's unit: the inverse of `written`."""
    return {WORD_JOINERS: "word"}.get(unit, unit)


@cache
def _marks() -> frozenset[str]:
    """Return the combining marks, and the invisible joiners that Persian and Malayalam use inside words."""
    codes = chain(range(0x300, 0x1F000), range(0xE0100, 0xE01F0))  # all blocks with marks
    marks = (chr(code) for code in codes if unicodedata.category(chr(code))[0] == "M")
    return frozenset(marks) | {"\u200c", "\u200d"}


@cache
def _word_pattern(letter: str, marked: bool) -> re.Pattern[str]:
    """Return the pattern of a word token: letters and digits with apostrophes inside, or one other character.

    An example with an apostrophe is "don't". The other character is visible, or a line end if `marked`.
    """
    return re.compile(rf"{letter}+(?:['\u2019]{letter}+)*|[^\w\s]" + (r"|\n" if marked else ""))


def _words(text: str, marked: bool = False) -> list[str]:
    """Split a text into words, and into line ends if `marked`.

    The `\\w` of Python does not match combining marks, so it would split decomposed accents and all Hindi
    words. If a text has combining marks, a pattern that treats them as letters is used. It is ten times
    slower, so it is used only then.
    """
    letter = r"\w" if text.isascii() or _marks().isdisjoint(text) else rf"[\w{''.join(sorted(_marks()))}]"
    return _word_pattern(letter, marked).findall(text)


@cache
def _is_space() -> NDArray[np.bool_]:
    """Return a mask [0x3001]: whether a code point is white space. Higher code points are not white space."""
    return np.array([chr(code).isspace() for code in range(0x3001)])


def _gaps(text: str, tokens: list[str], marked: bool) -> NDArray[np.bool_]:
    """Return a mask [tokens + 1]: whether there is white space before each token, and after the last one.

    The start and the end of the text count as white space. So do line ends and END if `marked`.
    """
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    space = _is_space()[np.minimum(codes, 0x3000)] & (codes <= 0x3000)
    kept = np.flatnonzero(~space | ((codes == ord("\n")) & marked))  # characters that belong to tokens
    ends = np.cumsum(np.fromiter(map(len, tokens), np.int64, len(tokens)))
    first, last = kept[np.append(0, ends[:-1])], kept[ends - 1]
    breaks = ((codes[first] == ord("\n")) | (codes[first] == ord(END))) & marked
    gaps = np.ones(len(tokens) + 1, np.bool_)
    gaps[1:-1] = (first[1:] > last[:-1] + 1) | breaks[1:] | breaks[:-1]
    return gaps


def _words_with_joiners(text: str, marked: bool = False) -> list[str]:
    """Split a text into words.

    If two tokens have no space between them, the punctuation token gets a JOINER there.

    Two such tokens are never both words. If both are punctuation, the second one gets the joiner.
    """
    tokens = _words(text, marked)
    if not tokens:
        return tokens
    gaps = _gaps(text, tokens, marked)
    punctuation = {token for token in set(tokens) if not _is_word(token)}
    for i in np.flatnonzero(~(gaps[:-1] & gaps[1:])).tolist():
        if tokens[i] in punctuation:
            glued = not gaps[i + 1] and tokens[i + 1] not in punctuation
            tokens[i] = _marked(tokens[i], not gaps[i], glued)
    return tokens


def _is_word(token: str) -> bool:
    return token[0].isalnum() or token[0] == "_" or token[0] in _marks()


def _marked(token: str, left: bool, right: bool) -> str:
    """Add joiners to a punctuation token.

    If the token is the joiner character itself, the length encodes the sides: 1 none, 2 left, 3 both, 4
    right.
    """
    if token == JOINER:
        return JOINER * (1 + left + right if left else 1 + 3 * right)
    return JOINER * left + token + JOINER * right


def _unmarked(token: str) -> tuple[bool, str, bool]:
    """Invert `_marked`: return left, token, right."""
    if JOINER not in token:
        return False, token, False
    if set(token) == {JOINER}:
        return len(token) in (2, 3), JOINER, len(token) > 2
    return token.startswith(JOINER), token.strip(JOINER), token.endswith(JOINER)


def _join_with_joiners(tokens: Iterable[str]) -> str:
    parts: list[str] = []
    glued = True  # no space before the next token
    for token in tokens:
        left, bare, right = _unmarked(token)
        parts.append(bare if glued or left else " " + bare)
        glued = right
    return "".join(parts)


# A no-break space stays inside its word, as in CoNLL files.
_BETWEEN_BLANKS = re.compile(r"[^ \t\r\n]+")
_WHITE_MARKED = re.compile(r"[^ \t\r\n\0]+|[\n\0]")
_ATTACH_LEFT = frozenset(".,;:!?)]}%\u2026\u2019\u201d\xbb\u060c\u3002\u3001\uff0c\uff01\uff1f\uff1a\uff1b")
_ATTACH_RIGHT = frozenset("([{$\xa3\u20ac#@\u201c\u2018\xab\xbf\xa1")
_ATTACH_BOTH = frozenset("-/_")
_QUOTES = frozenset("\"'`")


def _join_words(tokens: Iterable[str]) -> str:
    """Join words with spaces. No space is added inside brackets and quotes, or before closing punctuation.

    Straight quotes alternate between opening and closing.
    """
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
    "white": Unit("words between white space", split_words, _WHITE_MARKED.findall, " ".join),
    "char": Unit("characters", list, list, "".join, characters=True, sample=500, preview=160),
}
# Units of models that write text. They replace a unit above and are not available as options.
WRITTEN_UNITS: dict[str, Unit] = {
    WORD_JOINERS: Unit(
        "words",
        _words_with_joiners,
        lambda text: _words_with_joiners(text, marked=True),
        _join_with_joiners,
        lambda token: _unmarked(token)[1],
    ),
}
