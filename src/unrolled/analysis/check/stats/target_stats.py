"""Statistics of y for `check`: one class for each output kind.

What is learnt of the training part is known before; a survey looks at every sequence with it, as training will, and
raises the DataError that training would stop with.
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

FAR = 20  # deviations from the mean: no bell curve has such a value
FEW = 5  # sequences that teach little of a class
CLASSES = 100_000  # distinct classes, tags, or pairs of word and tag that are counted
MANY = 20  # sequences from which on a class for each second one is too many
OFTEN = 20  # times that a word must be there for its tags to be compared

F64 = NDArray[np.float64]


@runtime_checkable
class TargetStats(Protocol):
    """What is gathered of one part's y."""

    def add(self, example: Example, lines: Sequence[int] = ()) -> object:
        """Look at one more; its y as it should be. lines: of its steps, where they are known. Raises DataError."""
        ...

    def report(self) -> YReport:
        """As JSON values."""
        ...

    def conclude(self) -> None:
        """Note what only the whole training part shows. Raises DataError where training would."""
        ...

    def baseline(self) -> BaselineReport | None:
        """What an answer that does not look at x reaches."""
        ...


def look_alikes(counts: Counter[str], places: dict[str, Place], kind: str, findings: Findings) -> None:
    """Note names that differ in case or white space only."""
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
    """Count and share of each name, in this order."""
    total = max(1, counts.total())
    return {name: {"count": counts[name], "share": counts[name] / total} for name in order}


@dataclass
class LabelSurvey:
    """Classes."""

    learnt: Label | None
    findings: Findings
    counts: Counter[str] = field(default_factory=Counter)
    places: dict[str, Place] = field(default_factory=dict)
    uncounted: int = 0

    def add(self, example: Example, lines: Sequence[int] = ()) -> str:
        """Look at one more; its class without white space around it."""
        name = str(example.y)
        if name in self.counts or len(self.counts) < CLASSES:
            self.counts[name] += 1
            if name not in self.places:
                self.places[name] = example.place
                look_at_text(name, example.place, self.findings)
        else:
            self.uncounted += 1
        if name != name.strip():
            kind = "white space around a class, which makes it another to training"
            self.findings.odd(kind, example.place, repr(name[:60]))
        if self.learnt is not None:
            self.learnt.encode(name, 0, example.place)
        return name.strip()

    def conclude(self) -> None:
        """Rare classes, those that look alike, and a column of names taken for classes."""
        total = self.counts.total() + self.uncounted
        if total >= MANY and len(self.counts) > total / 2:
            place = next(iter(self.places.values()))
            detail = f"{len(self.counts):,} classes of {total:,} sequences; is it the right column?"
            self.findings.odd("nearly a class for each sequence", place, detail)
            return
        for name, count in self.counts.items():
            if count < FEW:
                kind = "class seen once" if count == 1 else f"class seen fewer than {FEW} times"
                detail = repr(name[:60]) + ("" if count == 1 else f", {count} times")
                self.findings.odd(kind, self.places[name], detail)
        look_alikes(self.counts, self.places, "classes", self.findings)

    def report(self) -> ClassesReport:
        """Each class in the order that training gives them."""
        known = self.learnt.classes if self.learnt is not None else ()
        order = [*known, *sorted(name for name in self.counts if name not in set(known))]
        ordinal = self.learnt is not None and self.learnt.ordinal
        return {"classes": shares(self.counts, order), "ordinal": ordinal, "uncounted": self.uncounted}

    def baseline(self) -> BaselineReport | None:
        """The most frequent class."""
        if not self.counts:
            return None
        name, count = min(self.counts.items(), key=lambda item: (-item[1], item[0]))
        share = count / (self.counts.total() + self.uncounted)
        return {"name": "most frequent class", "answer": name, "accuracy": share}


@dataclass
class NumberSurvey:
    """Reals to be learnt."""

    learnt: Number | None
    findings: Findings
    count: int = 0
    low: F64 = field(default_factory=lambda: np.zeros(0))
    high: F64 = field(default_factory=lambda: np.zeros(0))
    mean: F64 = field(default_factory=lambda: np.zeros(0))

    def add(self, example: Example, lines: Sequence[int] = ()) -> object:
        """Look at one more."""
        y: F64 = np.array(example.y, dtype=np.float64)  # [n_y]
        if self.learnt is not None:
            scaled = self.learnt.encode(y, 0, example.place)
            for number in np.flatnonzero(np.abs(scaled) > FAR).tolist():
                kind = f"number to be learnt over {FAR} deviations from the mean"
                self.findings.odd(kind, example.place, f"{y[number]:.6g}")
        if not self.count:
            self.low, self.high, self.mean = y.copy(), y.copy(), np.zeros(len(y))
        if len(y) == len(self.low):
            self.count += 1
            self.mean += y / self.count - self.mean / self.count
            self.low, self.high = np.minimum(self.low, y), np.maximum(self.high, y)
        return example.y

    def conclude(self) -> None:
        """Nothing more."""

    def report(self) -> NumbersReport:
        """Each number; its deviation is that of the training part."""
        deviation = self.learnt.deviation if self.learnt is not None else (None,) * len(self.low)
        each = zip(self.low.tolist(), self.mean.tolist(), self.high.tolist(), deviation, strict=False)
        rows = (NumberReport(min=low, mean=mean, max=high, deviation=own) for low, mean, high, own in each)
        return {"numbers": list(rows)}

    def baseline(self) -> BaselineReport | None:
        """The mean."""
        if self.learnt is None:
            return None
        rmse = sum(self.learnt.deviation) / self.learnt.n_y
        return {"name": "mean", "answer": list(self.learnt.mean), "rmse": rmse}


@dataclass
class ForecastSurvey:
    """Windows of series, where their next values are asked for. numbers: what was learnt of the columns.

    horizon: how many steps are to be forecast; 0: each next step, in pieces of `history` (`next_step_windows`).
    """

    horizon: int
    history: int
    numbers: NumberInput | None
    windows: int = 0
    counts: list[int] = field(default_factory=list[int])  # windows of each series
    steps: int = 0  # of all windows
    file: Path | None = None  # of the last series
    low: F64 = field(default_factory=lambda: np.zeros(0))  # [n_x, horizon] of what is to be forecast
    high: F64 = field(default_factory=lambda: np.zeros(0))

    def add(self, example: Example, lines: Sequence[int] = ()) -> None:
        """Count the windows of one more series."""
        self.file = example.place.file
        own = example.y if isinstance(example.y, np.ndarray) else example.x
        x: F64 = np.asarray(own, dtype=np.float64)  # [T, n_x], or the numbers that are asked for
        ends = window_ends(len(x), self.horizon, self.history) if self.horizon else range(1, len(x))
        if not ends:
            return
        first = ends[0]  # the first step that is to be forecast
        asked = sliding_window_view(x[first:], self.horizon or 1, axis=0)  # [windows, n_x, horizon]
        pieces = -(-len(asked) // self.history)
        self.counts.append(len(asked) if self.horizon else pieces)
        self.windows += self.counts[-1]
        self.steps += len(asked) * first if self.horizon else len(x) + (pieces - 1) * self.history
        low, high = np.fmin.reduce(asked, axis=0), np.fmax.reduce(asked, axis=0)  # of what is not missing
        if self.low.shape == low.shape:
            low, high = np.fmin(self.low, low), np.fmax(self.high, high)
        self.low, self.high = low, high

    def conclude(self) -> None:
        """Raises DataError where there is nothing to forecast."""
        if not self.windows:
            if not self.horizon:
                raise DataError(
                    "no examples: no series has two steps", file=self.file, expected="longer series"
                )
            what = f"no examples: no series is longer than the horizon of {self.horizon:,} steps"
            raise DataError(what, file=self.file, expected="longer series, or a smaller --horizon")
        if not (self.low < self.high).any():
            raise DataError("the number to be learnt is always the same", expected="one that varies")

    def report(self) -> WindowsReport:
        """How many there are."""
        return {"windows": self.windows, "steps": self.steps}

    def baseline(self) -> BaselineReport | None:
        """The mean of each column."""
        if self.numbers is None:
            return None
        deviation = self.numbers.deviation
        return {"name": "mean", "answer": None, "rmse": sum(deviation) / len(deviation)}


@dataclass
class TagSurvey:
    """Tags: counts, spans by type, tags that break the scheme, words whose tags agree in nothing."""

    learnt: Tags | None
    findings: Findings
    counts: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    places: dict[str, Place] = field(default_factory=dict)
    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def scheme(self) -> str:
        """How the training part's tags mark spans."""
        return self.learnt.written if self.learnt is not None else "none"

    def add(self, example: Example, lines: Sequence[int] = ()) -> tuple[str, ...]:
        """Look at one more; its tags as conlleval reads them, without white space around them."""
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
                kind = "white space around a tag, which makes it another to training"
                self.findings.odd(kind, place(i), f"{named(i)}: {tag!r}")
            if tags[i] in unseen:
                self.findings.odd("tag that the training part does not have", place(i), repr(tag[:60]))
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
        """Tags that look alike, and tags that have nothing to do with their words."""
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
            detail = f"{len(torn):,} of {len(often):,} frequent words have no tag in half of their places ({shown})"
            first = next(iter(self.places.values()))
            self.findings.odd("tags that seem to belong to other words", first, detail)

    def report(self) -> TagsReport:
        """Each tag, and each type of spans."""
        order = sorted(self.counts, key=lambda name: (-self.counts[name], name))
        kinds = dict(sorted(self.kinds.items(), key=lambda item: (-item[1], item[0])))
        return {"scheme": self.scheme, "tags": shares(self.counts, order), "spans": kinds}

    def baseline(self) -> BaselineReport | None:
        """The most frequent tag."""
        if not self.counts:
            return None
        name, count = min(self.counts.items(), key=lambda item: (-item[1], item[0]))
        return {"name": "most frequent tag", "answer": name, "accuracy": count / self.counts.total()}


def repaired(tags: Sequence[str], scheme: str, learnt: Tags | None = None) -> tuple[str, ...]:
    """The tags as conlleval reads them: an I- without its B- begins a span. What is no tag of a span stays.

    learnt: the tags of the training part, whose letters and separator are kept.
    """
    return spans.convert_known(tags, scheme, None if learnt is None else style_of(learnt.classes))
