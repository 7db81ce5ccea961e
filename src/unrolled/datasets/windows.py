"""Cut series and tunes into windows: training pieces with their past, forecasts with their future."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from unrolled.core.errors import DataError
from unrolled.core.types import Example, Place
from unrolled.data.time_stamps import parse_step, resample
from unrolled.datasets.example_store import EncodedExample


def tunes(examples: Iterable[Example], asked: bool) -> Iterator[Example]:
    """Tunes, and as y the tune itself."""
    return (replace(example, y=example.x if asked else None) for example in examples)


def last_windows(series: Iterable[Example], history: int) -> Iterator[Example]:
    """The last `history` steps of each series: what its future is told from; with the times of all its steps."""
    for one in series:
        if one.fault is not None:
            yield one
            continue
        yield replace(one, x=np.asarray(one.x, dtype=np.float64)[-history:], y=None)


def next_step_windows(series: Iterable[Example], history: int) -> Iterator[Example]:
    """Each series in pieces of `history` steps, and before each as many that came before; y is what follows a step.

    Of those before (the first piece has none) nothing is asked, so that every answer has seen a history. Raises
    DataError where no series has two steps.
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
    """Where the windows of a series of so many steps end: each has `horizon` steps behind it. The first window is
    shorter than `history` only if the series is too short for a whole one."""
    return range(min(history, max(1, steps - horizon)), steps - horizon + 1)


def forecast_windows(series: Iterable[Example], horizon: int, history: int) -> Iterator[Example]:
    """Windows of `history` steps of each series, and as y the `horizon` steps behind them: of the series' own y
    [T, n_y] if it has one, else all numbers of a step. A window with a missing number in its y is left out.

    Raises DataError where no series is long enough.
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
        what = f"no examples: no series is longer than the horizon of {horizon:,} steps, with no number missing there"
        raise DataError(what, file=file, expected="longer series, or a smaller --horizon")


def resampled(series: Iterable[Example], step: str) -> Iterator[Example]:
    """Series on a regular grid of time, the means of what falls into each step, NaN (missing) if nothing does.

    Raises UsageError for a step that is none, DataError for a series without time stamps or with a grid too long.
    """
    microseconds = parse_step(step)
    for one in series:
        if one.fault is not None:
            yield one
            continue
        if one.times is None:
            what, hint = (
                "--resample, but the steps have no time stamps",
                "--columns time=NAME, or no --resample",
            )
            expected = "a column of times such as 2024-05-01T13:30"
            raise DataError(what, file=one.place.file, line=one.place.line, expected=expected, hint=hint)
        each = [one.y] if isinstance(one.y, np.ndarray) else []
        (x, *y), times = resample([np.asarray(one.x), *each], one.times, microseconds, one.place)
        yield replace(one, x=x, y=y[0] if y else one.y, times=times)


def split_windows(rows: Iterable[EncodedExample], window: int, counts: list[int]) -> Iterator[EncodedExample]:
    """Rows with a y a step in pieces of `window` steps, and before each a quarter as many that came before, of which
    nothing is asked. counts: gets the number of pieces of each row."""
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
