"""A convolution over time with stride 2, then relu. It halves the number of steps.

In a unidirectional network, output step u reads the WIDTH steps of x that end at step 2 u + 1. In a
bidirectional network they are centred at step 2 u. Steps beyond the ends of x are zeros.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from unrolled.core.types import Array
from unrolled.models.frontends.sizes import Sizes

WIDTH, STRIDE = 6, 2


def left(sizes: Sizes) -> int:
    """Return the number of steps before step 2 u that output step u reads."""
    return WIDTH - STRIDE if sizes.causal else (WIDTH - STRIDE) // 2


def past(sizes: Sizes) -> int:
    """Return the number of values kept from chunk to chunk.

    A causal convolution keeps the steps that its next output reads again.
    """
    return left(sizes) * sizes.n_x if sizes.causal else 0


def shapes(sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """Return the shapes of `W` [size, n_x * WIDTH] and `b` [size].

    In `W`, the weights of the WIDTH steps of one input value are adjacent.
    """
    return {"W": (sizes.size, sizes.n_x * WIDTH), "b": (sizes.size,)}


def initialise(sizes: Sizes, rng: np.random.Generator) -> dict[str, NDArray[np.float64]]:
    """Return zero biases, and uniform weights with the variance of He et al. (arXiv 1502.01852v1, relu)."""
    bound = (6 / (sizes.n_x * WIDTH)) ** 0.5
    return {"W": rng.uniform(-bound, bound, (sizes.size, sizes.n_x * WIDTH)), "b": np.zeros(sizes.size)}


def run(sizes: Sizes, p: Mapping[str, Array], x: Array, past: Array) -> tuple[Array, Array]:
    """Apply the convolution to one sequence; see `Front`."""
    before = past.reshape(-1, sizes.n_x) if sizes.causal else np.zeros((left(sizes), sizes.n_x), x.dtype)
    after = np.zeros((WIDTH - STRIDE - len(before) + len(x) % STRIDE, sizes.n_x), x.dtype)
    seen = np.concatenate([before, x, after])
    kept = seen[len(x) : len(x) + len(before)].reshape(-1) if sizes.causal else past
    if not len(x):
        return np.zeros((0, sizes.size), x.dtype), kept
    windows = sliding_window_view(seen, WIDTH, axis=0)[::STRIDE]  # [T_out, n_x, WIDTH]
    return np.maximum(windows.reshape(len(windows), -1) @ p["W"].T + p["b"], 0), kept
