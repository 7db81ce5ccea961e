"""Readers: one file format each. They stream examples, or documents of text, with file and line.

`FORMATS` is the registry: one line for each format, found by the extension of a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from unrolled.core.errors import UsageError, suggest
from unrolled.core.types import Document, Example
from unrolled.data.media import audio
from unrolled.data.read_request import Wanted
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

ExampleReader = Callable[[Sequence[Path], Wanted], Iterator[Example]]
DocumentReader = Callable[[Sequence[Path], str], Iterator[Document]]


@dataclass(frozen=True)
class Format:
    """A file format: the extensions of its files in lower case (`.gz` may follow), and its readers.

    examples: reads labelled sequences; None if the format has none.
    documents: reads texts without labels; None: files of this format are read as plain text.
    """

    extensions: tuple[str, ...]
    examples: ExampleReader | None = None
    documents: DocumentReader | None = None


FORMATS: dict[str, Format] = {
    "table": Format((".csv", ".tsv", ".jsonl", ".json", ".parquet"), table.read),
    "conll": Format((".conll", ".conllu", ".iob", ".bio", ".annotated"), conll.read),
    "uea_ts": Format((".ts",), uea_ts.read),
    "npz": Format((".npz",), npz.read),
    "audio": Format(tuple(audio.ENDINGS), audio_folder.files),
    "video": Format(video_folder.ENDINGS, video_folder.files),
    "midi": Format((".mid", ".midi"), midi_files.read),
    "text": Format((".txt",), documents=text_files.read),
}
# Readers of folders, by what x becomes; any other folder holds texts.
FOLDERS: dict[str, ExampleReader] = {
    "audio": audio_folder.folders,
    "frames": video_folder.folders,
    "images": video_folder.folders,
    "tune": midi_files.read,
}

open_tunes = midi_files.load
read_pairs = parallel_text.read


def extension(path: Path) -> str:
    """The extension of a file in lower case, without `.gz`."""
    return Path(path.name.lower().removesuffix(".gz")).suffix


def example_extensions() -> tuple[str, ...]:
    """The extensions of all formats that hold labelled sequences."""
    return tuple(ending for kind in FORMATS.values() if kind.examples for ending in kind.extensions)


def in_parallel(paths: Sequence[Path]) -> bool:
    """Whether files are parallel texts: no folder, and no file with the extension of another format."""
    known = example_extensions()
    return not any(path.is_dir() or extension(path) in known for path in paths)


def find_reader(path: Path) -> ExampleReader:
    """The reader of labelled sequences for a file, by its extension, or for a folder.

    Raises UsageError for an unknown extension.
    """
    if path.is_dir():
        return _read_folders
    ending = extension(path)
    for kind in FORMATS.values():
        if ending in kind.extensions and kind.examples is not None:
            return kind.examples
    known = example_extensions()
    raise UsageError(
        f"cannot tell the format of labelled data by its ending {ending!r}"
        if ending
        else "has no ending that tells its format",
        file=path,
        expected=", ".join(known) + ", or a folder of texts, sounds or clips",
        hint=suggest(ending, known),
    )


def _read_folders(paths: Sequence[Path], wanted: Wanted) -> Iterator[Example]:
    return FOLDERS.get(wanted.kind, text_folder.read)(paths, wanted)


def read_documents(paths: Sequence[Path], documents: str = "file") -> Iterator[Document]:
    """The documents of files and folders, in the order given; see `text_files.read` for `documents` and the errors.

    A folder stands for all its files that have a reader of documents, at any depth.
    """
    readers = {e: kind.documents for kind in FORMATS.values() if kind.documents for e in kind.extensions}
    files = text_files.expand(paths, tuple(readers))
    groups = [(reader, list(group)) for reader, group in groupby(files, lambda f: readers.get(extension(f)))]
    if all(reader in (None, text_files.read) for reader, _ in groups):
        yield from text_files.read(paths, documents)
        return
    for reader, group in groups:
        yield from (reader or text_files.read)(group, documents)
