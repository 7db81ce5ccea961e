"""Baseline for series: nearest neighbour by dynamic time warping. Strong on small sets, slow on large ones.

H. Sakoe, S. Chiba, "Dynamic programming algorithm optimization for spoken word recognition", IEEE ASSP 26(1),
1978. All channels are warped together (the dependent variant of M. Shokoohi-Yekta et al., Data Mining and
Knowledge Discovery 31, 2017).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from unrolled.analysis.baselines.example_arrays import labels, series
from unrolled.analysis.baselines.fitting import Baseline, scaling
from unrolled.core.types import Example, Floats, Integers

BLOCK = 1 << 21  # number of costs in memory at a time, 16 MiB
MOST = 2_000  # maximum number of training series to compare with
TRIED = 40  # training series on which scale and band are chosen by leave-one-out
BANDS = (None, 0.1)

Scale = Callable[[Floats], Floats]


def nearest(
    train: Sequence[Example],
    test: Sequence[Example],
    seed: int = 0,
    bands: Sequence[float | None] = BANDS,
) -> Baseline:
    """Predict the class of the nearest training series.

    bands: options for the maximum shift of a step, as a fraction of the longer length; None: no limit.
    The band and the scaling (none, per channel, or per series) are chosen by leave-one-out on TRIED training
    series. If there are more than MOST training series, a random sample is used, and the note says so.
    Raises DataError.
    """
    start = perf_counter()
    known, asked, classes = series(train), series([*train[:1], *test])[1:], labels(train)
    kept = np.random.default_rng(seed).permutation(len(known))[:MOST]
    scales = _scales(known)
    way, band = _picked([known[i] for i in kept[:TRIED]], [classes[i] for i in kept[:TRIED]], scales, bands)
    kept = np.sort(kept)
    memory = [scales[way](known[i]) for i in kept]
    nearest_of = [int(np.argmin(distances(scales[way](x), memory, band))) for x in asked]
    answers = tuple(classes[kept[i]] for i in nearest_of)
    note = f"{way}, " + ("no band" if band is None else f"band {band:.0%}")
    note += f", {len(kept):,} of {len(known):,} training series" if len(kept) < len(known) else ""
    return Baseline("1-nearest neighbour, DTW", answers, perf_counter() - start, note)


def _scales(known: Sequence[Floats]) -> dict[str, Scale]:
    """Return the scalings of a series [T, n]: none, by the training set, by its own mean and deviation."""
    mean, deviation = scaling(np.concatenate(known))

    def own(x: Floats) -> Floats:
        level, size = scaling(x)
        return (x - level) / size

    return {
        "as it is": lambda x: x,
        "standardised by channel": lambda x: (x - mean) / deviation,
        "each standardised": own,
    }


def _picked(
    known: Sequence[Floats],
    classes: Sequence[str],
    scales: dict[str, Scale],
    bands: Sequence[float | None],
) -> tuple[str, float | None]:
    """Return the scale and the band with the most correct leave-one-out answers; ties keep the first ones."""
    names = np.array(classes)
    best, most = (next(iter(scales)), bands[0]), -1
    for way, band in product(scales, bands):
        between = _between([scales[way](x) for x in known], band)
        right = int((names[between.argmin(axis=1)] == names).sum())
        if right > most:
            best, most = (way, band), right
    return best


def _between(known: Sequence[Floats], band: float | None) -> Floats:
    """Return the distances of all pairs of series, [n, n]. The distance of a series to itself is infinite."""
    table = np.full((len(known), len(known)), np.inf)
    for i, x in enumerate(known[:-1]):
        table[i, i + 1 :] = table[i + 1 :, i] = distances(x, known[i + 1 :], band)
    return table


def distances(x: Floats, others: Sequence[Floats], band: float | None = None) -> Floats:
    """Return the squared warping distances of x [T, n] from each of the others [T_i, n], as [others].

    A distance is the sum of squared Euclidean distances along the path.
    The band is |i - j| <= band * max(T, T_i). It is never narrower than the difference of the lengths, so
    that a path always exists.
    """
    found: list[Floats] = []
    longest = max((len(other) for other in others), default=1)
    at_once = max(1, BLOCK // (len(x) * longest))
    for begin in range(0, len(others), at_once):
        found.append(_block(x, others[begin : begin + at_once], band))
    return np.concatenate(found) if found else np.zeros(0)


def _block(x: Floats, others: Sequence[Floats], band: float | None) -> Floats:
    """Compute the distances by anti-diagonals: all cells with i + j = k, for all pairs at once."""
    lengths = np.array([len(other) for other in others])
    T, width = len(x), int(lengths.max())
    cost = _costs(x, others, width).reshape(len(others), T * width)
    # Index i + 1 is row i of x. Index 0 (the edge of the table) and cells that are not written stay infinite.
    before, last, here = (np.full((len(others), T + 1), np.inf) for _ in range(3))
    before[:, 0] = 0.0  # the start of every path: the cell before (0, 0)
    result = np.full(len(others), np.inf)
    for k in range(T + width - 1):
        low, high = max(0, k - width + 1), min(T, k + 1)  # the rows i of this diagonal
        row = here[:, low + 1 : high + 1]
        np.minimum(last[:, low:high], last[:, low + 1 : high + 1], out=row)  # from (i-1, j) or (i, j-1)
        np.minimum(row, before[:, low:high], out=row)  # or from (i-1, j-1)
        first = low * width + k - low
        # One row down and one column back is a step of width - 1 in the flat table.
        row += cost[:, first : first + (high - low - 1) * (width - 1) + 1 : max(width - 1, 1)]
        if band is not None:
            row[~_within(band, T, lengths, 2 * np.arange(low, high) - k)] = np.inf
        here[:, low] = np.inf  # the array is reused and still has the values of three diagonals ago
        done = lengths == k - T + 2
        result[done] = here[done, T]
        before, last, here = last, here, before
    return result


def _within(band: float, T: int, lengths: Integers, shifts: Integers) -> NDArray[np.bool_]:
    """Return a mask [others, cells]: whether the band allows the shift i - j of each cell."""
    reach = np.maximum(np.floor(band * np.maximum(T, lengths)), np.abs(T - lengths))
    return np.abs(shifts) <= reach[:, None]


def _costs(x: Floats, others: Sequence[Floats], width: int) -> Floats:
    """Return the squared distances of all steps of x from all steps of the others, [others, T, width]."""
    padded = np.zeros((len(others), width, x.shape[1]))
    for row, other in zip(padded, others, strict=True):
        row[: len(other)] = other
    total = np.zeros((len(others), len(x), width))
    for channel in range(x.shape[1]):
        total += np.square(x[None, :, None, channel] - padded[:, None, :, channel])
    return total
