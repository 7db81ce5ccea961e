"""Read tables as examples: .csv, .tsv, .jsonl, .json (one object per line), also gzipped, and .parquet.

The first row contains the column names (see `delimited` for separators, quotes and comments). Empty lines are
skipped.

How rows become sequences:
- Without `by`, each row is one sequence.
- With `by`, the rows with the same value in that column are the steps of one sequence. They may be
  interleaved with rows of other sequences.
- Without `by`, if y is the next values of x, all rows of a file are one series.

JSON and Parquet fields may be lists: the tokens of a sentence, or numbers [T_x] or [T_x, n_x]. If a text and
its tags are in one row, both are split at white space. A missing number (`fields.MISSING`) becomes NaN.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from unrolled.core.errors import DataError
from unrolled.core.types import Example, Place
from unrolled.core.values.example_values import elements, length, shape
from unrolled.data.column_kinds import find_kinds
from unrolled.data.column_matching import find_columns
from unrolled.data.fields import as_label
from unrolled.data.file_state import State, state_of
from unrolled.data.read_request import FileOptions, ReadRequest, bad_row_handler
from unrolled.data.records import no_examples, regular_files
from unrolled.data.table_files import ABSENT, Row, Table, open_table
from unrolled.data.table_rows import Rows

Bad = Callable[[DataError], bool]


def read(paths: Sequence[Path], wanted: ReadRequest) -> Iterator[Example]:
    """Yield the sequences of tables, in order.

    The line of a sequence is its first line (Parquet: its row number).

    The columns are found separately in each file (`find_columns`).
    x: text, several columns joined by a space; with `by` each row is a token. Numbers are float64 [T_x, n_x].
    y: if a sequence has several rows, they must all have the same y. For tags, each row has its own.
    id: the text of the column, else the value of `by`.

    Raises UsageError if a file does not exist, has an unknown format, or a request does not fit its columns.
    Raises MissingExtra for Parquet without pyarrow. Raises StorageError if a file cannot be read. Raises
    DataError for an empty file, 0 rows, a missing column, or more than `skip_bad` bad rows.
    """
    bad = bad_row_handler(wanted)
    found = False
    for path in regular_files(paths, "a table with a header"):
        for example in _examples(path, wanted, bad):
            found = True
            yield example
    if not found:
        raise no_examples(paths, "every row is bad", "valid rows")


def _examples(path: Path, wanted: ReadRequest, bad: Bad) -> Iterator[Example]:
    table = open_table(path, wanted.files)
    first = next(table.rows, None)
    if first is None:
        raise DataError("0 rows", file=path, line=table.line, expected="rows after the header")
    rows = _rows(path, table, wanted)
    steps = _steps(rows, itertools.chain([first], table.rows), bad)
    if rows.found.by is not None:
        yield from _joined(rows, steps, bad)
    elif rows.is_step:
        yield from _series(example for _, example in steps)
    else:
        yield from (example for _, example in steps)


def _rows(path: Path, table: Table, wanted: ReadRequest) -> Rows:
    """Find the columns of a table, and report the decisions about it to `wanted.named` and `wanted.noted`."""
    found = find_columns(table.names, wanted, lambda: find_kinds(path, wanted.files), path, table.line)
    if wanted.named is not None:
        wanted.named(tuple(table.names[i] for i in found.x))
    numeric = wanted.content.numeric or wanted.asks.reals
    kinds = find_kinds(path, wanted.files) if numeric else None
    commas = kinds.commas & {*found.x, *found.y} if kinds is not None else frozenset[int]()
    if wanted.noted is not None:
        header = Place(path, table.line or 1)
        for line in table.comments:
            wanted.noted(Place(path, line), "comment line before the header, skipped")
        for column in sorted(commas):
            wanted.noted(header, f"column {table.names[column]!r} is read with decimal commas")
        for column, count in (kinds.mixed if kinds is not None and not wanted.x else {}).items():
            if column not in set(found):
                what = (
                    f"column {table.names[column]!r} is ignored: most fields are text, {count:,} are numbers"
                )
                wanted.noted(header, what)
    return Rows(path, table.names, found, commas, wanted)


def _steps(rows: Rows, cells_of: Iterator[Row], bad: Bad) -> Iterator[tuple[str, Example]]:
    """Yield the value of `by` and the example of each row.

    A bad row is skipped and reported. With `keep_bad` it becomes an example with its fault.
    """
    by = ""
    for line, cells in cells_of:
        place = Place(rows.path, line)
        try:
            if isinstance(cells, DataError):
                raise cells
            by, example = rows.example(cells, place)
        except DataError as error:
            if (rows.is_step or not rows.wanted.keep_bad) and bad(error):
                continue
            readable = not isinstance(cells, DataError)
            row = rows.row(cells) if readable else None
            by = _by_of(rows, cells, by) if readable else by
            example = Example(None, None, place, by or None, row=row, fault=error)
        yield by, example


def _by_of(rows: Rows, cells: Sequence[object], before: str) -> str:
    """Return the sequence name of a bad row.

    If its field `by` is bad too, return the name of the row before.
    """
    try:
        return rows.by(cells, Place(rows.path, 1))
    except DataError:
        return before


def _series(rows: Iterator[Example]) -> Iterator[Example]:
    """Join consecutive rows of one step each into one series. A row with lists is a series by itself.

    If a row has a fault, its series has this fault.
    """
    for single, group in itertools.groupby(rows, lambda row: row.fault is not None or length(row.x) == 1):
        if not single:
            yield from group
            continue
        steps = list(group)
        faulty = next((row for row in steps if row.fault is not None), None)
        if faulty is not None:
            yield replace(steps[0], x=None, y=None, times=None, fault=faulty.fault)
            continue
        first = steps[0]
        for row in steps:
            if shape(row.x) != shape(first.x):
                what = f"{shape(row.x)[1]} numbers in this step"
                expected = f"{shape(first.x)[1]}, as in line {first.place.line}"
                raise DataError(what, file=row.place.file, line=row.place.line, expected=expected)
        yield _one(steps)


def _joined(rows: Rows, steps: Iterator[tuple[str, Example]], bad: Bad) -> Iterator[Example]:
    """Join the rows with the same value of `by` into sequences, in the order of their first rows."""
    by = rows.found.by or 0
    again = _comes_again(rows.path, rows.wanted.files, by, state_of(rows.path))
    groups: dict[str, list[Example]] = {}
    for name, step in steps:
        if again is None and name not in groups and groups:
            yield from (_sequence(rows, group) for group in groups.values())
            groups = {}
        group = groups.setdefault(name, [])
        what = _disagreement(rows.wanted, group[0], step) if group else None
        if what is not None:
            error = DataError(what, file=rows.path, line=step.place.line, expected="the same in each row")
            if bad(error):
                continue
            step = replace(step, x=None, fault=error)
        group.append(step)
    if again is not None and rows.wanted.noted is not None:
        what = f"rows of {again[1]!r} are not consecutive: all rows are grouped by {rows.names[by]!r}"
        rows.wanted.noted(Place(rows.path, again[0]), what)
    yield from (_sequence(rows, group) for group in groups.values())


@lru_cache(maxsize=64)  # each pass over a file needs it; `state` makes a changed file miss the cache
def _comes_again(path: Path, options: FileOptions, by: int, state: State) -> tuple[int, str] | None:
    """Find the first row that continues its sequence after rows of other sequences.

    Return its line number and its value of `by`; None if the rows of each sequence are consecutive.
    """
    seen = set[str]()
    last: str | None = None
    table = open_table(path, options)
    for line, cells in table.rows:
        if isinstance(cells, DataError) or cells[by] is ABSENT:
            continue
        try:
            name = as_label(cells[by], table.names[by], Place(path, line))
        except DataError:
            continue
        if name != last and name in seen:
            return line, name
        seen.add(name)
        last = name
    return None


def _disagreement(wanted: ReadRequest, first: Example, step: Example) -> str | None:
    """Return why a step does not fit the first step of its sequence; None if it fits."""
    if step.fault is not None or first.fault is not None:
        return None
    if wanted.content.numeric and shape(step.x) != shape(first.x):
        widths = f"{shape(step.x)[1]} numbers here and {shape(first.x)[1]}"
        return f"{widths} in line {first.place.line} of the same sequence"
    if wanted.asks.whole and step.y != first.y:
        return f"y is {step.y!r} here and {first.y!r} in line {first.place.line} of the same sequence"
    return None


def _sequence(rows: Rows, steps: list[Example]) -> Example:
    """Join steps into one sequence: their x concatenated, and y.

    y of the sequence:
    - For tags: one tag per step.
    - For a forecast of numbers: the numbers to forecast at all steps.
    - Otherwise, if all steps have the same y: this y.
    - Otherwise, if all y are texts: a tuple with one text per step.
    - Otherwise: None.
    """
    faulty = next((step for step in steps if step.fault is not None), None)
    if faulty is not None:
        return replace(steps[0], x=None, y=None, times=None, fault=faulty.fault)
    if rows.wanted.content.numeric and rows.wanted.asks.ahead:
        return _one(steps)
    x = tuple(str(step.x) for step in steps)
    y = steps[0].y
    if rows.wanted.asks.each:
        y = tuple(str(tag) for step in steps for tag in elements(step.y))
    elif any(step.y != y for step in steps):
        texts = [step.y for step in steps if isinstance(step.y, str)]
        y = tuple(texts) if len(texts) == len(steps) else None
    return replace(_one(steps), y=y) if rows.wanted.content.numeric else replace(steps[0], x=x, y=y)


def _one(steps: Sequence[Example]) -> Example:
    """Join steps of numbers into one series: x, the numbers to forecast, and the times if all are known."""
    x = np.concatenate([np.asarray(step.x) for step in steps])
    y = None
    if isinstance(steps[0].y, np.ndarray):
        y = np.concatenate([np.asarray(step.y) for step in steps])
    stamps = [step.times for step in steps if step.times is not None]
    times = np.concatenate(stamps) if len(stamps) == len(steps) else None
    times = None if times is None or np.isnat(times).any() else times
    return replace(steps[0], x=x, y=y, times=times)
