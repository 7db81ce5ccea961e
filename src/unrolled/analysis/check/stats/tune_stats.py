"""Statistics of tunes for `check`: changes made by the reader, notes off the grid, genres."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from unrolled.analysis.check.findings import Findings
from unrolled.analysis.check.stats.report_types import BaselineReport, ClassesReport, XReport
from unrolled.analysis.check.stats.target_stats import shares
from unrolled.core.types import Example, Tune
from unrolled.core.values.example_values import as_tune
from unrolled.data.features.note_events import events_of, quantised
from unrolled.tasks.inputs.rolls import roll_of

NONE = "no genre"


@dataclass
class NoteSurvey:
    """Statistics of tunes. grid: steps per quarter note.  rolls: tunes become piano rolls, else events."""

    grid: int
    rolls: bool
    findings: Findings
    notes: int = 0
    moved: int = 0

    def add(self, example: Example) -> int:
        """Examine one tune, and return its number of events, or of steps of its piano roll."""
        tune = as_tune(example.x)
        for remark in tune.remarks:
            count, _, kind = remark.partition(" ")
            self.findings.odd(
                kind.replace("notes ", "note ", 1), example.place, f"{count} of {len(tune.notes):,}"
            )
        flat, changes = quantised(tune, self.grid)
        self.notes, self.moved = self.notes + changes.notes, self.moved + changes.moved
        for kind, count in (
            (f"note off the grid of {self.grid} steps per quarter note (moved to the grid)", changes.moved),
            ("second note of the same voice, pitch and start (dropped)", changes.doubled),
            ("note that overlaps the next one of its voice and pitch (cut)", changes.cut),
        ):
            if count:
                self.findings.odd(kind, example.place, f"{count:,} of {changes.notes:,}")
        return len(roll_of(flat, self.grid)) if self.rolls else len(events_of(flat))

    def report(self) -> XReport:
        """Return the number of notes, and of notes off the grid."""
        return {"notes": self.notes, "moved": self.moved}


@dataclass
class GenreSurvey:
    """Statistics of genres."""

    counts: Counter[str] = field(default_factory=Counter)

    def add(self, example: Example, lines: Sequence[int] = ()) -> object:
        """Count the genre of one tune, and return its y unchanged."""
        self.counts[str(example.y or NONE)] += 1
        return example.y

    def conclude(self) -> None:
        """Add nothing."""

    def report(self) -> ClassesReport:
        """Return the count of each genre, in the form of classes."""
        return {"classes": shares(self.counts, sorted(self.counts)), "ordinal": False, "uncounted": 0}

    def baseline(self) -> BaselineReport | None:
        """Return None: there is no simple baseline for music."""
        return None


def content(tune: Tune) -> NDArray[np.float64]:
    """Return the content by which tunes are compared, [notes, 4]: start, end (in beats), pitch, voice."""
    rows = [(note.start / tune.beat, note.end / tune.beat, note.pitch, note.voice) for note in tune.notes]
    return np.array(rows, dtype=np.float64).reshape(-1, 4)
