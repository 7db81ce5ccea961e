"""Decode video files with PyAV (FFmpeg): frames of one size at one rate. Runs in the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import DataError, need
from unrolled.core.regular_files import open_regular, require_regular

ENDINGS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".gif", ".wmv", ".flv", ".ogv")
PIXELS = 4096 * 2304  # of a picture in the file
SHARE = 0.9  # of the pictures that a file's header promises must be there

# Formats that are one file by themselves. A playlist under the name of a video would have others opened, or addresses.
_FORMATS = "mov,mp4,avi,matroska,webm,mpeg,mpegts,mpegvideo,gif,asf,flv,ogg"

Frames = NDArray[np.uint8]


def read(path: str, side: int, colour: bool, rate: float, longest: int) -> tuple[Frames, dict[str, Any]]:
    """The pictures of a video, [T, side, side, channels]: grey, or red, green and blue.

    rate: pictures a second, each the one that would be seen at that moment; 0: those of the file as they come.
    longest: of how many. Beside them `at`: which of the file's own each is, and `count`: how many that has.
    Raises DataError for what is no video, damaged, too large or too long, MissingExtra without PyAV.
    """
    with need("video", "av"):
        import av
    av.logging.set_level(None)
    if not require_regular(Path(path)).st_size:
        raise DataError("empty file", expected="a video")
    try:
        with (
            open_regular(Path(path)) as file,
            av.open(file, options={"format_whitelist": _FORMATS}) as container,
        ):
            if not container.streams.video:
                raise DataError("no pictures in it", expected="a video")
            stream = container.streams.video[0]
            stream.thread_count = 1
            _refuse_size(stream.width, stream.height)
            form = "rgb24" if colour else "gray"
            pictures: list[Frames] = []
            at: list[int] = []
            times: list[float] = []
            for number, picture in _sampled(_timed(container, stream, times), rate):
                if len(pictures) == longest:
                    raise _too_long(longest, rate)
                if at and at[-1] == number:
                    pictures.append(pictures[-1])
                else:
                    small = picture.reformat(width=side, height=side, format=form, interpolation="AREA")
                    pictures.append(small.to_ndarray().reshape(side, side, -1))
                at.append(number)
            _refuse_truncated(stream.frames, len(times))
    except av.FFmpegError as error:
        what = "damaged" if Path(path).suffix.lower() in ENDINGS else "not a video"
        what = f"{what}, or of an unknown kind: {(error.strerror or '')[:200].lower()}"
        raise DataError(what, expected="a whole video") from error
    return np.stack(pictures), {"at": at, "count": len(times)}


def _timed(container: Any, stream: Any, times: list[float]) -> Iterator[tuple[float, float, Any]]:
    """Each picture with its time, noted in `times`, and how long it is seen, in seconds; times never fall."""
    usual = 1 / float(stream.average_rate or stream.guessed_rate or 25)
    begin, last = None, -usual
    for picture in container.decode(stream):
        _refuse_size(picture.width, picture.height)
        time = picture.time
        begin = time if begin is None else begin
        last = last + usual if time is None or begin is None else max(time - begin, last)
        times.append(last)
        yield last, usual, picture


def _sampled(timed: Iterator[tuple[float, float, Any]], rate: float) -> Iterator[tuple[int, Any]]:
    """At each moment i / rate the picture that is seen, and its number in the file; all of them at rate 0."""
    given, number, end = 0, -1, 0.0
    held: Any = None
    for number, (time, seen, picture) in enumerate(timed):
        while rate and held is not None and given / rate < time - 1e-6:
            yield number - 1, held
            given += 1
        if not rate:
            yield number, picture
        held, end = picture, time + seen
    while rate and held is not None and (given / rate < end - 1e-6 or not given):
        yield number, held
        given += 1


def _refuse_size(width: int, height: int) -> None:
    if width * height > PIXELS:
        what = f"pictures of {width:,} x {height:,}"
        raise DataError(what, expected=f"at most {PIXELS:,} pixels", hint="a smaller copy")


def _refuse_truncated(promised: int, count: int) -> None:
    if not count:
        raise DataError("0 pictures", expected="a whole video")
    if count < SHARE * promised - 2:
        raise DataError(f"truncated: promises {promised:,} pictures, has {count:,}", expected="a whole video")


def _too_long(longest: int, rate: float) -> DataError:
    lasting = f" ({longest / rate:g} seconds at {rate:g} a second)" if rate else ""
    return DataError(
        f"more than {longest:,} pictures",
        expected=f"at most so many{lasting}",
        hint="shorter clips, or --longest",
    )
