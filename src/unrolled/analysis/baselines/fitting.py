"""Tools to fit baselines: the type of the result, inner folds, the choice of an option, ridge regression."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import need
from unrolled.core.types import Floats, Integers

Answers = tuple[str, ...] | tuple[tuple[str, ...], ...] | tuple[Floats, ...]
Fold = tuple[Integers, Integers]  # indices to fit on, indices to score on
Choice = TypeVar("Choice")


@dataclass(frozen=True)
class Baseline:
    """Answers of a baseline for the test set.

    name: display name.
    predictions: one answer per example, in order and in the form of the target: a class, the tags of the
    tokens, or numbers ([n_y] for `number`, [T_x, n_x] for `next`).
    seconds: time for training, choice of options and prediction together.
    note: the options that were chosen, and the data that were not used.
    """

    name: str
    predictions: Answers
    seconds: float
    note: str = ""


def module(name: str, package: str) -> ModuleType:
    """Import a module of an optional package. Raises MissingExtra if the package is not installed."""
    with need("compare", package):
        return import_module(name)


def most_frequent(found: Iterable[str]) -> str:
    """Return the most frequent string; ties keep the first by alphabet. Raises ValueError without strings."""
    counts = Counter(found)
    return min(counts, key=lambda name: (-counts[name], name))


def folds(count: int, seed: int, many: int = 2_000) -> list[Fold]:
    """Return inner splits of `count` training items.

    There are five folds. From `many` items on there is only the first one, and below ten items there is none.
    """
    order = np.random.default_rng(seed).permutation(count)
    if count < 10:
        return []
    parts = np.array_split(order, 5)
    return [(np.concatenate(parts[:i] + parts[i + 1 :]), parts[i]) for i in range(1 if count >= many else 5)]


def pick(options: Sequence[Choice], splits: Sequence[Fold], score: Callable[[Choice, Fold], float]) -> Choice:
    """Return the option with the highest mean score over the splits; a tie keeps the first one.

    Without splits return the option in the middle.
    """
    if not splits:
        return options[len(options) // 2]
    means = [float(np.mean([score(option, split) for split in splits])) for option in options]
    return options[int(np.argmax(means))]


def agreement(answers: Sequence[str], truth: Sequence[str]) -> float:
    """Return the fraction of correct answers."""
    return float(np.mean([a == b for a, b in zip(answers, truth, strict=True)]))


def scaling(x: Floats) -> tuple[Floats, Floats]:
    """Return the mean and the standard deviation [n] of the rows of x [rows, n]; 1 for a constant column."""
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    constant = deviation <= 1e-12 * np.maximum(1.0, np.abs(mean))
    return mean, np.where(constant, 1.0, deviation)


RIDGES = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)


def ridge(x: Floats, y: Floats, strength: float) -> Callable[[Floats], Floats]:
    """Fit a ridge regression of y [rows, n_y] on standardised x [rows, n]. Return its prediction function.

    strength: weight of the L2 penalty.
    """
    (mean, deviation), level = scaling(x), y.mean(axis=0)
    z = (x - mean) / deviation
    gram = z.T @ z + strength * np.eye(z.shape[1])
    weights: NDArray[np.float64] = np.linalg.solve(gram, z.T @ (y - level))
    return lambda new: ((new - mean) / deviation) @ weights + level


def picked_ridge(x: Floats, y: Floats, splits: Sequence[Fold]) -> tuple[Callable[[Floats], Floats], float]:
    """Return a ridge regression and its strength, which is chosen by the squared error on the splits."""

    def score(strength: float, split: Fold) -> float:
        fit, check = split
        return -float(np.square(ridge(x[fit], y[fit], strength)(x[check]) - y[check]).mean())

    strength = pick(RIDGES, splits, score)
    return ridge(x, y, strength), strength


@contextmanager
def unhurried() -> Iterator[None]:
    """Suppress the warning of scikit-learn that a fit did not converge: a baseline need not be optimal."""
    exceptions = module("sklearn.exceptions", "scikit-learn")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", exceptions.ConvergenceWarning)
        yield
