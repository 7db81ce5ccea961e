"""Metrics of classes: accuracy, F1, the error of ratings, calibration.

A class is its index, 0 to n - 1. Where a share is one of nothing (no item of a class was predicted), it is 0.
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

LOWEST, HIGHEST = 0.05, 20.0  # temperatures
FEWEST = 30  # examples that can say something about a temperature


@dataclass(frozen=True)
class ClassScore:
    """One class: `support` items are of it, `predicted` were said to be, `correct` are both."""

    support: int
    predicted: int
    correct: int

    @property
    def precision(self) -> float:
        """The share of the predicted that is right."""
        return self.correct / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """The share of the items of this class that was found."""
        return self.correct / self.support if self.support else 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        return 2 * self.correct / (self.support + self.predicted) if self.correct else 0.0


def confusion(gold: Integers, predicted: Integers, n: int) -> Counts:
    """[n, n] how often class i (row, true) was called j (column). gold, predicted: [N].

    Raises DataError where there is nothing to score, the lengths differ or an index is not one of 0 to n - 1.
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
    """The share of the items on the diagonal of a confusion matrix [n, n]."""
    return float(np.trace(table) / table.sum())


def by_class(table: Counts) -> list[ClassScore]:
    """The score of each class of a confusion matrix [n, n], in the order of their indices."""
    return [
        ClassScore(int(support), int(predicted), int(correct))
        for support, predicted, correct in zip(table.sum(1), table.sum(0), table.diagonal(), strict=True)
    ]


def macro_f1(table: Counts) -> float:
    """The mean F1 of the classes that are true or predicted anywhere in a confusion matrix [n, n]."""
    seen = [one.f1 for one in by_class(table) if one.support or one.predicted]
    return sum(seen) / len(seen)


def mean_absolute_error(table: Counts) -> float:
    """The mean distance of ordered classes (ratings), in classes, from a confusion matrix [n, n]."""
    return float((table * np.abs(_distances(len(table)))).sum() / table.sum())


def quadratic_kappa(table: Counts) -> float:
    """Agreement of ordered classes beyond chance: 1 complete, 0 that of chance, below 0 worse.

    Cohen, Psychological Bulletin 70, 1968, with the squared distance as weight. 0 where chance alone cannot
    disagree, since all items are of one class and are said to be: that shows nothing.
    """
    squared = _distances(len(table)) ** 2
    observed = float((table * squared).sum())
    chance = float((np.outer(table.sum(1), table.sum(0)) * squared).sum() / table.sum())
    return 1.0 - observed / chance if chance else 0.0


def log_loss(log_probs: Floats, gold: Integers) -> float:
    """Mean -log p(true class) in nats: log_probs [N, n], gold [N]. inf where a true class was held impossible."""
    z, y = _checked(log_probs, gold)
    return float(-z[np.arange(len(y)), y].mean())


def calibration_error(log_probs: Floats, gold: Integers, bins: int = 15) -> float:
    """Expected calibration error: how far, on average, the probability of the answer is from its being right.

    Guo et al., arXiv 1706.04599v2: the items are put by the probability of the most probable class into bins of
    equal width, (0, 1/15] to (14/15, 1]; the distance of each bin's mean probability from its accuracy is weighted
    by its items. log_probs: [N, n].  gold: [N].
    """
    z, y = _checked(log_probs, gold)
    p, right = np.exp(z.max(1)), z.argmax(1) == y
    place = np.clip(np.ceil(p * bins).astype(np.int64) - 1, 0, bins - 1)  # [N]
    gaps = np.bincount(place, p, bins) - np.bincount(place, right, bins)  # sums, so already weighted
    return float(np.abs(gaps).sum() / len(y))


def fit_temperature(logits: Floats, gold: Integers) -> float:
    """The T that makes softmax(logits / T) most honest: least log loss on items held out from training.

    Guo et al., arXiv 1706.04599v2. logits or log-probabilities: [N, n].  gold: [N].  In 1 / T the loss is convex;
    its slope's zero is found by Newton's steps, halving the bracket where a step would leave it. T is within 0.05
    to 20, the end of the range where the zero lies beyond. 1.0 with fewer than 30 items, and where all are right
    already: then the loss has no least value, and the items cannot say how sure is too sure.
    Raises NonFiniteError for logits that are not finite.
    """
    z, y = _checked(logits, gold)
    if not np.isfinite(z).all():
        raise NonFiniteError("logits are not finite, and no temperature fits them")
    z = z - z.max(1, keepdims=True)  # [N, n]
    true = z[np.arange(len(y)), y]
    if len(y) < FEWEST or (true == 0).all():
        return 1.0
    low, high = 1 / HIGHEST, 1 / LOWEST  # of b = 1 / T
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
    """The percentile bootstrap interval (Efron, Annals of Statistics 7, 1979) of a statistic of n items.

    statistic: from indices [n], drawn with replacement, to a number.  rounds: how many draws.  share: of the draws
    between the two ends. The same seed gives the same interval.
    Raises DataError where there are no items and UsageError for a share outside 0 to 1.
    """
    if n < 1:
        raise DataError("nothing to score", expected="at least one item")
    if not 0 < share < 1 or rounds < 1:
        raise UsageError(
            f"share {share} of {rounds} rounds", expected="a share between 0 and 1, a round or more"
        )
    rng = np.random.default_rng(seed)
    drawn = [statistic(rng.integers(0, n, n)) for _ in range(rounds)]
    low, high = np.quantile(drawn, [(1 - share) / 2, (1 + share) / 2])
    return float(low), float(high)


def _distances(n: int) -> Counts:
    return np.arange(n)[:, None] - np.arange(n)


def _checked(rows: Floats, gold: Integers) -> tuple[F64, Counts]:
    """[N, n] in float64 and [N] in int64. Raises DataError where they do not belong together."""
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
    """First and second derivative by b of the mean of log sum_k exp(b z_k) - b z_true: a mean and a variance of z."""
    p = np.exp(b * z)
    p /= p.sum(1, keepdims=True)
    mean = (p * z).sum(1)
    return float((mean - true).mean()), float(((p * z**2).sum(1) - mean**2).mean())
