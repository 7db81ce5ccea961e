"""Readers of file formats, one module per format. They stream examples or text documents with file and line.

`FORMATS` is the registry, with one line per format. A format is found by its name (`--format`), by the
extension of a file, or by the content of a file if the extension does not determine the format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from unrolled.core.errors import UsageError, suggest
from unrolled.core.extensions import Registry
from unrolled.core.types import Document, Example
from unrolled.data.media import audio, image, video
from unrolled.data.read_request import ReadRequest, extension
from unrolled.data.readers import (
    audio_folder,
    conll,
    midi_files,
    npz,
    parallel_text,
    table,
    text_files,
    text_folder,
    uea_ts,
    video_folder,
)
from unrolled.data.table_files import TABLES

ExampleReader = Callable[[Sequence[Path], ReadRequest], Iterator[Example]]
DocumentReader = Callable[[Sequence[Path], str], Iterator[Document]]


@dataclass(frozen=True)
class Format:
    """A file format.

    extensions: extensions of its files in lower case (`.gz` may follow).
    examples: reads labelled sequences; None if the format has none.
    documents: reads texts without labels; None: files of this format are read as plain text.
    looks_like: whether the content of a file with another extension has this format. Its arguments are the
    path, the request and `tagged`; if `tagged` is true, the check is stricter.
    """

    extensions: tuple[str, ...]
    examples: ExampleReader | None = None
    documents: DocumentReader | None = None
    looks_like: Callable[[Path, ReadRequest, bool], bool] | None = None


_OWN: dict[str, Format] = {
    "table": Format(tuple(TABLES), table.read),
    "conll": Format(
        (".conll", ".conllu", ".conllx", ".iob", ".iob2", ".bio", ".annotated"),
        conll.read,
        looks_like=conll.looks_like,
    ),
    "uea_ts": Format((".ts",), uea_ts.read),
    "npz": Format((".npz",), npz.read),
    "audio": Format(tuple(audio.ENDINGS), audio_folder.files),
    "video": Format(video_folder.ENDINGS, video_folder.files),
    "midi": Format(midi_files.ENDINGS, midi_files.read),
    "text": Format((".txt",), documents=text_files.read),
}
FORMATS: Registry[Format] = Registry("unrolled.readers", Format, _OWN)
# Readers of folders by the kind of x. For any other kind a folder contains texts.
FOLDERS: dict[str, ExampleReader] = {
    "audio": audio_folder.folders,
    "frames": video_folder.folders,
    "images": video_folder.folders,
    "tune": midi_files.read,
}

COMMON = ("csv", "tsv", "jsonl", "conll")  # formats that messages suggest
# File types that are not supported: extension -> description for messages.
_FOREIGN = {
    **dict.fromkeys((".xlsx", ".xlsm", ".xlsb", ".xls"), "an Excel workbook"),
    **dict.fromkeys((".ods", ".numbers", ".gsheet"), "a spreadsheet"),
    **dict.fromkeys((".sav", ".dta", ".sas7bdat", ".rds", ".rdata"), "a data file of a statistics program"),
    **dict.fromkeys((".feather", ".arrow", ".orc", ".avro", ".h5", ".hdf5", ".mat"), "a binary table"),
    **dict.fromkeys((".pkl", ".pickle", ".joblib"), "a pickle, which may run code when it is opened"),
    **dict.fromkeys((".sqlite", ".db", ".accdb", ".mdb"), "a database"),
    **dict.fromkeys((".docx", ".doc", ".odt", ".rtf", ".pdf", ".epub"), "a word processor or PDF document"),
    **dict.fromkeys((".zip", ".7z", ".rar", ".tar", ".tgz"), "an archive"),
}

# Extensions of files that are never read as text, even if their bytes look like text.
MEDIA = (*audio.ENDINGS, *video_folder.ENDINGS, *midi_files.ENDINGS)
# Extensions of known media formats that no reader supports -> hint for messages.
UNREAD = {
    **dict.fromkeys(audio.UNREAD, "converting it: ffmpeg -i OLD NEW.flac"),
    **dict.fromkeys(video.UNREAD, "converting it: ffmpeg -i OLD NEW.mp4"),
    **dict.fromkeys(image.UNREAD, "saving it as PNG"),
    **dict.fromkeys(midi_files.UNREAD, "saving it as MIDI"),
}

open_tunes = midi_files.load
read_pairs = parallel_text.read


def formats() -> Iterator[Format]:
    """Yield all formats, including formats of other packages."""
    return (FORMATS[name] for name in FORMATS.names())


def example_extensions() -> tuple[str, ...]:
    """Return the extensions of all formats with labelled sequences."""
    return tuple(ending for kind in formats() if kind.examples for ending in kind.extensions)


def in_parallel(paths: Sequence[Path], wanted: ReadRequest | None = None) -> bool:
    """Whether paths are parallel texts: no requested format, no folder, no extension of a known format."""
    known = example_extensions()
    named = wanted is not None and wanted.files.format is not None
    return not named and not any(path.is_dir() or extension(path) in known for path in paths)


def refuse_foreign(path: Path) -> None:
    """Raise UsageError if the extension belongs to an unsupported file type.

    The message names the type and a fix.
    """
    what = _FOREIGN.get(extension(path))
    if what is None:
        return
    hint = "unpacking it" if what == "an archive" else "saving it as CSV UTF-8"
    hint = "saving it as plain text" if "document" in what else hint
    raise UsageError(
        f"this is {what} ({extension(path)})", file=path, expected="a table, text ...", hint=hint
    )


def format_of(path: Path, wanted: ReadRequest) -> Format | None:
    """Return the format of a file with labelled sequences, or None if it cannot be determined.

    The format is the requested one, else the one of the extension. If no format is requested, the content of
    the file decides if these three conditions hold:
    - x is text.
    - y is tags or is not requested.
    - The extension is unknown, .csv or .tsv.

    Raises UsageError for an unknown requested format.
    """
    name = wanted.files.format
    if name is not None:
        own = FORMATS[name] if FORMATS.has(name) else None
        named = (kind for kind in formats() if kind.examples and f".{name}" in kind.extensions)
        found = own or next(named, None)
        if found is None or found.examples is None:
            raise UsageError(
                f"unknown format '{name}'", expected=", ".join(COMMON), hint=suggest(name, FORMATS.names())
            )
        return found
    ending = extension(path)
    known = next((kind for kind in formats() if ending in kind.extensions and kind.examples), None)
    plain = wanted.asks.each or wanted.target is None
    if not (wanted.content.words and plain and path.is_file()):
        return known
    if known is not None and ending not in (".tsv", ".csv"):
        return known
    certain = known is not None or wanted.target is None
    similar = (kind for kind in formats() if kind.looks_like and kind.looks_like(path, wanted, certain))
    return next(similar, known)


def find_reader(path: Path, wanted: ReadRequest | None = None) -> ExampleReader:
    """Return the reader of labelled sequences for a file or a folder; see `format_of`.

    Raises UsageError if no reader supports the format of a file.
    """
    if path.is_dir():
        return _read_folders
    kind = format_of(path, wanted or ReadRequest())
    if kind is not None and kind.examples is not None:
        return kind.examples
    refuse_foreign(path)
    ending, known = extension(path), example_extensions()
    if ending in UNREAD:
        raise UsageError(f"{ending} files are not supported", file=path, hint=UNREAD[ending])
    raise UsageError(
        f"cannot determine the format of labelled data from its extension {ending!r}"
        if ending
        else "cannot determine the format of labelled data: the name has no extension",
        file=path,
        expected=", ".join(known) + ", or a folder of texts, recordings or clips",
        hint=suggest(ending, known) or f"--format {' or '.join(COMMON)}",
    )


def _read_folders(paths: Sequence[Path], wanted: ReadRequest) -> Iterator[Example]:
    return FOLDERS.get(wanted.kind, text_folder.read)(paths, wanted)


def read_documents(
    paths: Sequence[Path], documents: str = "file", encoding: str | None = None
) -> Iterator[Document]:
    """Yield the documents of files and folders, in the order of `paths`.

    A folder means all its files that have a reader of documents, at any depth. See `text_files.read` for the
    arguments and the errors.
    """
    readers = {e: kind.documents for kind in formats() if kind.documents for e in kind.extensions}
    files, _ = text_files.expand(paths, tuple(readers))
    groups = [(reader, list(group)) for reader, group in groupby(files, lambda f: readers.get(extension(f)))]
    if all(reader in (None, text_files.read) for reader, _ in groups):
        yield from text_files.read(paths, documents, encoding)
        return
    for reader, group in groups:
        if reader in (None, text_files.read):
            yield from text_files.read(group, documents, encoding)
        else:
            yield from reader(group, documents)


def passed_over(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Return the files in folders that `read_documents` ignores, except hidden and empty files."""
    readers = [e for kind in formats() if kind.documents for e in kind.extensions]
    return text_files.expand(paths, tuple(readers))[1]
