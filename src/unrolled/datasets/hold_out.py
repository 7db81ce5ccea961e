"""Which examples are held out for validation: drawn at random, or the ends of series.

Windows of one series overlap, so what is held out of a series is its end, and windows that would be asked for steps of
this end are in neither part.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from unrolled.core.hashing import hashed
from unrolled.core.types import Example

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Parts:
    """Numbers of examples, sorted. held: for validation. unused: in no part, as they reach into what is held out."""

    held: Numbers
    unused: Numbers

    def train(self, count: int) -> Numbers:
        """The numbers of the examples to train on, of `count` in all."""
        return np.setdiff1d(np.arange(count), np.concatenate([self.held, self.unused]))


NOTHING = Parts(np.zeros(0, np.int64), np.zeros(0, np.int64))


def drawn(count: int, some: int, key: int) -> Parts:
    """Some of `count` examples, drawn; the same for every call with this key."""
    order = np.argsort(hashed((key,), np.arange(count)), kind="stable")
    return Parts(np.sort(order[:some]), NOTHING.unused)


def windows_of_series(examples: Iterable[Example]) -> list[int]:
    """How many examples in a row come from each series. Those of no series count as one series."""
    return [sum(1 for _ in run) for _, run in groupby(examples, attrgetter("series"))]


def ends(counts: Sequence[int], some: int, horizon: int, key: int) -> Parts:
    """The ends of series: about `some` windows in all, the same share of each series.

    counts: windows of each series, in order. horizon: steps that a window is asked for; the windows before the end
    that are asked for steps of it are unused. At least one window of each series stays in training. Where all series
    are too short for that, whole series are drawn.
    """
    held, unused = list[Numbers](), list[Numbers]()
    before = taken = 0
    for count in counts:
        due = (
            some * (before + count) // max(1, sum(counts)) - taken
        )  # what short series could not give included
        end = max(0, min(due, count - horizon))
        before, taken = before + count, taken + end
        if end:
            held.append(np.arange(before - end, before))
            unused.append(np.arange(before - end - horizon + 1, before - end))
    if held:
        return Parts(np.concatenate(held), np.concatenate(unused))
    return _whole_series(counts, some, key)


def _whole_series(counts: Sequence[int], some: int, key: int) -> Parts:
    """About `some` windows, as whole series that are drawn; one series at least stays in training."""
    starts: list[int] = np.cumsum([0, *counts]).tolist()
    held, taken = list[Numbers](), 0
    for number in np.argsort(hashed((key,), np.arange(len(counts))), kind="stable").tolist()[:-1]:
        if taken + counts[number] <= some:
            held.append(np.arange(starts[number], starts[number + 1]))
            taken += counts[number]
    return Parts(np.sort(np.concatenate(held)), NOTHING.unused) if held else NOTHING
