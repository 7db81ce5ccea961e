"""Write clean copies of labelled data (`check --fix`): bad rows are left out or corrected, all else is kept.

A table's rows and a CoNLL file's lines are copied as they are written, in UTF-8 without a byte order mark; only a row
or line that changes is written anew. What changes was found before, and stands in a `Plan`.
"""

from __future__ import annotations

import itertools
import json
import zlib
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unrolled.core.atomic_files import atomic_writer, refuse_to_overwrite, storage_error
from unrolled.core.errors import DataError, UsageError
from unrolled.core.types import Place
from unrolled.data import table_files
from unrolled.data.column_matching import Found, find_columns
from unrolled.data.fields import as_label, as_tokens, is_number
from unrolled.data.read_request import Wanted
from unrolled.data.readers import conll, find_reader, table
from unrolled.data.records import fields, json_object, lines
from unrolled.data.text.encoding import find_encoding, opened


@dataclass
class Plan:
    """What can be set right, by file and line."""

    bad: dict[Path, set[int]] = field(default_factory=dict)  # rows that cannot be read
    copies: dict[Path, set[int]] = field(
        default_factory=dict
    )  # sequences that were there before, with the same y
    # Tags as they should be: by the line of the sequence, or in CoNLL each by the line of its token.
    tags: dict[Path, dict[int, tuple[str, ...]]] = field(default_factory=dict)

    def retag(self, place: Place, steps: Sequence[int], old: Any, new: Any) -> None:
        """Other tags for a sequence; steps: the lines of its tokens, empty where they have none of their own."""
        tags = self.tags.setdefault(place.file, {})
        if not steps:
            tags[place.line] = new
        for line, before, after in zip(steps, old, new, strict=True) if steps else ():
            if before != after:
                tags[line] = (after,)


@dataclass(frozen=True)
class Cleaned:
    """What became of a file: its clean copy, or the reason why there is none, and how much was changed.

    bad_rows, copies: left out.  labels: that lost white space around them.  tags: set right.  encoding: what it was
    in, where that was not plain UTF-8.
    """

    file: Path
    copy: Path | None
    reason: str | None = None
    bad_rows: int = 0
    copies: int = 0
    labels: int = 0
    tags: int = 0
    encoding: str | None = None

    def report(self) -> dict[str, Any]:
        """As JSON values."""
        counts = {"bad_rows": self.bad_rows, "copies": self.copies, "labels": self.labels, "tags": self.tags}
        copy = None if self.copy is None else str(self.copy)
        named = {"file": str(self.file), "copy": copy, "reason": self.reason}
        return named | counts | {"encoding": self.encoding}


def encoding(path: Path) -> str | None:
    """The encoding that a byte order mark tells; None without one."""
    try:
        with opened(path) as file:
            name, mark = find_encoding(file.read(4))
    except (OSError, EOFError, zlib.error):
        return None  # a folder, or damage, which the reader tells
    told = {"utf-8": "UTF-8 with a byte order mark"}.get(name, name.upper()[:6])  # UTF-16, be it LE or BE
    return told if mark else None


def is_written_in_rows(path: Path) -> bool:
    """Whether this is a table of text; raises UsageError for an unknown kind of file."""
    return find_reader(path) is table.read and not path.name.lower().endswith(".parquet")


def targets(paths: Sequence[Path], folder: Path, *, force: bool) -> dict[Path, Path]:
    """Where the copies go, of the files that can have one.

    Raises UsageError where two have the same name, one would go over its original, or, without `force`, over any file.
    """
    found: dict[Path, Path] = {}
    for path in dict.fromkeys(paths):
        if not (is_written_in_rows(path) or find_reader(path) is conll.read):
            continue
        target = folder / path.name
        if target in found.values():
            other = next(source for source, known in found.items() if known == target)
            hint = "a --fix for each, into folders of their own"
            raise UsageError(f"would be the clean copy of two files, {other} too", file=path, hint=hint)
        if target.resolve() == path.resolve():
            raise UsageError("a clean copy never replaces its original", file=path, hint="another folder")
        refuse_to_overwrite(target, force=force)
        found[path] = target
    if folder.exists() and not folder.is_dir():
        raise UsageError("is not a folder", file=folder, expected="a folder for the clean copies")
    return found


def clean(
    paths: Sequence[Path],
    copies: Mapping[Path, Path],
    wanted: Wanted,
    plan: Plan,
    damaged: Mapping[Path, str],
) -> list[Cleaned]:
    """Write the copies that `targets` names; damaged: files that cannot be read to their end, with the reason.

    Raises StorageError; a copy is there as a whole or not at all.
    """
    found: list[Cleaned] = []
    for path in dict.fromkeys(paths):
        if path in damaged or path not in copies:
            kinds = "tables of text and CoNLL files only"
            found.append(Cleaned(path, None, damaged.get(path) or f"clean copies are made of {kinds}"))
            continue
        try:
            copies[path].parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(error, copies[path].parent) from error
        rewrite = _rewrite_table if is_written_in_rows(path) else _rewrite_sentences
        with _writer(copies[path]) as put:
            done = rewrite(path, wanted, plan, put)
        found.append(Cleaned(path, copies[path], None, **done, encoding=encoding(path)))
    return found


@contextmanager
def _writer(path: Path) -> Generator[Callable[[str], None], None, None]:
    """A function that appends text to a file, which is compressed where its name ends in .gz."""
    packer = zlib.compressobj(wbits=31) if path.suffix.lower() == ".gz" else None
    with atomic_writer(path) as write:

        def put(text: str) -> None:
            # Half a character can only come from JSON, where this is how it is written.
            data = text.encode("utf-8", "backslashreplace")
            write(data if packer is None else packer.compress(data))

        yield put
        if packer is not None:
            write(packer.flush())


@dataclass(frozen=True)
class Record:
    """A row as it is written: text with line ends, first and last line, fields (None: they cannot be read)."""

    text: str
    first: int
    last: int
    cells: Sequence[Any] | None


@dataclass(frozen=True)
class _Table:
    """A table as it is written: what stands before the rows, and how a row is written with another field."""

    header: str
    line: int | None
    names: tuple[str, ...]
    records: Iterator[Record]
    replace: Callable[[Record, int, Any], str]


def spaced(path: Path, wanted: Wanted, bad: set[int]) -> Iterator[tuple[Place, str]]:
    """The labels with white space around them that are written in a table, which its reader strips."""
    for record, found in _readable(path, _table(path), wanted, bad):
        if found is not None and found.y and record.cells is not None:
            cell = record.cells[found.y[0]]
            if _is_spaced(cell):
                yield Place(path, record.first), cell


def _is_spaced(cell: Any) -> bool:
    return isinstance(cell, str) and cell.strip() not in ("", cell)


def _table(path: Path) -> _Table:
    ending = Path(path.name.lower().removesuffix(".gz")).suffix
    return _delimited(path) if ending in (".csv", ".tsv") else _json_lines(path)


def _delimited(path: Path) -> _Table:
    held: list[tuple[int, str]] = []

    def numbered() -> Iterator[tuple[int, str]]:
        for line in lines(path):
            held.append(line)
            yield line

    begun = itertools.dropwhile(lambda line: not line[1].strip(), numbered())
    first = next(begun)
    separator = table_files.find_separator(path, first[1])
    rows = fields(path, itertools.chain([first], begun), separator)

    def record(line: int, cells: list[str] | DataError) -> Record:
        text, last = "".join(text for _, text in held), held[-1][0]
        held.clear()
        return Record(text, line, last, None if isinstance(cells, DataError) else cells)

    def replace(old: Record, index: int, new: Any) -> str:
        row = [str(cell) for cell in old.cells or ()]
        row[index] = new
        bare = old.text.rstrip("\r\n")
        return separator.join(_quoted(cell, separator) for cell in row) + old.text[len(bare) :]

    header = record(*next(rows))
    names = tuple(str(name).strip() for name in header.cells or ())
    return _Table(header.text, header.first, names, (record(*row) for row in rows), replace)


def _quoted(cell: str, separator: str) -> str:
    plain = not set(cell) & {separator, '"', "\r", "\n"}
    return cell if plain else '"' + cell.replace('"', '""') + '"'


def _json_lines(path: Path) -> _Table:
    first = next(line for _, line in lines(path) if line.strip())
    names = tuple(json_object(first))

    def records() -> Iterator[Record]:
        for number, line in lines(path):
            if not line.strip():
                continue
            try:
                value = json_object(line)
                yield Record(line, number, number, [value.get(name) for name in names])
            except ValueError:
                yield Record(line, number, number, None)

    def replace(old: Record, index: int, new: Any) -> str:
        bare = old.text.rstrip("\r\n")
        value = json_object(bare) | {names[index]: new}
        return json.dumps(value, ensure_ascii=bare.isascii()) + old.text[len(bare) :]

    return _Table("", None, names, records(), replace)


def _readable(
    path: Path, source: _Table, wanted: Wanted, bad: set[int]
) -> Iterator[tuple[Record, Found | None]]:
    """Each row with the columns of the table, None where it is bad."""
    found: Found | None = None
    for record in source.records:
        cells = record.cells
        if cells is not None and found is None and len(cells) == len(source.names):
            found = _found(path, source, wanted, cells)
        lines_of = range(record.first, record.last + 1)
        yield record, None if cells is None or not bad.isdisjoint(lines_of) else found


def _found(path: Path, source: _Table, wanted: Wanted, cells: Sequence[Any]) -> Found:
    return find_columns(source.names, wanted, lambda i: is_number(cells[i]), path, source.line)


def _rewrite_table(path: Path, wanted: Wanted, plan: Plan, put: Callable[[str], None]) -> dict[str, int]:
    source = _table(path)
    bad, copies, tags = plan.bad.get(path, set()), plan.copies.get(path, set()), plan.tags.get(path, {})
    done = Counter[str]()
    by: str | None = None  # the sequence that the last row belongs to, where a row is a step
    copied, position = False, 0
    new_tags: tuple[str, ...] | None = None
    put(source.header)
    for record, found in _readable(path, source, wanted, bad):
        cells = record.cells
        if found is None or cells is None:
            done["bad_rows"] += 1
            continue
        place = Place(path, record.first)
        key = None if found.by is None else as_label(cells[found.by], source.names[found.by], place)
        if key is None or key != by:
            by, position = key, 0
            copied, new_tags = record.first in copies, tags.get(record.first)
            done["copies"] += copied
        if copied:
            continue
        y = found.y[0] if found.y else 0
        new = cells[y]
        if new_tags is not None and key is None:
            old = as_tokens(new, source.names[y], place)
            new = list(new_tags) if isinstance(new, list) else " ".join(new_tags)
            done["tags"] += sum(before != after for before, after in zip(old, new_tags, strict=True))
        elif new_tags is not None:
            new = new_tags[position]
            done["tags"] += new != str(cells[y]).strip()
        elif found.y and _is_spaced(new) and (wanted.target == "label" or key is not None):
            new = new.strip()
            done["labels"] += 1
        position += 1
        put(record.text if new == cells[y] else source.replace(record, y, new))
    return _counted(done)


def _rewrite_sentences(path: Path, wanted: Wanted, plan: Plan, put: Callable[[str], None]) -> dict[str, int]:
    bad, copies, tags = plan.bad.get(path, set()), plan.copies.get(path, set()), plan.tags.get(path, {})
    dialect = conll.find_dialect(path, wanted)
    done = Counter[str]()
    block: list[tuple[int, str]] = []  # the lines of a sentence, and those before it that belong to it

    def flush() -> bool:
        """Write the block; False where it is left out."""
        numbers = {number for number, _ in block}
        for name, left_out in (("bad_rows", bad), ("copies", copies)):
            if not left_out.isdisjoint(numbers):
                done[name] += 1
                return False
        for number, line in block:
            if number in tags and dialect is not None:
                bare = line.rstrip("\r\n")
                line = dialect.with_tag(bare, tags[number][0]) + line[len(bare) :]
                done["tags"] += 1
            put(line)
        return True

    for number, line in lines(path):
        if not conll.is_blank(line.rstrip("\r\n")):
            block.append((number, line))
            continue
        if (
            flush() or line.strip()
        ):  # the blank line behind what is left out goes too, a document's beginning never
            put(line)
        block = []
    flush()
    return _counted(done)


def _counted(done: Counter[str]) -> dict[str, int]:
    return {name: int(done[name]) for name in ("bad_rows", "copies", "labels", "tags")}
