"""Fit the linear model of the wide part: an SVM or a softmax regression for classes, ridge regression for numbers.

All are convex, so they need no learning rate and no seed. The method and the strength of its regularisation are
chosen by cross-validation.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unrolled.core.hashing import permuted
from unrolled.core.types import Array
from unrolled.models.wide.wide_part import Linear, normalised
from unrolled.training.wide.matrices import Matrix, design_of, library
from unrolled.training.wide.mixing import smoothed

FOLDS = 3
FEWEST = 30  # training sequences; with fewer, the import of scikit-learn takes longer than the whole training
STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0)  # C of the SVM, and 1 / alpha of the ridge regression
ITERATIONS = 50  # of the softmax regression
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
class Method:
    """A way to fit.

    fit: (matrix, targets, strength) -> coefficients [n_y, F] and intercepts [n_y].  strengths: those that are tried.
    classes: whether the targets are classes.  most_outputs: it is not tried with more outputs.
    """

    fit: Callable[[Matrix, Targets, float], tuple[Scores, Scores]]
    strengths: tuple[float, ...]
    classes: bool = True
    most_outputs: int = 1 << 30


@dataclass(frozen=True)
class Choice:
    """The result of the cross-validation.

    method: a key of METHODS.  strength: one of its strengths.
    scale: the factor of the scores. With it, the softmax of the scores has the smallest loss.
    """

    method: str
    strength: float
    scale: float


def choose(features: Sequence[Array], targets: Targets) -> Choice:
    """Return the method and strength with the smallest loss in a cross-validation over at most MOST_TRIED numbers."""
    features, targets = _limited(features, targets, MOST_TRIED)
    x = design_of(features).matrix(features)
    order = permuted((_FOLDS,), len(features), np.arange(len(features)))
    folds = [np.sort(order[fold::FOLDS]) for fold in range(FOLDS)]
    found: list[tuple[float, Choice]] = []
    for name, method in METHODS.items():
        if method.classes != targets.classes or targets.n_y > method.most_outputs:
            continue
        for strength in method.strengths:
            scores = np.zeros((len(features), targets.n_y))
            for held in folds:
                rest = np.setdiff1d(order, held)
                coefficients, intercept = _fit(x[rest], targets.take(rest), name, strength)
                scores[held] = x[held] @ coefficients.T + intercept
            loss, scale = _loss(scores, targets)
            found.append((loss, Choice(name, strength, scale)))
    return min(found, key=lambda one: one[0])[1]


def fit_linear(features: Sequence[Array], targets: Targets, chosen: Choice) -> Linear | None:
    """Fit the model to all rows, or to as many of them as MOST_FITTED allows.

    Return None if all its weights are 0, for example because all texts are equal.
    """
    features, targets = _limited(features, targets, MOST_FITTED)
    design = design_of(features)
    coefficients, intercept = _fit(design.matrix(features), targets, chosen.method, chosen.strength)
    return design.linear(coefficients * chosen.scale, intercept * chosen.scale)


def learnable(targets: Targets) -> bool:
    """Return whether there is something to fit: at least FEWEST rows and, for classes, FOLDS rows of two classes."""
    if len(targets.y) < FEWEST:
        return False
    return not targets.classes or int((np.bincount(targets.y) >= FOLDS).sum()) >= 2


def _limited(features: Sequence[Array], targets: Targets, most: float) -> tuple[Sequence[Array], Targets]:
    """Return evenly spread rows with at most `most` numbers times outputs."""
    size = sum(len(one) for one in features) * (targets.n_y if targets.classes else 1)
    if size <= most:
        return features, targets
    rows = np.linspace(0, len(features) - 1, max(1, int(len(features) * most / size))).astype(np.int64)
    return [features[row] for row in rows.tolist()], targets.take(rows)


def _fit(x: Matrix, targets: Targets, method: str, strength: float) -> tuple[Scores, Scores]:
    """Return the coefficients [n_y, F] and the intercepts [n_y]. They are zeros if all rows have one class."""
    if targets.classes and len(np.unique(targets.y)) < 2:
        return np.zeros((targets.n_y, x.shape[1])), np.zeros(targets.n_y)
    with warnings.catch_warnings():
        # A fit that is not quite at its optimum predicts as well as one that is.
        warnings.simplefilter("ignore", library("sklearn.exceptions").ConvergenceWarning)
        return METHODS[method].fit(x, targets, strength)


def _svm(x: Matrix, targets: Targets, strength: float) -> tuple[Scores, Scores]:
    """Fit one SVM for each class against the rest."""
    model = library("sklearn.svm").LinearSVC(C=strength, random_state=0)
    return _of_classes(model.fit(x, targets.y, targets.weights), targets.n_y)


def _logistic(x: Matrix, targets: Targets, strength: float) -> tuple[Scores, Scores]:
    """Fit a softmax regression."""
    model = library("sklearn.linear_model").LogisticRegression(C=strength, max_iter=ITERATIONS)
    return _of_classes(model.fit(x, targets.y, targets.weights), targets.n_y)


def _of_classes(model: Matrix, n_y: int) -> tuple[Scores, Scores]:
    """Return the coefficients of a fitted classifier. A class without rows gets a score below all others."""
    found, weights, levels = model.classes_, model.coef_, model.intercept_
    if len(found) == 2:  # the model has the scores of the second class only
        weights, levels = np.concatenate([-weights, weights]) / 2, np.concatenate([-levels, levels]) / 2
    coefficients = np.zeros((n_y, weights.shape[1]))
    intercept = np.full(n_y, levels.min() - np.abs(weights).max() - 1)
    coefficients[found], intercept[found] = weights, levels
    return coefficients, intercept


def _ridge(x: Matrix, targets: Targets, strength: float) -> tuple[Scores, Scores]:
    model = library("sklearn.linear_model").Ridge(alpha=1 / strength, solver="lsqr")
    model.fit(x, targets.y, targets.weights)
    return np.atleast_2d(model.coef_), np.atleast_1d(model.intercept_)


METHODS = {
    "linear SVM": Method(_svm, STRENGTHS),
    # More accurate than the SVM for a class between two others, but much slower with many classes.
    "logistic regression": Method(_logistic, (10.0, 100.0), most_outputs=20),
    "ridge regression": Method(_ridge, STRENGTHS, classes=False),
}


def _loss(scores: Scores, targets: Targets) -> tuple[float, float]:
    """Return the mean loss of scores, and the factor of the scores with which it is smallest."""
    if not targets.classes:
        return float(np.square(scores - targets.y).mean()), 1.0
    truth = smoothed(targets.y, targets.n_y)

    def loss(power: float) -> float:
        return -float((truth * normalised(scores * np.exp(power))).sum(1).mean())

    found = library("scipy.optimize").minimize_scalar(loss, bounds=(-3.0, 3.0), method="bounded")
    return float(found.fun), float(np.exp(found.x))
