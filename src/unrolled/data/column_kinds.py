"""Decide from many rows what each column of a table holds: numbers, time stamps or text, and decimal commas.

A column holds numbers if at least half of its fields that are not missing are numbers. Fields that contradict that are
errors where they are read, with their line. All rows are looked at where a column has nothing else to go by.
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

SAMPLE = 10_000  # rows from which kinds are decided; more only where a column is empty in all of them


@dataclass(frozen=True)
class Kinds:
    """What each column holds. numeric, times: indices of columns.  mixed: those read as text although some of their
    fields are numbers, with the count of these.  commas: those whose numbers have decimal commas: `3,5`."""

    numeric: frozenset[int]
    times: frozenset[int]
    mixed: dict[int, int]
    commas: frozenset[int]


@dataclass
class _Counts:
    """Fields of one column, by what they are."""

    known: int = 0
    points: int = 0  # numbers without a comma
    commas: int = 0  # numbers with a decimal comma
    thousands: int = 0  # those of them that may be whole numbers with commas between thousands: 1,234
    times: int = 0

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
    """The kinds of the columns of a table. Raises what opening the table raises."""
    return _kinds(path, options, state_of(path))


@lru_cache(maxsize=64)  # every pass over a file asks for it; a file that has changed is looked at again
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
    """The kinds that counted fields show; semicolons: fields are separated by them, as where decimals have commas."""
    commas, thousands = sum(one.commas for one in counts), sum(one.thousands for one in counts)
    # `1,234` may be a whole number. A file in which all numbers with commas are like that tells nothing.
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
