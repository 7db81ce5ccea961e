"""Statistics of parallel texts for `check`: lengths, and pairs that are probably wrong."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from unrolled.analysis.check.findings import Findings, quantiles
from unrolled.analysis.check.odd_characters import look_at_text
from unrolled.analysis.check.stats.report_types import BaselineReport, PairsReport
from unrolled.core.types import Example, Place
from unrolled.core.values.example_values import length

FAR = 3.0  # a ratio of lengths is unusual if it differs from the median by more than this factor
SHORT = 10  # characters added to both lengths, since the ratio of short texts varies much


@dataclass
class TextSurvey:
    """Statistics of pairs of texts."""

    findings: Findings
    lengths: array[int] = field(default_factory=lambda: array("q"))
    ratios: array[float] = field(default_factory=lambda: array("d"))
    lines: array[int] = field(default_factory=lambda: array("q"))
    files: list[tuple[int, Path]] = field(default_factory=list)  # index of the first pair of each file
    same: int = 0

    def add(self, example: Example, lines: Sequence[int] = ()) -> object:
        """Examine one pair, and return its y unchanged."""
        y, place = str(example.y), example.place
        look_at_text(y, place, self.findings)
        if not self.files or self.files[-1][1] != place.file:
            self.files.append((len(self.lines), place.file))
        x = example.x if isinstance(example.x, str) else None
        if x is not None and x.strip() == y.strip():
            self.same += 1
            self.findings.odd("untranslated: the same text on both sides", place, repr(y[:60]))
        self.lengths.append(len(y))
        self.ratios.append((len(y) + SHORT) / (length(example.x) + SHORT))
        self.lines.append(place.line)
        return example.y

    def conclude(self) -> None:
        """Add a finding for each pair with an unusual ratio of lengths."""
        if not self.ratios:
            return
        ratios = np.frombuffer(self.ratios, np.float64)
        usual = float(np.median(ratios))
        far = np.flatnonzero((ratios > FAR * usual) | (ratios < usual / FAR))
        for number in far.tolist():
            kind = f"unusual ratio of lengths (over {FAR:g} times the median, or under a third of it)"
            self.findings.odd(kind, self._place(number), f"{ratios[number]:.2f}, the median is {usual:.2f}")

    def _place(self, number: int) -> Place:
        file = next(file for first, file in reversed(self.files) if first <= number)
        return Place(file, self.lines[number])

    def report(self) -> PairsReport:
        """Return the quantiles of the lengths of y in characters, and the number of untranslated pairs."""
        usual = float(np.median(np.frombuffer(self.ratios, np.float64))) if self.ratios else None
        return {"characters": quantiles(self.lengths), "usual_ratio": usual, "untranslated": self.same}

    def baseline(self) -> BaselineReport | None:
        """Return the fraction of exact matches if x is copied."""
        count = max(1, len(self.ratios))
        return {"name": "copy of x", "answer": None, "exact": self.same / count}
