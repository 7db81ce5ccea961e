"""How new a tune is: which parts of its melody occur in other tunes, in any key, and whether it repeats itself.

The melody is the notes above which nothing sounds when they begin. A passage is copied where all its durations and all
intervals between its notes are those of a passage of another melody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PASSAGE = 8  # notes of the passages of which a share is told
PERIODS = 32  # notes that a loop may have at most

I64 = NDArray[np.int64]
Melody = NDArray[np.int64]  # [notes, 3]: begins, lasts, pitch


def melody(notes: Sequence[tuple[int, int, int]]) -> Melody:
    """The melody of notes (start, end, pitch): those above which nothing sounds when they begin."""
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
    """Melodies end to end. steps: [N] interval and duration of each note in one number, -1 at the first of a melody;
    lasts: [N] durations; starts: where melodies begin."""

    steps: I64
    lasts: I64
    starts: I64


def corpus(melodies: Sequence[Melody]) -> Corpus:
    """The melodies that have notes."""
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
    """[notes] of the longest passage that ends at each note and stands in another melody, and of the longest that
    stands in a second one besides."""
    best, second = np.zeros(len(one), np.int64), np.zeros(len(one), np.int64)
    if not len(others.steps):
        return best, second
    steps = _steps(one) if len(one) else np.zeros(0, np.int64)
    run = np.zeros(len(others.steps), np.int64)  # notes of the passage that ends at each place
    for i in range(len(one)):
        before = np.concatenate([[0], run[:-1]])
        goes_on = (others.steps == steps[i]) & (steps[i] >= 0)
        run = np.where(goes_on, before + 1, others.lasts == one[i, 1])
        by_melody = np.sort(np.maximum.reduceat(run, others.starts))
        best[i] = by_melody[-1]
        second[i] = by_melody[-2] if len(by_melody) > 1 else 0
    return best, second


def beats(one: Melody, lengths: I64, grid: int) -> NDArray[np.float64]:
    """[notes] how long the notes of the passages of so many that end at each note last, in quarter notes; rests, which
    are not compared, do not count."""
    until = np.concatenate([[0], np.cumsum(one[:, 1])])  # [notes + 1]
    last = np.arange(1, len(one) + 1)
    return (until[last] - until[last - lengths]) / grid


def share(lengths: I64) -> float:
    """The share of its passages of eight notes that are copied."""
    passages = lengths[PASSAGE - 1 :]
    return float((passages >= PASSAGE).mean()) if len(passages) else 0.0


def loop(one: Melody) -> tuple[int, int]:
    """The passage that follows itself most often: how many notes it has, and how often it stands there in a row."""
    most = (0, 1)
    for period in range(1, min(PERIODS, len(one) // 2) + 1):
        run = longest = 0
        for same in (one[period:, 1:] == one[:-period, 1:]).all(axis=1).tolist():
            run = run + 1 if same else 0
            longest = max(longest, run)
        times = longest // period + 1
        most = (period, times) if times > most[1] else most
    return most
