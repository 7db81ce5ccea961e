"""A small convolution of each image, trained with the recurrent layers (LRCN, Donahue et al., arXiv 1411.4389v4).

Three layers of 3 x 3, each of every other place, with relu; then all that is left, with where it is, in one layer with
relu. A picture is first made alike in light: less its mean, divided by its deviation.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from unrolled.core.errors import UsageError
from unrolled.core.types import Array
from unrolled.data.features.video_frames import shape
from unrolled.models.frontends.sizes import Sizes

CHANNELS = (8, 16, 32)  # behind each layer
WIDTH, STRIDE = 3, 2
DARK = 4.0  # of 255, added to the deviation: a picture of one colour is nearly zeros
AT_ONCE = 64  # pictures


def layers(sizes: Sizes) -> list[tuple[int, int, int]]:
    """Of each layer of the convolution its side, channels in and channels out."""
    side, channels = shape(sizes.n_x)
    if not side:
        raise UsageError(f"the front 'frames' is for pictures, not {sizes.n_x} numbers", hint="--front none")
    found: list[tuple[int, int, int]] = []
    for out in CHANNELS:
        found.append((side, channels, out))
        side, channels = -(-side // STRIDE), out
    return found


def shapes(sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """`W_1` [channels out, channels in * 9], `b_1` and so on; `W` [size, all that is left], `b`."""
    found: dict[str, tuple[int, ...]] = {}
    side = 1
    for number, (before, channels, out) in enumerate(layers(sizes), 1):
        found |= {f"W_{number}": (out, channels * WIDTH**2), f"b_{number}": (out,)}
        side = -(-before // STRIDE)
    return found | {"W": (sizes.size, CHANNELS[-1] * side**2), "b": (sizes.size,)}


def initialise(sizes: Sizes, rng: np.random.Generator) -> dict[str, NDArray[np.float64]]:
    """Uniform, its variance that of He et al. (arXiv 1502.01852v1) for relu; no bias."""
    return {
        name: rng.uniform(-1, 1, shape) * (6 / shape[1]) ** 0.5 if len(shape) == 2 else np.zeros(shape)
        for name, shape in shapes(sizes).items()
    }


def run(sizes: Sizes, p: Mapping[str, Array], x: Array, past: Array) -> tuple[Array, Array]:
    """See Front; pictures know nothing of each other here."""
    parts = [_some(sizes, p, x[begin : begin + AT_ONCE]) for begin in range(0, len(x), AT_ONCE)]
    return np.concatenate(parts) if parts else np.zeros((0, sizes.size), p["b"].dtype), past


def _some(sizes: Sizes, p: Mapping[str, Array], x: Array) -> Array:
    mean, deviation = x.mean(axis=1, keepdims=True), x.std(axis=1, keepdims=True)
    side, channels = shape(sizes.n_x)
    a = ((x - mean) / (deviation + DARK)).reshape(len(x), side, side, channels)
    for number in range(1, len(CHANNELS) + 1):
        around = np.pad(a, ((0, 0), (1, 1), (1, 1), (0, 0)))
        windows = sliding_window_view(around, (WIDTH, WIDTH), axis=(1, 2))[:, ::STRIDE, ::STRIDE]
        windows = windows.reshape(*windows.shape[:3], -1)  # [T, side, side, channels * 9]
        a = np.maximum(windows @ p[f"W_{number}"].T + p[f"b_{number}"], 0)
    return np.maximum(a.reshape(len(a), -1) @ p["W"].T + p["b"], 0)
