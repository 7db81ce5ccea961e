"""Read tables as examples: .csv, .tsv, .jsonl, .json (one object per line), also gzipped, and .parquet.

The first row names the columns. A .csv is separated by commas, or by semicolons where its header has one and no
comma outside quotes, as spreadsheets of many countries write it; a .tsv by tabs. Fields in quotes may hold
separators and line breaks; empty lines are left out. A row of numbers is one step, or, with `by`, rows that follow
each other with the same value in that column are the steps of one sequence; where the next values of a series are
asked for, all rows of a file are one without `by`. JSON and Parquet may hold lists: the tokens of a sentence, numbers
[T_x] or [T_x, n_x]. Text and tags in one row are both cut at white space.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from unrolled.core.errors import DataError, UsageError
from unrolled.core.types import Example, Floats, Place
from unrolled.data.column_matching import Found, find_columns
from unrolled.data.fields import (
    as_file,
    as_label,
    as_number,
    as_reals,
    as_steps,
    as_text,
    as_tokens,
    is_empty,
    is_number,
)
from unrolled.data.read_request import Wanted, tolerance
from unrolled.data.records import no_examples, regular_files
from unrolled.data.table_files import ABSENT, Row, open_table


def read(paths: Sequence[Path], wanted: Wanted) -> Iterator[Example]:
    """The sequences of some tables, in order, each with the line at which it begins (Parquet: the row's number).

    Columns are found anew in each file (`find_columns`).  x: the text, several columns joined by a space; with `by`
    each row is a token.  Numbers are float64 [T_x, n_x].  y of a sequence of several rows is that of all its rows,
    a tag is asked of each.  id is the column's text, else the value of `by`.
    Raises UsageError (no such file, another kind of file, wrong columns), MissingExtra (Parquet without pyarrow),
    StorageError and DataError: empty file, 0 rows, a column that is not there, more bad rows than `skip_bad`.
    """
    bad = tolerance(wanted)
    found = False
    for path in regular_files(paths, "a table with a header"):
        for example in _examples(path, wanted, bad):
            found = True
            yield example
    if not found:
        raise no_examples(paths, "every row was bad", "rows that can be read")


def _examples(path: Path, wanted: Wanted, bad: Callable[[DataError], None]) -> Iterator[Example]:
    table = open_table(path)
    first = next(table.rows, None)
    if first is None:
        raise DataError("0 rows", file=path, line=table.line, expected="rows under the header")
    while isinstance(first[1], DataError):
        bad(first[1])
        first = next(table.rows, None)
        if first is None:
            return
    cells = first[1]
    found = find_columns(table.names, wanted, lambda i: is_number(cells[i]), path, table.line)
    if wanted.named is not None:
        wanted.named(tuple(table.names[i] for i in found.x))
    rows = _Rows(path, table.names, found, wanted)
    steps = rows.examples(itertools.chain([first], table.rows), bad)
    if found.by is not None:
        yield from rows.joined(steps, bad)
    elif wanted.target == "next" and wanted.kind == "numbers":
        yield from _series(example for _, example in steps)
    else:
        yield from (example for _, example in steps)


def _series(rows: Iterator[Example]) -> Iterator[Example]:
    """Rows of a single step that follow each other as one series; a row of lists is one itself."""
    for single, group in itertools.groupby(rows, lambda row: len(row.x) == 1):
        if not single:
            yield from group
            continue
        first, *others = group
        steps = [np.asarray(first.x)]
        for row in others:
            steps.append(np.asarray(row.x))
            if steps[-1].shape != steps[0].shape:
                what = f"{np.shape(row.x)[1]} numbers in this step"
                expected = f"{np.shape(first.x)[1]}, as in line {first.place.line}"
                raise DataError(what, file=row.place.file, line=row.place.line, expected=expected)
        yield replace(first, x=np.concatenate(steps))


@dataclass(frozen=True)
class _Rows:
    """The rows of one file on their way to examples; with `by` a row is a step."""

    path: Path
    names: tuple[str, ...]
    found: Found
    wanted: Wanted

    def examples(
        self, rows: Iterator[Row], bad: Callable[[DataError], None]
    ) -> Iterator[tuple[str, Example]]:
        """Each row that is not bad as an example, before it the value of `by`."""
        for line, cells in rows:
            place = Place(self.path, line)
            try:
                if isinstance(cells, DataError):
                    raise cells
                example = self.example(cells, place)
            except DataError as error:
                bad(error)
                continue
            yield example

    def example(self, cells: Sequence[object], place: Place) -> tuple[str, Example]:
        """One row, and the value of `by`. Raises DataError naming the column."""
        lacking = [self.names[i] for i in self.found if cells[i] is ABSENT]
        if self.wanted.target is None:
            lacking = [name for name in lacking if name not in {self.names[i] for i in self.found.y}]
        if lacking:
            what = f"no column {lacking[0]!r} in this row"
            raise DataError(what, file=place.file, line=place.line, expected=f"{lacking[0]!r} in each")
        named = list(zip(cells, self.names, strict=True))
        by = None if self.found.by is None else as_label(*named[self.found.by], place, "the sequence's name")
        kinds = {"numbers": self.numbers, "audio": self.file, "frames": self.file, "images": self.file}
        x: Any = kinds.get(self.wanted.kind, self.text)(named, place)
        y = self.target([named[i] for i in self.found.y if cells[i] is not ABSENT], place)
        if self.wanted.target == "text" and self.wanted.kind == "text" and not (x and y):
            what = "a blank text in this row"
            raise DataError(what, file=place.file, line=place.line, expected="text in both columns")
        known = not isinstance(x, Path)  # how many steps a clip has is known when it is opened
        if known and self.wanted.target == "tags" and by is None and y is not None and len(x) != len(y):
            steps = "tokens" if self.wanted.kind == "text" else "steps"
            what = f"{len(x):,} {steps} and {len(y):,} tags"
            raise DataError(what, file=place.file, line=place.line, expected="as many")
        key = by if self.found.id is None else as_text(*named[self.found.id], place) or None
        return by or "", Example(x, y, place, key)

    def text(self, named: Sequence[tuple[object, str]], place: Place) -> str | tuple[str, ...]:
        """The text of a row, or its tokens where they are listed or tags are asked of them."""
        cells = [named[i] for i in self.found.x]
        one_token = self.found.by is not None
        if len(cells) == 1 and isinstance(cells[0][0], list) and not one_token:
            return as_tokens(*cells[0], place)
        text = " ".join(filter(None, (as_text(cell, name, place) for cell, name in cells)))
        if one_token and not text:
            raise DataError(
                "an empty token", file=place.file, line=place.line, expected="a token in each row"
            )
        return tuple(text.split()) if self.wanted.target == "tags" and not one_token else text

    def file(self, named: Sequence[tuple[object, str]], place: Place) -> Path:
        """The file of a row, relative to the table; it must be there."""
        if len(self.found.x) > 1 or self.found.by is not None:
            raise UsageError("a row is one file", file=self.path, expected="one column of x, and none of by")
        return as_file(*next(named[at] for at in self.found.x), place)

    def numbers(self, named: Sequence[tuple[object, str]], place: Place) -> Floats:
        """[T_x, n_x], columns side by side; T_x = 1 where the row is a step or holds no lists."""
        cells = [named[i] for i in self.found.x]
        if not any(isinstance(cell, list) for cell, _ in cells):
            return np.array([[as_number(cell, name, place) for cell, name in cells]], dtype=np.float64)
        parts = [as_steps(cell, name, place, one=self.found.by is not None) for cell, name in cells]
        for part, (_, name) in zip(parts, cells, strict=True):
            if len(part) != len(parts[0]):
                what = f"column {name!r} has {len(part):,} steps"
                raise DataError(what, file=place.file, line=place.line, expected=f"{len(parts[0]):,}")
        return np.concatenate(parts, axis=1)  # [T_x, n] each

    def target(
        self, cells: Sequence[tuple[object, str]], place: Place
    ) -> str | tuple[str, ...] | tuple[float, ...] | None:
        """What is asked of a row: y."""
        if not cells:
            return None
        cell, name = cells[0]
        match self.wanted.target:
            case "label":
                return as_label(cell, name, place)
            case "text":
                return as_text(cell, name, place)
            case "tags" if self.wanted.kind == "audio":  # stretches of time
                return as_text(cell, name, place)
            case "number":
                return as_reals([cell for cell, _ in cells], [name for _, name in cells], place)
            case "tags":
                listed = isinstance(cell, list) or self.wanted.kind != "numbers"
                if listed and self.found.by is None:
                    return as_tokens(cell, name, place)
                return (as_label(cell, name, place, "a tag"),)
            case _:
                items = [(v, n) for c, n in cells for v in (c if isinstance(c, list) else [c])]
        if len(cells) == 1 and not isinstance(cell, list):
            return None if is_empty(cell) else as_text(cell, name, place).strip()
        if all(is_number(item) for item, _ in items):
            return tuple(as_number(item, name, place) for item, name in items)
        return tuple(as_text(item, name, place) for item, name in items)

    def joined(
        self, steps: Iterator[tuple[str, Example]], bad: Callable[[DataError], None]
    ) -> Iterator[Example]:
        """The sequences that rows with the same value of `by` make; one that comes again later is an error."""
        seen: set[str] = set()
        held: list[Example] = []
        last = ""
        for by, step in steps:
            if held and by != last:
                yield self.sequence(held)
                held = []
            last = by
            if not held and by in seen:
                fault, hint = f"rows of {by!r} again, after others", "sorting the table by this column"
                bad(
                    DataError(
                        fault, file=self.path, line=step.place.line, expected="them together", hint=hint
                    )
                )
                continue
            fault = self.disagreement(held[0], step) if held else None
            if fault:
                bad(DataError(fault, file=self.path, line=step.place.line, expected="the same"))
                continue
            seen.add(by)
            held.append(step)
        if held:
            yield self.sequence(held)

    def disagreement(self, first: Example, step: Example) -> str | None:
        """Why a step does not go with the first one of its sequence; None where it does."""
        if self.wanted.kind == "numbers" and np.shape(step.x) != np.shape(first.x):
            widths = f"{np.shape(step.x)[1]} numbers here and {np.shape(first.x)[1]}"
            return f"{widths} in line {first.place.line} of the same sequence"
        if self.wanted.target in ("label", "number") and step.y != first.y:
            return f"y is {step.y!r} here and {first.y!r} in line {first.place.line} of the same sequence"
        return None

    def sequence(self, steps: list[Example]) -> Example:
        """The steps as one: their x one after the other, their y if it is the same in all, else one a step."""
        if self.wanted.kind == "numbers":
            x = np.concatenate([np.asarray(step.x) for step in steps])
        else:
            x = tuple(str(step.x) for step in steps)
        y = steps[0].y
        if self.wanted.target == "tags":
            y = tuple(str(tag) for step in steps for tag in step.y or ())
        elif any(step.y != y for step in steps):
            texts = [step.y for step in steps if isinstance(step.y, str)]
            y = tuple(texts) if len(texts) == len(steps) else None
        return replace(steps[0], x=x, y=y)
