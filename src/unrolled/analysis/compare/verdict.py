"""The verdict of a comparison: scores, how certain a difference is, and the sentence that states it.

Every metric is a function of sums over the scored items, so that a bootstrap only draws items and adds up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from unrolled.core.progress import duration
from unrolled.core.values.example_values import as_words
from unrolled.tasks.metrics import classification, regression, spans
from unrolled.tasks.metrics.classification import bootstrap

F64 = NDArray[np.float64]
Answers = Sequence[object]  # one an item: a class, the tags of a sentence, numbers, the cost of a line
ROUNDS = 2_000  # of the bootstrap
SHARE = 0.95  # of the interval


@dataclass(frozen=True)
class Scoring:
    """How answers to the scored part are measured.

    main: the name of the metric that decides; title: the same for people; form: how its values are written.
    scores: all metrics of some answers.  parts: what each item adds, [items, k].  value: the main metric, from the
    sum of the parts of all items [k].
    """

    main: str
    title: str
    higher: bool  # whether more is better
    form: str
    items: str  # what is scored, for people
    scores: Callable[[Answers], dict[str, float]]
    parts: Callable[[Answers], F64]
    value: Callable[[F64], float]

    def shown(self, value: float) -> str:
        """A value of the main metric for people."""
        return format(value, self.form)

    def better(self, a: float, b: float) -> bool:
        """Whether a is better than b."""
        return a > b if self.higher else a < b


def of_labels(gold: Sequence[str], known: Sequence[str], *, ordinal: bool) -> Scoring:
    """Accuracy decides. gold: the true classes; known: those of training, in order, which ordered classes need.

    A true class that is not among the known ones is always missed.
    """
    names = [*known, *sorted(set(gold) - set(known))]
    index = {name: number for number, name in enumerate(names)}
    truth = np.array([index[name] for name in gold], dtype=np.int64)

    def scores(answers: Answers) -> dict[str, float]:
        table = classification.confusion(
            truth, np.array([index[str(name)] for name in answers], np.int64), len(names)
        )
        found = {"accuracy": classification.accuracy(table), "macro_f1": classification.macro_f1(table)}
        return found | ({"mae": classification.mean_absolute_error(table)} if ordinal else {})

    def parts(answers: Answers) -> F64:
        right = [float(a == b) for a, b in zip(answers, gold, strict=True)]
        return np.stack([np.array(right), np.ones(len(right))], axis=1)

    return Scoring("accuracy", "accuracy", True, ".3f", "items", scores, parts, _ratio)


def of_tags(gold: Sequence[Sequence[str]], scheme: str) -> Scoring:
    """Span F1 decides where the tags mark spans, else accuracy."""
    steps = max(1, sum(map(len, gold)))

    def right(answers: Answers) -> list[int]:
        return [
            sum(a == b for a, b in zip(ours, truth, strict=True))
            for ours, truth in zip(map(as_words, answers), gold, strict=True)
        ]

    def scores(answers: Answers) -> dict[str, float]:
        found = {"accuracy": sum(right(answers)) / steps}
        if scheme == "none":
            return found
        overall = spans.tally(gold, list(map(as_words, answers))).overall
        return {
            "span_f1": overall.f1,
            "span_precision": overall.precision,
            "span_recall": overall.recall,
            **found,
        }

    def right_steps(answers: Answers) -> F64:
        return np.array([right(answers), [len(truth) for truth in gold]], dtype=np.float64).T

    def right_spans(answers: Answers) -> F64:
        pairs = (
            (set(spans.spans(a)), set(spans.spans(b)))
            for a, b in zip(map(as_words, answers), gold, strict=True)
        )
        return np.array([[2 * len(a & b), len(a) + len(b)] for a, b in pairs], dtype=np.float64)

    if scheme == "none":
        return Scoring("accuracy", "accuracy", True, ".3f", "sequences", scores, right_steps, _ratio)
    return Scoring("span_f1", "span F1", True, ".3f", "sequences", scores, right_spans, _ratio)


def of_numbers(gold: F64) -> Scoring:
    """The root of the mean squared error decides, of several numbers their mean. gold: [N, n_y]."""

    def table(answers: Answers) -> F64:
        return np.array([np.atleast_1d(np.asarray(answer)) for answer in answers], dtype=np.float64)

    def scores(answers: Answers) -> dict[str, float]:
        found = regression.score(gold, table(answers))
        return {"rmse": found.mean_rmse, "mae": found.mean_mae, "r2": found.mean_r2}

    def parts(answers: Answers) -> F64:
        return np.concatenate([(table(answers) - gold) ** 2, np.ones((len(gold), 1))], axis=1)

    def value(sums: F64) -> float:
        return float(np.sqrt(sums[:-1] / sums[-1]).mean())

    return Scoring("rmse", "rmse", False, ".4g", "items", scores, parts, value)


def of_figure(name: str, higher: bool) -> Scoring:
    """The mean of a figure over the items decides. An answer is the figure of one item. higher: more is better."""

    def numbers(answers: Answers) -> F64:
        return np.array(answers, dtype=np.float64)

    def scores(answers: Answers) -> dict[str, float]:
        return {name: float(numbers(answers).mean())}

    def parts(answers: Answers) -> F64:
        return np.stack([numbers(answers), np.ones(len(answers))], axis=1)

    return Scoring(name, name.replace("_", " "), higher, ".3f", "items", scores, parts, _ratio)


def of_lines(characters: F64) -> Scoring:
    """Bits a character decide. characters: [lines] of each line, its end counted.

    An answer is the cost of a line: bits, how many tokens were unknown, how many there were.
    """

    def costs(answers: Answers) -> F64:
        return np.array(answers, dtype=np.float64).reshape(len(characters), 3)

    def scores(answers: Answers) -> dict[str, float]:
        bits, unknown, tokens = costs(answers).sum(0).tolist()
        return {"bits_per_character": bits / characters.sum(), "unknown": unknown / max(1.0, tokens)}

    def parts(answers: Answers) -> F64:
        return np.stack([costs(answers)[:, 0], characters], axis=1)

    return Scoring("bits_per_character", "bits a character", False, ".3f", "lines", scores, parts, _ratio)


def _ratio(sums: F64) -> float:
    """The first sum as a share of the second; a share of nothing is 0."""
    return float(sums[0] / sums[1]) if sums[1] else 0.0


@dataclass(frozen=True, eq=False)
class Trial:
    """One training, or one baseline: its scores, and what each item adds to the main metric [items, k].

    seconds: of training. milliseconds: to answer one item. size: bytes of the model file.
    """

    seed: int | None
    scores: Mapping[str, float]
    parts: F64
    seconds: float
    milliseconds: float | None = None
    size: int | None = None


@dataclass(frozen=True)
class Entry:
    """A contestant. tries: one a seed, none where it could not run; note: why not, or what was picked."""

    name: str
    recurrent: bool
    tries: tuple[Trial, ...]
    parameters: int | None = None
    settings: Mapping[str, object] = field(default_factory=dict[str, object])
    note: str = ""

    def values(self, metric: str) -> list[float]:
        """That metric of each try."""
        return [one.scores[metric] for one in self.tries]

    def mean(self, metric: str) -> float:
        """The mean over the seeds."""
        return float(np.mean(self.values(metric)))

    @property
    def seconds(self) -> float:
        """Of training, the mean over the seeds."""
        return float(np.mean([one.seconds for one in self.tries]))


@dataclass(frozen=True)
class Verdict:
    """outcome: `worth it`, `not worth it`, `undecided`, or `no contest` where one side is missing.

    The difference is the recurrent model's main metric less the baseline's; low and high are its interval.
    """

    outcome: str
    sentence: str
    recurrent: str | None = None
    baseline: str | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None


def ranked(entries: Sequence[Entry], scoring: Scoring) -> list[Entry]:
    """Those that ran, the best mean first, the quicker first of equals."""
    sign = -1 if scoring.higher else 1
    return sorted(
        (entry for entry in entries if entry.tries),
        key=lambda entry: (sign * entry.mean(scoring.main), entry.seconds),
    )


def middle(entry: Entry, scoring: Scoring) -> Trial:
    """The try in the middle of all seeds; of an even number the worse of the two in the middle."""
    order = sorted(entry.tries, key=lambda one: one.scores[scoring.main], reverse=not scoring.higher)
    return order[(len(order) - 1) // 2]


def interval(ours: F64, theirs: F64, value: Callable[[F64], float]) -> tuple[float, float]:
    """Where the difference of a metric lies with 95%: the paired bootstrap over items. Both: [items, k]."""
    both, k = np.concatenate([ours, theirs], axis=1), ours.shape[1]

    def difference(drawn: NDArray[np.int64]) -> float:
        sums = np.bincount(drawn, minlength=len(both)) @ both
        return value(sums[:k]) - value(sums[k:])

    return bootstrap(difference, len(both), seed=0, rounds=ROUNDS, share=SHARE)


def verdict(entries: Sequence[Entry], scoring: Scoring) -> Verdict:
    """Hold the best recurrent model, the one in the middle of its seeds, against the best baseline."""
    order = ranked(entries, scoring)
    model = next((entry for entry in order if entry.recurrent), None)
    rival = next((entry for entry in order if not entry.recurrent), None)
    if model is None:
        return Verdict("no contest", "No recurrent model could be trained here, so none is worth it.")
    ours = middle(model, scoring)
    about = f"{model.name} has {scoring.title} {scoring.shown(ours.scores[scoring.main])}"
    if len(model.tries) > 1:
        about += f" (the middle one of {len(model.tries)} seeds)"
    if rival is None:
        cost = f"after {spoken(ours.seconds)} of training"
        sentence = (
            f"Nothing to say whether it is worth it: no baseline ran; of the recurrent models {about} {cost}."
        )
        return Verdict("no contest", sentence, model.name)
    theirs = rival.tries[0]
    difference = ours.scores[scoring.main] - theirs.scores[scoring.main]
    low, high = interval(ours.parts, theirs.parts, scoring.value)
    outcome = _outcome(low, high, scoring)
    opening = {
        "worth it": "A recurrent model is worth it here",
        "not worth it": "A recurrent model is not worth it here",
        "undecided": f"A recurrent model cannot be told apart from {rival.name} here, so by this much data it is not "
        "worth it",
    }[outcome]
    sentence = (
        f"{opening}: {about} against {scoring.shown(theirs.scores[scoring.main])} of {rival.name} "
        f"(difference {_signed(difference, scoring)}, {SHARE:.0%} interval {_signed(low, scoring)} to "
        f"{_signed(high, scoring)}{'' if scoring.higher else '; less is better'}), "
        f"for {spoken(ours.seconds)} of training against {spoken(theirs.seconds)}."
    )
    return Verdict(outcome, sentence, model.name, rival.name, difference, low, high)


def spoken(seconds: float) -> str:
    """Seconds for people; short ones with a decimal, since most baselines take no longer."""
    return f"{seconds:.1f}s" if seconds < 10 else duration(seconds)


def _outcome(low: float, high: float, scoring: Scoring) -> str:
    if scoring.better(low, 0.0) and scoring.better(high, 0.0):
        return "worth it"
    return "not worth it" if scoring.better(0.0, low) and scoring.better(0.0, high) else "undecided"


def _signed(value: float, scoring: Scoring) -> str:
    return format(value, "+" + scoring.form)
