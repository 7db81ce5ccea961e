"""Normalise log-mel frames by the statistics of the whole recording, or by running statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unrolled.data.features.log_mel import Array

MEMORY = 300  # time constant of the running statistics, in frames: after it a frame has 1/e of its weight
PRIOR = 50  # weight of the training statistics, in frames, when a recording starts
SMALLEST = 0.25  # minimum standard deviation in nats, so that a nearly constant band is not amplified


@dataclass(frozen=True)
class RunningStats:
    """A running mean and variance of each band, and the number of frames in them."""

    count: float
    mean: Array
    variance: Array


def initial_stats(mean: Sequence[float], deviation: Sequence[float]) -> RunningStats:
    """Return the state before the first frame: the statistics of the training data."""
    return RunningStats(PRIOR, np.asarray(mean, np.float64), np.asarray(deviation, np.float64) ** 2)


def normalize_utterance(usual: RunningStats, x: Array) -> NDArray[np.float32]:
    """Normalise a whole recording, [T, bands].

    First subtract its overall loudness relative to the training data, then normalise each band by a mean and
    a variance. These combine the recording with `usual`, the training statistics. In a short recording the
    mean depends mainly on the content, so `usual` dominates. In a long one it depends mainly on the recording
    device.
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
    """Normalise each frame of x [T, bands] by running statistics of this and all earlier frames.

    Older frames have less weight. Return the normalised frames and the new state.
    """
    count, mean, variance = state.count, state.mean, state.variance
    made = np.zeros(x.shape, np.float32)
    for t, x_t in enumerate(x.astype(np.float64)):
        count = min(count + 1, MEMORY)
        apart = x_t - mean
        mean = mean + apart / count
        variance = variance + (apart * (x_t - mean) - variance) / count
        made[t] = (x_t - mean) / np.maximum(np.sqrt(variance), SMALLEST)
    return made, RunningStats(count, mean, variance)
