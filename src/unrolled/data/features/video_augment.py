"""Augmentation of clips and of text lines in training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import UsageError
from unrolled.core.types import Array, Vary
from unrolled.data.features.video_frames import Frames, shape, with_differences

STRETCH, GRAIN = 0.15, 0.3  # of a line: share of its width, deviations
SPEED, CROP, LIGHT = 0.2, 0.12, 0.3  # the most that a clip is varied by: shares of its own


def line_augmenter(given: object, flip: bool, steady: bool) -> Vary:
    """What training makes of a line. Raises UsageError where every column has a y: they are stretched."""
    if steady:
        raise UsageError("lines are stretched, and tags stand at columns", hint="--no-augment")
    return lambda x, y, chance: (augment_line(x, chance), y)


def clip_augmenter(given: object, flip: bool, steady: bool) -> Vary:
    """Augmentation of a clip in training: `augment_clip`."""
    return lambda x, y, chance: (augment_clip(x, chance, flip=flip, steady=steady), y)


def augment_line(x: Array, rng: np.random.Generator) -> NDArray[np.float32]:
    """Another line that may have been, [w', height], of x [w, height]: wider or narrower, higher or lower, fainter or
    stronger, with noise."""
    if not len(x):
        return x.astype(np.float32)
    steps = max(1, round(len(x) * (1 + STRETCH * rng.uniform(-1, 1))))
    moved = np.clip(np.arange(x.shape[1]) + rng.integers(-2, 3), 0, x.shape[1] - 1)
    found = x[np.arange(steps) * len(x) // steps][:, moved] * (1 + LIGHT * rng.uniform(-1, 1))
    return (found + rng.uniform(0, GRAIN) * rng.standard_normal(found.shape)).astype(np.float32)


def augment_clip(x: Frames, rng: np.random.Generator, *, flip: bool, steady: bool) -> Frames:
    """Another clip that may have been, [T', n_x], of x [T, n_x]: quicker or slower, a part of the picture, darker or
    lighter; flip: by half a chance mirrored; steady: at its own speed, as every step has a y.

    Everything is drawn whether it is used or not, so one does not shift the chance of the others.
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
