"""Read folders of clips: one folder per class, with videos or with folders of images (one clip each)."""

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

READS = ("frames", "images")  # supported kinds of x
TARGETS = ("label", None)  # supported targets


def folders(paths: Sequence[Path], wanted: ReadRequest) -> Iterator[Example]:
    """Yield the clips of folders, in the order of their paths.

    y is the class: the name of the first folder below a path of `paths`. The id of a clip is its path
    relative to that path. A folder that contains images and no clips is itself one clip; for x of kind
    `images` each image is a clip. Up to `skip_bad` videos or images outside a class folder are skipped. Files
    that are not clips, and images next to videos, are reported to `wanted.noted`.

    Raises UsageError if folders cannot contain the requested x or y. Raises DataError if a folder has no
    clips.
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
                what, expected = "is not in the folder of a class", "one folder per class"
                bad(DataError(what, file=clip, line=1, expected=expected))
                continue
            found = True
            yield Example(clip, whole_number(name) if wanted.asks.one_class else None, Place(clip, 1), inner)
        tell_not_used(path, over, wanted)
        if not found:
            raise _no_clips(path)


def _no_clips(folder: Path) -> DataError:
    there = extensions_there(list(files_below(folder)))
    expected = f"folders of images, or files {', '.join(ENDINGS)}, not {there}"
    return DataError("no examples: no clips", file=folder, expected=expected)


def files(paths: Sequence[Path], wanted: ReadRequest) -> Iterator[Example]:
    """Yield single files as clips without y (prediction). Raises UsageError if a target is requested."""
    _refuse(wanted)
    if wanted.target is not None:
        raise UsageError("a single clip has no y", file=paths[0], expected="one folder per class, or a table")
    for path in paths:
        yield Example(path, None, Place(path, 1), path.name)


def _refuse(wanted: ReadRequest) -> None:
    if wanted.kind not in READS:
        raise UsageError(
            "clips can only be read as frames", expected=f"files of {wanted.kind}", hint="frames:label"
        )
    if not wanted.content.folders and wanted.target is not None:
        raise UsageError(f"images in folders have no {wanted.target}", expected="a table")
    if wanted.target not in TARGETS:
        raise UsageError(f"clips in folders have no {wanted.target}", expected="a table")
    if wanted.target is not None and (wanted.x or wanted.y or wanted.id or wanted.by):
        raise UsageError("clips in folders have no columns", expected="no --columns")


def _pictures(folder: Path, over: list[Path]) -> Iterator[Path]:
    """Yield each image in a folder, at any depth. Append the other files to `over`."""
    for file in files_below(folder):
        if file.suffix.lower() in image.ENDINGS:
            yield file
        else:
            over.append(file)


def _below(folder: Path, over: Callable[[list[Path]], None]) -> Iterator[Path]:
    """Yield the clips in a folder, at any depth.

    The folder itself is a clip if it has images and no other clips.

    over: called with the files that are not clips.
    """
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
