"""A linear model of a fixed number of features, for sequences of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import DataError
from unrolled.core.types import Array

NAMES = ("mean", "deviation", "weights", "intercept")


@dataclass(frozen=True, eq=False)
class DenseLinear:
    """The weights of a linear model of F features.

    mean, deviation: [F] of the features in the training set.  weights: [n_y, F].  intercept: [n_y].
    """

    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]
    weights: NDArray[np.float32]
    intercept: NDArray[np.float32]
    kind: ClassVar[str] = "dense"

    def describe(self) -> str:
        """Return a description for messages."""
        return f"a linear model of {len(self.mean):,} features"

    def tensors(self) -> dict[str, Array]:
        """Return the arrays that `from_tensors` reads."""
        return {name: getattr(self, name) for name in NAMES}

    def scores(self, rows: Sequence[Array]) -> NDArray[np.float64]:
        """Return the scores [rows, n_y]. rows: the features [F] of each sequence."""
        standard = (np.stack(rows) - self.mean) / self.deviation  # [rows, F]
        return standard.astype(np.float64) @ self.weights.T.astype(np.float64) + self.intercept


def from_tensors(tensors: Mapping[str, Array], n_y: int) -> DenseLinear:
    """Return the model of the arrays of `tensors`. Raises DataError if they are damaged."""
    if set(tensors) != set(NAMES) or any(array.dtype != np.float32 for array in tensors.values()):
        raise DataError("the arrays of the wide part are damaged", expected=", ".join(NAMES))
    linear = DenseLinear(**tensors)
    count = linear.mean.size
    shapes = {"mean": (count,), "deviation": (count,), "weights": (n_y, count), "intercept": (n_y,)}
    for name, shape in shapes.items():
        if tensors[name].shape != shape:
            raise DataError(
                f"the array '{name}' of the wide part is {list(tensors[name].shape)}",
                expected=f"{list(shape)}",
            )
    if (linear.deviation <= 0).any():
        raise DataError("the numbers of the wide part are damaged", expected="deviations above 0")
    return linear
