"""Detect what each column of a table contains: numbers (with decimal points or commas), time stamps or text.

The decision uses many rows. A column contains numbers if at least half of its fields that are not missing are
numbers. A field of such a column that is not a number raises an error with its line number when it is read.
If a column is empty in the first SAMPLE rows, further rows are read until it has a value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from unrolled.core.errors import DataError
from unrolled.data.fields import first_value, is_decimal_comma, is_missing, is_number, with_decimal_point
from unrolled.data.file_state import State, state_of
from unrolled.data.read_request import FileOptions
from unrolled.data.table_files import ABSENT, open_table
from unrolled.data.time_stamps import parse_time

SAMPLE = 10_000  # number of rows used for the decision; more only if a column is empty in all of them


@dataclass(frozen=True)
class Kinds:
    """The kind of each column, by column index. Columns in neither `numeric` nor `times` are text.

    numeric: columns of numbers.
    times: columns of time stamps.
    mixed: columns that are read as text although some fields are numbers -> the count of these numbers.
    commas: columns of numbers with decimal commas, such as `3,5`.
    """

    numeric: frozenset[int]
    times: frozenset[int]
    mixed: dict[int, int]
    commas: frozenset[int]


@dataclass
class _Counts:
    """Number of fields of each type in one column."""

    known: int = 0  # fields that are not missing
    points: int = 0  # numbers without a comma
    commas: int = 0  # numbers with a decimal comma
    thousands: int = 0  # numbers in `commas` that may be whole numbers with a thousands separator: 1,234
    times: int = 0  # time stamps

    def add(self, cell: object) -> None:
        if cell is ABSENT or is_missing(cell := first_value(cell)):
            return
        self.known += 1
        if is_number(cell):
            self.points += 1
        elif isinstance(cell, str) and is_decimal_comma(cell):
            self.commas += 1
            whole, _, part = with_decimal_point(cell).strip(" +-").partition(".")
            self.thousands += len(part) == 3 and len(whole) <= 3 and whole != "0"
        elif isinstance(cell, str):
            self.times += parse_time(cell) is not None


def find_kinds(path: Path, options: FileOptions) -> Kinds:
    """Detect the kinds of a table's columns. Raises the errors of `open_table`."""
    return _kinds(path, options, state_of(path))


@lru_cache(maxsize=64)  # each pass over a file needs it; `state` makes a changed file miss the cache
def _kinds(path: Path, options: FileOptions, state: State) -> Kinds:
    table = open_table(path, options)
    counts = [_Counts() for _ in table.names]
    for number, (_, cells) in enumerate(table.rows):
        if number >= SAMPLE and all(one.known for one in counts):
            break
        if isinstance(cells, DataError):
            continue
        for own, cell in zip(counts, cells, strict=True):
            own.add(cell)
    return decide(counts, semicolons=table.separator == ";")


def decide(counts: Sequence[_Counts], *, semicolons: bool) -> Kinds:
    """Decide the kinds of the columns from the counts of their fields.

    semicolons: the fields are separated by semicolons, which is usual in files with decimal commas.
    """
    commas, thousands = sum(one.commas for one in counts), sum(one.thousands for one in counts)
    # `1,234` may be a whole number. If all numbers with commas look like that, they are not decimal commas.
    decimal_comma = semicolons or thousands < commas
    numeric, times, mixed = set[int](), set[int](), dict[int, int]()
    for column, one in enumerate(counts):
        numbers = one.points + (one.commas if decimal_comma else 0)
        if one.known and 2 * numbers >= one.known:
            numeric.add(column)
        elif one.times and 10 * one.times >= 9 * one.known:
            times.add(column)
        elif numbers:
            mixed[column] = numbers
    with_commas = frozenset(column for column in numeric if decimal_comma and counts[column].commas)
    return Kinds(frozenset(numeric), frozenset(times), mixed, with_commas)
