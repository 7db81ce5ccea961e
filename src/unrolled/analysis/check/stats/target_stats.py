"""Statistics of y for `check`: one class for each output kind.

The encoders are already fitted on the training set. Each class examines every sequence with them, as
training would, and raises the DataError with which training would stop.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from unrolled.analysis.check.findings import Findings
from unrolled.analysis.check.odd_characters import look_at_text
from unrolled.analysis.check.stats.report_types import (
    BaselineReport,
    ClassesReport,
    NumberReport,
    NumbersReport,
    Share,
    TagsReport,
    WindowsReport,
    YReport,
)
from unrolled.core.errors import DataError
from unrolled.core.types import Example, Place
from unrolled.core.values.example_values import as_words, elements
from unrolled.data.text.span_tags import style_of
from unrolled.datasets.windows import window_ends
from unrolled.tasks.inputs.numbers import NumberInput
from unrolled.tasks.metrics import spans
from unrolled.tasks.outputs.label import Label
from unrolled.tasks.outputs.number import Number
from unrolled.tasks.outputs.tags import Tags

FAR = 20  # standard deviations from the mean: normally distributed numbers are never so far away
FEW = 5  # a class with fewer sequences is reported as rare
CLASSES = 100_000  # distinct classes, tags, or pairs of word and tag that are counted at most
MANY = 20  # minimum number of sequences to report that there are too many classes
OFTEN = 20  # minimum count of a word whose tags are compared

F64 = NDArray[np.float64]


@runtime_checkable
class TargetStats(Protocol):
    """Statistics of y in one part."""

    def add(self, example: Example, lines: Sequence[int] = ()) -> object:
        """Examine one example, and return its y after corrections. Raises DataError if training would.

        lines: the line of each step; empty if the steps have no lines of their own.
        """
        ...

    def report(self) -> YReport:
        """Return the JSON values."""
        ...

    def conclude(self) -> None:
        """Add the findings that need the whole training set. Raises DataError if training would."""
        ...

    def baseline(self) -> BaselineReport | None:
        """Return the score of a baseline that ignores x. None: there is no such baseline."""
        ...


def look_alikes(counts: Counter[str], places: dict[str, Place], kind: str, findings: Findings) -> None:
    """Add a finding for each group of names that differ only in case or white space."""
    groups: dict[str, list[str]] = {}
    for name in counts:
        groups.setdefault(" ".join(name.split()).casefold(), []).append(name)
    for group in groups.values():
        if len(group) > 1:
            ordered = sorted(group, key=lambda name: (-counts[name], name))
            rarest = ordered[-1]
            told = ", ".join(f"{name!r:.60} {counts[name]:,} times" for name in ordered)
            findings.odd(f"{kind} that differ in case or white space only", places[rarest], told)


def shares(counts: Counter[str], order: Sequence[str]) -> dict[str, Share]:
    """Return the count and the fraction of each name, in this order."""
    total = max(1, counts.total())
    return {name: {"count": counts[name], "share": counts[name] / total} for name in order}


@dataclass
class LabelSurvey:
    """Statistics of y if it is a class."""

    learnt: Label | None
    findings: Findings
    counts: Counter[str] = field(default_factory=Counter)
    places: dict[str, Place] = field(default_factory=dict)
    uncounted: int = 0

    def add(self, example: Example, lines: Sequence[int] = ()) -> str:
        """Examine one example, and return its class without white space around it."""
        name = str(example.y)
        if name in self.counts or len(self.counts) < CLASSES:
            self.counts[name] += 1
            if name not in self.places:
                self.places[name] = example.place
                look_at_text(name, example.place, self.findings)
        else:
            self.uncounted += 1
        if name != name.strip():
            kind = "white space around a class (training treats it as another class)"
            self.findings.odd(kind, example.place, repr(name[:60]))
        if self.learnt is not None:
            self.learnt.encode(name, 0, example.place)
        return name.strip()

    def conclude(self) -> None:
        """Add findings for rare classes and similar names.

        If the number of classes is more than half the number of sequences, add only a finding about this.
        """
        total = self.counts.total() + self.uncounted
        if total >= MANY and len(self.counts) > total / 2:
            place = next(iter(self.places.values()))
            detail = f"{len(self.counts):,} classes in {total:,} sequences; is this the right column?"
            self.findings.odd("almost as many classes as sequences", place, detail)
            return
        for name, count in self.counts.items():
            if count < FEW:
                kind = "class seen once" if count == 1 else f"class seen fewer than {FEW} times"
                detail = repr(name[:60]) + ("" if count == 1 else f", {count} times")
                self.findings.odd(kind, self.places[name], detail)
        look_alikes(self.counts, self.places, "classes", self.findings)

    def report(self) -> ClassesReport:
        """Return the count of each class in the order of training. Classes unknown to training come last."""
        known = self.learnt.classes if self.learnt is not None else ()
        order = [*known, *sorted(name for name in self.counts if name not in set(known))]
        ordinal = self.learnt is not None and self.learnt.ordinal
        return {"classes": shares(self.counts, order), "ordinal": ordinal, "uncounted": self.uncounted}

    def baseline(self) -> BaselineReport | None:
        """Return the accuracy of the most frequent class."""
        if not self.counts:
            return None
        name, count = min(self.counts.items(), key=lambda item: (-item[1], item[0]))
        share = count / (self.counts.total() + self.uncounted)
        return {"name": "most frequent class", "answer": name, "accuracy": share}


@dataclass
class NumberSurvey:
    """Statistics of y if it is one or more numbers."""

    learnt: Number | None
    findings: Findings
    count: int = 0
    low: F64 = field(default_factory=lambda: np.zeros(0))
    high: F64 = field(default_factory=lambda: np.zeros(0))
    mean: F64 = field(default_factory=lambda: np.zeros(0))

    def add(self, example: Example, lines: Sequence[int] = ()) -> object:
        """Examine one example, and return its y unchanged."""
        y: F64 = np.array(example.y, dtype=np.float64)  # [n_y]
        if self.learnt is not None:
            scaled = self.learnt.encode(y, 0, example.place)
            for number in np.flatnonzero(np.abs(scaled) > FAR).tolist():
                kind = f"target number over {FAR} standard deviations from the mean"
                self.findings.odd(kind, example.place, f"{y[number]:.6g}")
        if not self.count:
            self.low, self.high, self.mean = y.copy(), y.copy(), np.zeros(len(y))
        if len(y) == len(self.low):
            self.count += 1
            self.mean += y / self.count - self.mean / self.count
            self.low, self.high = np.minimum(self.low, y), np.maximum(self.high, y)
        return example.y

    def conclude(self) -> None:
        """Add nothing."""

    def report(self) -> NumbersReport:
        """Return the statistics of each number. The standard deviation is that of the training set."""
        deviation = self.learnt.deviation if self.learnt is not None else (None,) * len(self.low)
        each = zip(self.low.tolist(), self.mean.tolist(), self.high.tolist(), deviation, strict=False)
        rows = (NumberReport(min=low, mean=mean, max=high, deviation=own) for low, mean, high, own in each)
        return {"numbers": list(rows)}

    def baseline(self) -> BaselineReport | None:
        """Return the RMSE of the mean."""
        if self.learnt is None:
            return None
        rmse = sum(self.learnt.deviation) / self.learnt.n_y
        return {"name": "mean", "answer": list(self.learnt.mean), "rmse": rmse}


@dataclass
class ForecastSurvey:
    """Statistics of series whose next values are the target.

    horizon: number of steps to forecast. 0: predict each next step, in pieces of `history` steps (see
    `next_step_windows`).
    numbers: the encoder of the columns, fitted on the training set.
    """

    horizon: int
    history: int
    numbers: NumberInput | None
    windows: int = 0
    counts: list[int] = field(default_factory=list[int])  # windows of each series
    steps: int = 0  # steps of all windows together
    file: Path | None = None  # file of the last series
    low: F64 = field(default_factory=lambda: np.zeros(0))  # [n_x, horizon] range of the targets
    high: F64 = field(default_factory=lambda: np.zeros(0))

    def add(self, example: Example, lines: Sequence[int] = ()) -> None:
        """Count the windows of one more series."""
        self.file = example.place.file
        own = example.y if isinstance(example.y, np.ndarray) else example.x
        x: F64 = np.asarray(own, dtype=np.float64)  # [T, n_x], or the target numbers [T, n_y]
        ends = window_ends(len(x), self.horizon, self.history) if self.horizon else range(1, len(x))
        if not ends:
            return
        first = ends[0]  # the first step to forecast
        asked = sliding_window_view(x[first:], self.horizon or 1, axis=0)  # [windows, n_x, horizon]
        pieces = -(-len(asked) // self.history)
        self.counts.append(len(asked) if self.horizon else pieces)
        self.windows += self.counts[-1]
        self.steps += len(asked) * first if self.horizon else len(x) + (pieces - 1) * self.history
        low, high = np.fmin.reduce(asked, axis=0), np.fmax.reduce(asked, axis=0)  # ignores missing numbers
        if self.low.shape == low.shape:
            low, high = np.fmin(self.low, low), np.fmax(self.high, high)
        self.low, self.high = low, high

    def conclude(self) -> None:
        """Raise DataError if there is nothing to forecast, or if the target never changes."""
        if not self.windows:
            if not self.horizon:
                raise DataError(
                    "no examples: no series has two steps", file=self.file, expected="longer series"
                )
            what = f"no examples: no series is longer than the horizon of {self.horizon:,} steps"
            raise DataError(what, file=self.file, expected="longer series, or a smaller --horizon")
        if not (self.low < self.high).any():
            raise DataError("y is always the same number", expected="different numbers")

    def report(self) -> WindowsReport:
        """Return the number of windows and of steps."""
        return {"windows": self.windows, "steps": self.steps}

    def baseline(self) -> BaselineReport | None:
        """Return the RMSE of the mean of each column."""
        if self.numbers is None:
            return None
        deviation = self.numbers.deviation
        return {"name": "mean", "answer": None, "rmse": sum(deviation) / len(deviation)}


@dataclass
class TagSurvey:
    """Statistics of y if it is tags: counts, spans by type, tags that break the scheme, inconsistent tags."""

    learnt: Tags | None
    findings: Findings
    counts: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    places: dict[str, Place] = field(default_factory=dict)
    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def scheme(self) -> str:
        """Scheme by which the tags of the training set mark spans; `none`: they mark no spans."""
        return self.learnt.written if self.learnt is not None else "none"

    def add(self, example: Example, lines: Sequence[int] = ()) -> tuple[str, ...]:
        """Examine one example. Return its tags as conlleval reads them, without white space around them."""
        raw = tuple(str(tag) for tag in elements(example.y))
        words = as_words(example.x) if isinstance(example.x, tuple) else [""] * len(raw)
        tags = tuple(tag.strip() for tag in raw)

        unseen = set(self.learnt.unseen_in(tags)) if self.learnt is not None else set[str]()

        def place(i: int) -> Place:
            return Place(example.place.file, lines[i] if lines else example.place.line)

        def named(i: int) -> str:
            return f"token {i + 1}" + (f" {words[i][:40]!r}" if words[i] else "")

        for i, tag in enumerate(raw):
            if tag in self.counts or len(self.counts) < CLASSES:
                self.counts[tag] += 1
                if tag not in self.places:
                    self.places[tag] = place(i)
            if tag != tags[i]:
                kind = "white space around a tag (training treats it as another tag)"
                self.findings.odd(kind, place(i), f"{named(i)}: {tag!r}")
            if tags[i] in unseen:
                self.findings.odd("tag that is not in the training set", place(i), repr(tag[:60]))
            pair = (words[i], tag)
            if words[i] and (pair in self.pairs or len(self.pairs) < CLASSES):
                self.pairs[pair] += 1
        if self.scheme == "none":
            return tags
        self.kinds.update(span.type for span in spans.spans(tags))
        bad = spans.find_bad(tags, self.scheme)
        for i, reason in bad:
            self.findings.odd("tag that breaks the scheme", place(i), f"{named(i)}: {reason}")
        return repaired(tags, self.scheme, self.learnt) if bad else tags

    def conclude(self) -> None:
        """Add findings for similar names of tags, and for tags that do not fit their words."""
        look_alikes(self.counts, self.places, "tags", self.findings)
        by_word: dict[str, Counter[str]] = {}
        for (word, tag), count in self.pairs.items():
            by_word.setdefault(word, Counter())[tag] = count
        often = {word: tags for word, tags in by_word.items() if tags.total() >= OFTEN}
        torn = [
            word for word, tags in often.items() if len(tags) > 2 and max(tags.values()) < tags.total() / 2
        ]
        if len(torn) > max(5, len(often) / 2) and self.places:
            shown = ", ".join(f"{word[:20]!r} has {len(often[word])} tags" for word in torn[:3])
            detail = (
                f"{len(torn):,} of {len(often):,} frequent words have no tag for half of their uses ({shown})"
            )
            first = next(iter(self.places.values()))
            self.findings.odd("tags that seem to belong to other words", first, detail)

    def report(self) -> TagsReport:
        """Return the count of each tag and of each type of span, the most frequent first."""
        order = sorted(self.counts, key=lambda name: (-self.counts[name], name))
        kinds = dict(sorted(self.kinds.items(), key=lambda item: (-item[1], item[0])))
        return {"scheme": self.scheme, "tags": shares(self.counts, order), "spans": kinds}

    def baseline(self) -> BaselineReport | None:
        """Return the accuracy of the most frequent tag."""
        if not self.counts:
            return None
        name, count = min(self.counts.items(), key=lambda item: (-item[1], item[0]))
        return {"name": "most frequent tag", "answer": name, "accuracy": count / self.counts.total()}


def repaired(tags: Sequence[str], scheme: str, learnt: Tags | None = None) -> tuple[str, ...]:
    """Return the tags as conlleval reads them: an I- tag without its B- tag begins a span.

    Tags that mark no span stay unchanged.
    learnt: the tags of the training set; the result uses their letters and their separator.
    """
    return spans.convert_known(tags, scheme, None if learnt is None else style_of(learnt.classes))
