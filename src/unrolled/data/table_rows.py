"""Convert one row of a table to an example. x is a text, tokens, a file or numbers; y is the target."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unrolled.core.errors import DataError, UsageError
from unrolled.core.types import Array, Example, Floats, Place
from unrolled.core.values.example_values import length
from unrolled.data.column_matching import ColumnIndices
from unrolled.data.fields import (
    Stretches,
    are_intervals,
    as_file,
    as_intervals,
    as_label,
    as_measure,
    as_number,
    as_reals,
    as_steps,
    as_text,
    as_tokens,
    is_empty,
    is_number,
    with_decimal_point,
)
from unrolled.data.media_fragment import part_of
from unrolled.data.read_request import ReadRequest
from unrolled.data.table_files import ABSENT
from unrolled.data.text.tokenize import split_words
from unrolled.data.time_stamps import as_time, parse_time

Named = tuple[object, str]  # a field, and the name of its column


@dataclass(frozen=True)
class Rows:
    """Converts the rows of one file to examples. With `by`, each row is one step.

    found: indices of the columns that are read.  commas: columns whose numbers have decimal commas.
    """

    path: Path
    names: tuple[str, ...]
    found: ColumnIndices
    commas: frozenset[int]
    wanted: ReadRequest

    @property
    def is_step(self) -> bool:
        """Whether a row is one step of a sequence.

        True in these cases:
        - The table has the column `by`.
        - x is numbers and y is its next values.
        - x is numbers and `by` was requested, but the table has no such column: all rows are one series.
        """
        one_series = self.wanted.content.numeric and (self.wanted.asks.ahead or self.wanted.by is not None)
        return self.found.by is not None or one_series

    def example(self, cells: Sequence[object], place: Place) -> tuple[str, Example]:
        """Convert one row.

        Return its value of `by` and the example. Raises DataError that names the column.
        """
        by = self.by(cells, place)
        named = list(zip(self._checked(cells, place), self.names, strict=True))
        content = self.wanted.content
        read = self.numbers if content.numeric else self.file if content.named else self.text
        x: object = read(named, place)
        y = self.target([named[i] for i in self.found.y if cells[i] is not ABSENT], place)
        if self.wanted.is_pair and not (x and y):
            what = "a blank text in this row"
            raise DataError(what, file=place.file, line=place.line, expected="text in both columns")
        known = not isinstance(x, Path)  # the number of steps of a file is unknown until it is opened
        if known and self.wanted.asks.each and not by and y is not None and len(x) != len(y):
            steps = "tokens" if content.words else "steps"
            what = f"{len(x):,} {steps} and {len(y):,} tags"
            raise DataError(what, file=place.file, line=place.line, expected="the same number")
        key = by or None if self.found.id is None else as_text(*named[self.found.id], place) or None
        return by, Example(x, y, place, key, times=self.times(named, x, place), row=self.row(cells))

    def by(self, cells: Sequence[object], place: Place) -> str:
        """Return the name of the sequence that a row belongs to; "" if there is no column `by`."""
        if self.found.by is None:
            return ""
        cell = cells[self.found.by]
        return as_label(
            None if cell is ABSENT else cell, self.names[self.found.by], place, "the sequence's name"
        )

    def row(self, cells: Sequence[object]) -> dict[str, object] | None:
        """Return the fields by column name, or None if rows were not requested.

        If a row is one step, return only `by` and `id`, which belong to its whole sequence.
        """
        if not self.wanted.rows:
            return None
        shared = {self.found.by, self.found.id} if self.is_step else set(range(len(self.names)))
        return {
            name: None if cells[i] is ABSENT else cells[i] for i, name in enumerate(self.names) if i in shared
        }

    def _checked(self, cells: Sequence[object], place: Place) -> list[object]:
        """Return the fields with decimal commas replaced by points.

        If a JSON object lacks a key of x, the number is missing (None). Raises DataError if it lacks another
        required key, or if a number has a point in a column with decimal commas.
        """
        numbers = self.found.x if self.wanted.content.numeric else ()
        optional = () if self.wanted.asked and self.wanted.target is not None else self.found.y
        read = list(cells)
        for i in self.found:
            if cells[i] is ABSENT and i in numbers:
                read[i] = None
            elif cells[i] is ABSENT and i not in optional:
                name = self.names[i]
                what = f"no column {name!r} in this row"
                raise DataError(what, file=place.file, line=place.line, expected=f"{name!r} in each")
        for i in self.commas:
            read[i] = self._with_point(read[i], self.names[i], place)
        return read

    def _with_point(self, cell: object, name: str, place: Place) -> object:
        if not isinstance(cell, str):
            return cell
        if "." in cell and "," not in cell and is_number(cell):
            what = f"column {name!r} has {cell[:40]!r}, with a decimal point"
            expected = "a decimal comma as in the other rows"
            raise DataError(what, file=place.file, line=place.line, expected=expected)
        return with_decimal_point(cell)

    def text(self, named: Sequence[Named], place: Place) -> str | tuple[str, ...]:
        """Return the text of a row.

        Return its tokens instead if the field is a list, or if each token has a tag (y is tags).
        """
        cells = [named[i] for i in self.found.x]
        one_token = self.found.by is not None
        if len(cells) == 1 and isinstance(cells[0][0], list) and not one_token:
            return as_tokens(*cells[0], place)
        text = " ".join(filter(None, (as_text(cell, name, place) for cell, name in cells)))
        if one_token and not text:
            raise DataError(
                "an empty token", file=place.file, line=place.line, expected="a token in each row"
            )
        return tuple(split_words(text)) if self.wanted.asks.each and not one_token else text

    def file(self, named: Sequence[Named], place: Place) -> Path:
        """Return the path of the file that a row names, relative to the table's folder.

        If the columns `start` and `end` select a part of the file, return the name of this part (a media
        fragment). With a target (training), raises DataError if the file does not exist.
        """
        if len(self.found.x) > 1 or self.found.by is not None:
            raise UsageError(
                "each row names one file", file=self.path, expected="one column for x and no column for by"
            )
        file = as_file(*next(named[at] for at in self.found.x), place, there=self.wanted.target is not None)
        return part_of(file, *self.part(named, place)) if self.wanted.content.parts else file

    def part(self, named: Sequence[Named], place: Place) -> tuple[float, float]:
        """Return the start and the end of a row's part of its file, in seconds.

        They come from the columns `start` and `end`. The defaults are 0 and infinity.
        """
        found: list[float] = []
        for name, usual in (("start", 0.0), ("end", math.inf)):
            cells = [pair for pair in named if pair[1].strip().casefold() == name and pair[0] is not ABSENT]
            given = [pair for pair in cells if not is_empty(pair[0])]
            found.append(as_number(*given[0], place) if given else usual)
        if not 0 <= found[0] < found[1]:
            what = f"a part from {found[0]:g} to {found[1]:g} seconds"
            raise DataError(what, file=place.file, line=place.line, expected="0 <= start < end")
        return found[0], found[1]

    def numbers(self, named: Sequence[Named], place: Place) -> Floats:
        """Return the numbers of a row, [T_x, n_x], with the columns concatenated. NaN marks a missing number.

        T_x is 1 if the row is one step or has no lists.
        """
        cells = [named[i] for i in self.found.x]
        if not any(isinstance(cell, list) for cell, _ in cells):
            return np.array([[as_measure(cell, name, place) for cell, name in cells]], dtype=np.float64)
        parts = [as_steps(cell, name, place, one=self.found.by is not None) for cell, name in cells]
        for part, (_, name) in zip(parts, cells, strict=True):
            if len(part) != len(parts[0]):
                what = f"column {name!r} has {len(part):,} steps"
                raise DataError(what, file=place.file, line=place.line, expected=f"{len(parts[0]):,}")
        return np.concatenate(parts, axis=1)  # [T_x, n] each

    def times(self, named: Sequence[Named], x: object, place: Place) -> Array | None:
        """Return the time of a row that is one step, [1]; NaT if it is missing. Return None for other rows.

        Raises DataError for a missing time if the user named the column of times.
        """
        if self.found.time is None or not self.wanted.content.numeric or length(x) != 1:
            return None
        cell, name = named[self.found.time]
        if self.wanted.time is not None:
            return np.array([as_time(cell, name, place)])
        time = parse_time(cell) if isinstance(cell, str) else None
        if time is None and self.wanted.noted is not None:
            self.wanted.noted(
                place, f"column {name!r} has no time in this row; the series is read without times"
            )
        return np.array([np.datetime64("NaT", "us") if time is None else time])

    def target(self, cells: Sequence[Named], place: Place) -> Y:
        """Return the target y of a row; None if it has no columns of y."""
        if not cells:
            return None
        read = READ_TARGET.get(self.wanted.target or "", _passed_on)
        return read(self, cells, place)


Y = str | tuple[str, ...] | tuple[float, ...] | Floats | Stretches | None


def _label(rows: Rows, cells: Sequence[Named], place: Place) -> Y:
    return as_label(*cells[0], place)


def _text(rows: Rows, cells: Sequence[Named], place: Place) -> Y:
    return as_text(*cells[0], place)


def _reals(rows: Rows, cells: Sequence[Named], place: Place) -> Y:
    return as_reals([cell for cell, _ in cells], [name for _, name in cells], place)


def _step(rows: Rows, cells: Sequence[Named], place: Place) -> Y:
    """Return the numbers of one step, [1, n_y]."""
    return np.array([[as_measure(cell, name, place) for cell, name in cells]], dtype=np.float64)


def _tags(rows: Rows, cells: Sequence[Named], place: Place) -> Y:
    """Return one tag per step, one tag if the row is one step, or tags of intervals of time.

    For recordings the text is returned unchanged: their intervals are parsed when the files are opened.
    """
    (cell, name), content = cells[0], rows.wanted.content
    if content.stretches == "always":
        return as_text(cell, name, place)
    if content.stretches == "either" and are_intervals(cell):
        return Stretches(tuple(as_intervals(as_text(cell, name, place), place)))
    if (isinstance(cell, list) or not content.numeric) and rows.found.by is None:
        return as_tokens(cell, name, place)
    return (as_label(cell, name, place, "a tag"),)


def _passed_on(rows: Rows, cells: Sequence[Named], place: Place) -> Y:
    """Return y for prediction (no target kind): None, a text, a tuple of numbers or a tuple of texts."""
    cell, name = cells[0]
    items = [(v, n) for c, n in cells for v in (c if isinstance(c, list) else [c])]
    if len(cells) == 1 and not isinstance(cell, list):
        return None if is_empty(cell) else as_text(cell, name, place).strip()
    if all(is_number(item) for item, _ in items):
        return tuple(as_number(item, name, place) for item, name in items)
    return tuple(as_text(item, name, place) for item, name in items)


READ_TARGET: dict[str, Callable[[Rows, Sequence[Named], Place], Y]] = {
    "label": _label,
    "number": _reals,
    "tags": _tags,
    "next": _step,
    "text": _text,
}
