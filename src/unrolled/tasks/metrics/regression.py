"""Metrics of numbers: errors, and an interval that contains the truth with a given probability."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import DataError, NonFiniteError, UsageError
from unrolled.core.types import Floats

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class NumberScore:
    """Mean absolute error, root of the mean squared error (both in the outputs' own units) and R2, each [n_y].

    R2 is 1 - squared error / squared distance from the mean of the true values: 1 complete, 0 no better than
    always that mean. Where the true values are all alike it is 1 if all predictions are right and 0 otherwise.
    """

    mae: F64
    rmse: F64
    r2: F64

    @property
    def mean_mae(self) -> float:
        """The mean over the outputs."""
        return float(self.mae.mean())

    @property
    def mean_rmse(self) -> float:
        """The mean over the outputs."""
        return float(self.rmse.mean())

    @property
    def mean_r2(self) -> float:
        """The mean over the outputs, each counting alike."""
        return float(self.r2.mean())


def score(gold: Floats, predicted: Floats) -> NumberScore:
    """Compare true and predicted numbers [N, n_y], or [N] of one output.

    Raises DataError where there is nothing to score or the shapes differ, NonFiniteError for NaN and infinity.
    """
    y, off = _checked(gold, predicted)
    squared = (off**2).sum(0)
    spread = ((y - y.mean(0)) ** 2).sum(0)
    alike = (y == y[0]).all(0)  # the rounding of the mean must not pass for a spread
    ratio = np.divide(squared, spread, out=np.where(squared > 0, 1.0, 0.0), where=~alike & (spread > 0))
    return NumberScore(np.abs(off).mean(0), np.sqrt((off**2).mean(0)), 1 - ratio)


def interval(residuals: Floats, share: float = 0.9) -> float:
    """Half the width of an interval around a prediction that holds a further true value with this probability.

    Split conformal prediction (Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005; Lei et al.,
    arXiv 1604.04173v2): the ceil((n + 1) share)-th smallest of the absolute residuals [n] (true - predicted, on
    items held out from training); inf where n is too small for the share (below 9 for 0.9). No more is assumed than
    that the further item is of the same kind as these.
    Raises UsageError for a share outside 0 to 1 and NonFiniteError for residuals that are not finite.
    """
    if not 0 < share < 1:
        raise UsageError(f"share {share}", expected="a number between 0 and 1")
    if residuals.ndim != 1:
        raise DataError(f"residuals of shape {residuals.shape}", expected="(n,), one output at a time")
    sizes = np.sort(np.abs(residuals.astype(np.float64)))
    if not np.isfinite(sizes).all():
        raise NonFiniteError("residuals are not finite")
    place = math.ceil(round((len(sizes) + 1) * share, 9))  # rounded: 100 * 0.55 is a little more than 55
    return float(sizes[place - 1]) if place <= len(sizes) else math.inf


def coverage(gold: Floats, predicted: Floats, half_width: Floats | float) -> F64:
    """The share of the true numbers within predicted +- half_width, ends included, of each output: [n_y].

    gold, predicted: [N, n_y], or [N] of one output.  half_width: [n_y], or one for all. Raises as `score`.
    """
    _, off = _checked(gold, predicted)
    return (np.abs(off) <= half_width).mean(0)


def _checked(gold: Floats, predicted: Floats) -> tuple[F64, F64]:
    """The true values and the residuals, both [N, n_y] in float64."""
    if gold.shape != predicted.shape or gold.ndim not in (1, 2):
        raise DataError(f"true numbers of shape {gold.shape} and predicted ones of shape {predicted.shape}")
    if not gold.size:
        raise DataError("nothing to score", expected="at least one item")
    y, y_hat = (np.asarray(part, dtype=np.float64).reshape(len(gold), -1) for part in (gold, predicted))
    if not (np.isfinite(y).all() and np.isfinite(y_hat).all()):
        raise NonFiniteError("numbers to compare are not finite")
    return y, y - y_hat
