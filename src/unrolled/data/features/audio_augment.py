"""Augmentation of audio features [T, bands] in training.

All from one source of chance per example, a function of (seed, epoch, index). Speed stretches time by up to 12%; pitch
stretches the mel axis as another throat would (Jaitly and Hinton 2013, ICML workshop); another microphone favours some
bands; noise raises a floor under what is said, louder in some bands than in others; masks hide stretches of time and of
bands (Park et al., arXiv 1904.08779v3).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import UsageError
from unrolled.core.types import Array, Vary

SPEED, PITCH = 0.12, 0.10  # largest stretch
NATS = 2.5  # what one deviation of a band is, about, in nats
NOISY = 0.5  # share of sounds with noise
QUIETEST, LOUDEST = -2.0, 0.5  # where its floor is, in deviations from the mean
FAVOUR, KNOTS = 0.5, 4  # deviations by which a microphone raises or lowers bands; how many of them are drawn
TIMES, BANDS = 2, 2  # masks of each kind
WIDEST_TIME, WIDEST_BANDS = 0.10, 0.15  # shares of the whole that one mask may take


def sound_augmenter(given: object, flip: bool, steady: bool) -> Vary:
    """What training makes of a sound, whatever is known of sounds. Raises UsageError where every step has a y."""
    if steady:
        raise UsageError("sound is varied in time, and tags stand at moments", hint="--no-augment")
    return lambda x, y, chance: (augment(x, chance), y)


def augment(x: Array, rng: np.random.Generator) -> NDArray[np.float32]:
    """Another x, [T', bands], of one that may have been; nothing of nothing."""
    if not len(x):
        return x.astype(np.float32)
    x = _microphone(_pitch(_speed(x.astype(np.float64), rng), rng), rng)
    return _masks(_noise(x, rng), rng).astype(np.float32)


def _speed(x: Array, rng: np.random.Generator) -> Array:
    """As said quicker or slower: frames between frames, in a straight line."""
    steps = max(1, round(len(x) * rng.uniform(1 - SPEED, 1 + SPEED)))
    return _between(x, np.linspace(0, len(x) - 1, steps))


def _pitch(x: Array, rng: np.random.Generator) -> Array:
    """As said by a shorter or longer throat: bands between bands."""
    top = x.shape[1] - 1
    at = np.minimum(np.arange(top + 1) * rng.uniform(1 - PITCH, 1 + PITCH), top)
    return _between(x.T, at).T


def _microphone(x: Array, rng: np.random.Generator) -> Array:
    """As heard by another one: what it favours changes along the mel scale in straight lines between a few bands."""
    drawn = rng.uniform(-FAVOUR, FAVOUR, KNOTS)
    return x + np.interp(np.linspace(0, 1, x.shape[1]), np.linspace(0, 1, KNOTS), drawn)


def _between(x: Array, at: Array) -> Array:
    """Rows of x at places between its rows."""
    low = np.minimum(at.astype(np.int64), len(x) - 1)
    high, share = np.minimum(low + 1, len(x) - 1), (at - low)[:, None]
    return x[low] * (1 - share) + x[high] * share


def _noise(x: Array, rng: np.random.Generator) -> Array:
    """Powers add up: log(e^x + e^floor), in nats, where frames are in deviations."""
    quiet, steps, bands = rng.random() >= NOISY, *x.shape
    level = rng.uniform(QUIETEST, LOUDEST) + 0.5 * rng.standard_normal(bands)
    floor = level + rng.standard_normal((steps, bands)) * 0.4
    return x if quiet else np.logaddexp(NATS * x, NATS * floor) / NATS


def _masks(x: Array, rng: np.random.Generator) -> Array:
    """Zeros, which is what is usual, over stretches of time and of bands."""
    for axis, count, widest in ((0, TIMES, WIDEST_TIME), (1, BANDS, WIDEST_BANDS)):
        for _ in range(count):
            width = int(rng.random() * (1 + widest * x.shape[axis]))
            begin = int(rng.random() * (1 + x.shape[axis] - width))
            x[(slice(None),) * axis + (slice(begin, begin + width),)] = 0.0
    return x
