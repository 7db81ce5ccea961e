"""A convolution over time with stride 2, and relu: it halves the number of steps.

In a unidirectional network, output step u reads the WIDTH steps of x that end at step 2 u + 1. In a bidirectional
network they are centred at step 2 u. Steps beyond the ends of x are zeros.
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
    """How many steps before 2 u are seen."""
    return WIDTH - STRIDE if sizes.causal else (WIDTH - STRIDE) // 2


def past(sizes: Sizes) -> int:
    """A causal one keeps the steps that its next output sees again."""
    return left(sizes) * sizes.n_x if sizes.causal else 0


def shapes(sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """`W` [size, n_x * WIDTH], the WIDTH steps of one number side by side, and `b` [size]."""
    return {"W": (sizes.size, sizes.n_x * WIDTH), "b": (sizes.size,)}


def initialise(sizes: Sizes, rng: np.random.Generator) -> dict[str, NDArray[np.float64]]:
    """Uniform, its variance that of He et al. (arXiv 1502.01852v1) for relu; no bias."""
    bound = (6 / (sizes.n_x * WIDTH)) ** 0.5
    return {"W": rng.uniform(-bound, bound, (sizes.size, sizes.n_x * WIDTH)), "b": np.zeros(sizes.size)}


def run(sizes: Sizes, p: Mapping[str, Array], x: Array, past: Array) -> tuple[Array, Array]:
    """See Front."""
    before = past.reshape(-1, sizes.n_x) if sizes.causal else np.zeros((left(sizes), sizes.n_x), x.dtype)
    after = np.zeros((WIDTH - STRIDE - len(before) + len(x) % STRIDE, sizes.n_x), x.dtype)
    seen = np.concatenate([before, x, after])
    kept = seen[len(x) : len(x) + len(before)].reshape(-1) if sizes.causal else past
    if not len(x):
        return np.zeros((0, sizes.size), x.dtype), kept
    windows = sliding_window_view(seen, WIDTH, axis=0)[::STRIDE]  # [T_out, n_x, WIDTH]
    return np.maximum(windows.reshape(len(windows), -1) @ p["W"].T + p["b"], 0), kept
