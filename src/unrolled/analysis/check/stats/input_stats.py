"""Statistics of x for `check`: one class for each input kind.

The encoders are already fitted on the training set. Each class examines every sequence with them, as
training would, and raises the DataError with which training would stop.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from unrolled.analysis.check.findings import SIZES, Findings
from unrolled.analysis.check.odd_characters import look_at_text
from unrolled.analysis.check.stats.report_types import ColumnReport, VectorsReport, WordsReport, XReport
from unrolled.core.config import DataConfig
from unrolled.core.errors import DataError
from unrolled.core.types import Example, Place
from unrolled.core.values.example_values import as_words
from unrolled.data.text.pretrained import choose
from unrolled.data.text.subword import SUBWORD
from unrolled.data.text.token_counter import Coverage, TokenCounter
from unrolled.data.text.tokenize import split
from unrolled.data.text.vocabulary import UNK, Vocabulary
from unrolled.tasks.inputs.frames import FrameInput
from unrolled.tasks.inputs.images import ImageInput
from unrolled.tasks.inputs.numbers import NumberInput

FAR = 20  # standard deviations from the mean: normally distributed numbers are never so far away
RUN = 100  # steps with the same value in a column that is not constant

F64 = NDArray[np.float64]


@runtime_checkable
class InputStats(Protocol):
    """Statistics of x in one part."""

    def add(self, example: Example) -> int:
        """Examine one example, and return its number of steps. Raises DataError if training would."""
        ...

    def report(self) -> XReport:
        """Return the JSON values."""
        ...


@dataclass(frozen=True)
class Words:
    """The most frequent tokens of the training set, enough for the largest of `sizes`.

    coverage: counts of all tokens.  sizes: vocabulary sizes for which the fraction of <UNK> is reported.
    vectors: [tokens of the vocabulary] whether a token has a pretrained vector; None: there is no file of them.
    """

    vocabulary: Vocabulary
    coverage: Coverage
    sizes: tuple[int, ...]
    vectors: NDArray[np.bool_] | None = None

    def report(self) -> WordsReport:
        """Return the JSON values."""
        counts = np.array(self.vocabulary.counts, dtype=np.int64)
        whole = len(counts) == self.coverage.types
        unknown = {str(n): 1 - float(counts[:n].sum()) / self.coverage.tokens for n in self.sizes}
        return {
            "distinct": self.coverage.types,
            "seen_once": int((counts == 1).sum()) if whole else None,
            "unknown_share": unknown,
            "most_frequent": list(self.vocabulary.tokens[:10]),
            "vectors": self._vectors(counts),
        }

    def _vectors(self, counts: NDArray[np.int64]) -> VectorsReport | None:
        if self.vectors is None:
            return None
        covered = int(counts[self.vectors].sum())
        return {"types": float(self.vectors.mean()), "tokens": covered / max(1, int(counts.sum()))}


def counted_unit(data: DataConfig) -> str:
    """Return the unit of the report: words if the unit is subwords, since `check` learns no subwords."""
    unit = data.source_unit or data.unit or "word"
    return "word" if unit == SUBWORD else unit


def tokens_of(x: object, data: DataConfig) -> list[str]:
    """Return the tokens of x as training counts them."""
    tokens = split(x, counted_unit(data)) if isinstance(x, str) else as_words(x)
    return [token.lower() for token in tokens] if data.lower else tokens


def learn_words(examples: Iterable[Example], data: DataConfig) -> Words:
    """Count the tokens of the training set. Raises DataError if there are none."""
    sizes = tuple(sorted({*SIZES, data.vocab_size}))
    with TokenCounter() as counter:
        for example in examples:
            counter.add(tokens_of(example.x, data))
        vocabulary, coverage = counter.vocabulary(sizes[-1])
    if not coverage.tokens:
        raise DataError("no examples: only white space", expected="text")
    return Words(vocabulary, coverage, sizes, _with_vectors(vocabulary, data))


def _with_vectors(vocabulary: Vocabulary, data: DataConfig) -> NDArray[np.bool_] | None:
    """Return which tokens of the vocabulary have a pretrained vector; None if no file of vectors is given."""
    if data.vectors is None:
        return None
    pretrained = choose(Path(data.vectors), vocabulary.tokens, 0)
    return np.array([pretrained.row(token) >= 0 for token in vocabulary.tokens], np.bool_)


@dataclass
class TokenSurvey:
    """Statistics of texts or tokens: odd characters, and unknown tokens for each vocabulary size."""

    words: Words | None
    data: DataConfig
    findings: Findings
    tokens: int = 0
    unknown: Counter[int] = field(default_factory=Counter)

    def add(self, example: Example) -> int:
        """Examine one example, and return its number of tokens."""
        x = example.x
        look_at_text(x if isinstance(x, str) else " ".join(as_words(x)), example.place, self.findings)
        tokens = tokens_of(x, self.data)
        self.tokens += len(tokens)
        if self.words is not None:
            ids = self.words.vocabulary.encode(tokens)
            for size in self.words.sizes:
                self.unknown[size] += int(((ids == UNK) | (ids >= size + 2)).sum())
        return len(tokens)

    def report(self) -> XReport:
        """Return the fraction of `<UNK>` for each vocabulary size."""
        sizes = self.words.sizes if self.words is not None else ()
        return {"unknown_share": {str(n): self.unknown[n] / max(1, self.tokens) for n in sizes}}


@dataclass
class FrameSurvey:
    """Statistics of video clips, or of images of text lines.

    A step is a frame of a clip or a column of an image. Finds sequences of one step, and sequences whose
    steps are all equal.
    """

    learnt: FrameInput | ImageInput | None
    findings: Findings
    pictures: int = 0

    def add(self, example: Example) -> int:
        """Examine one example, and return its number of steps."""
        if self.learnt is None:
            return 0
        x = self.learnt.encode(example.x, example.place)
        self.pictures += len(x)
        if len(x) == 1:
            self.findings.odd("sequence of one step", example.place)
        elif len(x) and not (x[1:] != x[:-1]).any():
            self.findings.odd("all steps are equal", example.place)
        return len(x)

    def report(self) -> XReport:
        """Return the number of steps."""
        return {"pictures": self.pictures}


def fmin(x: F64) -> F64:
    """Return the minimum [n] of each column of x [T, n]. Missing numbers count as infinity."""
    return np.where(np.isnan(x), np.inf, x).min(axis=0)


CLOCK = 5  # minimum number of steps for a clock: the numbers of a shorter series may rise by chance


@dataclass
class ColumnSurvey:
    """Statistics of each column of numbers: range, numbers far from the mean, long runs of one value.

    Also finds columns in which every step is larger than the one before, as on a clock.
    names: names of the columns for the report.
    """

    learnt: NumberInput | None
    names: tuple[str, ...]
    findings: Findings
    steps: int = 0
    known: NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(0, np.int64)
    )  # numbers that are not missing
    low: F64 = field(default_factory=lambda: np.zeros(0))
    high: F64 = field(default_factory=lambda: np.zeros(0))
    mean: F64 = field(default_factory=lambda: np.zeros(0))
    far: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    runs: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    rises: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    longest: int = 0

    def add(self, example: Example) -> int:
        """Examine one example, and return its number of steps."""
        x: F64 = np.asarray(example.x, dtype=np.float64)  # [T, n_x]
        if not self.steps:
            width = self.learnt.n_x if self.learnt is not None else x.shape[1]
            self.low, self.high = np.full(width, np.inf), np.full(width, -np.inf)
            self.mean, self.far, self.runs = np.zeros(width), np.zeros(width, int), np.zeros(width, int)
            self.known = np.zeros(width, int)
            self.rises = np.ones(width, bool)
        if x.shape[1] != len(self.low):
            place, expected = example.place, f"{len(self.low)}, as in the first example"
            raise DataError(
                f"{x.shape[1]} numbers per step", file=place.file, line=place.line, expected=expected
            )
        if len(x):
            self.steps += len(x)
            known = (~np.isnan(x)).sum(axis=0)  # [n_x]
            self.known = self.known + known
            with np.errstate(over="ignore", invalid="ignore"):
                own = np.nansum(x, axis=0) / np.maximum(known, 1)
                self.mean += (own - self.mean) * (known / np.maximum(self.known, 1))
            self.low, self.high = np.fmin(self.low, fmin(x)), np.fmax(self.high, -fmin(-x))
            self._far(x, example.place)
            self.rises &= (x[1:] > x[:-1]).all(axis=0)
            self.longest = max(self.longest, len(x))
            if len(x) >= RUN:
                self._runs(x, example.place)
        return len(x)

    def name(self, column: int) -> str:
        """Return the name of a column for messages: its number if it has no name."""
        return self.names[column] if len(self.names) == len(self.low) else str(column + 1)

    def _far(self, x: F64, place: Place) -> None:
        if self.learnt is None:
            return
        with np.errstate(over="ignore"):
            off = np.abs(x - np.array(self.learnt.mean)) > FAR * np.array(self.learnt.deviation)
        self.far += off.sum(axis=0)
        for step, column in np.argwhere(off).tolist() if off.any() else []:
            detail = f"step {step + 1}, column {self.name(column)}: {x[step, column]:.6g}"
            self.findings.odd(
                f"number over {FAR} standard deviations from the mean of its column", place, detail
            )

    def _runs(self, x: F64, place: Place) -> None:
        for column in np.flatnonzero(fmin(x) < -fmin(-x)).tolist():
            begins = np.concatenate([[0], np.flatnonzero(x[1:, column] != x[:-1, column]) + 1])
            lengths = np.diff(np.append(begins, len(x)))
            longest = int(lengths.argmax())
            if lengths[longest] < RUN:
                continue
            self.runs[column] += int((lengths >= RUN).sum())
            begin = int(begins[longest])
            value = f"column {self.name(column)} is {x[begin, column]:.6g} for {lengths[longest]:,} steps"
            self.findings.odd(
                f"the same value for {RUN} steps or more", place, f"{value} from step {begin + 1}"
            )

    def report(self) -> XReport:
        """Return the statistics of each column. The standard deviation is that of the training set."""
        return {"columns": [self._column(i) for i in range(len(self.low) if self.steps else 0)]}

    def _column(self, i: int) -> ColumnReport:
        mean, constant = float(self.mean[i]), bool(self.low[i] == self.high[i])
        deviation = None if self.learnt is None else 0.0 if constant else self.learnt.deviation[i]
        nothing = not self.known[i]
        return {
            "column": self.name(i),
            "min": None if nothing else float(self.low[i]),
            "mean": mean if np.isfinite(mean) and not nothing else None,  # infinite if the sum overflows
            "max": None if nothing else float(self.high[i]),
            "missing": int(self.steps - self.known[i]),
            "deviation": deviation,
            "constant": constant,
            "far": int(self.far[i]),
            "long_runs": int(self.runs[i]),
            "clock": bool(self.rises[i]) and self.longest >= CLOCK,
        }
