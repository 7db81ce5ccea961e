"""Cut series into windows: training windows with earlier steps, forecast windows with later steps as y."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from unrolled.core.errors import DataError
from unrolled.core.types import Example, Place
from unrolled.data.time_stamps import parse_step, resample
from unrolled.datasets.example_store import EncodedExample


def tunes(examples: Iterable[Example], asked: bool) -> Iterator[Example]:
    """Yield tunes with the tune itself as y. asked: whether y is needed; else y is None."""
    return (replace(example, y=example.x if asked else None) for example in examples)


def last_windows(series: Iterable[Example], history: int) -> Iterator[Example]:
    """Yield the last `history` steps of each series, for a forecast. The times of all its steps are kept."""
    for one in series:
        if one.fault is not None:
            yield one
            continue
        yield replace(one, x=np.asarray(one.x, dtype=np.float64)[-history:], y=None)


def next_step_windows(series: Iterable[Example], history: int) -> Iterator[Example]:
    """Yield windows of each series: `history` steps, after up to `history` earlier steps.

    y of a step is the next step. The earlier steps have no target (NaN), so that every prediction has seen
    some history. The first window of a series has no earlier steps.
    Raises DataError if no series has two steps.
    """
    found, file = False, None
    for number, one in enumerate(series):
        file = one.place.file
        x = np.asarray(one.x, dtype=np.float64)
        following = np.concatenate([x[1:], np.full((1, *x.shape[1:]), np.nan)])[: len(x)]
        for begin in range(0, len(x) - 1, history):
            found = True
            first, end = max(0, begin - history), begin + history
            y = following[first:end].copy()
            y[: begin - first] = np.nan
            place = Place(one.place.file, one.place.line + first)
            yield Example(x[first:end], y, place, one.id, series=number)
    if not found:
        raise DataError("no examples: no series has two steps", file=file, expected="longer series")


def window_ends(steps: int, horizon: int, history: int) -> range:
    """Return the positions where the windows of a series end. At least `horizon` steps follow each position.

    steps: number of steps of the series.
    The first window is shorter than `history` only if the series is too short.
    """
    return range(min(history, max(1, steps - horizon)), steps - horizon + 1)


def forecast_windows(series: Iterable[Example], horizon: int, history: int) -> Iterator[Example]:
    """Yield windows of `history` steps of each series. y is the next `horizon` steps.

    These are steps of the series' own y [T, n_y] if it has one, else of x. Windows with a missing number in y
    are skipped. Raises DataError if there are no windows.
    """
    found, file = False, None
    for number, one in enumerate(series):
        file = one.place.file
        x = np.asarray(one.x, dtype=np.float64)
        asked = np.asarray(one.y, dtype=np.float64) if isinstance(one.y, np.ndarray) else x
        for end in window_ends(len(x), horizon, history):
            y = tuple(asked[end : end + horizon].reshape(-1).tolist())
            if np.isnan(y).any():
                continue
            found = True
            place = Place(one.place.file, one.place.line + end)
            yield Example(x[max(0, end - history) : end], y, place, one.id, series=number)
    if not found:
        what = (
            f"no examples: no series is longer than the horizon of {horizon:,} steps and has all numbers of y"
        )
        raise DataError(what, file=file, expected="longer series, or a smaller --horizon")


def resampled(series: Iterable[Example], step: str) -> Iterator[Example]:
    """Yield the series on a regular time grid.

    A step is the mean of the rows that fall into it; NaN if there are none.
    step: the time between two steps, such as `10s`, `15min` or `1h`.
    Raises UsageError if `step` is invalid. Raises DataError if a series has no time stamps, or if its grid
    would be too long.
    """
    microseconds = parse_step(step)
    for one in series:
        if one.fault is not None:
            yield one
            continue
        if one.times is None:
            what, hint = (
                "--resample needs time stamps, but the steps have none",
                "--columns time=NAME, or no --resample",
            )
            expected = "a column of times such as 2024-05-01T13:30"
            raise DataError(what, file=one.place.file, line=one.place.line, expected=expected, hint=hint)
        each = [one.y] if isinstance(one.y, np.ndarray) else []
        (x, *y), times = resample([np.asarray(one.x), *each], one.times, microseconds, one.place)
        yield replace(one, x=x, y=y[0] if y else one.y, times=times)


def split_windows(rows: Iterable[EncodedExample], window: int, counts: list[int]) -> Iterator[EncodedExample]:
    """Cut rows with one y per step into windows of `window` steps, after up to `window` / 4 earlier steps.

    The earlier steps have no target: their y is ignored by the loss.
    counts: the number of windows of each row is appended to it.
    """
    for row in rows:
        steps = max(1, len(row.x))
        counts.append(-(-steps // window))
        if steps <= window:
            yield row
            continue
        for begin in range(0, steps, window):
            first = max(0, begin - window // 4)
            y = row.y[first : begin + window].copy()
            y[: begin - first] = np.nan if np.issubdtype(y.dtype, np.floating) else -1
            yield EncodedExample(row.x[first : begin + window], y, row.place, weight=row.weight)
