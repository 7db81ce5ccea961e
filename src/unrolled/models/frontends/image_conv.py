"""A small convolutional network for images, trained with the recurrent layers.

This is LRCN (Donahue et al., arXiv 1411.4389v4).
Three 3 x 3 convolutions with stride 2, each followed by relu. Then a fully connected layer with relu combines
all channels and positions. Before the first layer, each image is normalised: its mean is subtracted, and it
is divided by its standard deviation.
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

CHANNELS = (8, 16, 32)  # output channels of each convolution
WIDTH, STRIDE = 3, 2
# Added to the standard deviation, on the scale of 0 to 255. So an image of one colour becomes nearly zeros.
DARK = 4.0
AT_ONCE = 64  # images per batch


def layers(sizes: Sizes) -> list[tuple[int, int, int]]:
    """Return the side of the input, the input channels and the output channels of each convolution.

    Raises UsageError if n_x is not the size of an image.
    """
    side, channels = shape(sizes.n_x)
    if not side:
        raise UsageError(f"the front end 'frames' needs images, not {sizes.n_x} numbers", hint="--front none")
    found: list[tuple[int, int, int]] = []
    for out in CHANNELS:
        found.append((side, channels, out))
        side, channels = -(-side // STRIDE), out
    return found


def shapes(sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """Return the shapes of `W_1` [output channels, input channels * 9], `b_1` and so on, and of `W` and `b`.

    `W` is [size, values of the last convolution], `b` is [size].
    """
    found: dict[str, tuple[int, ...]] = {}
    side = 1
    for number, (before, channels, out) in enumerate(layers(sizes), 1):
        found |= {f"W_{number}": (out, channels * WIDTH**2), f"b_{number}": (out,)}
        side = -(-before // STRIDE)
    return found | {"W": (sizes.size, CHANNELS[-1] * side**2), "b": (sizes.size,)}


def initialise(sizes: Sizes, rng: np.random.Generator) -> dict[str, NDArray[np.float64]]:
    """Return zero biases, and uniform weights with the variance of He et al. (arXiv 1502.01852v1, relu)."""
    return {
        name: rng.uniform(-1, 1, shape) * (6 / shape[1]) ** 0.5 if len(shape) == 2 else np.zeros(shape)
        for name, shape in shapes(sizes).items()
    }


def run(sizes: Sizes, p: Mapping[str, Array], x: Array, past: Array) -> tuple[Array, Array]:
    """Apply the layers to each image alone; see `Front`."""
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
