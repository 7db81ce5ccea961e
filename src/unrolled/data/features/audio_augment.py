"""Augment audio features [T, bands] in training.

Each example has one random generator, seeded by (seed, epoch, index). The steps are:
- Speed: stretch the time axis by up to 12%.
- Pitch: stretch the mel axis, like a vocal tract of another length (Jaitly and Hinton 2013, ICML workshop).
- Microphone: change the gain of the bands.
- Noise: add a noise floor with a random level per band.
- Masks: hide ranges of time and of bands (Park et al., arXiv 1904.08779v3).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import UsageError
from unrolled.core.types import Array, Vary

SPEED, PITCH = 0.12, 0.10  # maximum relative stretch
NATS = 2.5  # approximate standard deviation of a band in nats
NOISY = 0.5  # fraction of recordings with noise
QUIETEST, LOUDEST = -2.0, 0.5  # range of the noise floor, in standard deviations from the mean
FAVOUR, KNOTS = 0.5, 4  # maximum gain in standard deviations; number of random gains along the mel axis
TIMES, BANDS = 2, 2  # number of masks in time and in bands
WIDEST_TIME, WIDEST_BANDS = 0.10, 0.15  # maximum fraction of the axis that one mask covers


def sound_augmenter(given: object, flip: bool, steady: bool) -> Vary:
    """Return the augmentation of audio features. `given` and `flip` are not used.

    Raises UsageError if every step has a y (`steady`), because the augmentation changes the number of steps.
    """
    if steady:
        raise UsageError("audio augmentation changes the times of the tags", hint="--no-augment")
    return lambda x, y, chance: (augment(x, chance), y)


def augment(x: Array, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a randomly changed copy [T', bands] of x [T, bands]. An empty x stays empty."""
    if not len(x):
        return x.astype(np.float32)
    x = _microphone(_pitch(_speed(x.astype(np.float64), rng), rng), rng)
    return _masks(_noise(x, rng), rng).astype(np.float32)


def _speed(x: Array, rng: np.random.Generator) -> Array:
    """Stretch the time axis by linear interpolation between frames: faster or slower speech."""
    steps = max(1, round(len(x) * rng.uniform(1 - SPEED, 1 + SPEED)))
    return _between(x, np.linspace(0, len(x) - 1, steps))


def _pitch(x: Array, rng: np.random.Generator) -> Array:
    """Stretch the mel axis by linear interpolation between bands: a shorter or longer vocal tract."""
    top = x.shape[1] - 1
    at = np.minimum(np.arange(top + 1) * rng.uniform(1 - PITCH, 1 + PITCH), top)
    return _between(x.T, at).T


def _microphone(x: Array, rng: np.random.Generator) -> Array:
    """Add a gain to each band, as another microphone would: interpolated between KNOTS random gains."""
    drawn = rng.uniform(-FAVOUR, FAVOUR, KNOTS)
    return x + np.interp(np.linspace(0, 1, x.shape[1]), np.linspace(0, 1, KNOTS), drawn)


def _between(x: Array, at: Array) -> Array:
    """Return rows of x at fractional positions, by linear interpolation."""
    low = np.minimum(at.astype(np.int64), len(x) - 1)
    high, share = np.minimum(low + 1, len(x) - 1), (at - low)[:, None]
    return x[low] * (1 - share) + x[high] * share


def _noise(x: Array, rng: np.random.Generator) -> Array:
    """Add noise to some recordings. Powers add: log(e^x + e^floor) in nats; x is in standard deviations."""
    quiet, steps, bands = rng.random() >= NOISY, *x.shape
    level = rng.uniform(QUIETEST, LOUDEST) + 0.5 * rng.standard_normal(bands)
    floor = level + rng.standard_normal((steps, bands)) * 0.4
    return x if quiet else np.logaddexp(NATS * x, NATS * floor) / NATS


def _masks(x: Array, rng: np.random.Generator) -> Array:
    """Set random ranges of time and of bands to 0, the mean of the normalised features."""
    for axis, count, widest in ((0, TIMES, WIDEST_TIME), (1, BANDS, WIDEST_BANDS)):
        for _ in range(count):
            width = int(rng.random() * (1 + widest * x.shape[axis]))
            begin = int(rng.random() * (1 + x.shape[axis] - width))
            x[(slice(None),) * axis + (slice(begin, begin + width),)] = 0.0
    return x
