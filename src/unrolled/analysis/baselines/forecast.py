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
)
from unrolled.core.errors import UsageError
from unrolled.core.types import Example, Floats
from unrolled.data.features.season import find_period

ROWS = 200_000  # maximum number of training steps; they are evenly spaced
NUMBERS = 40_000_000  # maximum number of values of all training windows; windows are evenly spaced


def seasonal(
    train: Sequence[Example], test: Sequence[Example], seed: int = 0, period: int | None = None
) -> Baseline:
    """Predict for x_t the value one period earlier.

    In the first period predict the previous value, and for the first step the training mean.
    period: in steps; None: it is estimated. Raises UsageError if it is below 1, and DataError.
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


def seasonal_windows(
    train: Sequence[Example], test: Sequence[Example], seed: int = 0, horizon: int = 1
) -> Baseline:
    """Predict for the next `horizon` steps the values one period earlier; without a period the last step.

    x: windows of a series, [T_x, n_x]. The answers are flat, [horizon * n_x]. The period is estimated on the whole
    series of the training windows. It is at most the number of steps of the longest window. Raises DataError.
    """
    start = perf_counter()
    known, asked = whole_series(train), series([*train[:1], *test])[1:]
    lag = find_period(known, max(len(np.asarray(one.x)) for one in train))
    answers = tuple(_repeated(x, lag, horizon) for x in asked)
    name = "the last value" if lag == 1 else f"seasonal naive, period {lag}"
    return Baseline(name, answers, perf_counter() - start, f"period {lag}")


def _repeated(x: Floats, lag: int, horizon: int) -> Floats:
    season = x[-min(lag, len(x)) :]
    return season[np.arange(horizon) % len(season)].reshape(-1)


def whole_series(windows: Sequence[Example]) -> list[Floats]:
    """Return the series [T, n_x] from which consecutive windows were cut. A window that is no piece is a series.

    A window begins a new series if it does not end one or more steps after the window before it. Steps that are in no
    window are NaN. Raises DataError.
    """
    found: list[list[Floats]] = []
    end = before = None
    for one, x in zip(windows, series(windows), strict=True):
        here = (one.series, one.place.file)
        new = 0 if end is None or here != before else one.place.line - end
        if one.series is not None and new > 0:
            gap = np.full((max(0, new - len(x)), x.shape[1]), np.nan)
            found[-1] += [gap, x[-new:]]
        else:
            found.append([x])
        end, before = one.place.line, here
    return [np.concatenate(parts) for parts in found]


def ridge_windows(train: Sequence[Example], test: Sequence[Example], seed: int = 0) -> Baseline:
    """Ridge regression of the targets y on all values of the window, for forecasts. Raises DataError.

    The strength is chosen on the last fifth of the training windows, without those whose targets overlap with it.
    """
    start = perf_counter()
    steps = max(len(np.asarray(one.x)) for one in train)
    few = train[:: -(-len(train) * steps // NUMBERS)]
    known, asked = series(few), series([*train[:1], *test])[1:]
    mean, targets = np.concatenate(known).mean(axis=0), reals(few)
    x = np.stack([_windows(part, steps, mean)[-1] for part in known])
    apart = [(fit[: -targets.shape[1]], check) for fit, check in _later(len(x))]
    model, strength = picked_ridge(x, targets, [split for split in apart if len(split[0])])
    rows = np.array([_windows(part[-steps:], steps, mean)[-1] for part in asked]).reshape(
        len(asked), x.shape[1]
    )
    return Baseline(
        f"ridge on all {steps} steps",
        tuple(model(rows)),
        perf_counter() - start,
        f"strength {strength:g}",
    )
