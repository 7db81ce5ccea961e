"""A layer, shared by all piano keys, that connects each output with nearby keys (option `--neighbours`).

Its result is added to the outputs of the head:

    z_k = (W_ya a + b_y)_k + v . relu(W_n x_k + W_u a + b_n)

x_k are the inputs of the keys k - AROUND to k + AROUND. An interval is the same on every key, so all keys
share the weights. Without this layer the head would have to learn each interval for each key.

The first n_y * `rows` of the n_x inputs describe the keys.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from unrolled.core.types import Array

AROUND = 13  # keys on each side: an octave and a semitone


def rows(n_x: int, n_y: int) -> int:
    """Return the number of inputs per output."""
    return n_x // n_y


def shapes(n_x: int, n_y: int, features: int, size: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of `W_n` [size, rows * (2 AROUND + 1)], `W_u` [size, features], `b_n`, `v` [size]."""
    seen = rows(n_x, n_y) * (2 * AROUND + 1)
    return {"W_n": (size, seen), "W_u": (size, features), "b_n": (size,), "v": (size,)}


def run(p: Mapping[str, Array], n_y: int, a: Array, x: Array) -> Array:
    """Return the values that are added to the outputs of the head, [T, n_y].

    p: `head.W_n` and so on. a: [T, features]. x: [T, n_x].
    """
    count = rows(x.shape[1], n_y)
    said = np.pad(x[:, : count * n_y].reshape(-1, count, n_y), ((0, 0), (0, 0), (AROUND, AROUND)))
    windows = sliding_window_view(said, 2 * AROUND + 1, axis=2).transpose(
        0, 2, 1, 3
    )  # [T, n_y, rows, window]
    given = windows.reshape(len(x), n_y, len(p["head.W_n"].T)) @ p["head.W_n"].T
    heard = (a @ p["head.W_u"].T + p["head.b_n"])[:, None]  # [T, 1, size]
    return np.maximum(given + heard, 0) @ p["head.v"]
