"""Pictures of a clip as numbers: laid flat, resized, and with their differences.

A step is [side, side, channels] uint8 laid flat, n_x = channels * side * side. There are 1 or 3 channels, and as many
more with differences. The side follows from n_x, as no ratio of 1, 2, 3 and 6 is a square.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unrolled.core.types import Array

CHANNELS = (1, 2, 3, 6)

Frames = NDArray[np.uint8]


def shape(n_x: int) -> tuple[int, int]:
    """Side and channels of pictures of so many numbers; (0, 0) where none have so many."""
    for channels in CHANNELS:
        side = round((n_x / channels) ** 0.5)
        if side * side * channels == n_x:
            return side, channels
    return 0, 0


def resized(x: Array, side: int) -> Frames:
    """[T, h, w, channels] uint8 -> [T, side, side, channels], each number the mean of those it stands for."""
    found = x.astype(np.float32)
    for axis in (1, 2):
        size = found.shape[axis]
        starts = np.arange(side) * size // side
        counts = np.maximum(1, np.diff(np.append(starts, size)))
        found = np.add.reduceat(found, starts, axis=axis)
        found /= counts.reshape(-1, *(1,) * (3 - axis))
    return np.round(found).astype(np.uint8)


def with_differences(x: Frames) -> Frames:
    """[T, side, side, c] -> [T, side, side, 2 c]: beside each number half of what changed since the picture before, and
    128; nothing changed at the first."""
    half = x.astype(np.int16)
    changed = np.diff(half, axis=0, prepend=half[:1]) // 2 + 128
    return np.concatenate([x, changed.astype(np.uint8)], axis=-1)
