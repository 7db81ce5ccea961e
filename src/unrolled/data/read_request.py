"""What a reader is asked for (`Wanted`): columns, what x and y become, how many bad rows may be skipped.

`--columns x=text,y=label,id=key` names columns; `+` joins several columns into one x: `x=ax+ay+az`. A column is found
by its name, or by its 1-based number if no column has that name (`x=2`). A name that contains `,`, `+` or `=` can only
be given by its number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from unrolled.core.errors import DataError, UsageError, suggest
from unrolled.core.types import Place


@dataclass(frozen=True)
class Wanted:
    """What is asked of a reader of labelled sequences.

    x, y: names of columns, empty where they are to be found.  id: the column of the person's own names.  by: in a
    table of one row a step, the column whose value stays the same within a sequence.
    kind: what x becomes, a text (or its tokens), numbers [T_x, n_x], a tune, or the file of a sound, clip or picture.
    target: what y becomes: one class, reals, a tag a step, or a text; `next` has no y; None asks for nothing, as in
    prediction: then y is passed on as it is found.
    skip_bad: how many bad rows may be left out, in all files together; `skipped` is told each with its reason.
    named: told the names of the columns of x that were found in a table.
    Raises UsageError where a column is to be two things at once, or skip_bad is negative.
    """

    x: tuple[str, ...] = ()
    y: tuple[str, ...] = ()
    id: str | None = None
    by: str | None = None
    kind: Literal["text", "numbers", "audio", "frames", "images", "tune"] = "text"
    target: Literal["label", "number", "tags", "next", "text"] | None = None
    skip_bad: int = 0
    skipped: Callable[[Place, str], None] | None = None
    named: Callable[[tuple[str, ...]], None] | None = None

    def __post_init__(self) -> None:
        if self.skip_bad < 0:
            raise UsageError(f"{self.skip_bad} bad rows to skip", expected="0 or more")
        inputs = set(self.x)
        for name in (*self.y, *([self.by] if self.by else [])):
            if name in inputs:
                raise UsageError(
                    f"column {name!r} is to be x and something else too", expected="other columns"
                )
        if len(self.y) > 1 and self.target in ("label", "tags", "text"):
            raise UsageError(f"y has {len(self.y)} columns", expected="one, for several make numbers only")


def parse_columns(text: str, wanted: Wanted | None = None) -> Wanted:
    """`wanted` (or the defaults) with the columns of a `--columns` option, such as `x=ax+ay,y=label,by=session`.

    Raises UsageError where the text is not of that form, with what is wrong in it.
    """
    example = "NAME=COLUMN pairs, such as x=text,y=label"
    found: dict[str, tuple[str, ...]] = {}
    for part in text.split(","):
        key, equals, columns = (piece.strip() for piece in part.partition("="))
        names = tuple(name.strip() for name in columns.split("+"))
        if not equals or not all(names):
            raise UsageError(f"--columns has {part.strip()!r}", expected=example)
        if key not in ("x", "y", "id", "by"):
            hint = suggest(key, ("x", "y", "id", "by"))
            raise UsageError(f"--columns has unknown {key!r}", expected="x, y, id or by", hint=hint)
        if key in found:
            raise UsageError(f"--columns has {key!r} twice", expected="once; join columns with +: x=ax+ay")
        if len(names) > 1 and key in ("id", "by"):
            raise UsageError(f"--columns has {len(names)} columns for {key!r}", expected="one")
        found[key] = names
    wanted = wanted or Wanted()
    return replace(
        wanted,
        x=found.get("x", wanted.x),
        y=found.get("y", wanted.y),
        id=found["id"][0] if "id" in found else wanted.id,
        by=found["by"][0] if "by" in found else wanted.by,
    )


def tolerance(wanted: Wanted) -> Callable[[DataError], None]:
    """A function that takes each bad row: it tells `wanted.skipped`, or raises past `wanted.skip_bad` of them.

    The error must name the file (a Path) and the line.
    """
    count = 0

    def bad(error: DataError) -> None:
        nonlocal count
        count += 1
        place = _place(error)
        if place is None or count > wanted.skip_bad:
            raise error if count == 1 else _one_too_many(error, wanted.skip_bad)
        if wanted.skipped is not None:
            wanted.skipped(place, error.what)

    return bad


def _place(error: DataError) -> Place | None:
    return Place(error.file, error.line) if isinstance(error.file, Path) and error.line is not None else None


def _one_too_many(error: DataError, skipped: int) -> DataError:
    what = f"{error.what} (after {skipped:,} bad rows that were skipped)"
    return DataError(what, file=error.file, line=error.line, expected=error.expected, hint=error.hint)
