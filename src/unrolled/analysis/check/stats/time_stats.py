"""Report the time stamps of series in `check`: their range, their usual step, and where they are odd."""

from __future__ import annotations

from dataclasses import dataclass, field

from unrolled.analysis.check.findings import Findings
from unrolled.analysis.check.stats.report_types import TimesReport
from unrolled.core.types import Example
from unrolled.data.time_stamps import oddities, step_text, time_text
from unrolled.datasets.reading_notes import Times


@dataclass
class TimeSurvey:
    """The time stamps of one part."""

    findings: Findings
    times: Times = field(default_factory=Times)

    def add(self, example: Example) -> None:
        """Look at one more series."""
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
        """As JSON values."""
        if self.times.first is None or self.times.last is None:
            return {}
        return {"times": self.times.lines()[0]}
