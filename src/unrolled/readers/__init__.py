"""Readers: one format each, from files to documents or examples with file and line. They stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ..columns import Wanted
from ..errors import UsageError, suggest
from ..media.audio import ENDINGS
from ..types import Document, Example
from . import clips, conll, folder, npz, sounds, table, text, ts

Reader = Callable[[Sequence[Path], Wanted], Iterator[Example]]

READERS: dict[str, Callable[[Sequence[Path], str], Iterator[Document]]] = {"text": text.read}

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
    ".ts": ts.read,
    ".npz": npz.read,
    **dict.fromkeys(ENDINGS, sounds.files),
    **dict.fromkeys(clips.ENDINGS, clips.files),
}


def _folders(paths: Sequence[Path], wanted: Wanted) -> Iterator[Example]:
    """Folders of texts, sounds or clips."""
    kinds: dict[str, Reader] = {"audio": sounds.folders, "frames": clips.folders}
    return kinds.get(wanted.kind, folder.read)(paths, wanted)


def find_reader(path: Path) -> Reader:
    """The reader of a file, by the end of its name, or of a folder. Raises UsageError for an unknown one."""
    if path.is_dir():
        return _folders
    name = path.name.lower().removesuffix(".gz")
    ending = Path(name).suffix
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
