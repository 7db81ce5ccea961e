"""Estimate the period of the seasons of a series, such as 168 steps for hourly data with daily and weekly seasons."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from unrolled.core.types import Floats

CYCLES = 3  # a period must fit into the longest series so many times
CLEAR = 0.3  # minimum autocorrelation of a season
FEW = 6  # a season that fits fewer times needs the autocorrelation CLEAR_OF_FEW, because a random walk has waves too
CLEAR_OF_FEW = 0.6
BETTER = 0.6  # a longer period must reduce the squared error of repeating the last season to this fraction
EXACT = 0.01  # smaller errors count as equal
LONGEST = 50_000  # maximum period


def find_period(known: Sequence[Floats], longest: int = LONGEST) -> int:
    """Return the period of series [T_x, n_x]; 1 if they have no season. Missing numbers are NaN.

    It is a peak of the autocorrelation, which is pooled over all series and columns. 1 - autocorrelation is the squared
    error of a forecast that repeats the values one period before. A multiple of the period has about the same error, so
    the result is the shortest period with nearly the smallest error.
    Trends and slow changes are removed first: in a series of T steps, all waves longer than T / CYCLES.
    longest: maximum period. The period is also at most a third of the longest series.
    """
    lags = min(longest, max(map(len, known)) // CYCLES)
    if lags < 2:
        return 1
    r = _repeated(known, lags + 1)
    clear = np.where(np.arange(lags + 2) * FEW > max(map(len, known)), CLEAR_OF_FEW, CLEAR)
    peaks = [k for k in range(2, lags + 1) if r[k] > clear[k] and r[k] > r[k - 1] and r[k] >= r[k + 1]]
    error = np.maximum(1 - r, EXACT)
    smallest = min((error[k] for k in peaks), default=1.0)
    return next((k for k in peaks if smallest >= BETTER * error[k]), 1)


def _repeated(known: Sequence[Floats], lags: int) -> NDArray[np.float64]:
    """Return [lags + 1] the mean autocorrelation at each lag and its multiples, after trends are removed.

    The multiples tell neighbouring periods apart, because their differences add up.
    """
    longest = max(map(len, known))
    products, pairs = np.zeros(longest), np.zeros(longest)
    scale = _deviation(known)
    for x in known:
        if len(x) < 2 * CYCLES:
            continue
        z = _without_trend(x / scale)
        size = 2 * len(z)  # zero padding to twice the length avoids circular correlation
        power = np.square(np.abs(np.fft.rfft(z, size, axis=0))).sum(1)
        products[: len(z)] += np.fft.irfft(power, size)[: len(z)]
        pairs[: len(z)] += z.shape[1] * (len(z) - np.arange(len(z)))
    if products[0] <= 1e-9 * max(pairs[0], 1.0):
        return np.zeros(lags + 1)
    repeated = [products[k::k].sum() / max(pairs[k::k].sum(), 1.0) for k in range(1, lags + 1)]
    return np.array([1.0, *repeated]) / (products[0] / pairs[0])


def _deviation(known: Sequence[Floats]) -> NDArray[np.float64]:
    """Return [n_x] the standard deviation of each column over all series; 1 for a constant column."""
    x = np.concatenate(known)
    missing = np.isnan(x)
    count = np.maximum((~missing).sum(0), 1)
    off = np.where(missing, 0.0, x - np.where(missing, 0.0, x).sum(0) / count)
    deviation = np.sqrt(np.square(off).sum(0) / count)
    return np.where(deviation > 1e-12, deviation, 1.0)


def _without_trend(x: Floats) -> NDArray[np.float64]:
    """Return [T, n_x] without its linear trend and without waves longer than T / CYCLES."""
    x = x.astype(np.float64)
    missing = np.isnan(x)
    t = np.linspace(-1, 1, len(x))[:, None]
    known = np.maximum((~missing).sum(0), 1)
    x = np.where(
        missing, 0.0, x - np.where(missing, 0.0, x).sum(0) / known
    )  # missing numbers become the mean
    x = x - x.mean(0) - t * (t * x).sum(0) / np.square(t).sum()
    waves = np.fft.rfft(x, axis=0)
    waves[:CYCLES] = 0
    return np.fft.irfft(waves, len(x), axis=0)
