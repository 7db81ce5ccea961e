"""The report of `check` on kinds of other packages."""

from __future__ import annotations

from collections.abc import Sequence

from unrolled.analysis.check.stats.report_types import BaselineReport, PlainReport, XReport
from unrolled.core.types import Example
from unrolled.core.values.example_values import length
from unrolled.tasks.inputs import Input
from unrolled.tasks.outputs import Output


class PlainSurvey:
    """x as the network reads it: its steps. given: what was learnt of the input, None: nothing."""

    def __init__(self, given: Input | None) -> None:
        self.given = given

    def add(self, example: Example) -> int:
        """The steps of x. Raises what encoding it raises."""
        return 0 if self.given is None else len(self.given.encode(example.x, example.place))

    def report(self) -> XReport:
        """Nothing more."""
        return {}


class PlainTargetSurvey:
    """y as it was read. asked: what was learnt of the output, None: nothing."""

    def __init__(self, asked: Output | None) -> None:
        self.asked = asked

    def add(self, example: Example, lines: Sequence[int] = ()) -> object:
        """y. Raises what encoding it raises."""
        if self.asked is not None and example.y is not None:
            self.asked.encode(
                example.y, 1 if self.asked.targets != "each" else length(example.y), example.place
            )
        return example.y

    def report(self) -> PlainReport:
        """The description of the output."""
        return {} if self.asked is None else {"about": self.asked.describe()}

    def conclude(self) -> None:
        """Nothing."""

    def baseline(self) -> BaselineReport | None:
        """Nothing is known of one."""
        return None
