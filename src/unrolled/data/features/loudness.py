"""Compute the loudness of a recording over time, and find the intervals with sound."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from unrolled.data.features.log_mel import HOP, WINDOW, Array

QUIETEST = 10  # percentile of the loudness of all frames that is used as the noise level
CONTRAST = 12.0  # minimum dB between noise and the loudest part to distinguish sound from silence
SHARE, LEAST = 0.25, 6.0  # threshold above the noise: fraction of the contrast, and minimum in dB
DEEPEST = 40.0  # maximum dB of the threshold below the loudest part
PAUSE, BURST = 0.10, 0.03  # seconds: shorter gaps are closed, shorter sounds are dropped as clicks
CENTRE = WINDOW / 2  # seconds from the start of a frame to the centre of its window

Stretch = tuple[float, float]


def of_frames(frames: Array) -> NDArray[np.float64]:
    """Return the loudness of log-mel frames: [T, bands] -> [T] in dB."""
    if not len(frames):
        return np.zeros(0)
    return 10 / np.log(10) * np.logaddexp.reduce(frames.astype(np.float64), axis=1)


def stretches(loudness: Array) -> list[Stretch]:
    """Find the intervals with sound.

    Return (start, end) in seconds, sorted; an empty list if the contrast is low.
    """
    if len(loudness) < 3:
        return []
    smooth = np.convolve(loudness, np.ones(3) / 3, mode="same")
    noise, top = float(np.percentile(loudness, QUIETEST)), float(smooth[1:-1].max())
    if top - noise < CONTRAST:
        return []
    threshold = max(noise + max(LEAST, SHARE * (top - noise)), top - DEEPEST)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], loudness > threshold, [False]]).astype(np.int8)))
    found: list[Stretch] = []
    for first, end in edges.reshape(-1, 2).tolist():
        start, stop = first * HOP + CENTRE, (end - 1) * HOP + CENTRE
        if found and start - found[-1][1] < PAUSE:
            found[-1] = (found[-1][0], stop)
        else:
            found.append((start, stop))
    return [one for one in found if one[1] - one[0] >= BURST]


def quietest(loudness: Array, start: float, end: float) -> float:
    """Return the time of the quietest frame between `start` and `end`, all in seconds."""
    first, last = (max(0, round((moment - CENTRE) / HOP)) for moment in (start, end))
    part = loudness[first : last + 1]
    return (first + int(np.argmin(part))) * HOP + CENTRE if len(part) else (start + end) / 2


def distance(places: Sequence[Stretch], moment: float) -> float:
    """Return the seconds from a time to the nearest interval; 0 inside an interval."""
    return min(max(start - moment, moment - end, 0.0) for start, end in places)


def nearest(places: Sequence[Stretch], moment: float) -> int:
    """Return the index of the interval that contains a time, or of the nearest interval."""
    return min(range(len(places)), key=lambda number: distance(places[number : number + 1], moment))
