"""Read a table file as column names and rows of fields.

Formats: .csv, .tsv, .jsonl, .ndjson, .json (each may be gzipped) and .parquet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from unrolled.core.atomic_files import storage_error
from unrolled.core.errors import DataError, UsageError, need, suggest
from unrolled.data.delimited import find_dialect, numbered
from unrolled.data.file_state import State, state_of
from unrolled.data.read_request import FileOptions
from unrolled.data.records import bare_lines, json_object, no_examples, rows_of_one_width

ABSENT = object()  # the field of a JSON object that lacks the key of the column


# The keys of the first JSON objects become the columns. The sample ends at the first of these two limits.
SAMPLE = 10_000  # JSON objects
SAMPLE_SIZE = 1 << 26  # characters
_BATCH = 1024  # rows of a Parquet file that are in memory at once


# Line number of a row (Parquet: row number), and its fields or its error.
Row = tuple[int, Sequence[object] | DataError]


@dataclass(frozen=True)
class Table:
    """An open table.

    names: column names.  line: line number of the header; None for Parquet, the first object's line for JSON
    lines.
    rows: iterator over the rows.  comments: line numbers of skipped comment lines before the header.
    separator: separator of a .csv or .tsv file, else "".
    """

    names: tuple[str, ...]
    line: int | None
    rows: Iterator[Row]
    comments: tuple[int, ...] = ()
    separator: str = ""


def open_table(path: Path, options: FileOptions | None = None) -> Table:
    """Open a table. Its format comes from the options, else from the extension of its name.

    Raises UsageError for an unknown extension, and the errors of the format's reader.
    """
    options = options or FileOptions()
    kind = options.extension_of(path)
    if kind not in TABLES:
        raise UsageError(
            "unknown table format", file=path, expected=", ".join(TABLES), hint=suggest(kind, TABLES)
        )
    return TABLES[kind](path, options)


def _delimited(path: Path, options: FileOptions) -> Table:
    dialect = find_dialect(path, options)
    rows = rows_of_one_width(path, numbered(path, options, dialect), dialect.separator, quotes=dialect.quotes)
    line, header = next(rows)
    if isinstance(header, DataError):
        raise header
    names = tuple(name.strip() for name in header)
    names = (names[0].lstrip("# ") or names[0], *names[1:])  # the header line may begin with `#`
    return Table(names, line, rows, dialect.comments, dialect.separator)


def _json_lines(path: Path, options: FileOptions) -> Table:
    """Open a file of JSON lines.

    Its columns are the keys of the first objects (see SAMPLE), in order of appearance.
    """
    names, line = _keys(path, options.encoding, state_of(path))

    def rows() -> Iterator[Row]:
        for number, _, row in _json_rows(path, options.encoding):
            yield number, row if isinstance(row, DataError) else [row.get(name, ABSENT) for name in names]

    return Table(names, line, rows())


@lru_cache(maxsize=64)  # each pass over a file needs it; `state` makes a changed file miss the cache
def _keys(path: Path, encoding: str | None, state: State) -> tuple[tuple[str, ...], int]:
    """Return the columns of a file of JSON lines, and the line number of its first row."""
    names: dict[str, None] = {}
    first: tuple[int, dict[str, object] | DataError] | None = None
    seen = size = 0
    for number, line, row in _json_rows(path, encoding):
        first = (number, row) if first is None else first
        names |= dict.fromkeys(row) if isinstance(row, dict) else {}
        seen, size = seen + 1, size + len(line)
        if seen >= SAMPLE or size >= SAMPLE_SIZE:
            break
    if first is None:
        raise no_examples([path], "only white space", "a JSON object on each line")
    if not names and isinstance(first[1], DataError):
        raise first[1]
    return tuple(names), first[0]


def _json_rows(path: Path, encoding: str | None) -> Iterator[tuple[int, str, dict[str, object] | DataError]]:
    """Yield each non-blank line: its number, its text, and the JSON object or its error."""
    for number, line in bare_lines(path, encoding):
        if line.strip():
            yield number, line, _json_row(path, number, line)


def _json_row(path: Path, number: int, line: str) -> dict[str, object] | DataError:
    try:
        return json_object(line)
    except ValueError as error:
        hint = "jq -c '.[]' FILE > FILE.jsonl" if line.lstrip().startswith("[") else None
        expected = 'a JSON object on each line, such as {"text": "...", "label": "..."}'
        return DataError(str(error), file=path, line=number, expected=expected, hint=hint)


def _parquet(path: Path, options: FileOptions) -> Table:
    if path.suffix.lower() == ".gz":
        raise UsageError("gzipped Parquet files are not supported", file=path, hint="gunzip FILE")
    with need("table", "pyarrow"):
        import pyarrow as arrow
        from pyarrow import parquet

    def told(error: Exception) -> Exception:
        if isinstance(error, OSError) and error.errno is not None:
            return storage_error(error, path)
        what = f"not a readable Parquet file: {str(error).strip()[:200]}"
        return DataError(what, file=path, expected="a complete .parquet file")

    def rows() -> Iterator[Row]:
        number = 0
        try:
            for batch in file.iter_batches(_BATCH, use_threads=False):
                columns = [
                    # Python has no time type with nanoseconds.
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


DELIMITED = (".csv", ".tsv")
JSON_LINES = (".jsonl", ".ndjson", ".json")
TABLES: dict[str, Callable[[Path, FileOptions], Table]] = {
    **dict.fromkeys(DELIMITED, _delimited),
    **dict.fromkeys(JSON_LINES, _json_lines),
    ".parquet": _parquet,
}
