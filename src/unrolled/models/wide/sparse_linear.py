"""A linear model of the n-grams of a text. Most of its weights are zero, and the others have 8 bits.

The value of an n-gram in a text is its inverse document frequency, whether it occurs once or several times. The values
of all word n-grams of a text are scaled to a Euclidean norm of 1, and those of all character n-grams too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import DataError
from unrolled.core.types import Array
from unrolled.models.wide.ngrams import OF_WORDS

TYPES = {
    "keys": np.uint32,
    "idf": np.float16,
    "counts": np.uint16,
    "outputs": np.uint16,
    "values": np.int8,
    "scales": np.float32,
    "intercept": np.float32,
}


@dataclass(frozen=True, eq=False)
class Ngrams:
    """The n-grams that a linear model knows. F is their number.

    keys: [F] their hashes, in increasing order.  idf: [F] the inverse document frequency of each.
    """

    keys: NDArray[np.uint32]
    idf: NDArray[np.float16]


@dataclass(frozen=True, eq=False)
class SparseLinear:
    """The weights of a linear model of n-grams. W is the number of weights that are not zero.

    keys, idf: as in `Ngrams`.
    counts: [F] number of weights of each n-gram.
    outputs: [W] the output of each weight.  values: [W] each weight, in units of the scale of its output.
    scales: [n_y].  intercept: [n_y].
    """

    keys: NDArray[np.uint32]
    idf: NDArray[np.float16]
    counts: NDArray[np.uint16]
    outputs: NDArray[np.uint16]
    values: NDArray[np.int8]
    scales: NDArray[np.float32]
    intercept: NDArray[np.float32]
    kind: ClassVar[str] = "sparse"
    each_step: ClassVar[bool] = False

    @property
    def n_y(self) -> int:
        """Number of outputs."""
        return len(self.intercept)

    def describe(self) -> str:
        """Return a description for messages."""
        return f"a linear model of {len(self.keys):,} n-grams with {len(self.values):,} weights"

    def tensors(self) -> dict[str, Array]:
        """Return the arrays that `from_tensors` reads."""
        return {name: getattr(self, name) for name in TYPES}

    def scores(self, texts: Sequence[Array]) -> NDArray[np.float64]:
        """Return the scores [texts, n_y]. texts: the hashes of the n-grams of each text."""
        rows, columns, values = entries(Ngrams(self.keys, self.idf), texts)
        counts = self.counts.astype(np.int64)
        own = counts[columns]  # number of weights of each n-gram of each text
        # The positions of these weights in `values`: the ranges that begin at the first weight of each n-gram.
        first = np.repeat((np.cumsum(counts) - counts)[columns] - (np.cumsum(own) - own), own)
        at = first + np.arange(len(first))
        products = self.values[at] * np.repeat(values, own)
        cells = np.repeat(rows, own) * self.n_y + self.outputs[at]
        sums = np.bincount(cells, products, minlength=len(texts) * self.n_y)
        scales, intercept = self.scales.astype(np.float64), self.intercept.astype(np.float64)
        return sums.reshape(len(texts), self.n_y) * scales + intercept


def entries(
    known: Ngrams, texts: Sequence[Array]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return the values of the known n-grams of texts: their rows, columns and values, sorted by row.

    texts: the hashes of the n-grams of each text, in increasing order.
    """
    found = np.concatenate([np.zeros(0, np.uint32), *texts])
    rows = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
    columns = np.minimum(np.searchsorted(known.keys, found), max(0, len(known.keys) - 1))
    there = known.keys[columns] == found
    rows, columns = rows[there], columns[there]
    values = known.idf[columns].astype(np.float64)
    group = 2 * rows + (known.keys[columns] >= OF_WORDS)
    norms = np.sqrt(np.bincount(group, values**2, minlength=2 * len(texts)))
    return rows, columns, values / norms[group]


def from_tensors(tensors: Mapping[str, Array], n_y: int) -> SparseLinear:
    """Return the model of the arrays of `tensors`. Raises DataError if they are damaged."""
    types = {name: array.dtype for name, array in tensors.items()}
    if types != {name: np.dtype(kind) for name, kind in TYPES.items()}:
        raise DataError("the arrays of the wide part are damaged", expected=", ".join(TYPES))
    linear = SparseLinear(**tensors)
    n_keys, n_weights = len(linear.keys), len(linear.values)
    sizes = {"keys": n_keys, "idf": n_keys, "counts": n_keys, "outputs": n_weights, "values": n_weights}
    sizes |= {"scales": n_y, "intercept": n_y}
    for name, size in sizes.items():
        if tensors[name].shape != (size,):
            raise DataError(
                f"the array '{name}' of the wide part is {list(tensors[name].shape)}", expected=f"[{size}]"
            )
    rising = (linear.keys[1:] > linear.keys[:-1]).all()
    if (
        not rising
        or (linear.idf <= 0).any()
        or int(linear.counts.sum()) != n_weights
        or (linear.outputs >= n_y).any()
    ):
        raise DataError(
            "the numbers of the wide part are damaged", expected="increasing keys and one output per weight"
        )
    return linear
