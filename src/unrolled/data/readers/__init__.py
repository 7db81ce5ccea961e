"""Readers: one format each, from files to documents or examples with file and line. They stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from unrolled.core.errors import UsageError, suggest
from unrolled.core.types import Document, Example
from unrolled.data.media.audio import ENDINGS
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

Reader = Callable[[Sequence[Path], Wanted], Iterator[Example]]

READERS: dict[str, Callable[[Sequence[Path], str], Iterator[Document]]] = {"text": text_files.read}

# Of labelled sequences, by the end of a file's name; `.gz` may follow.
FORMATS: dict[str, Reader] = {
    ".csv": table.read,
    ".tsv": table.read,
    ".jsonl": table.read,
    ".json": table.read,
    ".parquet": table.read,
    ".conll": conll.read,
    ".conllu": conll.read,
    ".iob": conll.read,
    ".bio": conll.read,
    ".annotated": conll.read,
    ".ts": uea_ts.read,
    ".npz": npz.read,
    **dict.fromkeys(ENDINGS, audio_folder.files),
    **dict.fromkeys(video_folder.ENDINGS, video_folder.files),
    ".mid": midi_files.read,
    ".midi": midi_files.read,
}


def _folders(paths: Sequence[Path], wanted: Wanted) -> Iterator[Example]:
    """Folders of texts, sounds, clips, pictures or tunes."""
    kinds: dict[str, Reader] = {
        "audio": audio_folder.folders,
        "frames": video_folder.folders,
        "images": video_folder.folders,
        "tune": midi_files.read,
    }
    return kinds.get(wanted.kind, text_folder.read)(paths, wanted)


open_tunes = midi_files.load


def in_parallel(paths: Sequence[Path]) -> bool:
    """Whether files are parallel texts: none of them has an ending that tells another format."""
    return not any(path.is_dir() or _ending(path) in FORMATS for path in paths)


def read_pairs(paths: Sequence[Path], wanted: Wanted) -> Iterator[Example]:
    """Parallel texts; see readers/pairs.py."""
    return parallel_text.read(paths, wanted)


def _ending(path: Path) -> str:
    return Path(path.name.lower().removesuffix(".gz")).suffix


def find_reader(path: Path) -> Reader:
    """The reader of a file, by the end of its name, or of a folder. Raises UsageError for an unknown one."""
    if path.is_dir():
        return _folders
    ending = _ending(path)
    if ending in FORMATS:
        return FORMATS[ending]
    raise UsageError(
        f"cannot tell the format of labelled data by its ending {ending!r}"
        if ending
        else "has no ending that tells its format",
        file=path,
        expected=", ".join(FORMATS) + ", or a folder of texts, sounds or clips",
        hint=suggest(ending, FORMATS),
    )
