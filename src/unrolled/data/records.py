"""Split text files into numbered lines, and lines into the fields of a table, in bounded memory.

This module handles quotes, line breaks and damaged files. The readers of labelled sequences share it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from unrolled.core.errors import DataError
from unrolled.core.regular_files import require_regular
from unrolled.data.text.encoding import PACKED, Foreign, blocks

LONGEST = 16 << 20  # maximum characters of a line, and of a row that has line breaks inside quotes

_END = re.compile(r"\r\n|\n|\r(?!\Z)")  # a "\r" at the end of a block may be the first half of "\r\n"
_QUOTED = re.compile(r'[^"]*+(?:""[^"]*+)*+')  # the text of a quoted field; `""` is an escaped quote
FOREIGN: Foreign = (  # other file types that users pass by mistake: first bytes, name, hint
    (b"PK\x03\x04", "a ZIP archive or a spreadsheet (XLSX, ODS)", "saving it as CSV UTF-8, or unpacking it"),
    (b"\xd0\xcf\x11\xe0", "an old Office document", "saving it as CSV UTF-8"),
    (b"PAR1", "a Parquet file", "renaming it to FILE.parquet"),
    (b"%PDF-", "a PDF", None),
    *PACKED,
)


class OpenQuote(DataError):
    """A quote is never closed. All lines after it are lost; the lines before it can still be read."""


def regular_files(paths: Sequence[Path], expected: str) -> list[Path]:
    """Return the paths after checking that each is a regular file that is not empty.

    expected: what the file should contain, for the message about an empty file.

    Raises UsageError if a path does not exist or is not a regular file (a folder, a pipe), StorageError if
    the file cannot be accessed, and DataError if the file is empty.
    """
    for path in paths:
        if not require_regular(path).st_size:
            raise DataError("empty file", file=path, expected=expected)
    return list(paths)


def no_examples(paths: Sequence[Path], what: str, expected: str) -> DataError:
    """Return the error for files without any example. `what` says what the files contain instead."""
    return DataError(f"no examples: {what}", file=paths[0] if len(paths) == 1 else None, expected=expected)


def lines(path: Path, encoding: str | None = None) -> Iterator[tuple[int, str]]:
    """Yield each line with its 1-based number.

    A line keeps its end: "\\n", "\\r\\n" or "\\r" (the last may have none).

    encoding: encoding of a file without a byte order mark; None means UTF-8.

    Raises DataError for bytes that are not text (with their offset), NUL characters, a line longer than
    LONGEST characters, damaged gzip data, or another type of file. Raises StorageError if the file cannot be
    read.
    """
    number, rest = 1, ""
    for block in blocks(path, FOREIGN, "text", encoding):
        if rest.endswith("\r"):
            rest, block = rest[:-1], "\r" + block
        start = 0
        for match in _END.finditer(block):
            yield number, _bounded(path, number, rest + block[start : match.end()])
            number, rest, start = number + 1, "", match.end()
        rest = _bounded(path, number, rest + block[start:])
    if rest:
        yield number, rest


def bare_lines(path: Path, encoding: str | None = None) -> Iterator[tuple[int, str]]:
    """Yield the same lines as `lines`, without the line ends."""
    return ((number, line.rstrip("\r\n")) for number, line in lines(path, encoding))


def _bounded(path: Path, number: int, line: str) -> str:
    if len(line) > LONGEST + 2:
        expected = f"at most {LONGEST:,} characters"
        raise DataError("line too long", file=path, line=number, expected=expected, hint="head -c 300 FILE")
    return line


def fields(
    path: Path, numbered: Iterable[tuple[int, str]], separator: str, *, quotes: bool = True
) -> Iterator[tuple[int, list[str] | DataError]]:
    """Split the lines of a table into rows.

    Yield the first line number of each row, and its fields or its error.

    Quotes follow RFC 4180:
    - A field that begins with `"` ends at the next `"` that is not doubled.
    - Inside such a field `""` stands for one `"`, and line breaks are kept.
    - In a field that does not begin with `"`, a `"` is an ordinary character.
    White space between the separator and the quotes around a field is dropped. Empty lines are skipped.

    separator: one character.  quotes: if False, a `"` is always an ordinary character.

    Raises OpenQuote with the line of a quote that is never closed, and DataError for a row longer than
    LONGEST characters.
    """
    out = re.escape(separator)
    quoted = r'"([^"]*+(?:""[^"]*+)*+)"'
    blanks = rf"(?:(?!{out})[^\S\r\n])*+"
    field = re.compile(rf'{blanks}{quoted}{blanks}(?={out}|[\r\n]|\Z)|(?!")[^{out}\r\n]*+')
    held: list[str] = []  # the lines of the current row, while a quote is open
    begin = opened = size = 0
    for number, line in numbered:
        if not held:
            if not quotes or '"' not in line:
                bare = line.rstrip("\r\n")
                if bare:
                    yield number, bare.split(separator)
                continue
            begin, opened, size = number, 0, 0
        held.append(line)
        size += len(line)
        if size > LONGEST + 2:
            what = f"the quote that opens here is not closed within {LONGEST:,} characters"
            raise DataError(what if opened else "row too long", file=path, line=opened or begin)
        if opened and _closing(line, 0) is None:
            continue
        text = "".join(held)
        row = _split(text, field, separator)
        if isinstance(row, list):
            yield begin, row
        elif (closing := _closing(text, row + 1)) is None:
            opened = begin + len(_END.findall(text, 0, row))
            continue
        else:
            yield begin, _stray(path, begin, text, closing + 1, separator)
        held = []
    if held:
        hint = 'a closing quote before the separator or line end, and "" for each quote inside a field'
        raise OpenQuote("the quote that opens here is never closed", file=path, line=opened, hint=hint)


def rows_of_one_width(
    path: Path, numbered: Iterable[tuple[int, str]], separator: str, *, quotes: bool = True
) -> Iterator[tuple[int, list[str] | DataError]]:
    """Yield the rows of `fields`, header first.

    A row whose number of fields differs from the header is an error.
    """
    width = 0
    for line, row in fields(path, numbered, separator, quotes=quotes):
        if isinstance(row, DataError):
            yield line, row
            continue
        width = width or len(row)
        if len(row) == width:
            yield line, row
            continue
        hint = "quotes around each field that contains the separator" if len(row) > width else None
        what = f"{len(row)} field{'s' * (len(row) != 1)} in this row, {width} in the header"
        yield line, DataError(what, file=path, line=line, expected=f"{width}", hint=hint)


def _split(text: str, field: re.Pattern[str], separator: str) -> list[str] | int:
    """Return the fields of a row, or the position of an opening quote whose field does not end correctly."""
    row: list[str] = []
    position = 0
    while (match := field.match(text, position)) is not None:
        row.append(match[0] if match[1] is None else match[1].replace('""', '"'))
        position = match.end() + len(separator)
        if not text.startswith(separator, match.end()):
            return row
    return position


def _closing(text: str, position: int) -> int | None:
    """Return the position of the closing quote of the field around `position`; None if there is none."""
    match = _QUOTED.match(text, position)
    end = len(text) if match is None else match.end()
    return None if end == len(text) else end


def _stray(path: Path, begin: int, text: str, position: int, separator: str) -> DataError:
    after = text[position : position + 20].rstrip("\r\n")
    what = f"{after!r} follows a closing quote"
    line = begin + len(_END.findall(text, 0, position))
    hint = 'writing "" for each quote inside a quoted field'
    return DataError(what, file=path, line=line, expected=f"{separator!r} or the end of the line", hint=hint)


def json_object(text: str) -> dict[str, object]:
    """Parse one line as a JSON object. NaN becomes None.

    Raises ValueError with the reason if the line is not a JSON object, repeats a key or contains Infinity.
    """
    try:
        value: object = json.loads(text, object_pairs_hook=_distinct, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at character {error.pos + 1}") from error
    except RecursionError as error:
        raise ValueError("JSON is nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError(f"not a JSON object: begins with {text.strip()[:1]!r}")
    return value


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"JSON object has the key {double[:40]!r} twice")
    return value


def _no_constant(name: str) -> object:
    if name == "NaN":  # Python, pandas and R write a missing value as NaN
        return None
    raise ValueError(f"not JSON: {name} is not a number")
