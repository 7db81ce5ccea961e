"""Detect how a .csv or .tsv file is written: its separator, its quoting, and the line of its header.

The decisions use many lines, not only the first one.

* Separator: a .tsv file uses tabs. In a .csv file it is one of `,` `;` tab `|`: the one with which most lines
  have the same number of fields as the header. A first line such as `sep=;` (an Excel convention) names the
  separator and is not a row.
* Comments: lines that begin with `#` before the header are skipped. The last of them is the header itself if
  it has the same number of fields as the rows and contains column names: `#id,text,label`.
* Quotes: in a .csv file quotes surround fields (RFC 4180). In a .tsv file a quote is an ordinary character,
  as in files of `cut`, Tatoeba, Common Voice and GLUE. The exception is a .tsv file that is quoted
  consistently, as Python's `csv`, pandas and Excel write it.
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
SAMPLE = 1_000  # number of lines used to detect the separator
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
    """How a file is written.

    header: line number of the header.
    comments: line numbers of the skipped comment lines before the header.
    quotes: whether quotes surround fields.
    rule: the decision about quotes, as text for messages.
    """

    separator: str
    header: int
    comments: tuple[int, ...]
    quotes: bool
    rule: str


def find_dialect(path: Path, options: FileOptions) -> Dialect:
    """Detect the dialect of a text table.

    Raises DataError if the file contains only white space, and the errors of `lines`.
    """
    return _dialect(path, options, state_of(path))


def numbered(path: Path, options: FileOptions, dialect: Dialect) -> Iterator[tuple[int, str]]:
    """Yield the numbered lines with their line ends, starting with the header."""
    return itertools.dropwhile(lambda line: line[0] < dialect.header, lines(path, options.encoding))


@lru_cache(maxsize=64)  # each pass over a file needs it; `state` makes a changed file miss the cache
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
    """Return the number of fields of a line. Separators inside quotes do not count."""
    return (re.sub(r'"[^"]*"?', "", line) if '"' in line else line).count(separator) + 1


def _find_separator(rows: Sequence[str]) -> str:
    """Return the separator with which most lines have the same number of fields as the first line.

    Return a comma if the first line contains no separator.
    """

    def agreement(separator: str) -> int:
        width = _width(rows[0], separator)
        return sum(_width(row, separator) == width for row in rows)

    candidates = [one for one in SEPARATORS if _width(rows[0], one) > 1]
    return max(candidates, key=agreement, default=",")


def _is_header(line: str, rows: Sequence[str], separator: str) -> bool:
    """Whether a line that begins with `#`, directly before these rows, contains their column names."""
    if _width(line, separator) != _width(rows[0], separator):
        return False
    own, first = ({cell.strip(' "#').casefold() for cell in one.split(separator)} for one in (line, rows[0]))
    if first & USUAL_NAMES:
        return False
    return bool(own & USUAL_NAMES) or any(parse_number(cell) is not None for cell in first)


def _is_quoted(path: Path, options: FileOptions, dialect: Dialect) -> bool:
    """Whether a tab-separated file is consistently quoted.

    Case 1: The header is not quoted. When lines are split at tabs only, every line has the number of fields
    of the header. Such a file can be read without quotes. Quotes surround fields only if both conditions
    hold:
    - Each field that contains a quote is quoted correctly.
    - Each such field has a doubled quote inside, or is in a column in which all fields are quoted.

    Case 2: all other files. Quotes surround fields if both conditions hold:
    - Read with quotes, every row has the same number of fields as the header.
    - The header is quoted, or the number of complete lines inside multi-line rows is at most the number of
      broken lines in the file. When lines are split at tabs only, a complete line has the number of fields of
      the header, and a broken line has another number.
    """
    tab = dialect.separator
    width, broken, found = 0, set[int](), False
    stray = header_quoted = False
    bare, undoubled = (
        set[int](),
        set[int](),
    )  # columns with an unquoted field; columns with a quoted field that has no quote inside
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
    """Find rows that span several lines and contain two or more lines with the header's number of fields.

    In such a row a closing quote is probably missing. Yields (number of the row's first line, number of such
    lines). Stops at damaged data, which the reader reports.
    """
    dialect = find_dialect(path, options)
    widths: dict[int, int] = {}  # number of fields per line, for the lines since the last row

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
    """Count the complete lines inside rows that span several lines, if the file is read with quotes.

    broken: line numbers of the broken lines (see `_is_quoted`).
    Return None if a row is bad or does not have the number of fields of the header.
    """
    swallowed = 0
    filled: list[int] = []  # numbers of the non-blank lines of the current row

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
