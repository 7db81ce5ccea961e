"""A layer that every piano key shares: it tells each output which nearby keys sounded (option `--neighbours`).

Its outputs are added to those of the head:

    z_k = (W_ya a + b_y)_k + v . relu(W_n x_k + W_u a + b_n)

x_k are the inputs of the keys k - AROUND to k + AROUND. An interval is the same on every key, so the weights are
shared; a head alone would have to learn each interval for each key. The first n_y * `rows` of the n_x inputs are about
the keys.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from unrolled.core.types import Array

AROUND = 13  # outputs on either side: of piano keys an octave and a semitone


def rows(n_x: int, n_y: int) -> int:
    """How often the inputs say something of each output."""
    return n_x // n_y


def shapes(n_x: int, n_y: int, features: int, size: int) -> dict[str, tuple[int, ...]]:
    """`W_n` [size, rows * (2 AROUND + 1)], a window of each row, `W_u` [size, features], `b_n`, `v` [size]."""
    seen = rows(n_x, n_y) * (2 * AROUND + 1)
    return {"W_n": (size, seen), "W_u": (size, features), "b_n": (size,), "v": (size,)}


def run(p: Mapping[str, Array], n_y: int, a: Array, x: Array) -> Array:
    """a [T, features] and x [T, n_x] -> what is added to the head's answers, [T, n_y]; p: `head.W_n` and so on."""
    count = rows(x.shape[1], n_y)
    said = np.pad(x[:, : count * n_y].reshape(-1, count, n_y), ((0, 0), (0, 0), (AROUND, AROUND)))
    windows = sliding_window_view(said, 2 * AROUND + 1, axis=2).transpose(
        0, 2, 1, 3
    )  # [T, n_y, rows, window]
    given = windows.reshape(len(x), n_y, len(p["head.W_n"].T)) @ p["head.W_n"].T
    heard = (a @ p["head.W_u"].T + p["head.b_n"])[:, None]  # [T, 1, size]
    return np.maximum(given + heard, 0) @ p["head.v"]
