"""The request to a reader: columns, kinds of x and y, file format, and how many bad rows it may skip.

`--columns x=text,y=label,id=key` names columns. `+` joins several columns into one x: `x=ax+ay+az`. A column
is found by its name, or by its 1-based number if no column has that name (`x=2`). For a column whose name
contains `,`, `+` or `=`, use its number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from unrolled.core.errors import DataError, UsageError, suggest
from unrolled.core.types import Example, Place
from unrolled.data.kinds import CONTENTS, NOTHING, TARGETS, Content, ContentName, Target, TargetName
from unrolled.data.text.encoding import check_encoding

Record = TypeVar("Record")
ROLES = ("x", "y", "id", "by", "time")  # the keys of --columns


def extension(path: Path) -> str:
    """Return the extension of a file in lower case, ignoring a final `.gz`."""
    return Path(path.name.lower().removesuffix(".gz")).suffix


@dataclass(frozen=True)
class FileOptions:
    """The format, encoding and quoting of the input files.

    format: name of the file format; None: detect it for each file.
    encoding: encoding of text without a byte order mark; None: UTF-8.
    quoting: `auto`, `csv` or `none` (see `delimited`).

    Raises UsageError for an encoding that Python does not know.
    """

    format: str | None = None
    encoding: str | None = None
    quoting: str = "auto"

    def __post_init__(self) -> None:
        if self.encoding is not None:
            check_encoding(self.encoding)

    def extension_of(self, path: Path) -> str:
        """Return the extension that decides the format: `.FORMAT` if a format is set, else the file's own."""
        return f".{self.format}" if self.format else extension(path)


@dataclass(frozen=True)
class ReadRequest:
    """A request to a reader of labelled sequences.

    x, y: column names; empty if the reader must find the columns.
    id: column with the user's names of the sequences.
    by: in a table with one row per step, the column whose value is the same in all rows of a sequence.
    time: column of time stamps.
    kind, target: kinds of x and y (kinds.py). With target None (prediction), y is optional and passed on.
    files: format, encoding and quoting of the input files.
    asked: whether y is required; False in prediction.
    skip_bad: maximum number of bad rows to skip, over all files.
    skipped: callback for each skipped row, with its place and the reason.
    noted: callback for a decision about a row that is not bad, such as a skipped comment line.
    named: callback that receives the names of the x columns found in a table.
    keep_bad: a bad row becomes an example with its `fault`. Prediction needs this: each row gets an answer.
    rows: examples carry the row of the table that they come from.

    Raises UsageError if one column has two roles, if y has several columns but must have one, or if skip_bad
    is negative.
    """

    x: tuple[str, ...] = ()
    y: tuple[str, ...] = ()
    id: str | None = None
    by: str | None = None
    kind: ContentName = "text"
    target: TargetName | None = None
    skip_bad: int = 0
    skipped: Callable[[Place, str], None] | None = None
    named: Callable[[tuple[str, ...]], None] | None = None
    time: str | None = None
    files: FileOptions = FileOptions()
    noted: Callable[[Place, str], None] | None = None
    asked: bool = True
    keep_bad: bool = False
    rows: bool = False

    def __post_init__(self) -> None:
        if self.skip_bad < 0:
            raise UsageError(f"skip_bad is {self.skip_bad}", expected="0 or more")
        inputs = set(self.x)
        targets = (
            () if self.asks.ahead else self.y
        )  # a forecast column may also be in x: its past values are inputs
        for name in (*targets, *(other for other in (self.by, self.time) if other)):
            if name in inputs:
                raise UsageError(
                    f"column {name!r} is used for x and for another role", expected="different columns"
                )
        if len(self.y) > 1 and self.asks.one_column:
            raise UsageError(f"y has {len(self.y)} columns", expected="one (only numbers may have several)")

    @property
    def content(self) -> Content:
        """The kind of x."""
        return CONTENTS[self.kind]

    @property
    def asks(self) -> Target:
        """The kind of y; `NOTHING` in prediction."""
        return NOTHING if self.target is None else TARGETS[self.target]

    @property
    def is_pair(self) -> bool:
        """Whether x and y are both texts."""
        return self.content.words and self.asks.written


def parse_columns(text: str, wanted: ReadRequest | None = None) -> ReadRequest:
    """Return a copy of `wanted` (or of the defaults) with the columns of a `--columns` option.

    text: such as `x=ax+ay,y=label,by=session`.

    Raises UsageError with the wrong part if the text does not have this form.
    """
    example = "NAME=COLUMN pairs, such as x=text,y=label"
    found: dict[str, tuple[str, ...]] = {}
    for part in text.split(","):
        key, equals, columns = (piece.strip() for piece in part.partition("="))
        names = tuple(name.strip() for name in columns.split("+"))
        if not equals or not all(names):
            raise UsageError(f"--columns has {part.strip()!r}", expected=example)
        if key not in ROLES:
            expected = f"{', '.join(ROLES[:-1])} or {ROLES[-1]}"
            raise UsageError(f"--columns has unknown {key!r}", expected=expected, hint=suggest(key, ROLES))
        if key in found:
            raise UsageError(f"--columns has {key!r} twice", expected="once; join columns with +: x=ax+ay")
        if len(names) > 1 and key not in ("x", "y"):
            raise UsageError(f"--columns has {len(names)} columns for {key!r}", expected="one")
        found[key] = names
    wanted = wanted or ReadRequest()
    return replace(
        wanted,
        x=found.get("x", wanted.x),
        y=found.get("y", wanted.y),
        id=found["id"][0] if "id" in found else wanted.id,
        by=found["by"][0] if "by" in found else wanted.by,
        time=found["time"][0] if "time" in found else wanted.time,
    )


def bad_row_handler(wanted: ReadRequest) -> Callable[[DataError], bool]:
    """Return a function that handles the error of each bad row.

    The error must name the file (a Path) and the line.

    Up to `wanted.skip_bad` bad rows: the function reports the row to `wanted.skipped` and returns True (skip
    the row). After that it raises the error. With `wanted.keep_bad` it returns False instead, and the reader
    yields the row as an example with its fault.
    """
    count = 0

    def bad(error: DataError) -> bool:
        nonlocal count
        count += 1
        place = _place(error)
        if place is None or count > wanted.skip_bad:
            if wanted.keep_bad:
                return False
            raise error if count == 1 else _one_too_many(error, wanted.skip_bad)
        if wanted.skipped is not None:
            wanted.skipped(place, error.what)
        return True

    return bad


def examples_of(
    records: Iterable[Record],
    make: Callable[[Record], Example],
    place: Callable[[Record], Place],
    wanted: ReadRequest,
) -> Iterator[Example]:
    """Yield the example that `make` returns for each record of a file. `place` returns where a record begins.

    If `make` raises DataError, `wanted` decides: the record is skipped and reported, or it becomes an example
    with its fault, or the error is raised. The error must name the file and the line.
    """
    bad = bad_row_handler(wanted)
    for record in records:
        try:
            example = make(record)
        except DataError as error:
            if bad(error) and not wanted.keep_bad:
                continue
            example = Example(None, None, place(record), fault=error)
        yield example


def _place(error: DataError) -> Place | None:
    return Place(error.file, error.line) if isinstance(error.file, Path) and error.line is not None else None


def _one_too_many(error: DataError, skipped: int) -> DataError:
    what = f"{error.what} (after {skipped:,} bad rows that were skipped)"
    return DataError(what, file=error.file, line=error.line, expected=error.expected, hint=error.hint)
