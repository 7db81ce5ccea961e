"""A linear model of a fixed number of features, for sequences of numbers.

It also reads random cosines of the features, so that it can bend: a linear model of them approximates a kernel machine
with a Gaussian kernel (Rahimi and Recht 2007, "Random Features for Large-Scale Kernel Machines", NIPS).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import DataError
from unrolled.core.hashing import hashed
from unrolled.core.types import Array, Floats

COSINES = 500
FARTHEST = 10.0  # standardised features are limited to this
_COSINES, _PHASES = 41, 42  # hash keys; the random numbers are the same in every release
NAMES = ("mean", "deviation", "weights", "intercept")


@dataclass(frozen=True, eq=False)
class DenseLinear:
    """The weights of a linear model of F features and COSINES random cosines of them.

    mean, deviation: [F] of the features in the training set.  weights: [n_y, F + COSINES].  intercept: [n_y].
    """

    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]
    weights: NDArray[np.float32]
    intercept: NDArray[np.float32]
    kind: ClassVar[str] = "dense"
    each_step: ClassVar[bool] = False

    def describe(self) -> str:
        """Return a description for messages."""
        return f"a linear model of {len(self.mean):,} features"

    def tensors(self) -> dict[str, Array]:
        """Return the arrays that `from_tensors` reads."""
        return {name: getattr(self, name) for name in NAMES}

    def scores(self, rows: Sequence[Array]) -> NDArray[np.float64]:
        """Return the scores [rows, n_y]. rows: the features [F] of each sequence."""
        return columns(rows, self.mean, self.deviation) @ self.weights.T.astype(np.float64) + self.intercept


def columns(rows: Sequence[Array], mean: Array, deviation: Array) -> NDArray[np.float64]:
    """Return the inputs [rows, F + COSINES] of the linear model: standardised features, and cosines of them.

    rows: the features [F] of each sequence.  mean, deviation: [F].

    Both groups have a Euclidean norm of about 1.
    """
    count = len(mean)
    standard = (np.stack(rows).astype(np.float64) - mean) / deviation  # [rows, F]
    standard = np.clip(standard, -FARTHEST, FARTHEST) / np.sqrt(count)
    across, phases = directions(count)
    cosines = np.cos(np.sqrt(2) * standard @ across + phases) * np.sqrt(2 / COSINES)
    return np.concatenate([standard, cosines], axis=1)


@cache
def directions(count: int) -> tuple[Floats, Floats]:
    """Return random directions [count, COSINES], each number normally distributed, and phases [COSINES]."""
    drawn = hashed((_COSINES,), np.arange(count * COSINES * 2)) / 2.0**64  # between 0 and 1
    first, second = drawn.reshape(2, count, COSINES)
    across = np.sqrt(-2 * np.log1p(-first)) * np.cos(2 * np.pi * second)  # Box and Muller 1958
    return across, 2 * np.pi * hashed((_PHASES,), np.arange(COSINES)) / 2.0**64


def from_tensors(tensors: Mapping[str, Array], n_y: int) -> DenseLinear:
    """Return the model of the arrays of `tensors`. Raises DataError if they are damaged."""
    if set(tensors) != set(NAMES) or any(array.dtype != np.float32 for array in tensors.values()):
        raise DataError("the arrays of the wide part are damaged", expected=", ".join(NAMES))
    linear = DenseLinear(**tensors)
    count = linear.mean.size
    shapes = {"mean": (count,), "deviation": (count,), "weights": (n_y, count + COSINES), "intercept": (n_y,)}
    for name, shape in shapes.items():
        if tensors[name].shape != shape:
            raise DataError(
                f"the array '{name}' of the wide part is {list(tensors[name].shape)}",
                expected=f"{list(shape)}",
            )
    if (linear.deviation <= 0).any():
        raise DataError("the numbers of the wide part are damaged", expected="deviations above 0")
    return linear
