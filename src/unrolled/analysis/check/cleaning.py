"""Write clean copies of labelled data (`check --fix`): bad rows are dropped or corrected, all else is kept.

The rows of a table and the lines of a CoNLL file are copied unchanged, in UTF-8 without a byte order mark.
Only rows and lines that change are written anew. The scan has put all changes into a `Plan` before.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from unrolled.analysis.check.stats.report_types import CleanedReport
from unrolled.analysis.check.written_rows import Record, Written, readable, written
from unrolled.core.atomic_files import atomic_writer, refuse_to_overwrite, storage_error
from unrolled.core.errors import UsageError
from unrolled.core.types import Place
from unrolled.core.values.example_values import elements
from unrolled.data.column_matching import ColumnIndices
from unrolled.data.fields import as_label, as_tokens
from unrolled.data.read_request import ReadRequest
from unrolled.data.readers import conll, find_reader, table
from unrolled.data.records import lines
from unrolled.data.table_files import DELIMITED, JSON_LINES
from unrolled.data.text.encoding import find_encoding, opened


@dataclass
class Plan:
    """The changes for the clean copies, by file and line."""

    bad: dict[Path, set[int]] = field(default_factory=dict)  # lines of rows that cannot be read
    copies: dict[Path, set[int]] = field(
        default_factory=dict
    )  # lines of sequences that repeat an earlier one with the same y
    # Corrected tags, by the line of the sequence. In CoNLL: one tag by the line of its token.
    tags: dict[Path, dict[int, tuple[str, ...]]] = field(default_factory=dict)
    correct: Callable[[str], str] = str  # corrects texts and labels of tables, as --correct requests
    labels: Mapping[str, str] = field(
        default_factory=dict[str, str]
    )  # label after `correct` -> the spelling to write
    train: frozenset[Path] = frozenset()  # the files of the training set
    written: set[int] = field(default_factory=set[int])  # hashes of the corrected rows of the training set

    def repeats(self, path: Path, row: Sequence[object]) -> bool:
        """Return whether a corrected row of the training set repeats an earlier one. row: its x and y."""
        if self.correct is str or path not in self.train:
            return False
        key = hash(tuple(str(cell).strip() for cell in row))
        again = key in self.written
        self.written.add(key)
        return again

    def retag(self, place: Place, steps: Sequence[int], old: object, new: object) -> None:
        """Plan new tags for a sequence.

        steps: the line of each of its tokens; empty if the tokens have no lines of their own.
        """
        tags = self.tags.setdefault(place.file, {})
        after = tuple(map(str, elements(new)))
        if not steps:
            tags[place.line] = after
            return
        for line, before, tag in zip(steps, elements(old), after, strict=True):
            if before != tag:
                tags[line] = (tag,)


@dataclass(frozen=True)
class Cleaned:
    """Result for one file: its clean copy, or the reason why there is none, and the number of changes.

    rows: rows in the copy.  bad_rows, copies: bad rows and repeated sequences that were dropped.
    labels: labels from which white space was stripped.  tags: corrected tags.
    corrected: fields that --correct changed.  encoding: encoding of the file, None if it was plain UTF-8.
    """

    file: Path
    copy: Path | None
    reason: str | None = None
    rows: int = 0
    bad_rows: int = 0
    copies: int = 0
    labels: int = 0
    tags: int = 0
    corrected: int = 0
    encoding: str | None = None

    @property
    def lost(self) -> str | None:
        """Return an error if more than half of the rows are bad (the copy is useless then), else None."""
        whole = self.rows + self.copies + self.bad_rows
        if 2 * self.bad_rows <= whole:
            return None
        return f"{self.copy} has lost {self.bad_rows:,} of {whole:,} rows, which are bad"

    def report(self) -> CleanedReport:
        """Return the JSON values."""
        return {
            "file": str(self.file),
            "copy": None if self.copy is None else str(self.copy),
            "reason": self.reason,
            "rows": self.rows,
            "bad_rows": self.bad_rows,
            "copies": self.copies,
            "labels": self.labels,
            "tags": self.tags,
            "corrected": self.corrected,
            "encoding": self.encoding,
        }


def encoding(path: Path) -> str | None:
    """Return the encoding that the byte order mark of a file indicates. None: there is no mark."""
    try:
        with opened(path) as file:
            name, mark = find_encoding(file.read(4))
    except (OSError, EOFError, zlib.error, UsageError):
        return None  # a folder, or a damaged file, which the reader reports
    told = {"utf-8": "UTF-8 with a byte order mark"}.get(name, name.upper()[:6])  # UTF-16-LE becomes UTF-16
    return told if mark else None


def is_written_in_rows(path: Path, wanted: ReadRequest) -> bool:
    """Return whether the file is a table in a text format. Raises UsageError if no reader supports it."""
    of_text = wanted.files.extension_of(path) in (*DELIMITED, *JSON_LINES)
    return find_reader(path, wanted) is table.read and of_text


def targets(paths: Sequence[Path], folder: Path, wanted: ReadRequest, *, force: bool) -> dict[Path, Path]:
    """Return the path of the clean copy for each file that can have one.

    Raises UsageError if two files have the same name, or if a copy would replace its original. Without
    `force` a copy may not replace any other file either.
    """
    found: dict[Path, Path] = {}
    for path in dict.fromkeys(paths):
        if not (is_written_in_rows(path, wanted) or find_reader(path, wanted) is conll.read):
            continue
        target = folder / path.name
        if target in found.values():
            other = next(source for source, known in found.items() if known == target)
            hint = "a separate --fix FOLDER for each of them"
            raise UsageError(f"would be the clean copy of two files, also of {other}", file=path, hint=hint)
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
    wanted: ReadRequest,
    plan: Plan,
    damaged: Mapping[Path, str],
    encodings: Mapping[Path, str],
) -> list[Cleaned]:
    """Write the clean copies to the paths that `targets` returned.

    damaged: files that cannot be read to their end, with the reason.
    encodings: encodings of the files that are not in the requested encoding.

    Raises StorageError. A copy is written completely or not at all.
    """
    found: list[Cleaned] = []
    for path in dict.fromkeys(paths):
        if path in damaged or path not in copies:
            kinds = "tables of text and CoNLL files only"
            found.append(Cleaned(path, None, damaged.get(path) or f"clean copies are possible for {kinds}"))
            continue
        try:
            copies[path].parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(error, copies[path].parent) from error
        own = in_encoding(wanted, encodings.get(path))
        rewrite = _rewrite_table if is_written_in_rows(path, own) else _rewrite_sentences
        with _writer(copies[path]) as put:
            done = rewrite(path, own, plan, put)
        written_in = encoding(path) or own.files.encoding
        found.append(Cleaned(path, copies[path], None, **done, encoding=written_in))
    return found


def in_encoding(wanted: ReadRequest, name: str | None) -> ReadRequest:
    """Return the request with another encoding. None: return it unchanged."""
    return wanted if name is None else replace(wanted, files=replace(wanted.files, encoding=name))


@contextmanager
def _writer(path: Path) -> Generator[Callable[[str], None], None, None]:
    """Return a function that appends text to a file. The file is compressed if its name ends in .gz."""
    packer = zlib.compressobj(wbits=31) if path.suffix.lower() == ".gz" else None
    with atomic_writer(path) as write:

        def put(text: str) -> None:
            # A single surrogate can only come from JSON, where a backslash escape is valid.
            data = text.encode("utf-8", "backslashreplace")
            write(data if packer is None else packer.compress(data))

        yield put
        if packer is not None:
            write(packer.flush())


def spaced(path: Path, wanted: ReadRequest, bad: set[int]) -> Iterator[tuple[Place, str]]:
    """Yield each label of a table with white space around it, and its place. The reader strips the space."""
    for record, found in readable(path, written(path, wanted.files), wanted, bad):
        if found is not None and found.y and record.cells is not None:
            cell = record.cells[found.y[0]]
            if isinstance(cell, str) and _is_spaced(cell):
                yield Place(path, record.first), cell


def _is_spaced(cell: str) -> bool:
    return cell.strip() not in ("", cell)


def _rewrite_table(path: Path, wanted: ReadRequest, plan: Plan, put: Callable[[str], None]) -> dict[str, int]:
    source = written(path, wanted.files)
    bad, copies, tags = plan.bad.get(path, set()), plan.copies.get(path, set()), plan.tags.get(path, {})
    done = Counter[str]()
    # If each row is one step: for each sequence, whether it is a repeat, its new tags, number of rows read.
    sequences: dict[str, tuple[bool, tuple[str, ...] | None, int]] = {}
    put(source.header)
    for record, found in readable(path, source, wanted, bad):
        cells = record.cells
        if found is None or cells is None:
            done["bad_rows"] += 1
            continue
        place = Place(path, record.first)
        key = None if found.by is None else as_label(cells[found.by], source.names[found.by], place)
        if key is None or key not in sequences:
            sequences[key or ""] = (record.first in copies, tags.get(record.first), 0)
            done["copies"] += record.first in copies
        copied, new_tags, position = sequences[key or ""]
        sequences[key or ""] = (copied, new_tags, position + 1)
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
        elif (
            found.y
            and isinstance(new, str)
            and _is_spaced(new)
            and (wanted.asks.one_class or key is not None)
        ):
            new = new.strip()
            done["labels"] += 1
        changes = _corrections(cells, found, wanted, plan)
        corrected = len(changes)
        if found.y and y in changes:
            new = changes.pop(y)
        if found.y and new != cells[y]:
            changes[y] = new
        if key is None and plan.repeats(path, [changes.get(i, cells[i]) for i in (*found.x, *found.y)]):
            done["copies"] += 1
            continue
        done["rows"] += 1
        done["corrected"] += corrected
        put(_changed(source, record, changes))
    return _counted(done)


def _corrections(
    cells: Sequence[object], found: ColumnIndices, wanted: ReadRequest, plan: Plan
) -> dict[int, object]:
    """Return the fields of a row that --correct changes, by column: texts of x, and labels or texts of y."""
    changes: dict[int, object] = {}
    for column in found.x if wanted.content.words else ():
        cell = cells[column]
        if isinstance(cell, str) and plan.correct(cell) != cell:
            changes[column] = plan.correct(cell)
    named = wanted.asks.one_class or wanted.asks.written
    for column in found.y if named else ():
        cell = cells[column]
        if isinstance(cell, str):
            plain = cell.strip()
            better = plan.labels.get(plan.correct(plain), plan.correct(plain))
            if better != plain:
                changes[column] = better
    return changes


def _changed(source: Written, record: Record, changes: Mapping[int, object]) -> str:
    """Return the text of a row after these changes of fields."""
    for column, value in changes.items():
        cells = list(record.cells or ())
        text = source.replace(record, column, value)
        cells[column] = value
        record = replace(record, text=text, cells=cells)
    return record.text


def _rewrite_sentences(
    path: Path, wanted: ReadRequest, plan: Plan, put: Callable[[str], None]
) -> dict[str, int]:
    bad, copies, tags = plan.bad.get(path, set()), plan.copies.get(path, set()), plan.tags.get(path, {})
    dialect = conll.find_dialect(path, wanted)
    done = Counter[str]()
    block: list[tuple[int, str]] = []  # the lines of a sentence, and its comment lines before it

    def flush() -> bool:
        """Write the block. Return False if it is dropped."""
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
        done["rows"] += bool(block)
        return True

    for number, line in lines(path, wanted.files.encoding):
        if not conll.is_blank(line.rstrip("\r\n")):
            block.append((number, line))
            continue
        if (
            flush() or line.strip()
        ):  # drop the blank line after a dropped sentence, but never the start of a document
            put(line)
        block = []
    flush()
    return _counted(done)


def _counted(done: Counter[str]) -> dict[str, int]:
    return {name: int(done[name]) for name in ("rows", "bad_rows", "copies", "labels", "tags", "corrected")}
