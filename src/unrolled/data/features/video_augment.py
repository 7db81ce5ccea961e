"""Augment video clips and images of text lines in training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import UsageError
from unrolled.core.types import Array, Vary
from unrolled.data.features.video_frames import Frames, shape, with_differences

STRETCH, GRAIN = 0.15, 0.3  # text lines: maximum relative change of the width; maximum noise, in deviations
SPEED, CROP, LIGHT = 0.2, 0.12, 0.3  # clips: maximum relative change of speed, size and light


def line_augmenter(given: object, flip: bool, steady: bool) -> Vary:
    """Return the augmentation of text lines: `augment_line`. `given` and `flip` are not used.

    Raises UsageError if every column has a y (`steady`), because the augmentation changes the number of
    columns.
    """
    if steady:
        raise UsageError("line augmentation changes the columns of the tags", hint="--no-augment")
    return lambda x, y, chance: (augment_line(x, chance), y)


def clip_augmenter(given: object, flip: bool, steady: bool) -> Vary:
    """Return the augmentation of clips: `augment_clip`. `given` is not used."""
    return lambda x, y, chance: (augment_clip(x, chance, flip=flip, steady=steady), y)


def augment_line(x: Array, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a randomly changed copy [w', height] of a text line x [w, height].

    The width, the vertical position and the contrast change, and noise is added.
    """
    if not len(x):
        return x.astype(np.float32)
    steps = max(1, round(len(x) * (1 + STRETCH * rng.uniform(-1, 1))))
    moved = np.clip(np.arange(x.shape[1]) + rng.integers(-2, 3), 0, x.shape[1] - 1)
    found = x[np.arange(steps) * len(x) // steps][:, moved] * (1 + LIGHT * rng.uniform(-1, 1))
    return (found + rng.uniform(0, GRAIN) * rng.standard_normal(found.shape)).astype(np.float32)


def augment_clip(x: Frames, rng: np.random.Generator, *, flip: bool, steady: bool) -> Frames:
    """Return a randomly changed copy [T', n_x] of a clip x [T, n_x].

    The speed changes, the frames are cropped, and brightness and contrast change.
    flip: mirror with probability 1/2.  steady: keep the speed, because every step has a y.

    All random numbers are drawn in every case, so that an option does not change the numbers of the other
    steps.
    """
    side, channels = shape(x.shape[1])
    speed, zoom, gain, level, mirrored = *rng.uniform(-1, 1, 4).tolist(), rng.random() < 0.5
    corner = rng.random(2)
    if not len(x):
        return x
    plain = 1 if channels < 3 else 3
    frames = x.reshape(len(x), side, side, channels)[..., :plain]
    if not steady:
        steps = max(1, round(len(x) / (1 + SPEED * speed)))
        frames = frames[np.arange(steps) * len(x) // steps]
    kept = max(1, round(side * (1 - CROP * abs(zoom))))
    top, left = (corner * (side - kept + 1)).astype(int).tolist()
    place = np.arange(side) * kept // side
    frames = frames[:, top + place][:, :, left + place]
    frames = frames[:, :, ::-1] if flip and mirrored else frames
    table = 127.5 + (np.arange(256) - 127.5) * (1 + LIGHT * gain) + 127.5 * LIGHT * level
    frames = np.clip(table, 0, 255).astype(np.uint8)[frames]
    frames = frames if plain == channels else with_differences(frames)
    return frames.reshape(len(frames), -1)
