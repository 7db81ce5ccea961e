"""Metrics of numbers: errors, and an interval that contains the true value with a chosen probability."""

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
    """Mean absolute error, root mean square error (both in the units of the output) and R2, each [n_y].

    R2 is 1 - squared error / squared distance of the true values from their mean. 1: perfect; 0: not better
    than predicting the mean. If all true values are equal, it is 1 if all predictions are correct and 0
    otherwise.
    """

    mae: F64
    rmse: F64
    r2: F64

    @property
    def mean_mae(self) -> float:
        """Mean of `mae` over the outputs."""
        return float(self.mae.mean())

    @property
    def mean_rmse(self) -> float:
        """Mean of `rmse` over the outputs."""
        return float(self.rmse.mean())

    @property
    def mean_r2(self) -> float:
        """Mean of `r2` over the outputs, with equal weights."""
        return float(self.r2.mean())


def score(gold: Floats, predicted: Floats) -> NumberScore:
    """Compare true and predicted numbers [N, n_y], or [N] for one output.

    Raises DataError if there are no items or the shapes differ, and NonFiniteError for NaN and infinity.
    """
    y, off = _checked(gold, predicted)
    squared = (off**2).sum(0)
    spread = ((y - y.mean(0)) ** 2).sum(0)
    alike = (y == y[0]).all(0)  # for equal values the rounding of the mean must not count as spread
    ratio = np.divide(squared, spread, out=np.where(squared > 0, 1.0, 0.0), where=~alike & (spread > 0))
    return NumberScore(np.abs(off).mean(0), np.sqrt((off**2).mean(0)), 1 - ratio)


def interval(residuals: Floats, share: float = 0.9) -> float:
    """Return the half width of an interval around predictions.

    The interval contains the true value with probability `share`.
    This is split conformal prediction (Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World,
    2005; Lei et al., arXiv 1604.04173v2): the ceil((n + 1) share)-th smallest absolute residual. It is inf if
    n is too small for `share` (below 9 for 0.9). The only assumption is that new items come from the same
    distribution as these items.
    residuals: [n] true - predicted values of items held out from training.
    Raises UsageError for a share outside 0 to 1, DataError if residuals are not [n], and NonFiniteError if
    they are not finite.
    """
    if not 0 < share < 1:
        raise UsageError(f"share {share}", expected="a number between 0 and 1")
    if residuals.ndim != 1:
        raise DataError(f"residuals of shape {residuals.shape}", expected="(n,), one output at a time")
    sizes = np.sort(np.abs(residuals.astype(np.float64)))
    if not np.isfinite(sizes).all():
        raise NonFiniteError("residuals are not finite")
    place = math.ceil(round((len(sizes) + 1) * share, 9))  # round, because 100 * 0.55 is slightly above 55
    return float(sizes[place - 1]) if place <= len(sizes) else math.inf


def coverage(gold: Floats, predicted: Floats, half_width: Floats | float) -> F64:
    """Return [n_y] the fraction of true numbers within predicted +- half_width (inclusive), for each output.

    gold, predicted: [N, n_y], or [N] for one output.  half_width: [n_y], or one for all outputs.
    Raises the errors of `score`.
    """
    _, off = _checked(gold, predicted)
    return (np.abs(off) <= half_width).mean(0)


def _checked(gold: Floats, predicted: Floats) -> tuple[F64, F64]:
    """Return the true values and the residuals, both [N, n_y] in float64. Raises the errors of `score`."""
    if gold.shape != predicted.shape or gold.ndim not in (1, 2):
        raise DataError(f"true numbers of shape {gold.shape} and predicted ones of shape {predicted.shape}")
    if not gold.size:
        raise DataError("nothing to score", expected="at least one item")
    y, y_hat = (np.asarray(part, dtype=np.float64).reshape(len(gold), -1) for part in (gold, predicted))
    if not (np.isfinite(y).all() and np.isfinite(y_hat).all()):
        raise NonFiniteError("numbers to compare are not finite")
    return y, y - y_hat
