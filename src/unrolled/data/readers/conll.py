"""Read CoNLL files: one token per line, 2 to 10 columns, a blank line between sentences; also gzipped.

The first token line decides for the file: a tab in it means that tabs separate the columns, else spaces and tabs do;
ten columns mean CoNLL-U. There the first column numbers the words, ranges (`1-2`) and empty nodes (`3.1`) are left
out, lines that begin with `#` are comments and `# sent_id = ...` is the id. Elsewhere a `#` is a token like any
other. Lines of white space are blank, `-DOCSTART-` lines too; none is needed at the end. Tags are passed on as they
are written: an `I-PER` that follows an `O` is not an error here. A file of one column is tokens without tags.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from unrolled.core.errors import DataError, UsageError, suggest
from unrolled.core.types import Example, Place
from unrolled.data.read_request import Wanted, tolerance
from unrolled.data.records import bare_lines, no_examples, regular_files

UNIVERSAL = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
LONGEST = 100_000  # tokens of a sentence: beyond that the blank lines are missing

_BREAK = "-DOCSTART-"  # the token that stands between documents
_FORM, _UPOS = UNIVERSAL.index("form"), UNIVERSAL.index("upos")
_SENT_ID = re.compile(r"#\s*sent_id\s*=\s*(.*?)\s*")
_LEFT_OUT = re.compile(
    r"[0-9]+(?:-[0-9]+|\.[0-9]+)"
)  # a range of words that one token spans, or an empty node


@dataclass(frozen=True)
class Dialect:
    """How a file is written: so many columns, by tabs or white space, of which x and y (None: no tags) are read.

    comment: its first line begins with `#`, which may have been meant as a comment where that is none.
    """

    columns: int
    tabs: bool
    x: int
    y: int | None
    comment: bool

    @property
    def universal(self) -> bool:
        return self.columns == len(UNIVERSAL)

    def split(self, line: str) -> list[str]:
        """The fields of a line."""
        return _split(line, self.tabs)

    def with_tag(self, line: str, tag: str) -> str:
        """A token line with another tag, all else as it is. Nothing changes where there are no tags."""
        if self.y is None:
            return line
        if self.tabs:
            row = line.split("\t")
            return "\t".join([*row[: self.y], tag, *row[self.y + 1 :]])
        begin, end = [match.span() for match in re.finditer(r"[^ \t]+", line)][self.y]
        return line[:begin] + tag + line[end:]


@dataclass(frozen=True)
class Sentence:
    """A sentence, and the number of the line that each of its tokens stands in."""

    example: Example
    lines: tuple[int, ...]


def read(paths: Sequence[Path], wanted: Wanted) -> Iterator[Example]:
    """The sentences of some files, in order: x the tokens, y the tags, each with the line of its first token.

    wanted.x and wanted.y are numbers of columns from 1, in CoNLL-U also their names (`form`, `upos` ...). Without
    them x is the first column (CoNLL-U: FORM) and y the last (CoNLL-U: UPOS).
    Raises UsageError (no such file, columns that are not there), StorageError and DataError: empty file, no
    examples, a line with another number of columns than the first, an empty token or tag, words numbered otherwise
    than 1, 2, 3 (CoNLL-U), a sentence over LONGEST tokens, no tags where they are asked for. Up to
    `skip_bad` bad lines are left out, each with its whole sentence.
    """
    return (sentence.example for sentence in sentences(paths, wanted))


def sentences(paths: Sequence[Path], wanted: Wanted) -> Iterator[Sentence]:
    """What `read` gives, each with the lines of its tokens."""
    if wanted.kind != "text":
        raise UsageError("CoNLL files hold tokens, not numbers", expected="tokens:tags")
    if wanted.target not in ("tags", "next", None):
        hint = "a table with columns text and label" if wanted.target == "label" else None
        what = f"CoNLL files hold a tag for each token, not a {wanted.target}"
        raise UsageError(what, expected="tokens:tags", hint=hint)
    if wanted.by is not None or wanted.id is not None:
        raise UsageError("CoNLL files have columns x and y only", expected="blank lines between sentences")
    bad = tolerance(wanted)
    found = False
    for path in regular_files(paths, "a token in each line"):
        for sentence in _sentences(path, wanted, bad):
            found = True
            yield sentence
    if not found:
        raise no_examples(paths, "no line with a token", "a token in each line")


def lines(tokens: Sequence[str], tags: Sequence[str]) -> Iterator[str]:
    """A sentence as lines of two columns, token, tab, tag, and the empty line that closes it; without line ends.

    Raises DataError where they are not as many, or one is empty or has a tab or line break in it.
    """
    if len(tokens) != len(tags):
        raise DataError(f"{len(tokens):,} tokens and {len(tags):,} tags", expected="as many")
    for pair in zip(tokens, tags, strict=True):
        for text in pair:
            if not text.strip(" ") or set(text) & set("\t\r\n\0") or text == _BREAK:
                raise DataError(
                    f"{text!r} cannot stand in a CoNLL file", expected="no tab or line break in it"
                )
        yield "\t".join(pair)
    yield ""


def _split(line: str, tabs: bool) -> list[str]:
    # Not str.split(): a no-break space may well stand inside a token.
    return line.split("\t") if tabs else re.split(r"[ \t]+", line.strip(" \t"))


def is_blank(line: str) -> bool:
    """Whether a line, without its end, parts sentences."""
    return not line.strip(" \t") or (line.startswith(_BREAK) and line[len(_BREAK) :][:1] in ("", " ", "\t"))


def find_dialect(path: Path, wanted: Wanted) -> Dialect | None:
    """The dialect of a file by the first token line; None where there is none.

    Lines with `#` are passed over first, for they are comments where the first other line has ten columns.
    """
    first: tuple[int, str] | None = None
    for number, line in bare_lines(path):
        if is_blank(line):
            continue
        if first is None or not line.startswith("#"):
            universal = len(_split(line, "\t" in line)) == len(UNIVERSAL)
            first = (number, line) if first is None or universal else first
        if not line.startswith("#"):
            break
    if first is None:
        return None
    tabs = "\t" in first[1]
    columns = len(_split(first[1], tabs))
    place = Place(path, first[0])
    if columns > len(UNIVERSAL):
        what, hint = f"{columns} columns", "keeping the columns of token and tag"
        raise DataError(what, file=path, line=place.line, expected="10 at most", hint=hint)
    if columns == 1 and wanted.target == "tags" and not wanted.y:
        raise DataError(
            "one column: tokens without tags", file=path, line=place.line, expected="token and tag"
        )
    x, y = (_FORM, _UPOS) if columns == len(UNIVERSAL) else (0, columns - 1 if columns > 1 else None)
    x = _column(wanted.x, x, columns, place) or 0
    if wanted.target is not None or not wanted.y or _spelt(wanted.y[0], columns) is not None:
        y = _column(wanted.y, y, columns, place)
    else:
        y = None  # where nothing is asked a column of tags may be missing
    if x == y and wanted.target == "tags":
        raise UsageError(f"column {x + 1} is to be both token and tag", file=path, expected="two columns")
    y = None if wanted.target == "next" or x == y else y
    return Dialect(columns, tabs, x, y, first[1].startswith("#"))


def _column(names: Sequence[str], default: int | None, columns: int, place: Place) -> int | None:
    if not names:
        return default
    if len(names) > 1:
        raise UsageError(f"columns {'+'.join(names)} in a CoNLL file", expected="one column")
    index = _spelt(names[0], columns)
    if index is None:
        known = f" or {' '.join(UNIVERSAL)}" if columns == len(UNIVERSAL) else ""
        hint = suggest(names[0].lower(), UNIVERSAL) if known else None
        what, expected = (
            f"no column {names[0]!r} in a file of {columns}",
            f"a number from 1 to {columns}{known}",
        )
        raise DataError(what, file=place.file, line=place.line, expected=expected, hint=hint)
    return index


def _spelt(name: str, columns: int) -> int | None:
    if columns == len(UNIVERSAL) and name.lower() in UNIVERSAL:
        return UNIVERSAL.index(name.lower())
    number = int(name) if name.isascii() and name.isdigit() and len(name) < 4 else 0
    return number - 1 if 1 <= number <= columns else None


def _sentences(path: Path, wanted: Wanted, bad: Callable[[DataError], None]) -> Iterator[Sentence]:
    """A sentence with a bad line is left out as a whole; `bad` takes the first of them."""
    dialect = find_dialect(path, wanted)
    if dialect is None:
        return
    tokens: list[str] = []
    tags: list[str] = []
    numbers: list[int] = []
    key, broken = None, False

    def sentence() -> Sentence:
        y = None if dialect.y is None else tuple(tags)
        return Sentence(Example(tuple(tokens), y, Place(path, numbers[0]), key), tuple(numbers))

    for number, line in bare_lines(path):
        if is_blank(line):
            if tokens and not broken:
                yield sentence()
            if tokens or broken:
                tokens, tags, numbers, key, broken = [], [], [], None, False
            continue
        if broken:
            continue
        if dialect.universal and line.startswith("#"):
            match = _SENT_ID.fullmatch(line)
            key = match[1] or None if match else key
            continue
        try:
            row = _row(path, number, line, dialect, len(tokens) + 1)
        except DataError as error:
            bad(error)
            broken = True
            continue
        if row is None:
            continue
        tokens.append(row[dialect.x])
        tags += [] if dialect.y is None else [row[dialect.y]]
        numbers.append(number)
        if len(tokens) > LONGEST:
            what, expected = f"a sentence over {LONGEST:,} tokens", "a blank line between sentences"
            raise DataError(what, file=path, line=numbers[0], expected=expected)
    if tokens and not broken:
        yield sentence()


def _row(path: Path, number: int, line: str, dialect: Dialect, position: int) -> list[str] | None:
    """The fields of a line, which is token number `position` of its sentence; None of one that is left out."""
    row = dialect.split(line)
    if len(row) != dialect.columns:
        hint = None
        if dialect.comment:
            hint = "removing the lines with #, which are comments in CoNLL-U only"
        elif len(row) > dialect.columns and not row[-1]:
            hint = "removing the tab at the end"
        elif dialect.tabs and len(_split(line, tabs=False)) == dialect.columns:
            hint = "tabs in place of the spaces"
        what = f"{len(row)} column{'s' * (len(row) != 1)} in this line, {dialect.columns} in the first"
        raise DataError(what, file=path, line=number, expected=f"{dialect.columns}", hint=hint)
    for name, index in (("token", dialect.x), ("tag", dialect.y)):
        if index is not None and not row[index]:
            raise DataError(
                f"an empty {name}", file=path, line=number, expected=f"a {name} in column {index + 1}"
            )
    if dialect.universal:
        if _LEFT_OUT.fullmatch(row[0]):
            return None
        _check_number(path, number, row[0], position)
    return row


def _check_number(path: Path, number: int, found: str, expected: int) -> None:
    """Words are numbered from 1 in each sentence: it shows where a blank line or a word is missing."""
    if found != str(expected):
        hint = "a blank line between the sentences" if found == "1" else None
        what = f"word number {found[:20]!r} in column 1"
        raise DataError(what, file=path, line=number, expected=f"{expected}", hint=hint)
