"""Choose the examples that are held out for validation: at random, or the ends of series.

Windows of one series overlap, so the last windows of a series are held out. Windows before them whose targets
reach into the held-out end are in neither part.
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
    """Sorted indices of examples.

    held: the examples for validation.
    unused: the examples in neither part, because their targets reach into the held-out end.
    """

    held: Numbers
    unused: Numbers

    def train(self, count: int) -> Numbers:
        """Return the numbers of the training examples. count: number of all examples."""
        return np.setdiff1d(np.arange(count), np.concatenate([self.held, self.unused]))


NOTHING = Parts(np.zeros(0, np.int64), np.zeros(0, np.int64))


def drawn(count: int, some: int, key: int) -> Parts:
    """Choose `some` of `count` examples at random. The choice is a function of `key` and `count`."""
    order = np.argsort(hashed((key,), np.arange(count)), kind="stable")
    return Parts(np.sort(order[:some]), NOTHING.unused)


def windows_of_series(examples: Iterable[Example]) -> list[int]:
    """Return the number of windows of each series.

    Consecutive examples that are not windows count as one series.
    """
    return [sum(1 for _ in run) for _, run in groupby(examples, attrgetter("series"))]


def ends(counts: Sequence[int], some: int, horizon: int, key: int) -> Parts:
    """Choose the ends of series: about `some` windows in total, the same fraction of each series.

    counts: number of windows of each series, in order.
    horizon: number of target steps of a window. The windows before the end whose targets reach into it are
        unused.
    At least one window of each series stays in training. If all series are too short for that, whole series
    are chosen at random.
    """
    held, unused = list[Numbers](), list[Numbers]()
    before = taken = 0
    for count in counts:
        # Includes the windows that short series before this one could not provide.
        due = some * (before + count) // max(1, sum(counts)) - taken
        end = max(0, min(due, count - horizon))
        before, taken = before + count, taken + end
        if end:
            held.append(np.arange(before - end, before))
            unused.append(np.arange(before - end - horizon + 1, before - end))
    if held:
        return Parts(np.concatenate(held), np.concatenate(unused))
    return _whole_series(counts, some, key)


def _whole_series(counts: Sequence[int], some: int, key: int) -> Parts:
    """Choose whole series at random, with at most `some` windows in total.

    At least one series stays in training.
    """
    starts: list[int] = np.cumsum([0, *counts]).tolist()
    held, taken = list[Numbers](), 0
    for number in np.argsort(hashed((key,), np.arange(len(counts))), kind="stable").tolist()[:-1]:
        if taken + counts[number] <= some:
            held.append(np.arange(starts[number], starts[number + 1]))
            taken += counts[number]
    return Parts(np.sort(np.concatenate(held)), NOTHING.unused) if held else NOTHING
