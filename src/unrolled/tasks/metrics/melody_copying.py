"""How new a tune is: which parts of its melody occur in other tunes (in any key), and how it repeats itself.

The melody consists of the notes that are the highest when they begin. A passage is copied if another melody
has a passage with the same durations and the same intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PASSAGE = 8  # number of notes in a passage; `share` returns the fraction of passages that are copied
PERIODS = 32  # maximum number of notes in a loop

I64 = NDArray[np.int64]
Melody = NDArray[np.int64]  # [notes, 3]: start, duration, pitch


def melody(notes: Sequence[tuple[int, int, int]]) -> Melody:
    """Return the melody of notes (start, end, pitch): the notes that are the highest when they begin."""
    found: list[tuple[int, int, int]] = []
    sounding: list[tuple[int, int]] = []  # end, pitch
    for start, end, pitch in sorted(notes, key=lambda note: (note[0], -note[2])):
        sounding = [other for other in sounding if other[0] > start]
        if all(other < pitch for _, other in sounding):
            found.append((start, end - start, pitch))
        sounding.append((end, pitch))
    return np.array(found, dtype=np.int64).reshape(-1, 3)


@dataclass(frozen=True)
class Corpus:
    """Concatenated melodies.

    steps: [N] the interval and the duration of each note in one number; -1 at the first note of a melody.
    lasts: [N] durations.  starts: the index of the first note of each melody.
    """

    steps: I64
    lasts: I64
    starts: I64


def corpus(melodies: Sequence[Melody]) -> Corpus:
    """Return the corpus of all melodies that have notes."""
    there = [one for one in melodies if len(one)]
    lengths = np.array([len(one) for one in there], dtype=np.int64)
    return Corpus(
        np.concatenate([np.zeros(0, np.int64), *map(_steps, there)]),
        np.concatenate([np.zeros(0, np.int64), *(one[:, 1] for one in there)]),
        np.cumsum(lengths) - lengths,
    )


def _steps(one: Melody) -> I64:
    interval = np.diff(one[:, 2], prepend=one[:1, 2])
    found = (interval + 128) * 100_000 + np.minimum(one[:, 1], 99_999)
    found[0] = -1
    return found


def copied(one: Melody, others: Corpus) -> tuple[I64, I64]:
    """Return for each note [notes] the length of the longest copied passage that ends there, as two arrays.

    The first array is for the melody with the longest match, the second for the melody with the second
    longest match.
    """
    best, second = np.zeros(len(one), np.int64), np.zeros(len(one), np.int64)
    if not len(others.steps):
        return best, second
    steps = _steps(one) if len(one) else np.zeros(0, np.int64)
    run = np.zeros(
        len(others.steps), np.int64
    )  # number of notes of the matching passage that ends at each place
    for i in range(len(one)):
        before = np.concatenate([[0], run[:-1]])
        goes_on = (others.steps == steps[i]) & (steps[i] >= 0)
        run = np.where(goes_on, before + 1, others.lasts == one[i, 1])
        by_melody = np.sort(np.maximum.reduceat(run, others.starts))
        best[i] = by_melody[-1]
        second[i] = by_melody[-2] if len(by_melody) > 1 else 0
    return best, second


def beats(one: Melody, lengths: I64, grid: int) -> NDArray[np.float64]:
    """Return [notes] the duration in quarter notes of the passage that ends at each note.

    lengths: [notes] the number of notes in the passage. Rests do not count, because they are not compared.
    """
    until = np.concatenate([[0], np.cumsum(one[:, 1])])  # [notes + 1]
    last = np.arange(1, len(one) + 1)
    return (until[last] - until[last - lengths]) / grid


def share(lengths: I64) -> float:
    """Return the fraction of passages of eight notes that are copied. lengths: the result of `copied`."""
    passages = lengths[PASSAGE - 1 :]
    return float((passages >= PASSAGE).mean()) if len(passages) else 0.0


def loop(one: Melody) -> tuple[int, int]:
    """Return the length in notes and the repetitions of the passage that most often follows itself."""
    most = (0, 1)
    for period in range(1, min(PERIODS, len(one) // 2) + 1):
        run = longest = 0
        for same in (one[period:, 1:] == one[:-period, 1:]).all(axis=1).tolist():
            run = run + 1 if same else 0
            longest = max(longest, run)
        times = longest // period + 1
        most = (period, times) if times > most[1] else most
    return most
