"""Decode video files with PyAV (FFmpeg) to frames of one size at one frame rate. Runs in the sandbox.

Metadata is applied: the time stamp of each frame, the duration of the last frame, the rotation and mirroring
of the display matrix, edit lists, and transparency (transparent pixels become white). A packet that cannot be
decoded is an error, because without its frame all later frames would have wrong positions.
"""

from __future__ import annotations

import gc
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import DataError, need
from unrolled.core.regular_files import open_regular, require_regular

if TYPE_CHECKING:
    from av import VideoFrame, VideoStream
    from av.container import InputContainer

ENDINGS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".gif", ".wmv", ".flv", ".ogv")
PIXELS = 4096 * 2304  # maximum pixels of a frame in a file
# Extensions of video formats that are not supported. Such files are reported, never ignored silently.
UNREAD = (".rm", ".rmvb", ".vob", ".swf", ".3g2", ".divx", ".dv")
SHARE = 0.9  # minimum fraction of the packets or of the duration that a header claims

# Allowed formats. Playlists are excluded: a playlist with the name of a video could open other files or URLs.
_FORMATS = "mov,mp4,avi,matroska,webm,mpeg,mpegts,mpegvideo,gif,asf,flv,ogg"

Frames = NDArray[np.uint8]
Matrix = tuple[int, int, int, int]


@dataclass
class _Count:
    """Counts while a file is decoded."""

    packets: int = 0  # packets with data, including packets whose frames are not shown
    times: list[float] = field(default_factory=list)  # start of each frame, in seconds
    end: float = 0.0  # end of the last frame, in seconds


def read(
    path: str,
    side: int,
    colour: bool,
    rate: float,
    longest: int,
    start: float = 0.0,
    end: float | None = None,
) -> tuple[Frames, dict[str, object]]:
    """Decode the frames of a video to [T, side, side, channels]: grey, or red, green and blue.

    rate: frames per second; each is the frame that is visible at that time. 0: all frames of the file.
    longest: maximum number of frames.
    start, end: the part to decode, in seconds; end None: up to the end of the video.

    Returns the frames and a dict: `at`, the index of each frame in the file; `times`, the seconds of each
    frame after `start`; `count`, the number of frames in the file up to `end`.

    Raises DataError for a file that is not a video, is damaged, too large or too long. Raises MissingExtra
    without PyAV.
    """
    with need("video", "av"):
        import av
    av.logging.set_level(None)
    ending = Path(path).suffix.lower()
    if ending in UNREAD:
        raise DataError(
            f"{ending} files are not supported", expected=", ".join(ENDINGS), hint="ffmpeg -i OLD NEW.mp4"
        )
    if not require_regular(Path(path)).st_size:
        raise DataError("empty file", expected="a video")
    count = _Count()
    try:
        with (
            open_regular(Path(path)) as file,
            av.open(file, "r", options={"format_whitelist": _FORMATS}) as container,
        ):
            if not container.streams.video:
                raise DataError("no video stream in this file", expected="a video")
            stream = container.streams.video[0]
            stream.thread_count = 1
            _refuse_size(stream.width, stream.height)
            pictures: list[Frames] = []
            at: list[int] = []
            times: list[float] = []
            matrix: Matrix | None = None
            part = (start, math.inf if end is None else end)
            for number, time, picture in _sampled(_timed(container, stream, count), rate, part):
                matrix = matrix if at else _matrix(picture)
                if len(pictures) == longest:
                    raise _too_long(longest, rate)
                if at and at[-1] == number:
                    pictures.append(pictures[-1])
                else:
                    pictures.append(_turned(_small(picture, side, colour), matrix))
                at.append(number)
                times.append(round(time, 6))
            if end is None:
                lasting = container.duration if len(container.streams) == 1 else None
                _refuse_truncated(stream.frames, (lasting or 0) / av.time_base, count)
    except av.FFmpegError as error:
        reason = (error.strerror or "")[:200].lower()
        what = "damaged" if ending in ENDINGS else "not a video"
        number = len(count.times) + 1 if count.packets else None
        raise _damaged(f"{what}, or in an unknown format: {reason}", number) from error
    if not pictures:
        what = f"no frames after {start:g} seconds: the last frame is at {max(count.times, default=0):.3f}"
        raise DataError(what, expected="0 <= start < end <= its length")
    return np.stack(pictures), {"at": at, "times": times, "count": len(count.times)}


def _timed(
    container: InputContainer, stream: VideoStream, count: _Count
) -> Iterator[tuple[float, float, VideoFrame]]:
    """Decode each frame. Yield its time, its duration (both in seconds) and the frame; update `count`.

    Times never decrease.
    """
    usual = 1 / float(stream.average_rate or stream.guessed_rate or 25)
    begin, last = None, -usual
    for packet in container.demux(stream):
        count.packets += packet.size > 0
        for picture in packet.decode():
            _refuse_size(picture.width, picture.height)
            time = None if picture.pts is None else picture.time
            begin = time if begin is None else begin
            last = last + usual if time is None or begin is None else max(time - begin, last)
            count.times.append(last)
            seen = (
                float(picture.duration * picture.time_base) if picture.duration and picture.time_base else 0.0
            )
            seen = seen if seen > 0 else usual
            count.end = last + seen
            if picture.is_corrupt:
                raise _damaged("damaged: the decoder could not decode a frame completely", len(count.times))
            yield last, seen, picture


def _small(picture: VideoFrame, side: int, colour: bool) -> Frames:
    """Resize a frame to [side, side, channels], with transparent pixels on white."""
    form = "rgb24" if colour else "gray"
    if any(component.is_alpha for component in picture.format.components):
        whole = picture.to_ndarray(format="rgba").astype(np.uint16)
        share = whole[..., 3:]
        flat = (whole[..., :3] * share + 255 * (255 - share) + 127) // 255
        picture = type(picture).from_ndarray(flat.astype(np.uint8), "rgb24")
    small = picture.reformat(width=side, height=side, format=form, interpolation="AREA")
    return np.asarray(small.to_ndarray(), np.uint8).reshape(side, side, -1)


def _matrix(picture: VideoFrame) -> Matrix | None:
    """Return a, b, c, d of the display matrix: pixel (x, y) is shown at (a x + c y, b x + d y).

    Return None if the frame has no display matrix.

    Call it for one frame only. In PyAV a frame and its side data form a reference cycle, which keeps the
    decoder's threads alive until garbage collection; so this function runs one.
    """
    data = picture.side_data.get("DISPLAYMATRIX")
    content = None if data is None else bytes(data)[:36]
    del data
    gc.collect()
    if content is None:
        return None
    a, b, _, c, d, *_ = struct.unpack("=9i", content)
    return a, b, c, d


def _turned(small: Frames, matrix: Matrix | None) -> Frames:
    """Rotate and mirror a square frame. Raises DataError if the angle is not a multiple of 90 degrees."""
    if matrix is None:
        return small
    a, b, c, d = matrix
    if a and d and not (b or c):
        swapped, across, down = False, a < 0, d < 0
    elif b and c and not (a or d):
        swapped, across, down = True, c < 0, b < 0
    else:
        raise DataError("rotated by an unsupported angle", expected="0, 90, 180 or 270 degrees")
    small = small.transpose(1, 0, 2) if swapped else small
    small = small[:, ::-1] if across else small
    return np.ascontiguousarray(small[::-1] if down else small)


def _sampled(
    timed: Iterator[tuple[float, float, VideoFrame]], rate: float, part: tuple[float, float]
) -> Iterator[tuple[int, float, VideoFrame]]:
    """Yield the frame that is visible at each time i / rate of a part; with rate 0, all frames of the part.

    part: start and end in seconds.
    Yields the index of the frame in the file, the time in seconds from the start of the part, and the frame.
    """
    given, number, end = 0, -1, 0.0
    held: VideoFrame | None = None
    start, stop = part
    for number, (time, seen, picture) in enumerate(timed):
        while rate and held is not None and start + given / rate < min(time, stop) - 1e-6:
            yield number - 1, given / rate, held
            given += 1
        if time >= stop - 1e-6:
            return
        if not rate and time >= start - 1e-6:
            yield number, time - start, picture
        held, end = picture, time + seen
    while (
        rate and held is not None and (start + given / rate < min(end, stop) - 1e-6 or not (given or start))
    ):
        yield number, given / rate, held
        given += 1


def _refuse_size(width: int, height: int) -> None:
    if width * height > PIXELS:
        what = f"frames of {width:,} x {height:,}"
        raise DataError(what, expected=f"at most {PIXELS:,} pixels", hint="a smaller copy")


def _damaged(what: str, number: int | None) -> DataError:
    """Return the error for a frame that cannot be decoded.

    number: number of the frame, from 1; None: no packet was read.
    """
    if number is None:
        return DataError(what, expected="a complete video")
    hint = "ffmpeg -i OLD NEW.mp4, which drops damaged frames"
    return DataError(f"{what} (at frame {number:,})", expected="a complete video", hint=hint)


def _refuse_truncated(promised: int, seconds: float, count: _Count) -> None:
    """Raise DataError if the file has less than its header claims.

    promised: claimed number of packets, including packets that an edit list hides.  seconds: claimed
    duration, used only if there is no such number.  0: the header claims nothing.
    """
    if not count.times:
        raise DataError("0 frames", expected="a complete video")
    if count.packets < SHARE * promised - 2:
        what = f"truncated: claims {promised:,} frames, has {count.packets:,}"
        raise DataError(what, expected="a complete video")
    usual = count.end / len(count.times)
    if not promised and count.end < SHARE * seconds - 2 * usual:
        what = f"truncated: claims {seconds:.2f} seconds, has {count.end:.2f}"
        raise DataError(what, expected="a complete video")


def _too_long(longest: int, rate: float) -> DataError:
    lasting = f" ({longest / rate:g} seconds at {rate:g} frames per second)" if rate else ""
    return DataError(
        f"more than {longest:,} frames",
        expected=f"at most this number{lasting}",
        hint="shorter clips, or --longest",
    )
