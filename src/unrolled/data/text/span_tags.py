"""How one tag marks a part of a span: its letter, and the type of the span.

A tag is `O` (outside), a letter and a type with `-` or `_` between (`B-LOC`, `B_LOC`), or a bare letter. Letters: B
begins, I goes on, E ends, S is a span of one token. BILOU writes L and U for E and S; BMES writes M for I.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

LETTERS = {"B": "B", "I": "I", "M": "I", "E": "E", "L": "E", "S": "S", "U": "S"}
SEPARATORS = "-_"
OUTSIDE = ("O", "")


def parts(tag: str) -> tuple[str, str] | None:
    """A tag's letter, one of O B I E S, and its type ("" where it has none); None where it is no tag of a span."""
    if tag == "O":
        return OUTSIDE
    letter, kind = LETTERS.get(tag[:1]), tag[1:]
    if letter is None or (kind and kind[0] not in SEPARATORS):
        return None
    return letter, kind[1:]


@dataclass(frozen=True)
class Style:
    """How tags are written: the letters for I, E and S, and what stands between letter and type."""

    inside: str = "I"
    end: str = "E"
    single: str = "S"
    separator: str = "-"

    def tag(self, letter: str, kind: str) -> str:
        """The tag of a letter (B, I, E or S) and a type."""
        own = {"I": self.inside, "E": self.end, "S": self.single}.get(letter, letter)
        return f"{own}{self.separator}{kind}" if kind else own


def style_of(tags: Iterable[str]) -> Style:
    """How these tags are written; where they disagree or do not tell, as BIO and BIOES are."""
    known = [tag for tag in set(tags) if tag != "O" and parts(tag) is not None]
    letters, separators = {tag[0] for tag in known}, {tag[1] for tag in known if len(tag) > 1}
    return Style(
        inside="M" if "M" in letters and "I" not in letters else "I",
        end="L" if letters & {"L", "U"} and not letters & {"E", "S"} else "E",
        single="U" if letters & {"L", "U"} and not letters & {"E", "S"} else "S",
        separator="_" if separators == {"_"} else "-",
    )
