"""Files to numbered lines, and lines to the fields of a table: quotes, line breaks, damage, in bounded memory.

What the readers of labelled sequences share.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from unrolled.core.errors import DataError
from unrolled.core.regular_files import require_regular
from unrolled.data.text.encoding import PACKED, Foreign, blocks

LONGEST = 16 << 20  # characters of a line, and of a row with line breaks inside quotes

_END = re.compile(r"\r\n|\n|\r(?!\Z)")  # what follows the last "\r" of a block is not known yet
_QUOTED = re.compile(r'[^"]*+(?:""[^"]*+)*+')  # what stands between quotes, two of them for one
FOREIGN: Foreign = (  # what people hand in by mistake: first bytes, name, what to do
    (b"PK\x03\x04", "a ZIP archive or a spreadsheet (XLSX, ODS)", "saving it as CSV UTF-8, or unpacking it"),
    (b"\xd0\xcf\x11\xe0", "an old Office document", "saving it as CSV UTF-8"),
    (b"PAR1", "a Parquet file", "renaming it to FILE.parquet"),
    (b"%PDF-", "a PDF", None),
    *PACKED,
)


class OpenQuote(DataError):
    """A quote is never closed: all lines behind it are lost, those before it are not."""


def regular_files(paths: Sequence[Path], expected: str) -> list[Path]:
    """The paths, each of which is a file with something in it; `expected` says what, for messages.

    Raises UsageError (nothing there, a folder, a pipe), StorageError (no permission) and DataError (empty file).
    """
    for path in paths:
        if not require_regular(path).st_size:
            raise DataError("empty file", file=path, expected=expected)
    return list(paths)


def no_examples(paths: Sequence[Path], what: str, expected: str) -> DataError:
    """The error for files in which nothing was found: `what` was there instead."""
    return DataError(f"no examples: {what}", file=paths[0] if len(paths) == 1 else None, expected=expected)


def lines(path: Path, encoding: str | None = None) -> Iterator[tuple[int, str]]:
    """Each line with its 1-based number and its end, "\\n", "\\r\\n" or "\\r"; the last may have none.

    encoding: of a file without a byte order mark; None: UTF-8.

    Raises DataError: bytes that are not text (with their offset), NUL characters, a line over LONGEST characters,
    damaged gzip, another kind of file; StorageError where the disk refuses.
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
    """What `lines` gives, without the ends."""
    return ((number, line.rstrip("\r\n")) for number, line in lines(path, encoding))


def _bounded(path: Path, number: int, line: str) -> str:
    if len(line) > LONGEST + 2:
        expected = f"at most {LONGEST:,} characters"
        raise DataError("line too long", file=path, line=number, expected=expected, hint="head -c 300 FILE")
    return line


def fields(
    path: Path, numbered: Iterable[tuple[int, str]], separator: str, *, quotes: bool = True
) -> Iterator[tuple[int, list[str] | DataError]]:
    """The rows of a table from its lines, each with the line it begins in, or with what is wrong with it.

    As RFC 4180 has it: a field that begins with `"` ends with the next single one, `""` inside stands for one, and
    line breaks inside stay as they are; a `"` further on in a field is an ordinary character. Spaces between the
    separator and the quotes around a field are left out. Empty lines are no rows.
    separator: one character.  quotes: False: a `"` is an ordinary character everywhere.  Raises OpenQuote for a quote
    that is never closed, naming its line, and DataError for a row over LONGEST characters.
    """
    out = re.escape(separator)
    quoted = r'"([^"]*+(?:""[^"]*+)*+)"'
    blanks = rf"(?:(?!{out})[^\S\r\n])*+"
    field = re.compile(rf'{blanks}{quoted}{blanks}(?={out}|[\r\n]|\Z)|(?!")[^{out}\r\n]*+')
    held: list[str] = []  # the lines of a row in which a quote is open
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
        hint = 'a second one before the comma or line end, or "" for each one inside a field'
        raise OpenQuote("the quote that opens here is never closed", file=path, line=opened, hint=hint)


def rows_of_one_width(
    path: Path, numbered: Iterable[tuple[int, str]], separator: str, *, quotes: bool = True
) -> Iterator[tuple[int, list[str] | DataError]]:
    """The rows that `fields` finds, the header first. A row with more or fewer fields than the header is an error."""
    width = 0
    for line, row in fields(path, numbered, separator, quotes=quotes):
        if isinstance(row, DataError):
            yield line, row
            continue
        width = width or len(row)
        if len(row) == width:
            yield line, row
            continue
        hint = "quotes around a field with a separator in it" if len(row) > width else None
        what = f"{len(row)} field{'s' * (len(row) != 1)} in this row, {width} in the header"
        yield line, DataError(what, file=path, line=line, expected=f"{width}", hint=hint)


def _split(text: str, field: re.Pattern[str], separator: str) -> list[str] | int:
    """The fields of a row, or where a quote opens that is not closed as it should be."""
    row: list[str] = []
    position = 0
    while (match := field.match(text, position)) is not None:
        row.append(match[0] if match[1] is None else match[1].replace('""', '"'))
        position = match.end() + len(separator)
        if not text.startswith(separator, match.end()):
            return row
    return position


def _closing(text: str, position: int) -> int | None:
    """Where the quote is that closes a field, of which `position` is inside."""
    match = _QUOTED.match(text, position)
    end = len(text) if match is None else match.end()
    return None if end == len(text) else end


def _stray(path: Path, begin: int, text: str, position: int, separator: str) -> DataError:
    after = text[position : position + 20].rstrip("\r\n")
    what = f"{after!r} follows a closing quote"
    line = begin + len(_END.findall(text, 0, position))
    hint = 'doubling each quote inside a field: ""'
    return DataError(what, file=path, line=line, expected=f"{separator!r} or the end of the line", hint=hint)


def json_object(text: str) -> dict[str, object]:
    """A JSON object from one line, strictly: no key twice, no infinity; NaN is null. Raises ValueError with why."""
    try:
        value: object = json.loads(text, object_pairs_hook=_distinct, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at character {error.pos + 1}") from error
    except RecursionError as error:
        raise ValueError("not usable JSON: nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError(f"not an object but {text.strip()[:1]!r}...")
    return value


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"not usable JSON: key {double[:40]!r} is there twice")
    return value


def _no_constant(name: str) -> object:
    if name == "NaN":  # as Python, pandas and R write a missing value
        return None
    raise ValueError(f"not JSON: {name} is no number")
