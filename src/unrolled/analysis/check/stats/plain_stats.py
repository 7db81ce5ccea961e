"""Statistics for `check` of input and output kinds that other packages provide."""

from __future__ import annotations

from collections.abc import Sequence

from unrolled.analysis.check.stats.report_types import BaselineReport, PlainReport, XReport
from unrolled.core.types import Example
from unrolled.core.values.example_values import length
from unrolled.tasks.inputs import Input
from unrolled.tasks.outputs import Output


class PlainSurvey:
    """Count the steps of x after encoding. given: the fitted input; None if fitting failed."""

    def __init__(self, given: Input | None) -> None:
        self.given = given

    def add(self, example: Example) -> int:
        """Return the number of steps of x. Raises the errors of the encoder."""
        return 0 if self.given is None else len(self.given.encode(example.x, example.place))

    def report(self) -> XReport:
        """Return no statistics."""
        return {}


class PlainTargetSurvey:
    """Encode each y to find errors. asked: the fitted output; None if fitting failed."""

    def __init__(self, asked: Output | None) -> None:
        self.asked = asked

    def add(self, example: Example, lines: Sequence[int] = ()) -> object:
        """Return y unchanged. Raises the errors of the encoder."""
        if self.asked is not None and example.y is not None:
            self.asked.encode(
                example.y, 1 if self.asked.targets != "each" else length(example.y), example.place
            )
        return example.y

    def report(self) -> PlainReport:
        """Return the description of the output."""
        return {} if self.asked is None else {"about": self.asked.describe()}

    def conclude(self) -> None:
        """Add nothing."""

    def baseline(self) -> BaselineReport | None:
        """Return None: no baseline is known for other kinds."""
        return None
