"""Confidence intervals by the bootstrap: resample the items, and compute the metric of each new sample.

Source: Efron, Annals of Statistics 7, 1979 (percentile interval). The seed is fixed, so the same results give
the same interval. Both functions draw counts of equal items instead of single items. This gives the same
distribution, and the time does not grow with the number of items.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
Counts = NDArray[np.int64]

ROUNDS = 1000  # number of samples
SHARE = 0.95  # fraction of the samples inside the interval, the confidence level
SEED = 0
FEWEST = 20  # minimum number of items or blocks: with fewer, the interval is too narrow
GROUPS = 2000  # maximum number of rows that are drawn; more rows are added up in random groups first


def of_table(table: Counts, statistic: Callable[[Counts], float]) -> tuple[float, float] | None:
    """Return the interval of a statistic of a confusion matrix [n, n].

    A sample draws the items of the matrix with replacement, so its cells have a multinomial distribution.
    The result is None for fewer than 20 items.
    """
    cells = np.flatnonzero(table)
    counts = table.reshape(-1)[cells]
    total = int(counts.sum())
    if total < FEWEST:
        return None
    drawn: list[float] = []
    rng = np.random.default_rng(SEED)
    for sample in rng.multinomial(total, counts / total, size=ROUNDS):
        new = np.zeros(table.size, np.int64)
        new[cells] = sample
        drawn.append(statistic(new.reshape(table.shape)))
    return _ends(drawn)


def of_sums(rows: F64, statistic: Callable[[F64], float], block: int = 1) -> tuple[float, float] | None:
    """Return the interval of a statistic of sums over items, such as F1 from counts of spans.

    rows: [N, k] the values of each item.  statistic: a function of the sums [k].
    block: number of consecutive items that are drawn together, for items that are not independent, such as
    forecasts from windows that overlap (Kuensch, Annals of Statistics 17, 1989).
    More than 2,000 blocks are added up in 2,000 random groups first, and the groups are drawn. If the number of
    blocks is not a multiple of 2,000, some groups have one block more; this changes the interval very little.
    The result is None for fewer than 20 blocks.
    """
    rows = np.add.reduceat(rows, np.arange(0, len(rows), block), axis=0)
    if len(rows) < FEWEST:
        return None
    rng = np.random.default_rng(SEED)
    if len(rows) > GROUPS:
        group = rng.permutation(len(rows)) % GROUPS
        sums = np.zeros((GROUPS, rows.shape[1]))
        np.add.at(sums, group, rows)
        rows = sums
    n = len(rows)
    samples = rng.multinomial(n, np.full(n, 1 / n), size=ROUNDS) @ rows  # [ROUNDS, k]
    return _ends([statistic(sums) for sums in samples])


def _ends(drawn: list[float]) -> tuple[float, float] | None:
    """Return the interval; None if all samples give one value, because this does not mean certainty."""
    low, high = np.quantile(drawn, [(1 - SHARE) / 2, (1 + SHARE) / 2]).tolist()
    return (float(low), float(high)) if low < high else None
