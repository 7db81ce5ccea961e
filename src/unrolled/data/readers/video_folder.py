"""Read folders of clips: one folder per class that holds videos, and folders of images (each is one clip)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from unrolled.core.errors import DataError, UsageError
from unrolled.core.types import Example, Place
from unrolled.data.fields import whole_number
from unrolled.data.file_names import extensions_there, tell_not_used
from unrolled.data.folder_files import entries, files_below
from unrolled.data.media import image, video
from unrolled.data.read_request import ReadRequest, bad_row_handler

ENDINGS = (*video.ENDINGS, *image.ENDINGS)

READS = ("frames", "images")  # what x is of
TARGETS = ("label", None)  # that a folder of clips can have


def folders(paths: Sequence[Path], wanted: ReadRequest) -> Iterator[Example]:
    """The clips of folders in the order of their paths; the class of each is the first folder below the one given, its
    id the path from there.

    A folder with pictures in it and no clips below it is one clip. Raises UsageError where what is asked for cannot
    stand in folders, DataError where there is no clip; up to `skip_bad` clips that stand in no class's folder are left
    out. `noted` is told of files that are no clips, pictures among videos too.
    """
    _refuse(wanted)
    bad = bad_row_handler(wanted)
    for path in paths:
        found = False
        over: list[Path] = []
        for clip in _below(path, over.extend) if wanted.content.folders else _pictures(path, over):
            inner = path.name if clip == path else clip.relative_to(path).as_posix()
            name, below, _ = inner.partition("/")
            if wanted.asks.one_class and not below and not clip.is_dir():
                what, expected = "stands in no class's folder", "a folder for each class"
                bad(DataError(what, file=clip, line=1, expected=expected))
                continue
            found = True
            yield Example(clip, whole_number(name) if wanted.asks.one_class else None, Place(clip, 1), inner)
        tell_not_used(path, over, wanted)
        if not found:
            raise _no_clips(path)


def _no_clips(folder: Path) -> DataError:
    there = extensions_there(list(files_below(folder)))
    expected = f"folders of pictures, or files {', '.join(ENDINGS)}, not {there}"
    return DataError("no examples: not one clip", file=folder, expected=expected)


def files(paths: Sequence[Path], wanted: ReadRequest) -> Iterator[Example]:
    """Clips by themselves, of which nothing is asked."""
    _refuse(wanted)
    if wanted.target is not None:
        raise UsageError(
            "a clip alone has no y", file=paths[0], expected="a folder for each class, or a table"
        )
    for path in paths:
        yield Example(path, None, Place(path, 1), path.name)


def _refuse(wanted: ReadRequest) -> None:
    if wanted.kind not in READS:
        raise UsageError("clips are for frames", expected=f"files of {wanted.kind}", hint="frames:label")
    if not wanted.content.folders and wanted.target is not None:
        raise UsageError(f"pictures in folders have no {wanted.target}", expected="a table")
    if wanted.target not in TARGETS:
        raise UsageError(f"clips in folders have no {wanted.target}", expected="a table")
    if wanted.target is not None and (wanted.x or wanted.y or wanted.id or wanted.by):
        raise UsageError("clips in folders have no columns", expected="no --columns")


def _pictures(folder: Path, over: list[Path]) -> Iterator[Path]:
    """The pictures in a folder and those below it, each by itself; over: gets the other files."""
    for file in files_below(folder):
        if file.suffix.lower() in image.ENDINGS:
            yield file
        else:
            over.append(file)


def _below(folder: Path, over: Callable[[list[Path]], None]) -> Iterator[Path]:
    """The clips in a folder: itself where it holds pictures and there are no clips below it. over: told the files that
    are no clips."""
    children = entries(folder)
    pictures = [child for child in children if child.suffix.lower() in image.ENDINGS and child.is_file()]
    clips = False
    for child in children:
        if child.is_dir():
            for clip in _below(child, over):
                clips = True
                yield clip
        elif child.suffix.lower() in video.ENDINGS:
            clips = True
            yield child
        elif child not in pictures:
            over([child])
    if pictures and clips:
        over(pictures)
    elif pictures:
        yield folder
