"""Judge a comparison: scores, the confidence interval of the difference, and the verdict as a sentence.

Every metric is a function of sums over the scored items. A bootstrap then only draws items and adds.
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
Answers = Sequence[object]  # one per item: a class, the tags of a sentence, numbers, or the cost of a line
ROUNDS = 2_000  # rounds of the bootstrap
SHARE = 0.95  # confidence level of the interval


@dataclass(frozen=True)
class Scoring:
    """How answers on the scored set are measured.

    main: name of the main metric, which decides the verdict.  title: its display name.
    form: its number format.  higher: whether higher is better.  items: display name of the scored items.
    scores: computes all metrics of the answers.
    parts: computes the contribution of each item to the main metric, [items, k].
    value: computes the main metric from the sum [k] of the contributions of all items.
    """

    main: str
    title: str
    higher: bool
    form: str
    items: str
    scores: Callable[[Answers], dict[str, float]]
    parts: Callable[[Answers], F64]
    value: Callable[[F64], float]

    def shown(self, value: float) -> str:
        """Return a value of the main metric as text."""
        return format(value, self.form)

    def better(self, a: float, b: float) -> bool:
        """Return whether a is better than b."""
        return a > b if self.higher else a < b


def of_labels(gold: Sequence[str], known: Sequence[str], *, ordinal: bool) -> Scoring:
    """Score classes. The main metric is the accuracy.

    gold: the true classes.  known: the training classes in order; ordinal classes need the order for the MAE.
    An item is always wrong if its true class is not known.
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
    """Score tags. The main metric is the span F1 if the tags mark spans, else the accuracy."""
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
    """Score numbers. The main metric is the RMSE, averaged over the n_y numbers. gold: [N, n_y]."""

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
    """Score by a figure of the output. The main metric is its mean over the items.

    An answer is the figure of one item. higher: whether higher is better.
    """

    def numbers(answers: Answers) -> F64:
        return np.array(answers, dtype=np.float64)

    def scores(answers: Answers) -> dict[str, float]:
        return {name: float(numbers(answers).mean())}

    def parts(answers: Answers) -> F64:
        return np.stack([numbers(answers), np.ones(len(answers))], axis=1)

    return Scoring(name, name.replace("_", " "), higher, ".3f", "items", scores, parts, _ratio)


def of_lines(characters: F64) -> Scoring:
    """Score lines of text. The main metric is the number of bits per character.

    characters: [lines] characters of each line, including its newline.
    An answer is the cost of a line: bits, number of unknown tokens, number of tokens.
    """

    def costs(answers: Answers) -> F64:
        return np.array(answers, dtype=np.float64).reshape(len(characters), 3)

    def scores(answers: Answers) -> dict[str, float]:
        bits, unknown, tokens = costs(answers).sum(0).tolist()
        return {"bits_per_character": bits / characters.sum(), "unknown": unknown / max(1.0, tokens)}

    def parts(answers: Answers) -> F64:
        return np.stack([costs(answers)[:, 0], characters], axis=1)

    return Scoring("bits_per_character", "bits per character", False, ".3f", "lines", scores, parts, _ratio)


def _ratio(sums: F64) -> float:
    """Return the first sum divided by the second; 0 if the second is 0."""
    return float(sums[0] / sums[1]) if sums[1] else 0.0


@dataclass(frozen=True, eq=False)
class Trial:
    """Result of one training or of one baseline.

    seed: None for a baseline.  scores: all metrics.
    parts: contribution of each item to the main metric, [items, k].
    seconds: training time.  milliseconds: time to answer one item.  size: bytes of the model file.
    """

    seed: int | None
    scores: Mapping[str, float]
    parts: F64
    seconds: float
    milliseconds: float | None = None
    size: int | None = None


@dataclass(frozen=True)
class Entry:
    """One model or baseline of the comparison.

    tries: one result per seed; empty if it could not run.  note: the reason, or the options that were chosen.
    """

    name: str
    recurrent: bool
    tries: tuple[Trial, ...]
    parameters: int | None = None
    settings: Mapping[str, object] = field(default_factory=dict[str, object])
    note: str = ""

    def values(self, metric: str) -> list[float]:
        """Return the metric of each seed."""
        return [one.scores[metric] for one in self.tries]

    def mean(self, metric: str) -> float:
        """Return the mean of the metric over the seeds."""
        return float(np.mean(self.values(metric)))

    @property
    def seconds(self) -> float:
        """Mean training time over the seeds."""
        return float(np.mean([one.seconds for one in self.tries]))


@dataclass(frozen=True)
class Verdict:
    """Verdict of a comparison.

    outcome: `worth it`, `not worth it`, `undecided`, or `no comparison` if there is no model or no baseline.
    recurrent, baseline: names of the best model and of the best baseline.
    difference: main metric of the model minus that of the baseline.  low, high: its confidence interval.
    """

    outcome: str
    sentence: str
    recurrent: str | None = None
    baseline: str | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None


def ranked(entries: Sequence[Entry], scoring: Scoring) -> list[Entry]:
    """Return the entries that ran, the best mean of the main metric first; in a tie the faster one first."""
    sign = -1 if scoring.higher else 1
    return sorted(
        (entry for entry in entries if entry.tries),
        key=lambda entry: (sign * entry.mean(scoring.main), entry.seconds),
    )


def middle(entry: Entry, scoring: Scoring) -> Trial:
    """Return the result of the median seed; for an even number of seeds the worse of the two middle ones."""
    order = sorted(entry.tries, key=lambda one: one.scores[scoring.main], reverse=not scoring.higher)
    return order[(len(order) - 1) // 2]


def interval(ours: F64, theirs: F64, value: Callable[[F64], float]) -> tuple[float, float]:
    """Return the 95% confidence interval of the difference of a metric, by a paired bootstrap over the items.

    ours, theirs: contributions of the items, [items, k].
    """
    both, k = np.concatenate([ours, theirs], axis=1), ours.shape[1]

    def difference(drawn: NDArray[np.int64]) -> float:
        sums = np.bincount(drawn, minlength=len(both)) @ both
        return value(sums[:k]) - value(sums[k:])

    return bootstrap(difference, len(both), seed=0, rounds=ROUNDS, share=SHARE)


def verdict(entries: Sequence[Entry], scoring: Scoring) -> Verdict:
    """Compare the best recurrent model (the result of its median seed) with the best baseline."""
    order = ranked(entries, scoring)
    model = next((entry for entry in order if entry.recurrent), None)
    baseline = next((entry for entry in order if not entry.recurrent), None)
    if model is None:
        return Verdict("no comparison", "No recurrent model could be trained here, so none is worth it.")
    ours = middle(model, scoring)
    about = f"{model.name} has {scoring.title} {scoring.shown(ours.scores[scoring.main])}"
    if len(model.tries) > 1:
        about += f" (median of {len(model.tries)} seeds)"
    if baseline is None:
        cost = f"after {spoken(ours.seconds)} of training"
        sentence = (
            f"It is unknown whether a recurrent model is worth it, since no baseline ran: {about} {cost}."
        )
        return Verdict("no comparison", sentence, model.name)
    theirs = baseline.tries[0]
    difference = ours.scores[scoring.main] - theirs.scores[scoring.main]
    low, high = interval(ours.parts, theirs.parts, scoring.value)
    outcome = _outcome(low, high, scoring)
    opening = {
        "worth it": "A recurrent model is worth it here",
        "not worth it": "A recurrent model is not worth it here",
        "undecided": f"A recurrent model is not significantly better or worse than {baseline.name} here, "
        "so it is not worth it",
    }[outcome]
    sentence = (
        f"{opening}: {about} against {scoring.shown(theirs.scores[scoring.main])} of {baseline.name} "
        f"(difference {_signed(difference, scoring)}, {SHARE:.0%} interval {_signed(low, scoring)} to "
        f"{_signed(high, scoring)}{'' if scoring.higher else '; lower is better'}), "
        f"with {spoken(ours.seconds)} of training against {spoken(theirs.seconds)}."
    )
    return Verdict(outcome, sentence, model.name, baseline.name, difference, low, high)


def spoken(seconds: float) -> str:
    """Return a duration as text. Below 10 seconds it has a decimal, since most baselines are that fast."""
    return f"{seconds:.1f}s" if seconds < 10 else duration(seconds)


def _outcome(low: float, high: float, scoring: Scoring) -> str:
    if scoring.better(low, 0.0) and scoring.better(high, 0.0):
        return "worth it"
    return "not worth it" if scoring.better(0.0, low) and scoring.better(0.0, high) else "undecided"


def _signed(value: float, scoring: Scoring) -> str:
    return format(value, "+" + scoring.form)
