"""A linear model of the features of tokens, with scores of transitions: a linear-chain CRF without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import DataError
from unrolled.core.types import Array
from unrolled.models.wide.token_features import by_token

TYPES = {
    "keys": np.uint32,
    "counts": np.uint16,
    "outputs": np.uint16,
    "values": np.float16,
    "transitions": np.float32,
}


@dataclass(frozen=True, eq=False)
class TokenLinear:
    """The weights of the features. F is the number of features, W the number of weights that are not zero.

    keys: [F] hashes of the features, in increasing order.  counts: [F] number of weights of each feature.
    outputs: [W] the tag of each weight.  values: [W] the weights.
    transitions: [n_y, n_y] scores from one tag to the next.
    """

    keys: NDArray[np.uint32]
    counts: NDArray[np.uint16]
    outputs: NDArray[np.uint16]
    values: NDArray[np.float16]
    transitions: NDArray[np.float32]
    kind: ClassVar[str] = "token"
    each_step: ClassVar[bool] = True

    def describe(self) -> str:
        """Return a description for messages."""
        return f"a CRF of {len(self.keys):,} features of words with {len(self.values):,} weights"

    def tensors(self) -> dict[str, Array]:
        """Return the arrays that `from_tensors` reads."""
        return {name: getattr(self, name) for name in TYPES}

    def scores(self, sentences: Sequence[Array]) -> NDArray[np.float64]:
        """Return the scores of each token, [tokens, n_y]. sentences: the features of their tokens, [T * WIDTH] each."""
        n_y = len(self.transitions)
        found = np.concatenate([by_token(one) for one in sentences])  # [tokens, WIDTH]
        columns = np.minimum(np.searchsorted(self.keys, found), len(self.keys) - 1)
        rows, _ = there = (self.keys[columns] == found).nonzero()
        known = columns[there]
        counts = self.counts.astype(np.int64)
        own = counts[known]  # number of weights of each feature of each token
        first = np.repeat((np.cumsum(counts) - counts)[known] - (np.cumsum(own) - own), own)
        at = first + np.arange(len(first))  # positions of these weights in `values`
        cells = np.repeat(rows, own) * n_y + self.outputs[at]
        sums = np.bincount(cells, self.values[at].astype(np.float64), minlength=len(found) * n_y)
        return sums.astype(np.float64).reshape(len(found), n_y)


def from_tensors(tensors: Mapping[str, Array], n_y: int) -> TokenLinear:
    """Return the model of the arrays of `tensors`. Raises DataError if they are damaged."""
    types = {name: array.dtype for name, array in tensors.items()}
    if types != {name: np.dtype(kind) for name, kind in TYPES.items()}:
        raise DataError("the arrays of the wide part are damaged", expected=", ".join(TYPES))
    linear = TokenLinear(**tensors)
    keys, weights = linear.keys.shape, linear.values.shape
    fits = (
        linear.counts.shape == keys
        and linear.outputs.shape == weights
        and linear.transitions.shape == (n_y, n_y)
    )
    if not fits or len(keys) != 1 or len(weights) != 1:
        raise DataError("the shapes of the arrays of the wide part are damaged")
    rising = (linear.keys[1:] > linear.keys[:-1]).all()
    if not rising or int(linear.counts.sum()) != len(linear.values) or (linear.outputs >= n_y).any():
        raise DataError(
            "the numbers of the wide part are damaged", expected="increasing keys and one tag for each weight"
        )
    return linear
