"""How loud a recording is over time, and the stretches in which something is heard."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from unrolled.data.features.log_mel import HOP, WINDOW, Array

QUIETEST = 10  # percentile of all frames that is taken for the noise of the recording
CONTRAST = 12.0  # dB between noise and the loudest part: with less no silence can be told from sound
SHARE, LEAST = 0.25, 6.0  # of that contrast, and dB, above the noise: there sound begins
DEEPEST = 40.0  # dB below the loudest part: what is quieter counts as silence, however quiet the noise is
PAUSE, BURST = 0.10, 0.03  # seconds: a shorter gap is no pause, a shorter sound is a click
CENTRE = WINDOW / 2  # seconds from the start of a frame to its centre, where its window is largest

Stretch = tuple[float, float]


def of_frames(frames: Array) -> NDArray[np.float64]:
    """[T] dB of log-mel frames [T, bands]."""
    if not len(frames):
        return np.zeros(0)
    return 10 / np.log(10) * np.logaddexp.reduce(frames.astype(np.float64), axis=1)


def stretches(loudness: Array) -> list[Stretch]:
    """Where something is heard, as (start, end) in seconds, in order; none where nothing stands out."""
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
    """The quietest moment between two, in seconds."""
    first, last = (max(0, round((moment - CENTRE) / HOP)) for moment in (start, end))
    part = loudness[first : last + 1]
    return (first + int(np.argmin(part))) * HOP + CENTRE if len(part) else (start + end) / 2


def distance(places: Sequence[Stretch], moment: float) -> float:
    """Seconds from a moment to the nearest stretch; 0 within one."""
    return min(max(start - moment, moment - end, 0.0) for start, end in places)


def nearest(places: Sequence[Stretch], moment: float) -> int:
    """The number of the stretch that holds a moment, or of the nearest."""
    return min(range(len(places)), key=lambda number: distance(places[number : number + 1], moment))
