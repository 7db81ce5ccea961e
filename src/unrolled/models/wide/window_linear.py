"""A linear model of a window of a series, for forecasts.

It reads all numbers of the window, and random cosines of the window without its level, so that it can bend: see
`dense_linear`. A trend moves the level beyond the values of the training set. The cosines do not change with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import DataError
from unrolled.core.types import Array
from unrolled.models.wide.dense_linear import COSINES, FARTHEST, NAMES, directions

COSINE_SIZE = (
    0.1  # of the cosines beside the numbers, so that their weights have a larger penalty; docs/log.md
)


@dataclass(frozen=True, eq=False)
class WindowLinear:
    """The weights of a linear model of a window of H steps with n_x numbers each. F = H * n_x.

    mean, deviation: [H, n_x] of the numbers in the training set.  weights: [n_y, F + COSINES].  intercept: [n_y].
    """

    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]
    weights: NDArray[np.float32]
    intercept: NDArray[np.float32]
    kind: ClassVar[str] = "window"
    each_step: ClassVar[bool] = False

    def describe(self) -> str:
        """Return a description for messages."""
        return f"a ridge regression on {self.mean.size:,} numbers and {COSINES} cosines of them"

    def tensors(self) -> dict[str, Array]:
        """Return the arrays that `from_tensors` reads."""
        return {name: getattr(self, name) for name in NAMES}

    def scores(self, rows: Sequence[Array]) -> NDArray[np.float64]:
        """Return the forecasts [rows, n_y]. rows: the numbers [F] of each window, step by step."""
        return columns(rows, self.mean, self.deviation) @ self.weights.T.astype(np.float64) + self.intercept


def columns(rows: Sequence[Array], mean: Array, deviation: Array) -> NDArray[np.float64]:
    """Return the inputs [rows, F + COSINES] of the linear model: standardised numbers, and cosines of them.

    rows: the numbers [F] of each window.  mean, deviation: [H, n_x].
    """
    standard = (np.stack(rows).astype(np.float64).reshape(-1, *mean.shape) - mean) / deviation
    standard = np.clip(standard, -FARTHEST, FARTHEST) / np.sqrt(mean.size)  # [rows, H, n_x]
    shape = standard - standard.mean(1, keepdims=True)
    across, phases = directions(mean.size)
    cosines = np.cos(np.sqrt(2) * shape.reshape(len(rows), -1) @ across + phases) * np.sqrt(2 / COSINES)
    return np.concatenate([standard.reshape(len(rows), -1), COSINE_SIZE * cosines], axis=1)


def from_tensors(tensors: Mapping[str, Array], n_y: int) -> WindowLinear:
    """Return the model of the arrays of `tensors`. Raises DataError if they are damaged."""
    if set(tensors) != set(NAMES) or any(array.dtype != np.float32 for array in tensors.values()):
        raise DataError("the arrays of the wide part are damaged", expected=", ".join(NAMES))
    linear = WindowLinear(**tensors)
    shapes = {
        "mean": linear.mean.shape if linear.mean.ndim == 2 else (1, 1),
        "deviation": linear.mean.shape,
        "weights": (n_y, linear.mean.size + COSINES),
        "intercept": (n_y,),
    }
    for name, shape in shapes.items():
        if tensors[name].shape != shape:
            raise DataError(
                f"the array '{name}' of the wide part is {list(tensors[name].shape)}",
                expected=f"{list(shape)}",
            )
    if (linear.deviation <= 0).any():
        raise DataError("the numbers of the wide part are damaged", expected="deviations above 0")
    return linear
