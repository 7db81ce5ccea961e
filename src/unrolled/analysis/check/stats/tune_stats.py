"""Statistics of tunes for `check`: changes made while reading, notes beside the grid, genres."""

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
    """Tunes, on a grid of so many steps a quarter note; as piano rolls or as events."""

    grid: int
    rolls: bool
    findings: Findings
    notes: int = 0
    moved: int = 0

    def add(self, example: Example) -> int:
        """Look at one more; its events, or its steps."""
        tune = as_tune(example.x)
        for remark in tune.remarks:
            count, _, kind = remark.partition(" ")
            self.findings.odd(
                kind.replace("notes ", "note ", 1), example.place, f"{count} of {len(tune.notes):,}"
            )
        flat, changes = quantised(tune, self.grid)
        self.notes, self.moved = self.notes + changes.notes, self.moved + changes.moved
        for kind, count in (
            (f"note beside the grid of {self.grid} steps a quarter note (moved to it)", changes.moved),
            ("note on another of its voice (left out)", changes.doubled),
            ("note that goes on where its pitch begins anew (cut)", changes.cut),
        ):
            if count:
                self.findings.odd(kind, example.place, f"{count:,} of {changes.notes:,}")
        return len(roll_of(flat, self.grid)) if self.rolls else len(events_of(flat))

    def report(self) -> XReport:
        """Notes in all, and those beside the grid."""
        return {"notes": self.notes, "moved": self.moved}


@dataclass
class GenreSurvey:
    """Which genres there are."""

    counts: Counter[str] = field(default_factory=Counter)

    def add(self, example: Example, lines: Sequence[int] = ()) -> object:
        """Count one more."""
        self.counts[str(example.y or NONE)] += 1
        return example.y

    def conclude(self) -> None:
        """Nothing more."""

    def report(self) -> ClassesReport:
        """As classes."""
        return {"classes": shares(self.counts, sorted(self.counts)), "ordinal": False, "uncounted": 0}

    def baseline(self) -> BaselineReport | None:
        """There is none so simple."""
        return None


def content(tune: Tune) -> NDArray[np.float64]:
    """[notes, 4] what makes two tunes the same."""
    rows = [(note.start / tune.beat, note.end / tune.beat, note.pitch, note.voice) for note in tune.notes]
    return np.array(rows, dtype=np.float64).reshape(-1, 4)
