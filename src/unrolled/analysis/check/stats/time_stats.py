"""Statistics of the time stamps of series for `check`: range, usual step, and irregular places."""

from __future__ import annotations

from dataclasses import dataclass, field

from unrolled.analysis.check.findings import Findings
from unrolled.analysis.check.stats.report_types import TimesReport
from unrolled.core.types import Example
from unrolled.data.time_stamps import oddities, step_text, time_text
from unrolled.datasets.reading_notes import Times


@dataclass
class TimeSurvey:
    """Statistics of the time stamps of one part."""

    findings: Findings
    times: Times = field(default_factory=Times)

    def add(self, example: Example) -> None:
        """Examine one series, and add a finding for each irregular time stamp."""
        if example.times is None or not len(example.times):
            return
        self.times.add(example)
        found = oddities(example.times)
        for name, steps in found.named.items():
            for step in steps:
                before, here = example.times[step - 1], example.times[step]
                length = step_text(abs(int((here - before).astype(int))))
                usual = "" if found.usual is None else f", the usual step is {step_text(found.usual)}"
                which = f"series {example.id!r}, " if example.id else ""
                detail = (
                    f"{which}step {step + 1}: {time_text(before)}, then {time_text(here)} ({length}{usual})"
                )
                self.findings.odd(name, example.place, detail)

    def report(self) -> TimesReport:
        """Return the JSON values; empty if there are no time stamps."""
        if self.times.first is None or self.times.last is None:
            return {}
        return {"times": self.times.lines()[0]}
