"""Video frames as flat arrays: resize frames and add the differences between frames.

A step is a flattened frame [side, side, channels] uint8, so n_x = channels * side * side. There are 1 or 3
channels; differences double this number. The side can be computed from n_x, because no ratio of two of the
numbers 1, 2, 3 and 6 is a square.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unrolled.core.types import Array

CHANNELS = (1, 2, 3, 6)

Frames = NDArray[np.uint8]


def shape(n_x: int) -> tuple[int, int]:
    """Return the side and the channels of frames with n_x numbers; (0, 0) if no frame has n_x numbers."""
    for channels in CHANNELS:
        side = round((n_x / channels) ** 0.5)
        if side * side * channels == n_x:
            return side, channels
    return 0, 0


def resized(x: Array, side: int) -> Frames:
    """Resize frames: [T, h, w, channels] uint8 -> [T, side, side, channels].

    Each value is the mean of its area.
    """
    found = x.astype(np.float32)
    for axis in (1, 2):
        size = found.shape[axis]
        starts = np.arange(side) * size // side
        counts = np.maximum(1, np.diff(np.append(starts, size)))
        found = np.add.reduceat(found, starts, axis=axis)
        found /= counts.reshape(-1, *(1,) * (3 - axis))
    return np.round(found).astype(np.uint8)


def with_differences(x: Frames) -> Frames:
    """Append frame differences as channels: [T, side, side, c] -> [T, side, side, 2 c].

    A difference is half the change since the previous frame, plus 128. The first frame has no change (128).
    """
    half = x.astype(np.int16)
    changed = np.diff(half, axis=0, prepend=half[:1]) // 2 + 128
    return np.concatenate([x, changed.astype(np.uint8)], axis=-1)
