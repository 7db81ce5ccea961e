"""Find the columns of a table: those that were asked for, or those with the usual names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from unrolled.core.errors import DataError, UsageError, suggest
from unrolled.data.read_request import Wanted

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
