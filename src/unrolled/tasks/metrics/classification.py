"""Metrics of classes: accuracy, F1, the error of ratings, calibration.

Classes are indices from 0 to n - 1. A fraction with the denominator 0 is 0, for example the precision of a
class that was never predicted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import DataError, NonFiniteError, UsageError
from unrolled.core.types import Floats, Integers

F64 = NDArray[np.float64]
Counts = NDArray[np.int64]

LOWEST, HIGHEST = 0.05, 20.0  # range of temperatures
FEWEST = 30  # minimum number of examples to fit a temperature


@dataclass(frozen=True)
class ClassScore:
    """The score of one class.

    support: number of items of this class.  predicted: number of items predicted as this class.
    correct: number of items in both groups.
    """

    support: int
    predicted: int
    correct: int

    @property
    def precision(self) -> float:
        """Fraction of the predicted items that are correct."""
        return self.correct / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """Fraction of the items of this class that were found."""
        return self.correct / self.support if self.support else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.correct / (self.support + self.predicted) if self.correct else 0.0


def confusion(gold: Integers, predicted: Integers, n: int) -> Counts:
    """Return the confusion matrix [n, n]: how often class i (row, true) was predicted as class j (column).

    gold, predicted: [N].
    Raises DataError if there are no items, if the lengths differ, or if an index is outside 0 to n - 1.
    """
    if gold.shape != predicted.shape or gold.ndim != 1:
        raise DataError(f"true classes of shape {gold.shape} and predicted ones of shape {predicted.shape}")
    if not gold.size:
        raise DataError("nothing to score", expected="at least one item")
    for indices in (gold, predicted):
        if not 0 <= int(indices.min()) <= int(indices.max()) < n:
            raise DataError(f"classes {int(indices.min())} to {int(indices.max())}", expected=f"0 to {n - 1}")
    cells = gold.astype(np.int64) * n + predicted
    return np.bincount(cells, minlength=n * n).reshape(n, n).astype(np.int64)


def accuracy(table: Counts) -> float:
    """Return the fraction of items on the diagonal of a confusion matrix [n, n]."""
    return float(np.trace(table) / table.sum())


def by_class(table: Counts) -> list[ClassScore]:
    """Return the score of each class of a confusion matrix [n, n], in the order of the indices."""
    return [
        ClassScore(int(support), int(predicted), int(correct))
        for support, predicted, correct in zip(table.sum(1), table.sum(0), table.diagonal(), strict=True)
    ]


def macro_f1(table: Counts) -> float:
    """Return the mean F1 of the classes that occur in a confusion matrix [n, n], true or predicted."""
    correct, total = table.diagonal(), table.sum(0) + table.sum(1)
    seen = total > 0
    scores: list[float] = (2 * correct[seen] / total[seen]).tolist()
    return sum(scores) / len(scores)


def mean_absolute_error(table: Counts) -> float:
    """Return the mean absolute error of ordered classes, in classes, from a confusion matrix [n, n]."""
    return float((table * np.abs(_distances(len(table)))).sum() / table.sum())


def quadratic_kappa(table: Counts) -> float:
    """Return Cohen's kappa of ordered classes, with the squared distance as weight.

    1: complete agreement; 0: random agreement; below 0: less than random agreement.
    It is 0 if all items have one class and are predicted as this class, because then random predictions would
    agree completely too.
    Source: Cohen, Psychological Bulletin 70, 1968.
    """
    squared = _distances(len(table)) ** 2
    observed = float((table * squared).sum())
    chance = float((np.outer(table.sum(1), table.sum(0)) * squared).sum() / table.sum())
    return 1.0 - observed / chance if chance else 0.0


def log_loss(log_probs: Floats, gold: Integers) -> float:
    """Return the mean of -log p(true class) in nats. It is inf if a true class has probability 0.

    log_probs: [N, n].  gold: [N].
    """
    z, y = _checked(log_probs, gold)
    return float(-z[np.arange(len(y)), y].mean())


def calibration_error(log_probs: Floats, gold: Integers, bins: int = 15) -> float:
    """Return the expected calibration error (Guo et al., arXiv 1706.04599v2).

    The items are sorted into bins of equal width, (0, 1/15] to (14/15, 1], by the probability of their most
    probable class. The error is the mean distance between the mean probability and the accuracy of a bin,
    weighted by its number of items.
    log_probs: [N, n].  gold: [N].
    """
    z, y = _checked(log_probs, gold)
    _, p, right = reliability(np.exp(z.max(1)), z.argmax(1) == y, bins)
    # These are sums, not means, so each bin is weighted by its number of items.
    return float(np.abs(p - right).sum() / len(y))


def reliability(p: F64, right: NDArray[np.bool_], bins: int = 15) -> tuple[Counts, F64, F64]:
    """Return what a reliability diagram shows, each [bins]: for each bin of probabilities, the number of items,
    the sum of their probabilities, and the number of correct items.

    The bins have equal width, from (0, 1 / bins] to (1 - 1 / bins, 1].
    p: [N] probabilities of the predicted classes.  right: [N] whether they are correct.
    """
    place = np.clip(np.ceil(p * bins).astype(np.int64) - 1, 0, bins - 1)  # [N]
    total, correct = (np.asarray(np.bincount(place, values, bins), np.float64) for values in (p, right))
    return np.bincount(place, minlength=bins), total, correct


def fit_temperature(logits: Floats, gold: Integers) -> float:
    """Return the temperature T that minimises the log loss of softmax(logits / T) on held-out items.

    logits: [N, n] logits or log-probabilities.  gold: [N].
    The loss is convex in 1 / T. Newton's method finds the zero of its derivative; if a step leaves the
    bracket, the bracket is halved instead. T is limited to 0.05 to 20.
    The result is 1.0 for fewer than 30 items. It is also 1.0 if all items are correct, because then the loss
    has no minimum.
    Raises NonFiniteError for logits that are not finite. Source: Guo et al., arXiv 1706.04599v2.
    """
    z, y = _checked(logits, gold)
    if not np.isfinite(z).all():
        raise NonFiniteError("the logits are not finite, so no temperature can be fitted")
    z = z - z.max(1, keepdims=True)  # [N, n]
    true = z[np.arange(len(y)), y]
    if len(y) < FEWEST or (true == 0).all():
        return 1.0
    low, high = 1 / HIGHEST, 1 / LOWEST  # the bracket of b = 1 / T
    if _slope(z, true, low)[0] >= 0:
        return HIGHEST
    if _slope(z, true, high)[0] <= 0:
        return LOWEST
    b = 1.0
    for _ in range(100):
        slope, curvature = _slope(z, true, b)
        low, high = (b, high) if slope < 0 else (low, b)
        step = b - slope / curvature if curvature > 0 else low
        following = step if low < step < high else (low + high) / 2
        if abs(following - b) <= 1e-12 * b:
            break
        b = following
    return 1 / b


def bootstrap(
    statistic: Callable[[Counts], float], n: int, seed: int, rounds: int = 1000, share: float = 0.95
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of a statistic of n items.

    Source: Efron, Annals of Statistics 7, 1979.
    statistic: a function from indices [n], drawn with replacement, to a number.
    rounds: number of draws.  share: fraction of the draws inside the interval, the confidence level.
    The same seed gives the same interval.
    Raises DataError if there are no items, and UsageError if `share` is not between 0 and 1 or `rounds` is
    below 1.
    """
    if n < 1:
        raise DataError("nothing to score", expected="at least one item")
    if not 0 < share < 1 or rounds < 1:
        raise UsageError(
            f"share={share}, rounds={rounds}", expected="a share between 0 and 1, and one round or more"
        )
    rng = np.random.default_rng(seed)
    drawn = [statistic(rng.integers(0, n, n)) for _ in range(rounds)]
    low, high = np.quantile(drawn, [(1 - share) / 2, (1 + share) / 2])
    return float(low), float(high)


def _distances(n: int) -> Counts:
    return np.arange(n)[:, None] - np.arange(n)


def _checked(rows: Floats, gold: Integers) -> tuple[F64, Counts]:
    """Return rows [N, n] in float64 and gold [N] in int64.

    Raises DataError if they do not match or are empty.
    """
    if rows.ndim != 2 or gold.shape != rows.shape[:1]:
        raise DataError(
            f"scores of shape {rows.shape} for classes of shape {gold.shape}", expected="(N, n), (N,)"
        )
    if not gold.size:
        raise DataError("nothing to score", expected="at least one item")
    if not 0 <= int(gold.min()) <= int(gold.max()) < rows.shape[1]:
        raise DataError(
            f"classes {int(gold.min())} to {int(gold.max())}", expected=f"0 to {rows.shape[1] - 1}"
        )
    return rows.astype(np.float64), gold.astype(np.int64)


def _slope(z: F64, true: F64, b: float) -> tuple[float, float]:
    """Return the first and second derivative of the loss with respect to b.

    The loss is the mean of log sum_k exp(b z_k) - b z_true over items. With the probabilities softmax(b z), the
    first derivative is the mean of E[z] - z_true, and the second is the mean of the variance of z.
    """
    p = np.exp(b * z)
    p /= p.sum(1, keepdims=True)
    mean = (p * z).sum(1)
    return float((mean - true).mean()), float(((p * z**2).sum(1) - mean**2).mean())
