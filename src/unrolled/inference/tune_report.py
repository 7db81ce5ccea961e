"""Report on a composed tune: its size, its loops, and which parts are copied from the training tunes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NotRequired, TypedDict

from unrolled.core.types import DRUMS, Tune
from unrolled.data.features.note_events import Performance, events_of, quantised
from unrolled.tasks.metrics import melody_copying


@dataclass(frozen=True)
class Known:
    """Known tunes for the comparison. grid: steps per quarter note."""

    tunes: Sequence[Tune]
    grid: int

    @cached_property
    def corpus(self) -> melody_copying.Corpus:
        """The melodies of the tunes."""
        return melody_copying.corpus([melody_of(tune, self.grid) for tune in self.tunes])


def melody_of(tune: Tune, grid: int) -> melody_copying.Melody:
    """Return the melody of a tune without drums, in steps of the grid."""
    notes = quantised(tune, grid)[0].notes
    return melody_copying.melody(
        [(note.start, note.end, note.pitch) for note in notes if note.voice != DRUMS]
    )


class TuneReport(TypedDict):
    """The result of `report`. The last four fields exist only after a comparison with known tunes."""

    notes: int
    bars: float
    seconds: float
    loop_notes: int
    loop_times: int
    longest_copy: NotRequired[int]
    copy_bars: NotRequired[float]
    shared_bars: NotRequired[float]
    copied_share: NotRequired[float]


def report(tune: Tune, grid: int, known: Known | None = None, prompt: Tune | None = None) -> TuneReport:
    """Report on a tune.

    - notes, bars, seconds: its size.
    - loop_notes, loop_times: the passage that is repeated most often: its number of notes, and how often it
      occurs in a row.

    With `known`, also:
    - longest_copy, copy_bars: the longest passage that occurs in a known tune, in notes and in bars.
    - shared_bars: the longest passage that occurs in two known tunes, in bars. It is common to several tunes,
      so it is not a copy of one.
    - copied_share: the fraction of passages of eight notes that are copied.

    The notes of the prompt do not count as copied.
    """
    performance, melody = Performance(grid), melody_of(tune, grid)
    for event in events_of(quantised(tune, grid)[0]):
        performance.play(event)
    period, times = melody_copying.loop(melody)
    found: TuneReport = {
        "notes": len(tune.notes),
        "bars": round(performance.bars, 2),
        "seconds": round(performance.seconds, 2),
        "loop_notes": period,
        "loop_times": times,
    }
    if known is None:
        return found
    if prompt is not None:
        begin = max([0, *(note.end for note in quantised(prompt, grid)[0].notes)])
        melody = melody[melody[:, 0] >= begin]
    best, second = melody_copying.copied(melody, known.corpus)
    over, under = performance.meter
    bar = 4 * over / under
    found["longest_copy"] = int(best.max(initial=0))
    found["copy_bars"] = float(melody_copying.beats(melody, best, grid).max(initial=0)) / bar
    found["shared_bars"] = float(melody_copying.beats(melody, second, grid).max(initial=0)) / bar
    found["copied_share"] = melody_copying.share(best)
    return found
