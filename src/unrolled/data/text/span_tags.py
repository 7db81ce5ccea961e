"""Parse and write tags that mark parts of spans, such as `B-LOC`: a letter and the type of the span.

A tag is `O` (outside), a bare letter, or a letter and a type with a separator: `B-LOC`, `B_LOC`, `B:LOC`,
`LOC-B`.
Letters: B begins a span, I continues it, E ends it, S is a span of one token. BILOU writes L for E and U for
S. BMES writes M for I. BMEWO writes W for S. Letters may be in lower case (`b-loc`, `o`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

_CAPITALS = {"B": "B", "I": "I", "M": "I", "E": "E", "L": "E", "S": "S", "U": "S", "W": "S"}
LETTERS = _CAPITALS | {letter.lower(): meaning for letter, meaning in _CAPITALS.items()}
SEPARATORS = "-_:/|."
OUTSIDE = ("O", "")
# The letters of each scheme, without O. "none": the tags are plain classes.
SCHEMES = {"bio": "BI", "bioes": "BIES", "iob1": "BI", "none": ""}

Part = tuple[str, str]  # the letter of a tag and its type


def parts(tag: str) -> Part | None:
    """Return the letter of a tag (O, B, I, E or S) and its type ("" without a type).

    Return None if the tag does not have such a form.
    """
    if tag in ("O", "o"):
        return OUTSIDE
    if tag[:1] in LETTERS and (len(tag) == 1 or tag[1] in SEPARATORS):
        return LETTERS[tag[0]], tag[2:]
    if _letter_is_last(tag):
        return LETTERS[tag[-1]], tag[:-2]
    return None


def goes_on(before: Part, after: Part) -> bool:
    """Whether the tag `after` continues the span of the tag `before`."""
    return before[0] in "BI" and after[0] in "IE" and before[1] == after[1]


def may_follow(before: Part, after: Part, scheme: str) -> bool:
    """Whether the tag `after` may follow `before` in the scheme "bio", "bioes" or "iob1".

    At the start of a sentence `before` is O.
    """
    if scheme == "iob1":  # in this scheme B only separates two adjacent spans of the same type
        return after[0] != "B" or (before[0] in "BI" and before[1] == after[1])
    open_span = scheme == "bioes" and before[0] in "BI"
    return goes_on(before, after) if open_span or after[0] in "IE" else True


def may_end(last: Part, scheme: str) -> bool:
    """Whether a sentence may end with the tag `last`."""
    return scheme != "bioes" or last[0] not in "BI"


def _letter_is_last(tag: str) -> bool:
    return len(tag) > 2 and tag[-1] in LETTERS and tag[-2] in SEPARATORS


@dataclass(frozen=True)
class Style:
    """How tags are written: the letters for O, B, I, E and S, the separator, whether the type is first."""

    outside: str = "O"
    begin: str = "B"
    inside: str = "I"
    end: str = "E"
    single: str = "S"
    separator: str = "-"
    type_first: bool = False

    def tag(self, letter: str, kind: str) -> str:
        """Return the tag of a letter (B, I, E or S) and a type ("" for no type)."""
        own = {"B": self.begin, "I": self.inside, "E": self.end, "S": self.single}[letter]
        if not kind:
            return own
        return f"{kind}{self.separator}{own}" if self.type_first else f"{own}{self.separator}{kind}"


def style_of(tags: Iterable[str]) -> Style:
    """Detect how tags are written.

    If the tags disagree or are too few to decide, use the style of BIO and BIOES.
    """
    known = [tag for tag in set(tags) if parts(tag) is not None]
    typed = [tag for tag in known if len(tag) > 1]
    first = [tag for tag in typed if not (tag[0] in LETTERS and tag[1] in SEPARATORS)]
    type_first = bool(typed) and len(first) == len(typed)
    written = {tag[-1] if type_first and len(tag) > 1 else tag[0] for tag in known}
    separators = {tag[-2] if type_first else tag[1] for tag in typed}
    lower = bool(written) and all(letter.islower() for letter in written)
    letters = {letter.upper() for letter in written}
    bilou = letters & {"L", "U"} and not letters & {"E", "S"}
    style = Style(
        inside="M" if "M" in letters and "I" not in letters else "I",
        end="L" if bilou else "E",
        single="U" if bilou else "W" if "W" in letters and "S" not in letters else "S",
        separator=separators.pop() if len(separators) == 1 else "-",
        type_first=type_first,
    )
    if not lower:
        return style
    cased = {name: getattr(style, name).lower() for name in ("outside", "begin", "inside", "end", "single")}
    return replace(style, **cased)
