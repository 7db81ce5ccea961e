"""Prepare texts for language models: learn the vocabulary from the training set, and encode all sets."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from unrolled.core.config import DataConfig
from unrolled.core.errors import DataError
from unrolled.core.types import Document, Place
from unrolled.core.values.json_values import as_object, as_plain
from unrolled.data.folder_files import is_model
from unrolled.data.readers import passed_over, read_documents
from unrolled.data.text.token_counter import Coverage
from unrolled.data.text.tokenize import of_characters, written
from unrolled.datasets.fingerprint import fingerprint, require_unchanged
from unrolled.datasets.prepared_folder import key_of, reuse_or_make
from unrolled.datasets.token_store import Store, open_store, write_store
from unrolled.tasks.inputs.tokens import Reading, encode, learn

SMALLEST = 2_000  # minimum number of characters; of a shorter text, no validation set is held out


@dataclass(frozen=True)
class DocumentSource:
    """A source of documents.

    documents: yields the documents; it can be called any number of times.
    sha256: digest of the documents; it changes if the documents change.
    characters: number of characters of all documents.
    ends: number of documents; each ends with one additional token.
    again: computes `sha256` again from the files; None for documents in memory.
    notes: notes for the user about the files.
    """

    documents: Callable[[], Iterator[Document]]
    sha256: str
    characters: int
    ends: int
    again: Callable[[], str] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prepared:
    """Everything that training reads: how to read text, what the vocabulary covers, and the parts on disk.

    valid: the validation set; None: there is none.
    damaged: True if encoded data existed but had changed since it was written, so it was encoded again.
    """

    reading: Reading
    coverage: Coverage
    train: Store
    valid: Store | None
    damaged: bool = False


def from_files(paths: Sequence[Path], documents: str, encoding: str | None = None) -> DocumentSource:
    """Return a source of the documents in text files and folders.

    This reads all files once, so that unusable text is reported before anything is written.
    encoding: encoding of files without a byte order mark; None: UTF-8.
    Raises UsageError, DataError or StorageError, as the reader does.
    """

    def read() -> Iterator[Document]:
        return read_documents(paths, documents, encoding)

    def digest() -> str:
        return fingerprint(paths, passed_over(paths))

    next(read(), None)  # reports a missing file before the others are read
    before = digest()
    characters, ends = _size(read())
    return DocumentSource(read, before, characters, ends, digest, left_out(paths))


def left_out(paths: Sequence[Path]) -> tuple[str, ...]:
    """Return a line about the files in folders that are not read, by extension; empty if there are none."""
    others = [path for path in passed_over(paths) if not is_model(path)]
    if not others:
        return ()
    endings = Counter(path.suffix or "no extension" for path in others)
    kinds = ", ".join(f"{count:,} {ending}" for ending, count in endings.most_common(5))
    more = " ..." if len(endings) > 5 else ""
    many = f"{len(others):,} files are" if len(others) > 1 else "1 file is"
    return (
        f"{many} ignored in folders ({kinds}{more}), such as {others[0]}; give the path of a file to read it",
    )


def from_texts(texts: Sequence[str], name: str = "texts") -> DocumentSource:
    """Return a source of texts in memory. Each text is a document; in messages, its line is its number."""
    digest = hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()

    def documents() -> Iterator[Document]:
        for number, text in enumerate(texts, 1):
            yield Document(text, Place(Path(name), number))

    return DocumentSource(documents, digest, *_size(documents()))


def prepare(
    source: DocumentSource, valid: DocumentSource | None, config: DataConfig, folder: Path
) -> Prepared:
    """Learn the vocabulary from the training set and encode all sets into `folder`.

    Encoded data in `folder` is reused if it belongs to the same source and configuration.

    If `valid` is None, the last fraction `hold_out` of the text is the validation set:
    - It begins at the start of a line, or at any character for a model of characters.
    - Nothing is held out of a text with fewer than 2,000 characters.
    Raises DataError if the text is unusable, StorageError if the folder cannot be read or written.
    """
    key = key_of(source.sha256, valid.sha256 if valid else None, asdict(config))
    sealed = reuse_or_make(folder, key, lambda: _write(source, valid, config, folder))
    content, damaged = sealed.content, sealed.damaged
    whole = open_store(folder / "train")
    reading, coverage = (
        Reading.from_json(as_object(content["reading"])),
        _coverage(as_object(content["coverage"])),
    )
    if valid is not None:
        return Prepared(reading, coverage, whole, open_store(folder / "valid"), damaged)
    cut = _position(whole, None if content["cut"] is None else as_plain(int, content["cut"]), reading.unit)
    if cut >= len(whole):
        return Prepared(reading, coverage, whole, None, damaged)
    return Prepared(reading, coverage, whole.slice(0, cut), whole.slice(cut, len(whole)), damaged)


def _coverage(value: Mapping[str, object]) -> Coverage:
    """Restore the coverage from the JSON of `_write`."""
    types, tokens, kept, known = (as_plain(int, value[key]) for key in ("types", "tokens", "kept", "known"))
    return Coverage(types, tokens, kept, known)


def _write(
    source: DocumentSource, valid: DocumentSource | None, config: DataConfig, folder: Path
) -> dict[str, object]:
    """Learn the vocabulary and encode the parts; return what `prepare` needs to open them again."""
    unit, documents = written(config.unit or "char"), config.documents or "file"
    cut = _cut(source, unit, documents, config) if valid is None else None
    learnt_from = (
        source.documents() if cut is None else take_characters(source.documents(), cut, config.lower)
    )
    vocabulary, coverage = learn(learnt_from, unit, config.lower, config.vocab_size)
    if not len(vocabulary.tokens):
        raise DataError("no examples: only white space", expected="text")
    write_store(folder / "train", encode(source.documents(), vocabulary, unit, config.lower), len(vocabulary))
    if valid is not None:
        write_store(
            folder / "valid", encode(valid.documents(), vocabulary, unit, config.lower), len(vocabulary)
        )
    for part in (source, valid):
        require_unchanged(part and part.again, part.sha256 if part else "")
    reading = Reading(vocabulary, unit, config.lower, documents)
    return {"cut": cut, "reading": reading.to_json(), "coverage": asdict(coverage)}


def take_characters(documents: Iterator[Document], characters: int, lower: bool) -> Iterator[Document]:
    """Yield the first documents, with `characters` characters in total.

    Characters are counted after lower-casing; a document end counts as one.
    """
    left = characters
    for document in documents:
        text = document.text.lower() if lower else document.text
        if len(text) + document.last > left:
            if left:
                yield Document(text[:left], document.place, document.first, last=False)
            return
        yield document
        left -= len(text) + document.last


def _cut(source: DocumentSource, unit: str, documents: str, config: DataConfig) -> int | None:
    """Return the number of the character at which the validation set begins; None if there is none.

    The end of a document counts as one character if the documents are lines or blocks: there it replaces the
    line break. The end of a file does not count.
    """
    text = source.characters + (0 if documents == "file" else source.ends)
    if text < SMALLEST or not config.hold_out:
        return None
    cut = int(text * (1 - config.hold_out))
    if of_characters(unit):
        return cut
    # For words, cut at the start of the line that contains this character. A single long line is not cut.
    return _line_start(source.documents(), cut, config.lower) or None


def _line_start(documents: Iterator[Document], character: int, lower: bool) -> int:
    """Return the position where the line that contains character number `character` begins.

    Characters are counted after lower-casing; a document end counts as one.
    """
    begin = line = 0  # where the current document and its last line begin
    for document in documents:
        text = document.text.lower() if lower else document.text
        line = begin if document.first else line
        newline = text.rfind("\n", 0, character - begin)
        line = line if newline < 0 else begin + newline + 1
        begin += len(text) + document.last
        if begin > character:
            break
    return line


def _position(whole: Store, cut: int | None, unit: str) -> int:
    """Return the position of the token at which the validation set begins.

    cut: number of a character (for words, the first of a line); None: there is no validation set.
    """
    if cut is None or of_characters(unit):
        return len(whole) if cut is None else cut
    # A blank line has no tokens, so take the next line that has some.
    line = int(np.searchsorted(whole.all_characters[:-1], cut))
    return int(whole.all_lines[line])


def _size(documents: Iterable[Document]) -> tuple[int, int]:
    """Return the number of characters of all documents, and the number of documents."""
    characters = ends = 0
    for document in documents:
        characters += len(document.text)
        ends += document.last
    return characters, ends
