"""Frames of a clip: x^<t> is an image. Nothing is learned; all clips get the same frame size and frame rate.

x is a path of a video, of an image or of a folder of images, or an array of bytes [T, h, w] or [T, h, w,
channels].
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unrolled.core.config import Config, DataConfig, fill
from unrolled.core.errors import DataError
from unrolled.core.types import Array, Example, Place, Timeline
from unrolled.core.values.example_values import length, shape
from unrolled.core.values.json_values import as_list, as_list_of, as_number, as_plain
from unrolled.data import media_fragment, sandbox
from unrolled.data.features import video_frames
from unrolled.data.fields import Stretches
from unrolled.data.media import image

SIDES = (8, 256)
SIDE, LONGEST = 48, 600  # the defaults of frame_size and longest

DEFAULTS = {"frame_size": 48, "frame_rate": 10.0, "colour": False, "differences": False, "longest": 600}


@dataclass(frozen=True)
class FrameInput:
    """The encoder of clips.

    side: width and height of a frame; other sizes are resized.
    colour: three channels instead of one.
    rate: frames per second of a video; 0: the rate of the file.
    differences: add the difference to the previous frame as further channels.
    longest: maximum number of frames per clip.
    """

    side: int
    colour: bool
    rate: float
    differences: bool
    longest: int

    ids = False
    multi_hot = False
    unk_candidates = np.zeros(0, dtype=np.bool_)

    def __post_init__(self) -> None:
        if not SIDES[0] <= self.side <= SIDES[1] or not 0 <= self.rate <= 1000 or not self.longest >= 1:
            raise _damaged()

    @property
    def channels(self) -> int:
        """Number of channels of a frame, without differences."""
        return 3 if self.colour else 1

    @property
    def n_x(self) -> int:
        """Numbers per frame, differences included."""
        return self.side**2 * self.channels * (2 if self.differences else 1)

    def load_file(self, example: Example) -> Example:
        """Return the example with the frames of its file, [T, side, side, channels], and their tags.

        Raises DataError if the file cannot be read. The error names the file and the place that refers to it.
        """
        x = example.x
        if not isinstance(x, Path):
            return example
        wanted: dict[str, object] = {"side": self.side, "colour": self.colour, "longest": self.longest}
        file, start, end = media_fragment.whole_of(x)
        part = file != x
        if not _is_video(x):
            if part:
                raise _error(
                    "start and end for a file that is not a video",
                    "a video, or no start and end",
                    example.place,
                )
            found, about = sandbox.decode_file(x, example.place, "unrolled.data.media.image:read", wanted)
        else:
            wanted |= {"rate": self.rate, "start": start, "end": end if math.isfinite(end) else None}
            found, about = sandbox.decode_file(file, example.place, "unrolled.data.media.video:read", wanted)
        y = example.y
        if isinstance(y, Stretches):
            y = _timed(y, about, example)
        elif isinstance(y, tuple) and y and isinstance(y[0], str):
            if part:
                raise _error(
                    "one tag per frame for a part of a video",
                    "intervals such as 0.1-0.52 wave",
                    example.place,
                )
            y = _taken(y, about, example)
        return replace(example, x=found, y=y, source=x)

    def timeline(self, example: Example) -> Timeline:
        """Return the times of the frames of a loaded clip.

        The times are unknown for folders, for arrays, and if the rate is 0.
        """
        video = example.source is not None and _is_video(example.source)
        seconds = 1 / self.rate if video and self.rate else 0.0
        return Timeline(seconds, seconds * length(example.x))

    def steps(self, x: object) -> object:
        """Return (), because a frame has no words."""
        return ()

    def encode(self, x: object, place: Place | None = None) -> NDArray[np.uint8]:
        """Encode x as [T, n_x] bytes, one flattened frame per step.

        Raises DataError if x is not a clip, has a wrong number of channels, or is too long.
        """
        if isinstance(x, Path):
            x = self.load_file(Example(x, None, place or Place(x, 1))).x
        pictures = np.asarray(x)
        pictures = pictures[..., None] if pictures.ndim == 3 else pictures
        if pictures.ndim != 4 or pictures.dtype != np.uint8 or 0 in pictures.shape[1:]:
            raise _error(
                f"{pictures.dtype} {list(shape(x))} is not a clip",
                "bytes [T, h, w] or [T, h, w, channels]",
                place,
            )
        if pictures.shape[3] == 3 and not self.colour:
            pictures = np.round(pictures @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)[..., None]
        elif pictures.shape[3] == 1 and self.colour:
            pictures = np.repeat(pictures, 3, axis=3)
        elif pictures.shape[3] != self.channels:
            raise _error(f"{pictures.shape[3]} channels", "1 or 3", place)
        if len(pictures) > self.longest:
            raise _error(f"{len(pictures):,} frames", f"at most {self.longest:,}", place)
        if pictures.shape[1:3] != (self.side, self.side) and len(pictures):
            pictures = video_frames.resized(pictures, self.side)
        pictures = video_frames.with_differences(pictures) if self.differences and len(pictures) else pictures
        return pictures.reshape(len(pictures), self.n_x)

    def unknown(self, x: object, encoded: Array) -> int:
        """Return 0, because frames have no `<UNK>`."""
        return 0

    def to_json(self) -> dict[str, object]:
        """Return the JSON object that `frame_input` reads."""
        return {name: getattr(self, name) for name in _FIELDS}


_FIELDS = ("side", "colour", "rate", "differences", "longest")


def frame_input(value: Mapping[str, object]) -> FrameInput:
    """Create a FrameInput from the JSON object of `to_json`. Raises DataError if it is damaged."""
    side, colour, rate, differences, longest = (value.get(name) for name in _FIELDS)
    if (
        set(value) != set(_FIELDS)
        or type(side) is not int
        or type(colour) is not bool
        or not (type(rate) is int or type(rate) is float)
        or type(differences) is not bool
        or type(longest) is not int
    ):
        raise _damaged()
    return FrameInput(side, colour, rate, differences, longest)


def fill_frames(config: Config) -> Config:
    """Fill the defaults for clips."""
    return fill(config, DEFAULTS)


def learn_frames(examples: Iterable[Example], config: DataConfig) -> tuple[FrameInput, str]:
    """Create a FrameInput from the configuration; also returns a one-line description.

    Raises DataError if there are no clips.
    """
    count = sum(1 for _ in examples)
    if not count:
        raise DataError("no examples: not one clip", expected="clips")
    side, longest, rate = config.frame_size or SIDE, config.longest or LONGEST, config.frame_rate or 0.0
    found = FrameInput(side, bool(config.colour), rate, bool(config.differences), longest)
    words = f"{count:,} clips; frames of {side} x {side}, {'in colour' if found.colour else 'grey'}, "
    words += f"{rate:g} per second" if rate else "at the rate of the file"
    return found, words + (", with frame differences" if found.differences else "")


def _is_video(path: Path) -> bool:
    """Return whether a clip is a video, instead of an image or a folder of images."""
    path, _, _ = media_fragment.whole_of(path)
    return not path.is_dir() and path.suffix.lower() not in (*image.ENDINGS, *image.UNREAD)


def _timed(y: Stretches, about: Mapping[str, object], example: Example) -> tuple[str, ...]:
    """Return the tag of each frame according to its time."""
    if "times" not in about:
        raise _error("time intervals for frames without times", "one tag per frame", example.place)
    return y.at([as_number(time) for time in as_list(about["times"])])


def _taken(y: tuple[object, ...], about: Mapping[str, object], example: Example) -> tuple[object, ...]:
    """Return the tags of the frames that were read from a file.

    y has one tag for each frame of the file. Raises DataError if the counts differ.
    """
    count = as_plain(int, about["count"])
    if len(y) != count:
        expected = "one tag for each frame of the file"
        raise _error(f"{count:,} frames and {len(y):,} tags", expected, example.place)
    return tuple(y[number] for number in as_list_of(int, about["at"]))


def _error(what: str, expected: str, place: Place | None) -> DataError:
    return DataError(
        what, file=place.file if place else None, line=place.line if place else None, expected=expected
    )


def _damaged() -> DataError:
    return DataError("the clip settings in the model file are damaged", expected=", ".join(_FIELDS))
