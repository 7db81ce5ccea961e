"""Prepare texts for language models: learn the vocabulary from the training part, encode every part to disk."""

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

SMALLEST = 2_000  # characters; of a text shorter than that no part is held out


@dataclass(frozen=True)
class DocumentSource:
    """Where documents come from, as often as they are asked for; `sha256` changes when they do.

    characters: of all documents; ends: how many documents, each of which ends in one token more.  again: computes
    `sha256` once more if the documents are in files.  notes: what a person should know about the files.
    """

    documents: Callable[[], Iterator[Document]]
    sha256: str
    characters: int
    ends: int
    again: Callable[[], str] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prepared:
    """What training sees: how text is read, what the vocabulary covers, and the parts on disk.

    damaged: whether encoded data were there that were not as they had been written; these were encoded anew.
    """

    reading: Reading
    coverage: Coverage
    train: Store
    valid: Store | None
    damaged: bool = False


def from_files(paths: Sequence[Path], documents: str, encoding: str | None = None) -> DocumentSource:
    """Text files and folders as a source, read once to the end: unusable text is told before anything is written.
    encoding: of files without a byte order mark; None: UTF-8.

    Raises UsageError, DataError or StorageError, as the reader does.
    """

    def read() -> Iterator[Document]:
        return read_documents(paths, documents, encoding)

    def digest() -> str:
        return fingerprint(paths, passed_over(paths))

    next(read(), None)  # names what is missing before all the rest is read
    before = digest()
    characters, ends = _size(read())
    return DocumentSource(read, before, characters, ends, digest, left_out(paths))


def left_out(paths: Sequence[Path]) -> tuple[str, ...]:
    """A line about the files of folders that are not read, by their endings; nothing if there are none."""
    others = [path for path in passed_over(paths) if not is_model(path)]
    if not others:
        return ()
    endings = Counter(path.suffix or "no ending" for path in others)
    kinds = ", ".join(f"{count:,} {ending}" for ending, count in endings.most_common(5))
    more = " ..." if len(endings) > 5 else ""
    many = f"{len(others):,} files are" if len(others) > 1 else "1 file is"
    return (
        f"{many} passed over in folders ({kinds}{more}), such as {others[0]}; name a file itself to read it",
    )


def from_texts(texts: Sequence[str], name: str = "texts") -> DocumentSource:
    """Texts in memory as a source, each a document; its number stands for a line."""
    digest = hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()

    def documents() -> Iterator[Document]:
        for number, text in enumerate(texts, 1):
            yield Document(text, Place(Path(name), number))

    return DocumentSource(documents, digest, *_size(documents()))


def prepare(
    source: DocumentSource, valid: DocumentSource | None, config: DataConfig, folder: Path
) -> Prepared:
    """Learn the vocabulary from the training part and encode all parts into `folder`, or open what is there already.

    Where no validation source is given, the last `hold_out` of the text is the validation part, cut at a line start
    (between characters for a model of characters); a very short text is not cut.
    Raises DataError where the text is unusable, StorageError where the disk refuses.
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
    """What `_write` kept of the coverage."""
    types, tokens, kept, known = (as_plain(int, value[key]) for key in ("types", "tokens", "kept", "known"))
    return Coverage(types, tokens, kept, known)


def _write(
    source: DocumentSource, valid: DocumentSource | None, config: DataConfig, folder: Path
) -> dict[str, object]:
    """Learn and encode; what `prepare` must know to open it again."""
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
    """The documents up to so many characters (after lower-casing, an end counting as one)."""
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
    """The character (an end counting as one) with which the part held out begins; None where none is.

    The end of a line or block stands for its line end; that of a file is no character of the text.
    """
    text = source.characters + (0 if documents == "file" else source.ends)
    if text < SMALLEST or not config.hold_out:
        return None
    cut = int(text * (1 - config.hold_out))
    if of_characters(unit):
        return cut
    # Words are cut at the start of the line that holds this character; one endless line is not cut at all.
    return _line_start(source.documents(), cut, config.lower) or None


def _line_start(documents: Iterator[Document], character: int, lower: bool) -> int:
    """Where the line begins that holds the character of this number (after lower-casing, an end counting as one)."""
    begin = line = 0  # of the piece of text at hand, and of the last line in it
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
    """The token with which the part held out begins: of a character's number, or the first of a line."""
    if cut is None or of_characters(unit):
        return len(whole) if cut is None else cut
    line = int(
        np.searchsorted(whole.all_characters[:-1], cut)
    )  # a blank line has no tokens: the next that has
    return int(whole.all_lines[line])


def _size(documents: Iterable[Document]) -> tuple[int, int]:
    """Characters of all documents, and how many documents there are."""
    characters = ends = 0
    for document in documents:
        characters += len(document.text)
        ends += document.last
    return characters, ends
