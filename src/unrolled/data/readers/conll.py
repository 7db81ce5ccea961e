"""Read CoNLL files (also gzipped): one token per line, 2 to 10 columns, a blank line between sentences.

The first lines of a file determine the separator of its columns (tabs or spaces) and the number of columns. A
line with another number of columns is an error.

- A file with ten columns is CoNLL-U. Its first column numbers the words, its ranges (`1-2`) and empty nodes
  (`3.1`) are skipped, and `# sent_id = ...` is the id of a sentence.
- A file with one column has tokens without tags.
- Lines with only spaces and tabs, and `-DOCSTART-` lines, count as blank. The last sentence needs no blank
  line.
- Tags are not checked: an `I-PER` after an `O` is not an error here.

Lines that begin with `#`:
- Inside a sentence, such a line is a token, for example `#hashtag` (in CoNLL-U it is a comment).
- Before the first token of a sentence, it is a comment in CoNLL-U, and in any file if its number of columns
  differs.
- Otherwise it is a token, except lines such as `# id 17 domain=en`. Such a line is a comment if both
  conditions hold:
    - Its first column is only `#`. In a file with tabs: the line begins with a key and a value.
    - Its last column is not a tag of the file, and does not look like a tag (`O`, `B-PER`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from unrolled.core.errors import DataError, UsageError, suggest
from unrolled.core.types import Example, Place
from unrolled.data.read_request import ReadRequest, bad_row_handler
from unrolled.data.records import bare_lines, no_examples, regular_files

UNIVERSAL = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
SAMPLE = 1_000  # number of lines used to detect how a file is written
LONGEST = 100_000  # maximum tokens of a sentence; a longer one means that blank lines are missing

_BREAK = "-DOCSTART-"  # the token on a line between documents
_FORM, _UPOS = UNIVERSAL.index("form"), UNIVERSAL.index("upos")
_SENT_ID = re.compile(r"#\s*sent_id\s*=\s*(.*?)\s*")
_WORD_NUMBER = re.compile(r"[0-9]+(?:[-.][0-9]+)?")
_SPAN_TAG = re.compile(r"O|[BIESLUM][-_]\S+|-X-")
_METADATA = re.compile(r"#\s*(?:[\w.:-]+\s*=|id\s|text\s|newdoc|newpar)")
_LEFT_OUT = re.compile(
    r"[0-9]+(?:-[0-9]+|\.[0-9]+)"
)  # a range of words that one token spans, or an empty node

TARGETS = ("tags", "next", None)  # supported targets


@dataclass(frozen=True)
class Dialect:
    """How a file is written.

    columns: number of columns.  tabs: whether tabs separate them; otherwise spaces do.
    x, y: indices of the columns of tokens and tags; y is None without tags.
    tags: the values of the last column in the sampled lines with tokens.
    """

    columns: int
    tabs: bool
    x: int
    y: int | None
    tags: frozenset[str] = frozenset()

    @property
    def universal(self) -> bool:
        return self.columns == len(UNIVERSAL)

    def split(self, line: str) -> list[str]:
        """Split a line into its fields."""
        return _split(line, self.tabs)

    def is_comment(self, line: str) -> bool:
        """Whether a line before the first token of a sentence is a comment."""
        if not line.startswith("#"):
            return False
        row = self.split(line)
        if self.universal or len(row) != self.columns:
            return True
        if self.columns == 1 or row[-1] in self.tags or _SPAN_TAG.fullmatch(row[-1]):
            return False
        return bool(_METADATA.match(line)) if self.tabs else row[0] == "#"

    def with_tag(self, line: str, tag: str) -> str:
        """Return a token line with its tag replaced and all else unchanged.

        Without tags, return the line itself.
        """
        if self.y is None:
            return line
        if self.tabs:
            row = line.split("\t")
            return "\t".join([*row[: self.y], tag, *row[self.y + 1 :]])
        begin, end = [match.span() for match in re.finditer(r"[^ \t]+", line)][self.y]
        return line[:begin] + tag + line[end:]


@dataclass(frozen=True)
class Sentence:
    """A sentence, and the line number of each token."""

    example: Example
    lines: tuple[int, ...]


def read(paths: Sequence[Path], wanted: ReadRequest) -> Iterator[Example]:
    """Yield the sentences of files, in order. The line of a sentence is the line of its first token.

    x: the tokens; by default the first column (CoNLL-U: FORM).
    y: the tags; by default the last column (CoNLL-U: UPOS).
    wanted.x, wanted.y: other columns, as numbers from 1, or as names in CoNLL-U (`form`, `upos` ...).

    Up to `skip_bad` bad lines are skipped, each with its whole sentence.

    Raises UsageError if a file does not exist or the request does not fit a CoNLL file. Raises StorageError
    if a file cannot be read. Raises DataError for an empty file, no examples, a missing column, a wrong
    number of columns, an empty token or tag, word numbers other than 1, 2, 3 ... (CoNLL-U), a sentence longer
    than LONGEST tokens, or a file without tags if tags are the target.
    """
    return (sentence.example for sentence in sentences(paths, wanted))


def sentences(paths: Sequence[Path], wanted: ReadRequest) -> Iterator[Sentence]:
    """Yield the same sentences as `read`, with the line number of each token."""
    if not wanted.content.words:
        raise UsageError("CoNLL files hold tokens, not numbers", expected="tokens:tags")
    if wanted.target not in TARGETS:
        hint = "a table with columns text and label" if wanted.asks.one_class else None
        what = f"CoNLL files hold a tag for each token, not a {wanted.target}"
        raise UsageError(what, expected="tokens:tags", hint=hint)
    if wanted.by is not None or wanted.id is not None:
        raise UsageError("CoNLL files have only the columns x and y", expected="no by and no id")
    bad = bad_row_handler(wanted)
    found = False
    for path in regular_files(paths, "a token in each line"):
        for sentence in _sentences(path, wanted, bad):
            found = True
            yield sentence
    if not found:
        raise no_examples(paths, "no line with a token", "a token on each line")


def lines(tokens: Sequence[str], tags: Sequence[str]) -> Iterator[str]:
    """Yield the lines of a sentence, without line ends: token, tab and tag on each line, then an empty line.

    Raises DataError if the numbers of tokens and tags differ, if a token or tag is blank, or if it contains a
    tab, a line break or a NUL character, or is `-DOCSTART-`.
    """
    if len(tokens) != len(tags):
        raise DataError(f"{len(tokens):,} tokens and {len(tags):,} tags", expected="the same number")
    for pair in zip(tokens, tags, strict=True):
        for text in pair:
            if not text.strip(" ") or set(text) & set("\t\r\n\0") or text == _BREAK:
                raise DataError(
                    f"{text!r} cannot be written to a CoNLL file", expected="text without tab or line break"
                )
        yield "\t".join(pair)
    yield ""


def _split(line: str, tabs: bool) -> list[str]:
    # Not str.split(), because a token may contain a no-break space.
    return line.split("\t") if tabs else re.split(r"[ \t]+", line.strip(" \t"))


def is_blank(line: str) -> bool:
    """Whether a line, without its line end, separates sentences."""
    return not line.strip(" \t") or (line.startswith(_BREAK) and line[len(_BREAK) :][:1] in ("", " ", "\t"))


def find_dialect(path: Path, wanted: ReadRequest) -> Dialect | None:
    """Detect the dialect of a file from its first SAMPLE lines with tokens.

    Return None if it has no such line.

    The separator and the number of columns are the most frequent ones in lines that do not begin with `#`. If
    several numbers of columns are equally frequent, the first one is used.

    Raises DataError for more than 10 columns, for a missing column, or for no tags if tags are the target.
    Raises UsageError if one column is requested for both tokens and tags.
    """
    sample = _sample(path, wanted)
    if not sample:
        return None
    tabs = 2 * sum("\t" in line for _, line in sample) >= len(sample)
    widths = Counter(len(_split(line, tabs)) for _, line in sample)
    columns = max(widths, key=lambda width: widths[width])
    first = next(one for one in sample if len(_split(one[1], tabs)) == columns)
    place = Place(path, first[0])
    if columns > len(UNIVERSAL):
        what, hint = f"{columns} columns", "keeping only the columns of tokens and tags"
        raise DataError(what, file=path, line=place.line, expected="at most 10", hint=hint)
    if columns == 1 and wanted.asks.each and not wanted.y:
        raise DataError(
            "one column: tokens without tags", file=path, line=place.line, expected="token and tag"
        )
    x, y = (_FORM, _UPOS) if columns == len(UNIVERSAL) else (0, columns - 1 if columns > 1 else None)
    x = _column(wanted.x, x, columns, place) or 0
    if wanted.target is not None or not wanted.y or _spelt(wanted.y[0], columns) is not None:
        y = _column(wanted.y, y, columns, place)
    else:
        y = None  # in prediction the column of tags is optional
    if x == y and wanted.asks.each:
        raise UsageError(
            f"column {x + 1} is used for both tokens and tags", file=path, expected="two columns"
        )
    y = None if wanted.asks.ahead or x == y else y
    rows = (_split(line, tabs) for _, line in sample)
    return Dialect(columns, tabs, x, y, frozenset(row[-1] for row in rows if len(row) == columns))


def _sample(path: Path, wanted: ReadRequest) -> list[tuple[int, str]]:
    """Return the first lines with tokens.

    Lines that begin with `#` are returned only if there are no others.
    """
    filled = ((n, line) for n, line in bare_lines(path, wanted.files.encoding) if not is_blank(line))
    sample: list[tuple[int, str]] = []
    marked: list[tuple[int, str]] = []
    for number, line in filled:
        (marked if line.startswith("#") else sample).append((number, line))
        if max(len(sample), len(marked)) >= SAMPLE:
            break
    # If all lines begin with "#", drop the lines with a key and a value: they are comments, not tokens.
    return sample or [line for line in marked if not _METADATA.match(line[1])] or marked


def looks_like(path: Path, wanted: ReadRequest, tagged: bool) -> bool:
    """Whether the content of a file looks like CoNLL: each non-blank line has the same 2 to 10 columns.

    tagged: a stricter check. It also requires a blank line or a line that begins with `#`, and either tags
    such as `O` and `B-PER` in the last column, or word numbers in the first one (ten columns).
    """
    try:
        lines = list(islice(bare_lines(path, wanted.files.encoding), SAMPLE))
    except DataError:
        return False
    filled = [line for _, line in lines if not is_blank(line) and not line.startswith("#")]
    if len(filled) < 2 or (tagged and len(filled) == len(lines)):
        return False
    tabs = all("\t" in line for line in filled)
    rows = [_split(line, tabs) for line in filled]
    width = len(rows[0])
    if not 2 <= width <= len(UNIVERSAL) or any(len(row) != width for row in rows):
        return False
    numbered = width == len(UNIVERSAL) and all(_WORD_NUMBER.fullmatch(row[0]) for row in rows)
    return not tagged or numbered or all(_SPAN_TAG.fullmatch(row[-1]) for row in rows)


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


def _sentences(path: Path, wanted: ReadRequest, bad: Callable[[DataError], bool]) -> Iterator[Sentence]:
    """Yield the sentences of one file. A sentence with a bad line is skipped; `bad` gets its first error.

    With `keep_bad` the sentence becomes an example with its fault.
    """
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

    for number, line in bare_lines(path, wanted.files.encoding):
        if is_blank(line):
            if tokens and not broken:
                yield sentence()
            if tokens or broken:
                tokens, tags, numbers, key, broken = [], [], [], None, False
            continue
        if broken:
            continue
        if (dialect.universal or not tokens) and dialect.is_comment(line):
            match = _SENT_ID.fullmatch(line)
            key = match[1] or None if match else key
            if wanted.noted is not None and not dialect.universal:
                wanted.noted(Place(path, number), "comment line, skipped")
            continue
        try:
            row = _row(path, number, line, dialect, len(tokens) + 1)
        except DataError as error:
            if not bad(error) or wanted.keep_bad:
                place = Place(path, numbers[0] if numbers else number)
                yield Sentence(Example(None, None, place, key, fault=error), ())
            broken = True
            continue
        if row is None:
            continue
        if dialect.universal and dialect.y is not None and row[dialect.y] == "_" and wanted.noted is not None:
            wanted.noted(Place(path, number), "tag '_' (CoNLL-U: no value) is read as a tag")
        tokens.append(row[dialect.x])
        tags += [] if dialect.y is None else [row[dialect.y]]
        numbers.append(number)
        if len(tokens) > LONGEST:
            what, expected = f"a sentence over {LONGEST:,} tokens", "a blank line between sentences"
            raise DataError(what, file=path, line=numbers[0], expected=expected)
    if tokens and not broken:
        yield sentence()


def _row(path: Path, number: int, line: str, dialect: Dialect, position: int) -> list[str] | None:
    """Return the fields of a line; None for a line that is skipped (a range or an empty node of CoNLL-U).

    position: number of the line's token in its sentence, from 1.  Raises DataError for a bad line.
    """
    row = dialect.split(line)
    if len(row) != dialect.columns:
        hint = None
        if line.startswith("#"):
            hint = "comments before the first token of a sentence"
        elif len(row) > dialect.columns and not row[-1]:
            hint = "removing the tab at the end"
        elif dialect.tabs and len(_split(line, tabs=False)) == dialect.columns:
            hint = "tabs instead of spaces"
        what = f"{len(row)} column{'s' * (len(row) != 1)} in this line, {dialect.columns} in most lines"
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
    """Raise DataError if a word of CoNLL-U has the wrong number: a blank line or a word is missing."""
    if found != str(expected):
        hint = "a blank line between the sentences" if found == "1" else None
        what = f"word number {found[:20]!r} in column 1"
        raise DataError(what, file=path, line=number, expected=f"{expected}", hint=hint)
