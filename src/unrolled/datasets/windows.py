"""Cut series and tunes into windows: training pieces with their past, forecasts with their future."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np

from unrolled.core.errors import DataError
from unrolled.core.types import Example, Place
from unrolled.datasets.example_store import Row

REMEMBERED = (
    2_000_000  # notes of tunes, about 300 MB: files are read several times, and parsing them takes long
)


def tunes(examples: Iterable[Example], asked: bool) -> Iterator[Example]:
    """Tunes, and as y the tune itself."""
    return (replace(example, y=example.x if asked else None) for example in examples)


def remembered(read: Callable[[], Iterator[Example]]) -> Callable[[], Iterator[Example]]:
    """The examples as often as they are asked for, of which those up to `REMEMBERED` notes are read once."""
    known: list[Example] = []
    whole = [False]

    def examples() -> Iterator[Example]:
        if whole[0]:
            yield from known
            return
        known.clear()
        room = REMEMBERED
        for example in read():
            room -= len(example.x)
            if room >= 0:
                known.append(example)
            yield example
        whole[0] = room >= 0

    return examples


def endings(series: Iterable[Example], history: int) -> Iterator[Example]:
    """The last `history` steps of each series: what its future is told from."""
    for one in series:
        yield replace(one, x=np.asarray(one.x, dtype=np.float64)[-history:], y=None)


def pieces(series: Iterable[Example], history: int) -> Iterator[Example]:
    """Each series in pieces of `history` steps, and before each as many that came before; y is what follows a step.

    Of those before (the first piece has none) nothing is asked, so that every answer has seen a history. Raises
    DataError where no series has two steps.
    """
    found, file = False, None
    for one in series:
        file = one.place.file
        x = np.asarray(one.x, dtype=np.float64)
        following = np.concatenate([x[1:], np.full((1, *x.shape[1:]), np.nan)])[: len(x)]
        for begin in range(0, len(x) - 1, history):
            found = True
            first, end = max(0, begin - history), begin + history
            y = following[first:end].copy()
            y[: begin - first] = np.nan
            yield Example(x[first:end], y, Place(one.place.file, one.place.line + first), one.id)
    if not found:
        raise DataError("no examples: no series has two steps", file=file, expected="longer series")


def forecasts(series: Iterable[Example], horizon: int, history: int) -> Iterator[Example]:
    """Windows of `history` steps of each series, and as y the `horizon` steps behind them, all numbers of a step.

    Raises DataError where no series is long enough.
    """
    found, file = False, None
    for one in series:
        file = one.place.file
        x = np.asarray(one.x, dtype=np.float64)
        for end in range(min(history, max(1, len(x) - horizon)), len(x) - horizon + 1):
            found = True
            y = tuple(x[end : end + horizon].reshape(-1).tolist())
            yield Example(
                x[max(0, end - history) : end], y, Place(one.place.file, one.place.line + end), one.id
            )
    if not found:
        what = f"no examples: no series is longer than the horizon of {horizon:,} steps"
        raise DataError(what, file=file, expected="longer series, or a smaller --horizon")


def cut(rows: Iterable[Row], window: int | None, counts: list[int]) -> Iterator[Row]:
    """Rows with a y a step in pieces of `window` steps, and before each a quarter as many that came before, of which
    nothing is asked. counts: gets the number of pieces of each row. None: rows as they are."""
    for row in rows:
        steps = max(1, len(row.x))
        counts.append(-(-steps // window) if window else 1)
        if window is None or steps <= window:
            yield row
            continue
        for begin in range(0, steps, window):
            first = max(0, begin - window // 4)
            y = row.y[first : begin + window].copy()
            y[: begin - first] = np.nan if np.issubdtype(y.dtype, np.floating) else -1
            yield Row(row.x[first : begin + window], y, row.place, weight=row.weight)
