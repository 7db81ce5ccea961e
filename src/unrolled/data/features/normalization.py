"""Normalise log-mel frames: by the whole recording, or by running statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unrolled.data.features.log_mel import Array

MEMORY = 300  # frames after which a running mean has forgotten all but 1/e
PRIOR = 50  # frames that a sound's own mean begins with: those of all training
SMALLEST = 0.25  # deviation, in nats: a band that hardly changes is not blown up


@dataclass(frozen=True)
class RunningStats:
    """A running mean and variance of each band, and how many frames they were made of."""

    count: float
    mean: Array
    variance: Array


def initial_stats(mean: Sequence[float], deviation: Sequence[float]) -> RunningStats:
    """The state before the first frame: what is usual."""
    return RunningStats(PRIOR, np.asarray(mean, np.float64), np.asarray(deviation, np.float64) ** 2)


def normalize_utterance(usual: RunningStats, x: Array) -> NDArray[np.float32]:
    """[T, bands] less how much louder the whole is than usual, then each band by its mean and variance.

    These are of the whole and of the frames that `usual` stands for: the mean of a short sound alone is what was said
    in it, that of a long one is what it was recorded with.
    """
    if not len(x):
        return np.zeros(x.shape, np.float32)
    apart, count = x - usual.mean, usual.count + len(x)  # float64
    apart -= apart.mean()
    mean = apart.sum(axis=0) / count
    apart -= mean
    variance = (usual.count * (usual.variance + mean**2) + (apart**2).sum(axis=0)) / count
    return (apart / np.maximum(np.sqrt(variance), SMALLEST)).astype(np.float32)


def normalize_running(state: RunningStats, x: Array) -> tuple[NDArray[np.float32], RunningStats]:
    """Each frame of x [T, bands] by the mean and variance of it and all before it, of which old ones are forgotten."""
    count, mean, variance = state.count, state.mean, state.variance
    made = np.zeros(x.shape, np.float32)
    for t, x_t in enumerate(x.astype(np.float64)):
        count = min(count + 1, MEMORY)
        apart = x_t - mean
        mean = mean + apart / count
        variance = variance + (apart * (x_t - mean) - variance) / count
        made[t] = (x_t - mean) / np.maximum(np.sqrt(variance), SMALLEST)
    return made, RunningStats(count, mean, variance)
