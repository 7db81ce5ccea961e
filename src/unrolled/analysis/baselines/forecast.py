"""Forecast baselines for series: repeat the last season, and ridge regression on the last values.

For `next` the answer to a series has the shape of the series, [T_x, n_x]: row t is the forecast of x_t from
the rows before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

import numpy as np

from unrolled.analysis.baselines.example_arrays import reals, series
from unrolled.analysis.baselines.fitting import (
    Baseline,
    Fold,
    folds,
    picked_ridge,
    scaling,
)
from unrolled.core.errors import UsageError
from unrolled.core.types import Example, Floats

ROWS = 200_000  # maximum number of training steps; they are evenly spaced
CLEAR = 0.3  # minimum autocorrelation of a season


def seasonal(
    train: Sequence[Example], test: Sequence[Example], seed: int = 0, period: int | None = None
) -> Baseline:
    """Predict for x_t the value one period earlier.

    In the first period predict the previous value, and for the first step the training mean.
    period: in steps; None: use `find_period`. Raises UsageError if it is below 1, and DataError.
    """
    start = perf_counter()
    known, asked = series(train), series([*train[:1], *test])[1:]
    if period is not None and period < 1:
        raise UsageError(f"a period of {period} steps", expected="1 or more")
    lag = find_period(known) if period is None else period
    mean = np.concatenate(known).mean(axis=0)
    answers = tuple(_repeat(x, lag, mean) for x in asked)
    name = "the last value" if lag == 1 else "seasonal naive"
    return Baseline(name, answers, perf_counter() - start, f"period {lag}")


def _repeat(x: Floats, lag: int, mean: Floats) -> Floats:
    answer = np.concatenate([mean[None], x[:-1]])
    answer[lag:] = x[:-lag]
    return answer


def find_period(known: Sequence[Floats]) -> int:
    """Return the period of the series [T_x, n_x]: the lag of the highest peak of the autocorrelation.

    The autocorrelation is pooled over all series. A peak is above both neighbours and above CLEAR. Without a
    peak return 1. The largest lag is half the length of the longest series, and at most 1,000.
    """
    longest = max(len(x) for x in known)
    lags = min(longest // 2, 1_000)
    mean, deviation = scaling(np.concatenate(known))
    products, pairs = np.zeros(lags + 2), np.zeros(lags + 2)
    for x in known:
        z = (x - mean) / deviation
        size = 2 * len(z)  # zero padding to twice the length avoids circular correlation
        power = np.square(np.abs(np.fft.rfft(z, size, axis=0))).sum(axis=1)
        count = min(lags + 2, len(z))
        products[:count] += np.fft.irfft(power, size)[:count]
        pairs[:count] += z.shape[1] * (len(z) - np.arange(count))
    r = products / np.maximum(pairs, 1.0)
    if r[0] <= 0:
        return 1
    r /= r[0]
    peaks = [k for k in range(2, lags + 1) if r[k] > CLEAR and r[k] > r[k - 1] and r[k] >= r[k + 1]]
    # Multiples of the period have peaks of nearly the same height, so take the first peak near the highest.
    highest = max((r[k] for k in peaks), default=0.0)
    return next((k for k in peaks if r[k] >= 0.9 * highest), 1)


def ridge_next(train: Sequence[Example], test: Sequence[Example], seed: int = 0, last: int = 24) -> Baseline:
    """Ridge regression of x_t on the `last` values before it. Values before the start are the training mean.

    The strength is chosen on the last fifth of the training steps. Raises DataError, and UsageError if `last`
    is below 1.
    """
    start = perf_counter()
    known, asked = series(train), series([*train[:1], *test])[1:]
    _at_least_one(last)
    mean = np.concatenate(known).mean(axis=0)
    every = -(-sum(map(len, known)) // ROWS)
    x = np.concatenate([_windows(part, last, mean)[:-1][::every] for part in known])
    y = np.concatenate([part[::every] for part in known])
    model, strength = picked_ridge(x, y, _later(len(x)))
    answers = tuple(model(_windows(part, last, mean)[:-1]) for part in asked)
    note = f"strength {strength:g}"
    return Baseline(f"ridge on the last {last} values", answers, perf_counter() - start, note)


def ridge_last(train: Sequence[Example], test: Sequence[Example], seed: int = 0, last: int = 24) -> Baseline:
    """Ridge regression of the targets y on the `last` values of each series. Raises UsageError, DataError."""
    start = perf_counter()
    known, asked = series(train), series([*train[:1], *test])[1:]
    _at_least_one(last)
    mean, targets = np.concatenate(known).mean(axis=0), reals(train)
    x = np.stack([_windows(part[-last:], last, mean)[-1] for part in known])
    model, strength = picked_ridge(x, targets, folds(len(x), seed))
    rows = np.array([_windows(part[-last:], last, mean)[-1] for part in asked]).reshape(
        len(asked), x.shape[1]
    )
    note = f"strength {strength:g}"
    return Baseline(f"ridge on the last {last} values", tuple(model(rows)), perf_counter() - start, note)


def _at_least_one(last: int) -> None:
    if last < 1:
        raise UsageError(f"the last {last} values", expected="1 or more")


def _later(count: int) -> list[Fold]:
    """Return one split that scores on the last fifth. It is not shuffled: neighbours are too similar."""
    cut = count - count // 5
    return [(np.arange(cut), np.arange(cut, count))] if count >= 10 else []


def _windows(x: Floats, last: int, mean: Floats) -> Floats:
    """Return [T_x + 1, last * n_x]: row t has the `last` rows before step t, row T_x the last ones of x."""
    padded = np.concatenate([np.repeat(mean[None], last, axis=0), x])
    windows = np.lib.stride_tricks.sliding_window_view(padded, last, axis=0)  # [T_x + 1, n_x, last]
    return windows.reshape(len(windows), -1)


SEEN = 2_000  # maximum number of training windows that are searched for a season, evenly spaced


def seasonal_windows(
    train: Sequence[Example], test: Sequence[Example], seed: int = 0, horizon: int = 1
) -> Baseline:
    """Predict for the next `horizon` steps the values one period earlier; without a period the last step.

    x: windows of a series, [T_x, n_x]. The answers are flat, [horizon * n_x]. Raises DataError.
    """
    start = perf_counter()
    known = series(train)
    lag = find_period(known[:: max(1, len(known) // SEEN)])
    answers = tuple(_repeated(x, lag, horizon) for x in series([*train[:1], *test])[1:])
    name = "the last value" if lag == 1 else "seasonal naive"
    return Baseline(name, answers, perf_counter() - start, f"period {lag}")


def _repeated(x: Floats, lag: int, horizon: int) -> Floats:
    season = x[-min(lag, len(x)) :]
    return season[np.arange(horizon) % len(season)].reshape(-1)
