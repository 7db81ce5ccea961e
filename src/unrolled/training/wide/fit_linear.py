"""Fit the linear model of the wide part: a linear SVM for classes, ridge regression for numbers.

Both are convex, so they need no learning rate and no seed. The strength of their regularisation is chosen by
cross-validation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unrolled.core.hashing import permuted
from unrolled.core.types import Array
from unrolled.models.wide.wide_part import Linear, normalised
from unrolled.training.wide.matrices import Matrix, design_of, library

FOLDS = 3
STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0)  # C of the SVM, and 1 / alpha of the ridge regression
MOST_TRIED = 4e7  # stored numbers times outputs in the cross-validation, which takes seconds
MOST_FITTED = 1e9  # the same in the final fit
_FOLDS = 31  # hash key of the folds
Scores = NDArray[np.float64]  # [rows, n_y]


@dataclass(frozen=True, eq=False)
class Targets:
    """The targets of a fit.

    y: [rows] classes, or [rows, n_y] numbers.  n_y: number of outputs.  weights: [rows] of the rows; None: all are 1.
    """

    y: Array
    n_y: int
    weights: Array | None = None

    @property
    def classes(self) -> bool:
        """Whether the targets are classes."""
        return self.y.ndim == 1

    def take(self, rows: NDArray[np.int64]) -> Targets:
        """Return the targets of some rows."""
        return Targets(self.y[rows], self.n_y, None if self.weights is None else self.weights[rows])


@dataclass(frozen=True)
class Strength:
    """The result of the cross-validation.

    strength: the best value of STRENGTHS.
    scale: the factor of the scores. With it, the softmax of the scores of an SVM has the smallest loss.
    """

    strength: float
    scale: float


def choose_strength(features: Sequence[Array], targets: Targets) -> Strength:
    """Return the strength with the smallest loss in a cross-validation over at most MOST_TRIED numbers."""
    features, targets = _limited(features, targets, MOST_TRIED)
    design = design_of(features)
    x = design.matrix(features)
    order = permuted((_FOLDS,), len(features), np.arange(len(features)))
    best: tuple[float, Strength] | None = None
    for strength in STRENGTHS:
        scores = np.zeros((len(features), targets.n_y))
        for fold in range(FOLDS):
            held = np.sort(order[fold::FOLDS])
            rest = np.setdiff1d(order, held)
            coefficients, intercept = _fit(x[rest], targets.take(rest), strength)
            scores[held] = x[held] @ coefficients.T + intercept
        loss, scale = _loss(scores, targets)
        if best is None or loss < best[0]:
            best = loss, Strength(strength, scale)
    assert best is not None
    return best[1]


def fit_linear(features: Sequence[Array], targets: Targets, chosen: Strength) -> Linear:
    """Fit the model to all rows, or to as many of them as MOST_FITTED allows."""
    features, targets = _limited(features, targets, MOST_FITTED)
    design = design_of(features)
    coefficients, intercept = _fit(design.matrix(features), targets, chosen.strength)
    return design.linear(coefficients * chosen.scale, intercept * chosen.scale)


def learnable(targets: Targets) -> bool:
    """Return whether there is something to fit: at least 2 FOLDS rows and, for classes, FOLDS rows of two classes."""
    if len(targets.y) < 2 * FOLDS:
        return False
    return not targets.classes or int((np.bincount(targets.y) >= FOLDS).sum()) >= 2


def _limited(features: Sequence[Array], targets: Targets, most: float) -> tuple[Sequence[Array], Targets]:
    """Return evenly spread rows with at most `most` numbers times outputs."""
    size = sum(len(one) for one in features) * (targets.n_y if targets.classes else 1)
    if size <= most:
        return features, targets
    rows = np.linspace(0, len(features) - 1, max(1, int(len(features) * most / size))).astype(np.int64)
    return [features[row] for row in rows.tolist()], targets.take(rows)


def _fit(x: Matrix, targets: Targets, strength: float) -> tuple[Scores, Scores]:
    """Return the coefficients [n_y, F] and the intercepts [n_y]."""
    return (_svm if targets.classes else _ridge)(x, targets, strength)


def _svm(x: Matrix, targets: Targets, strength: float) -> tuple[Scores, Scores]:
    """Fit one SVM for each class against the rest. A class without rows gets a score below all others."""
    svm = library("sklearn.svm")
    model = svm.LinearSVC(C=strength, random_state=0).fit(x, targets.y, targets.weights)
    found, weights, levels = model.classes_, model.coef_, model.intercept_
    if len(found) == 2:  # one SVM
        weights, levels = np.concatenate([-weights, weights]), np.concatenate([-levels, levels])
    coefficients, intercept = np.zeros((targets.n_y, x.shape[1])), np.full(targets.n_y, -1.5)
    coefficients[found], intercept[found] = weights, levels
    return coefficients, intercept


def _ridge(x: Matrix, targets: Targets, strength: float) -> tuple[Scores, Scores]:
    linear = library("sklearn.linear_model")
    model = linear.Ridge(alpha=1 / strength, solver="lsqr").fit(x, targets.y, targets.weights)
    return np.atleast_2d(model.coef_), np.atleast_1d(model.intercept_)


def _loss(scores: Scores, targets: Targets) -> tuple[float, float]:
    """Return the mean loss of scores, and the factor of the scores with which it is smallest."""
    if not targets.classes:
        return float(np.square(scores - targets.y).mean()), 1.0
    rows = np.arange(len(scores))

    def loss(power: float) -> float:
        return -float(normalised(scores * np.exp(power))[rows, targets.y].mean())

    found = library("scipy.optimize").minimize_scalar(loss, bounds=(-3.0, 5.0), method="bounded")
    return float(found.fun), float(np.exp(found.x))
