"""Summary statistics of a whole series of numbers: the features of its wide part."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from unrolled.core.types import Array

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
PARTS = 3  # the series is also cut into so many parts of equal length
OCTAVES = 8  # bands of the spectrum, equal in the logarithm of the frequency
LOWEST = 1 / 256  # lowest frequency of the bands, in cycles per step
CORRELATED = 12  # columns up to which all pairs of columns are correlated
COEFFICIENTS = 20  # cosine coefficients of a frame of a recording


def summary(x: Array) -> NDArray[np.float32]:
    """Return the statistics [F] of a series [T, n]. F depends on n only.

    For each column: mean, deviation, quantiles, size and deviation of the differences between steps, fraction of
    steps that cross the mean, mean and deviation of each third, and power in eight bands of the spectrum. For each
    pair of columns: the correlation. For the series: the logarithm of its length.
    """
    x = x.astype(np.float64) if len(x) > 1 else np.zeros((2, x.shape[1])) + x.astype(np.float64).sum(0)
    mean, change = x.mean(0), np.diff(x, axis=0)
    above = x > mean
    parts = np.array_split(x, PARTS) if len(x) >= PARTS else [x] * PARTS
    found = [
        mean,
        x.std(0),
        *np.quantile(x, QUANTILES, axis=0),
        np.abs(change).mean(0),
        change.std(0),
        np.abs(change).max(0),
        (above[1:] != above[:-1]).mean(0),
        *(part.mean(0) for part in parts),
        *(part.std(0) for part in parts),
        *_spectrum(x - mean),
        _correlations(x),
        [np.log(len(x))],
    ]
    return np.concatenate(found).astype(np.float32)


def _spectrum(x: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return the logarithm of the mean power of each column, for each band. x: [T, n] with mean 0."""
    points = max(len(x), round(1 / LOWEST))  # a short series is padded with zeros
    power = np.abs(np.fft.rfft(x, points, axis=0)) ** 2 / len(x)  # [points / 2 + 1, n]
    ends = np.round(np.geomspace(LOWEST, 0.5, OCTAVES + 1) * points).astype(np.int64)
    return [np.log1p(power[a : max(b, a + 1)].mean(0)) for a, b in pairwise(ends.tolist())]


def _correlations(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the correlation of each pair of columns of [T, n]; 0 for a constant column. Empty for many columns."""
    n = x.shape[1]
    if not 1 < n <= CORRELATED:
        return np.zeros(0)
    deviation = x.std(0)
    standard = (x - x.mean(0)) / np.where(deviation > 0, deviation, 1.0)
    return (standard.T @ standard / len(x))[np.triu_indices(n, 1)]


def cepstrum(frames: Array) -> NDArray[np.float64]:
    """Return the first cosine coefficients of frames of log-mel bands, [T, bands] -> [T, at most COEFFICIENTS].

    They are the mel-frequency cepstral coefficients (MFCC): the shape of the spectrum without its details.
    """
    bands = frames.shape[1]
    k = np.arange(min(bands, COEFFICIENTS))[:, None]
    cosine = np.cos(np.pi * k * (np.arange(bands) + 0.5) / bands) * np.sqrt(
        2 / bands
    )  # [coefficients, bands]
    return frames.astype(np.float64) @ cosine.T
