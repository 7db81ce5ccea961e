"""The features of many sequences as one matrix, and the linear model that belongs to the columns of the matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import need
from unrolled.core.types import Array, Floats
from unrolled.models.wide.dense_linear import DenseLinear, columns
from unrolled.models.wide.sparse_linear import Ngrams, SparseLinear, entries

Matrix = Any  # [rows, F], an array or a sparse matrix of SciPy, which has no types
RARE = 2  # an n-gram must occur in so many texts, because one text shows nothing about others
MOST_NGRAMS = 1 << 17  # n-grams of a fit; the most frequent ones are used
MOST_WEIGHTS = 200_000  # weights of a model; with 8 bits, this takes about a megabyte
MOST_KEPT = 50_000  # n-grams of a model
SMALL = 1e-6  # a feature with a smaller deviation is constant


@dataclass(frozen=True, eq=False)
class NgramDesign:
    """One column for each known n-gram."""

    known: Ngrams

    def matrix(self, features: Sequence[Array]) -> Matrix:
        """Return a sparse matrix of the values of the n-grams."""
        rows, columns, values = entries(self.known, features)
        sparse = library("scipy.sparse")
        ends = np.cumsum(np.bincount(rows, minlength=len(features)))
        begins = np.concatenate([[0], ends]).astype(np.int32)  # liblinear needs 32 bits
        shape = (len(features), len(self.known.keys))
        return sparse.csr_array((values, columns.astype(np.int32), begins), shape=shape)

    def linear(self, coefficients: Floats, intercept: Floats) -> SparseLinear | None:
        """Return the model of the largest coefficients, in 8 bits; None if all are 0."""
        if not coefficients.any():
            return None
        pruned = prune(coefficients)
        scales = np.maximum(np.abs(pruned).max(1), np.finfo(np.float32).tiny) / 127  # [n_y]
        table = np.round(pruned / scales[:, None]).astype(np.int8).T  # [F, n_y]
        kept = (table != 0).any(1)
        table = table[kept]
        columns, outputs = np.nonzero(table)
        return SparseLinear(
            self.known.keys[kept],
            self.known.idf[kept],
            np.bincount(columns, minlength=len(table)).astype(np.uint16),
            outputs.astype(np.uint16),
            table[columns, outputs],
            scales.astype(np.float32),
            intercept.astype(np.float32),
        )


@dataclass(frozen=True, eq=False)
class NumberDesign:
    """One column for each feature, standardised."""

    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]

    def matrix(self, features: Sequence[Array]) -> Matrix:
        """Return the standardised features and their cosines."""
        return columns(features, self.mean, self.deviation)

    def linear(self, coefficients: Floats, intercept: Floats) -> DenseLinear:
        """Return the model with all coefficients."""
        return DenseLinear(
            self.mean, self.deviation, coefficients.astype(np.float32), intercept.astype(np.float32)
        )


def design_of(features: Sequence[Array]) -> NgramDesign | NumberDesign:
    """Return the columns for these features: hashes of n-grams (integers), or numbers."""
    if np.issubdtype(features[0].dtype, np.integer):
        return _columns(features)
    return _standardised(np.stack(features))


def prune(coefficients: Floats) -> Floats:
    """Return the coefficients [n_y, F] with zeros for all but the largest.

    At most MOST_KEPT columns and MOST_WEIGHTS coefficients are kept.
    """
    sizes = np.abs(coefficients)
    columns = sizes.max(0)
    limits = [_limit(columns, MOST_KEPT), _limit(sizes[sizes > 0], MOST_WEIGHTS)]
    return np.where((sizes >= limits[1]) & (columns >= limits[0]), coefficients, 0.0)


def _limit(sizes: Floats, most: int) -> float:
    """Return the smallest of the `most` largest sizes."""
    return 0.0 if len(sizes) <= most else float(np.partition(sizes, -most)[-most])


def _columns(features: Sequence[Array]) -> NgramDesign:
    keys, counts = np.unique(np.concatenate(features), return_counts=True)
    kept = counts >= min(RARE, int(counts.max()))
    kept &= counts >= _limit(counts[kept].astype(np.float64), MOST_NGRAMS)
    keys, counts = keys[kept], counts[kept]
    idf = np.log((1 + len(features)) / (1 + counts)) + 1
    return NgramDesign(Ngrams(keys.astype(np.uint32), idf.astype(np.float16)))


def _standardised(rows: Floats) -> NumberDesign:
    deviation = rows.std(0)
    deviation = np.where(deviation < SMALL, 1.0, deviation)
    return NumberDesign(rows.mean(0).astype(np.float32), deviation.astype(np.float32))


def library(name: str) -> ModuleType:
    """Import a module of scikit-learn or SciPy, which have no types. Raises MissingExtra."""
    with need("train", "scikit-learn"):
        return import_module(name)
