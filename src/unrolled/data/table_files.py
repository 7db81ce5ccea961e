"""Table files as column names and rows of fields: .csv, .tsv, .jsonl, .ndjson, .json (each also gzipped), .parquet."""

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

ABSENT = object()  # stands where a JSON object lacks a key


SAMPLE = 10_000  # JSON objects whose keys are the columns,
SAMPLE_SIZE = 1 << 26  # or fewer of so many characters
_BATCH = 1024  # rows of a Parquet file that stand in memory


# The line (Parquet: number) of a row, and its fields or what is wrong.
Row = tuple[int, Sequence[object] | DataError]


@dataclass(frozen=True)
class Table:
    """A table being read: the names of its columns, the line of its header and its rows. comments: lines before the
    header that were left out.  separator: of text."""

    names: tuple[str, ...]
    line: int | None
    rows: Iterator[Row]
    comments: tuple[int, ...] = ()
    separator: str = ""


def open_table(path: Path, options: FileOptions | None = None) -> Table:
    """Open a table in the format that the options or the extension of its name tell.

    Raises UsageError for an unknown extension, and what the format raises.
    """
    options = options or FileOptions()
    kind = options.extension_of(path)
    if kind not in TABLES:
        raise UsageError(
            "unknown kind of table", file=path, expected=", ".join(TABLES), hint=suggest(kind, TABLES)
        )
    return TABLES[kind](path, options)


def _delimited(path: Path, options: FileOptions) -> Table:
    dialect = find_dialect(path, options)
    rows = rows_of_one_width(path, numbered(path, options, dialect), dialect.separator, quotes=dialect.quotes)
    line, header = next(rows)
    if isinstance(header, DataError):
        raise header
    names = tuple(name.strip() for name in header)
    names = (names[0].lstrip("# ") or names[0], *names[1:])  # a header that is marked as a comment
    return Table(names, line, rows, dialect.comments, dialect.separator)


def _json_lines(path: Path, options: FileOptions) -> Table:
    """The columns are the keys of the first rows, in the order in which they come first; see SAMPLE."""
    names, line = _keys(path, options.encoding, state_of(path))

    def rows() -> Iterator[Row]:
        for number, _, row in _json_rows(path, options.encoding):
            yield number, row if isinstance(row, DataError) else [row.get(name, ABSENT) for name in names]

    return Table(names, line, rows())


@lru_cache(maxsize=64)  # every pass over a file asks for it; a file that has changed is looked at again
def _keys(path: Path, encoding: str | None, state: State) -> tuple[tuple[str, ...], int]:
    """The columns of a file of JSON lines, and the line of its first row."""
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
        raise no_examples([path], "only white space", "a JSON object in each line")
    if not names and isinstance(first[1], DataError):
        raise first[1]
    return tuple(names), first[0]


def _json_rows(path: Path, encoding: str | None) -> Iterator[tuple[int, str, dict[str, object] | DataError]]:
    """The lines that are not blank: number, text, and the object or what is wrong with it."""
    for number, line in bare_lines(path, encoding):
        if line.strip():
            yield number, line, _json_row(path, number, line)


def _json_row(path: Path, number: int, line: str) -> dict[str, object] | DataError:
    try:
        return json_object(line)
    except ValueError as error:
        hint = "jq -c '.[]' FILE > FILE.jsonl" if line.lstrip().startswith("[") else None
        expected = 'an object in each line, such as {"text": "...", "label": "..."}'
        return DataError(str(error), file=path, line=number, expected=expected, hint=hint)


def _parquet(path: Path, options: FileOptions) -> Table:
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


DELIMITED = (".csv", ".tsv")
JSON_LINES = (".jsonl", ".ndjson", ".json")
TABLES: dict[str, Callable[[Path, FileOptions], Table]] = {
    **dict.fromkeys(DELIMITED, _delimited),
    **dict.fromkeys(JSON_LINES, _json_lines),
    ".parquet": _parquet,
}
