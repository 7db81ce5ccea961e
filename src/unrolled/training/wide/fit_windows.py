"""Fit the wide part of a forecast: a ridge regression of the next steps on the window.

Neighbouring windows share most of their numbers, so whole blocks of time are left out in the cross-validation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unrolled.core.types import Array, Floats
from unrolled.models.wide.dense_linear import COSINES
from unrolled.models.wide.window_linear import WindowLinear, columns

BLOCKS = 10  # blocks of time of the cross-validation
STRENGTHS = (1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0)  # penalty of a squared weight, for standardised inputs
MOST_NUMBERS = 4e7  # numbers of the matrix that is fitted, which takes 320 MB
SMALL = 1e-6  # a number with a smaller deviation is constant


@dataclass(frozen=True, eq=False)
class FittedWindows:
    """A linear model of windows.

    strength: one of STRENGTHS.  errors: [rows, n_y] its errors on the windows that the cross-validation left out.
    """

    linear: WindowLinear
    strength: float
    errors: Floats


def fit_windows(features: Sequence[Array], y: Floats, n_x: int) -> FittedWindows:
    """Choose the strength by cross-validation and fit the model to all windows.

    features: [F] the numbers of each window, in the order of time.  y: [rows, n_y] standardised numbers.
    n_x: numbers per step.
    """
    features, y = _spread(features, y)
    x = columns(features, *standards(features, n_x))
    parts = [part for part in np.array_split(np.arange(len(x)), BLOCKS) if len(part)]
    errors = np.zeros((len(STRENGTHS), *y.shape))
    for part in parts:
        # The targets of windows close to the block overlap with its targets.
        apart = np.concatenate(
            [np.arange(0, part[0] - y.shape[1]), np.arange(part[-1] + 1 + y.shape[1], len(x))]
        )
        kept = apart if len(apart) else np.setdiff1d(np.arange(len(x)), part)
        for number, (weights, level) in enumerate(_ridges(x[kept], y[kept], STRENGTHS)):
            errors[number, part] = y[part] - x[part] @ weights.T - level
    best = int(np.square(errors).mean((1, 2)).argmin())
    return FittedWindows(refitted(features, y, n_x, STRENGTHS[best]), STRENGTHS[best], errors[best])


def refitted(features: Sequence[Array], y: Floats, n_x: int, strength: float) -> WindowLinear:
    """Fit the model with a given strength. features, y, n_x: see `fit_windows`."""
    features, y = _spread(features, y)
    mean, deviation = standards(features, n_x)
    [(weights, level)] = _ridges(columns(features, mean, deviation), y, (strength,))
    return WindowLinear(mean, deviation, weights.astype(np.float32), level.astype(np.float32))


def standards(features: Sequence[Array], n_x: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the mean and the deviation [H, n_x] of each number of the windows."""
    numbers = np.stack(features).astype(np.float64).reshape(len(features), -1, n_x)
    deviation = numbers.std(0)
    deviation = np.where(deviation < SMALL, 1.0, deviation)
    return numbers.mean(0).astype(np.float32), deviation.astype(np.float32)


def _ridges(x: Floats, y: Floats, strengths: Sequence[float]) -> list[tuple[Floats, Floats]]:
    """Return the weights [n_y, F] and intercepts [n_y] for each strength. The intercept has no penalty."""
    centre, level = x.mean(0), y.mean(0)
    gram = x.T @ x - len(x) * np.outer(centre, centre)
    products = x.T @ y - len(x) * np.outer(centre, level)
    # The columns of x are small: all numbers of a window together have a Euclidean norm of about 1.
    diagonal = np.eye(len(gram)) / len(gram)
    found = [np.linalg.solve(gram + strength * diagonal, products).T for strength in strengths]
    return [(weights, level - weights @ centre) for weights in found]


def _spread(features: Sequence[Array], y: Floats) -> tuple[Sequence[Array], Floats]:
    """Return evenly spread windows with at most MOST_NUMBERS numbers."""
    most = max(2 * BLOCKS, int(MOST_NUMBERS / (len(features[0]) + COSINES)))
    if len(features) <= most:
        return features, y
    rows = np.linspace(0, len(features) - 1, most).astype(np.int64)
    return [features[row] for row in rows.tolist()], y[rows]
