"""Read folders of clips: one folder per class that holds videos, and folders of images (each is one clip)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from unrolled.core.errors import DataError, UsageError
from unrolled.core.types import Example, Place
from unrolled.data.folder_files import entries, files_below
from unrolled.data.media import image, video
from unrolled.data.read_request import Wanted, tolerance
from unrolled.data.records import no_examples

ENDINGS = (*video.ENDINGS, *image.ENDINGS)


def folders(paths: Sequence[Path], wanted: Wanted) -> Iterator[Example]:
    """The clips of folders in the order of their paths; the class of each is the first folder below the one given, its
    id the path from there.

    A folder with pictures in it is one clip. Raises UsageError where what is asked for cannot stand in folders,
    DataError where there is no clip; up to `skip_bad` clips that stand in no class's folder are left out.
    """
    _refuse(wanted)
    bad, found = tolerance(wanted), False
    for path in paths:
        for clip in _pictures(path) if wanted.kind == "images" else _below(path):
            inner = path.name if clip == path else clip.relative_to(path).as_posix()
            name, below, _ = inner.partition("/")
            if wanted.target == "label" and not below and not clip.is_dir():
                what, expected = "stands in no class's folder", "a folder for each class"
                bad(DataError(what, file=clip, line=1, expected=expected))
                continue
            found = True
            yield Example(clip, name if wanted.target == "label" else None, Place(clip, 1), inner)
    if not found:
        raise no_examples(paths, "not one clip", f"folders of pictures, or files {', '.join(ENDINGS)}")


def files(paths: Sequence[Path], wanted: Wanted) -> Iterator[Example]:
    """Clips by themselves, of which nothing is asked."""
    _refuse(wanted)
    if wanted.target is not None:
        raise UsageError(
            "a clip alone has no y", file=paths[0], expected="a folder for each class, or a table"
        )
    for path in paths:
        yield Example(path, None, Place(path, 1), path.name)


def _refuse(wanted: Wanted) -> None:
    if wanted.kind == "images" and wanted.target is not None:
        raise UsageError(f"pictures in folders have no {wanted.target}", expected="a table")
    if wanted.kind not in ("frames", "images"):
        raise UsageError("clips are for frames", expected=f"files of {wanted.kind}", hint="frames:label")
    if wanted.target not in ("label", None):
        raise UsageError(f"clips in folders have no {wanted.target}", expected="a table")
    if wanted.x or wanted.y or wanted.id or wanted.by:
        raise UsageError("clips in folders have no columns", expected="no --columns")


def _pictures(folder: Path) -> list[Path]:
    """The pictures in a folder and those below it, each by itself."""
    return [child for child in files_below(folder) if child.suffix.lower() in image.ENDINGS]


def _below(folder: Path) -> Iterator[Path]:
    """The clips in a folder: itself where it holds pictures."""
    children = entries(folder)
    if any(child.suffix.lower() in image.ENDINGS and child.is_file() for child in children):
        yield folder
        return
    for child in children:
        if child.is_dir():
            yield from _below(child)
        elif child.suffix.lower() in video.ENDINGS:
            yield child
