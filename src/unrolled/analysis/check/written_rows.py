"""Read the rows of a table with their original text. A clean copy then changes only the corrected fields."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from unrolled.core.errors import DataError
from unrolled.data import delimited, table_files
from unrolled.data.column_kinds import find_kinds
from unrolled.data.column_matching import ColumnIndices, find_columns
from unrolled.data.read_request import FileOptions, ReadRequest
from unrolled.data.records import OpenQuote, fields, json_object, lines


@dataclass(frozen=True)
class Record:
    """A row with its original text (line ends included), its first and last line, and its fields.

    cells: None if the row cannot be read.
    """

    text: str
    first: int
    last: int
    cells: Sequence[object] | None


@dataclass(frozen=True)
class Written:
    """A table with the original text of its rows.

    header: the text before the first row.  line: the line of the header, None if there is no header.
    names: the names of the columns.  records: the rows.
    replace: returns the text of a row with another value in one column: replace(row, column index, value).
    """

    header: str
    line: int | None
    names: tuple[str, ...]
    records: Iterator[Record]
    replace: Callable[[Record, int, object], str]


def written(path: Path, options: FileOptions) -> Written:
    """Open a text table. Raises the errors of its reader."""
    in_fields = options.extension_of(path) in table_files.DELIMITED
    return _delimited(path, options) if in_fields else _json_lines(path, options)


def readable(
    path: Path, source: Written, wanted: ReadRequest, bad: set[int]
) -> Iterator[tuple[Record, ColumnIndices | None]]:
    """Yield each row with the column indices of the table. The indices are None if the row is bad."""
    found: ColumnIndices | None = None
    for record in source.records:
        cells = record.cells
        if cells is not None and found is None and len(cells) == len(source.names):
            found = find_columns(
                source.names, wanted, lambda: find_kinds(path, wanted.files), path, source.line
            )
        lines_of = range(record.first, record.last + 1)
        yield record, None if cells is None or not bad.isdisjoint(lines_of) else found


def _delimited(path: Path, options: FileOptions) -> Written:
    dialect = delimited.find_dialect(path, options)
    held: list[tuple[int, str]] = []

    def numbered() -> Iterator[tuple[int, str]]:
        for number, line in lines(path, options.encoding):
            held.append((number, line))
            if number >= dialect.header:
                yield number, line

    rows = fields(path, numbered(), dialect.separator, quotes=dialect.quotes)

    def record(line: int, cells: list[str] | DataError) -> Record:
        text, last = "".join(text for _, text in held), held[-1][0]
        held.clear()
        return Record(text, line, last, None if isinstance(cells, DataError) else cells)

    def replace(old: Record, index: int, new: object) -> str:
        row = [str(cell) for cell in old.cells or ()]
        row[index] = str(new)
        quoted = [_quoted(cell, dialect.separator) if dialect.quotes else cell for cell in row]
        bare = old.text.rstrip("\r\n")
        return dialect.separator.join(quoted) + old.text[len(bare) :]

    def records() -> Iterator[Record]:
        try:
            yield from (record(*row) for row in rows)
        except OpenQuote:  # all lines after the open quote are bad rows
            yield from (Record(line, number, number, None) for number, line in held if line.strip())

    header = record(*next(rows))
    names = table_files.open_table(path, options).names
    return Written(header.text, header.first, names, records(), replace)


def _quoted(cell: str, separator: str) -> str:
    plain = not set(cell) & {separator, '"', "\r", "\n"}
    return cell if plain else '"' + cell.replace('"', '""') + '"'


def _json_lines(path: Path, options: FileOptions) -> Written:
    names = table_files.open_table(path, options).names

    def records() -> Iterator[Record]:
        for number, line in lines(path, options.encoding):
            if not line.strip():
                continue
            try:
                value = json_object(line)
                yield Record(line, number, number, [value.get(name) for name in names])
            except ValueError:
                yield Record(line, number, number, None)

    def replace(old: Record, index: int, new: object) -> str:
        bare = old.text.rstrip("\r\n")
        value = json_object(bare) | {names[index]: new}
        return json.dumps(value, ensure_ascii=bare.isascii()) + old.text[len(bare) :]

    return Written("", None, names, records(), replace)
