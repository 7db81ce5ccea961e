"""Table files as column names and rows of fields: .csv, .tsv, .jsonl, .json (each also gzipped) and .parquet."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from unrolled.core.atomic_files import storage_error
from unrolled.core.errors import DataError, UsageError, need, suggest
from unrolled.data.records import bare_lines, fields, json_object, lines, no_examples

ABSENT = object()  # stands where a JSON object lacks a key


_BATCH = 1024  # rows of a Parquet file that stand in memory


# The line (Parquet: number) of a row, and its fields or what is wrong.
Row = tuple[int, Sequence[object] | DataError]


@dataclass(frozen=True)
class Table:
    """A table being read: the names of its columns, the line of its header and its rows."""

    names: tuple[str, ...]
    line: int | None
    rows: Iterator[Row]


def open_table(path: Path) -> Table:
    """Open a table by the extension of its name. Raises UsageError for an unknown one, and what the format raises."""
    kinds: dict[str, Callable[[Path], Table]] = {
        ".csv": _delimited,
        ".tsv": _delimited,
        ".jsonl": _json_lines,
        ".ndjson": _json_lines,
        ".json": _json_lines,
        ".parquet": _parquet,
    }
    name = path.name.lower()
    kind = Path(name.removesuffix(".gz")).suffix
    if kind not in kinds:
        raise UsageError(
            "unknown kind of table", file=path, expected=", ".join(kinds), hint=suggest(kind, kinds)
        )
    return kinds[kind](path)


def find_separator(path: Path, header: str) -> str:
    """What parts the fields of a .csv or .tsv with this header line."""
    if path.name.lower().removesuffix(".gz").endswith(".tsv"):
        return "\t"
    bare = re.sub(r'"[^"]*"?', "", header)
    return ";" if ";" in bare and "," not in bare else ","


def _delimited(path: Path) -> Table:
    numbered = itertools.dropwhile(lambda line: not line[1].strip(), lines(path))
    first = next(numbered, None)
    if first is None:
        raise no_examples([path], "only white space", "a header and rows")
    separator = find_separator(path, first[1])
    rows = fields(path, itertools.chain([first], numbered), separator)
    line, header = next(rows)
    if isinstance(header, DataError):
        raise header
    names = tuple(name.strip() for name in header)
    return Table(names, line, _of_one_width(path, rows, len(names)))


def _of_one_width(path: Path, rows: Iterator[tuple[int, list[str] | DataError]], width: int) -> Iterator[Row]:
    for line, row in rows:
        if not isinstance(row, DataError) and len(row) != width:
            hint = "quotes around a field with a separator in it" if len(row) > width else None
            what = f"{len(row)} field{'s' * (len(row) != 1)} in this row, {width} in the header"
            yield line, DataError(what, file=path, line=line, expected=f"{width}", hint=hint)
        else:
            yield line, row


def _json_lines(path: Path) -> Table:
    numbered = ((number, line) for number, line in bare_lines(path) if line.strip())
    first = next(numbered, None)
    if first is None:
        raise no_examples([path], "only white space", "a JSON object in each line")
    begin = _json_row(path, *first)
    if isinstance(begin, DataError):
        raise begin
    names = tuple(begin)

    def rows() -> Iterator[Row]:
        for number, line in itertools.chain([first], numbered):
            row = _json_row(path, number, line)
            yield number, row if isinstance(row, DataError) else [row.get(name, ABSENT) for name in names]

    return Table(names, first[0], rows())


def _json_row(path: Path, number: int, line: str) -> dict[str, object] | DataError:
    try:
        return json_object(line)
    except ValueError as error:
        hint = "jq -c '.[]' FILE > FILE.jsonl" if line.lstrip().startswith("[") else None
        expected = 'an object in each line, such as {"text": "...", "label": "..."}'
        return DataError(str(error), file=path, line=number, expected=expected, hint=hint)


def _parquet(path: Path) -> Table:
    if path.suffix.lower() == ".gz":
        raise UsageError("a gzipped Parquet file, which is compressed already", file=path, hint="gunzip FILE")
    with need("table", "pyarrow"):
        import pyarrow as arrow
        from pyarrow import parquet

    def told(error: Exception) -> Exception:
        if isinstance(error, OSError) and error.errno is not None:
            return storage_error(error, path)
        what = f"not a readable Parquet file: {str(error).strip()[:200]}"
        return DataError(what, file=path, expected="a whole .parquet file")

    def rows() -> Iterator[Row]:
        number = 0
        try:
            for batch in file.iter_batches(_BATCH, use_threads=False):
                columns = [
                    # A time of nanoseconds has no counterpart in Python.
                    (column.cast("string") if arrow.types.is_temporal(column.type) else column).to_pylist()
                    for column in batch.columns
                ]
                for cells in zip(*columns, strict=True):
                    number += 1
                    yield number, cells
        except (arrow.ArrowException, OSError, ValueError, OverflowError) as error:
            raise told(error) from error

    try:
        file = parquet.ParquetFile(path)
        names = tuple(file.schema_arrow.names)
    except (arrow.ArrowException, OSError, ValueError) as error:
        raise told(error) from error
    return Table(names, None, rows())
