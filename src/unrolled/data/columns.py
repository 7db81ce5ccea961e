"""What a person asks of labelled data: which columns are x, y and id, what they become, and how many bad rows may go.

`--columns x=text,y=label,id=key`; several columns of one sequence are joined by `+`: `x=ax+ay+az`. A column goes by
its name, or by its 1-based number where none has that name (`x=2`); a name with `,`, `+` or `=` in it by its number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from unrolled.core.errors import DataError, UsageError, suggest
from unrolled.core.types import Place

PAIRS = (
    ("source", "src", *("text", "x")),
    ("target", "trg", "translation", "y"),
)  # of texts that are translated
TEXT = ("text", "sentence", "review", "comment", "x")  # names of x, where none is asked for, in this order
SOUND = ("audio", "sound", "wav", "path", "file", "filename", "clip", "x")
MIDI = ("midi", "file", "path", "x")
CLIP = ("clip", "video", "frames", "path", "file", "filename", "image", "x")
IMAGE = ("image", "picture", "path", "file", "filename", "x")
TRANSCRIPT = ("text", "transcript", "transcription", "sentence", "y")
TARGET = ("label", "class", "category", "rating", "target", "tag", "tags", "genre", "y")
ID = ("id",)

_KINDS = {
    "text": ("texts", TEXT),
    "audio": ("sounds", SOUND),
    "frames": ("clips", CLIP),
    "images": ("pictures", IMAGE),
    "tune": ("MIDI files", MIDI),
}


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


@dataclass(frozen=True)
class Found:
    """The columns of one table, as indices from 0; y is empty and id None where there are none."""

    x: tuple[int, ...]
    y: tuple[int, ...]
    id: int | None
    by: int | None

    def __iter__(self) -> Iterator[int]:
        """Every column that is read."""
        return iter((*self.x, *self.y, *(i for i in (self.id, self.by) if i is not None)))


def find_columns(
    names: Sequence[str], wanted: Wanted, is_number: Callable[[int], bool], file: Path, line: int | None
) -> Found:
    """Where the wanted columns stand in a table with these names; `line` is that of its header, if it has one.

    Without a wish: x of `kind` text is the first of `text sentence review comment x` that is there, whatever its
    case, of a tune the first of `midi file path x`; x of numbers is every column whose first value is a number
    (`is_number`) and that is not y, id or by, nor one that y would be by default; y is the first of `label class
    category rating target tag genre y`; id is `id`.
    Raises DataError naming the columns there are.
    """

    def absent(what: str, hint: str | None) -> DataError:
        return DataError(what, file=file, line=line, expected=_listing(names), hint=hint)

    def position(name: str) -> int:
        spelt = _spelt(name, names)
        if spelt is None:
            raise absent(f"no column {name!r}", suggest(name, names))
        if names.count(name) > 1:
            hint = f"its number: {spelt + 1} is the first"
            raise absent(f"column {name!r} is there {names.count(name)} times", hint)
        return spelt

    x = tuple(map(position, wanted.x))
    by = None if wanted.by is None else position(wanted.by)
    number = _default(ID, names, {*x, by}) if wanted.id is None else position(wanted.id)
    if wanted.y and wanted.target not in (None, "next"):
        y = tuple(map(position, wanted.y))
    else:
        y = _if_there(wanted, names, {*x, by})
    if wanted.target == "text" and wanted.kind == "text" and not (x and y):
        x, y = _pair(names, x, y, {number, by})
    taken = {*y, number, by}
    if not x and wanted.kind != "numbers":
        what, usual = _KINDS[wanted.kind]
        first = _default(usual, names, taken)
        if first is None:
            raise absent(f"no column of {what}", f"--columns x=NAME, where none is {_join(usual)}")
        x = (first,)
    elif not x:
        x = tuple(i for i in range(len(names)) if i not in taken and is_number(i))
        if not x:
            raise absent("no column of numbers beside y, id and by", "--columns x=NAME+NAME")
    if wanted.target == "next":
        y = ()
    elif not y and wanted.target is not None:
        raise absent("no column to learn", f"--columns y=NAME, where none is {_join(_targets(wanted))}")
    if set(x) & {*y, by}:
        name = names[min(set(x) & {*y, by})]
        raise UsageError(f"column {name!r} is to be x and something else too", expected="other columns")
    return Found(x, y, number, by)


def _pair(
    names: Sequence[str], x: tuple[int, ...], y: tuple[int, ...], taken: set[int | None]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The columns of two texts by their usual names; where there are but two columns besides, in their order."""
    left = [i for i in range(len(names)) if i not in taken]
    for own, (known, place) in enumerate(zip(PAIRS, (0, 1), strict=True)):
        if (x, y)[own]:
            continue
        found = _default(known, names, {*taken, *x, *y})
        found = left[place] if found is None and len(left) == 2 and left[place] not in (*x, *y) else found
        x, y = (
            ((found,) if found is not None else x, y)
            if own == 0
            else (x, (found,) if found is not None else y)
        )
    return x, y


def _if_there(wanted: Wanted, names: Sequence[str], taken: set[int | None]) -> tuple[int, ...]:
    """The columns of y where none need be there: all that are wished for, or none."""
    known = (
        [_spelt(name, names) for name in wanted.y] if wanted.y else [_default(_targets(wanted), names, taken)]
    )
    y = tuple(i for i in known if i is not None)
    return y if len(y) == len(known) else ()


def _targets(wanted: Wanted) -> Sequence[str]:
    """Names of y, where none is asked for, in this order; of a sound it is a transcript or a class."""
    if wanted.target == "text":
        return TRANSCRIPT
    if wanted.target == "tags" and wanted.kind == "audio":
        return ("tags", *TARGET)
    return (*TARGET, *TRANSCRIPT) if wanted.target is None and wanted.kind == "audio" else TARGET


def _spelt(name: str, names: Sequence[str]) -> int | None:
    """A column by its exact name, else by its name in another case, else by its 1-based number."""
    if name in names:
        return names.index(name)
    folded = [other.casefold() for other in names]
    if folded.count(name.casefold()) == 1:
        return folded.index(name.casefold())
    if name.isascii() and name.isdigit() and len(name) < 10 and 1 <= int(name) <= len(names):
        return int(name) - 1
    return None


def _default(known: Sequence[str], names: Sequence[str], taken: set[int | None]) -> int | None:
    folded = [name.casefold() for name in names]
    return next((folded.index(n) for n in known if n in folded and folded.index(n) not in taken), None)


def _listing(names: Sequence[str]) -> str:
    shown = [
        repr(name[:40]) if name else f"number {i} without a name" for i, name in enumerate(names[:20], 1)
    ]
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return f"one of {', '.join(shown)}{more}" if shown else "columns with names"


def _join(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


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
