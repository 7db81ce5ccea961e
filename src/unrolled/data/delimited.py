"""How a .csv or .tsv file is written: its separator, whether quotes surround fields, and which line is the header.

All of it is decided from many lines, not from the first one.

* Separator: a .tsv has tabs. A .csv has the one of `,` `;` tab `|` by which most lines have as many fields as the
  header. A first line `sep=;`, as Excel reads and writes it, names the separator and is no row.
* Comments: lines with `#` before the header are left out. The last of them is the header itself if it has as many
  fields as the rows and names columns: `#id,text,label`.
* Quotes: in a .csv they surround fields (RFC 4180). In a .tsv a quote is an ordinary character, as `cut`, Tatoeba,
  Common Voice and GLUE write it, unless the file is consistently quoted, as Python's `csv`, pandas and Excel do.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from unrolled.core.errors import DataError
from unrolled.data.fields import parse_number
from unrolled.data.file_state import State, state_of
from unrolled.data.read_request import FileOptions
from unrolled.data.records import bare_lines, fields, lines, no_examples

SEPARATORS = (",", ";", "\t", "|")
SAMPLE = 1_000  # lines from which the separator is decided
USUAL_NAMES = frozenset(
    {
        *("text", "sentence", "review", "comment", "source", "target", "translation", "name", "value"),
        *("label", "class", "category", "rating", "tag", "tags", "id", "date", "time", "ds", "x", "y"),
    }
)

_SEP_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
_QUOTED = re.compile(r'"([^"]|"")*"')


@dataclass(frozen=True)
class Dialect:
    """How a file is written. header: the number of the header's line.  comments: the numbers of lines before it that
    are left out.  quotes: whether they surround fields.  rule: what was decided about quotes, for people."""

    separator: str
    header: int
    comments: tuple[int, ...]
    quotes: bool
    rule: str


def find_dialect(path: Path, options: FileOptions) -> Dialect:
    """The dialect of a table of text. Raises DataError for a file of white space alone, and what `lines` raises."""
    return _dialect(path, options, state_of(path))


def numbered(path: Path, options: FileOptions, dialect: Dialect) -> Iterator[tuple[int, str]]:
    """The lines with their ends, from the header on."""
    return itertools.dropwhile(lambda line: line[0] < dialect.header, lines(path, options.encoding))


@lru_cache(maxsize=64)  # every pass over a file asks for it; a file that has changed is looked at again
def _dialect(path: Path, options: FileOptions, state: State) -> Dialect:
    filled = ((number, line) for number, line in bare_lines(path, options.encoding) if line.strip())
    sample = list(itertools.islice(filled, SAMPLE))
    if not sample:
        raise no_examples([path], "only white space", "a header and rows")
    named = _SEP_LINE.fullmatch(sample[0][1])
    separator = named[1] if named else "\t" if options.extension_of(path) == ".tsv" else None
    start = 1 if named and len(sample) > 1 else 0
    first = next((at for at in range(start, len(sample)) if not sample[at][1].startswith("#")), start)
    rows = [line for _, line in sample[first:]]
    separator = separator or _find_separator(rows)
    if first > start and _is_header(sample[first - 1][1], rows, separator):
        first -= 1
    header, comments = sample[first][0], tuple(number for number, _ in sample[start:first])
    if options.quoting != "auto":
        quotes = options.quoting == "csv"
        rule = "quotes surround fields" if quotes else "quotes are ordinary characters"
        return Dialect(separator, header, comments, quotes, f"{rule} (--quoting {options.quoting})")
    if separator != "\t":
        return Dialect(separator, header, comments, True, "quotes surround fields")
    plain = Dialect(separator, header, comments, False, "quotes are ordinary characters")
    quoted = _is_quoted(path, options, plain)
    return Dialect(separator, header, comments, True, "quotes surround fields") if quoted else plain


def _width(line: str, separator: str) -> int:
    """How many fields a line has, leaving out what stands in quotes."""
    return (re.sub(r'"[^"]*"?', "", line) if '"' in line else line).count(separator) + 1


def _find_separator(rows: Sequence[str]) -> str:
    """The separator by which most lines have as many fields as the first; a comma if none is in the first."""

    def agreement(separator: str) -> int:
        width = _width(rows[0], separator)
        return sum(_width(row, separator) == width for row in rows)

    candidates = [one for one in SEPARATORS if _width(rows[0], one) > 1]
    return max(candidates, key=agreement, default=",")


def _is_header(line: str, rows: Sequence[str], separator: str) -> bool:
    """Whether a line with `#`, before these rows, names their columns."""
    if _width(line, separator) != _width(rows[0], separator):
        return False
    own, first = ({cell.strip(' "#').casefold() for cell in one.split(separator)} for one in (line, rows[0]))
    if first & USUAL_NAMES:
        return False
    return bool(own & USUAL_NAMES) or any(parse_number(cell) is not None for cell in first)


def _is_quoted(path: Path, options: FileOptions, dialect: Dialect) -> bool:
    """Whether a tab-separated file is consistently quoted.

    If every line has the header's number of fields, quotes are needed nowhere. Then they surround fields only if
    each field with a quote in it is quoted properly, and either has a doubled quote inside or stands in a column
    all of whose fields are quoted. Otherwise they surround fields if every row has the header's width that way, and
    either the header is quoted, or rows of several lines do not swallow more whole lines than they explain broken ones.
    """
    tab = dialect.separator
    width, broken, found = 0, set[int](), False
    stray = header_quoted = False
    bare, undoubled = (
        set[int](),
        set[int](),
    )  # columns with a field without quotes, or with quotes it does not need
    for number, line in numbered(path, options, dialect):
        row = line.rstrip("\r\n").split(tab)
        if not width:
            width = len(row)
            header_quoted = all(_QUOTED.fullmatch(cell) for cell in row)
            found = found or '"' in line
            continue
        if row == [""]:
            continue
        if len(row) != width:
            broken.add(number)
        if '"' not in line:
            bare.update(column for column, cell in enumerate(row) if cell)
            continue
        found = True
        for column, cell in enumerate(row):
            if '"' not in cell:
                bare.update({column} if cell else ())
            elif not _QUOTED.fullmatch(cell):
                stray = True
            elif '"' not in cell[1:-1]:
                undoubled.add(column)
    if not found:
        return False
    if not broken and not header_quoted:
        return not stray and not undoubled & bare
    swallowed = _swallowed(path, options, dialect, width, broken)
    return swallowed is not None and (header_quoted or swallowed <= len(broken))


def swallowing(path: Path, options: FileOptions) -> Iterator[tuple[int, int]]:
    """Rows of several lines (the number of the first line) that hold two or more lines with as many fields as the
    header (their count): a quote may be missing. Damage is left to the reader."""
    dialect = find_dialect(path, options)
    widths: dict[int, int] = {}  # of the lines since the last row

    def noticed() -> Iterator[tuple[int, str]]:
        for number, line in numbered(path, options, dialect):
            widths[number] = line.count(dialect.separator) + 1
            yield number, line

    width = 0
    with suppress(DataError):
        for begin, row in fields(path, noticed(), dialect.separator, quotes=dialect.quotes):
            width = width or len(row if isinstance(row, list) else [])
            own = [one for number, one in widths.items() if number >= begin]
            whole = sum(one == width for one in own)
            if len(own) > 1 and width > 1 and whole > 1:
                yield begin, whole
            widths.clear()


def _swallowed(
    path: Path, options: FileOptions, dialect: Dialect, width: int, broken: set[int]
) -> int | None:
    """How many whole lines rows of several lines would hold if quotes surround fields; None if not every row would
    have the header's width. broken: lines that are no whole ones."""
    swallowed = 0
    filled: list[int] = []  # lines of the row at hand that are not blank

    def noticed() -> Iterator[tuple[int, str]]:
        for number, line in numbered(path, options, dialect):
            if line.strip():
                filled.append(number)
            yield number, line

    try:
        for begin, row in fields(path, noticed(), dialect.separator):
            if isinstance(row, DataError) or len(row) != width:
                return None
            own = [number for number in filled if number >= begin]
            swallowed += sum(number not in broken for number in own) if len(own) > 1 else 0
            filled.clear()
    except DataError:
        return None
    return swallowed
