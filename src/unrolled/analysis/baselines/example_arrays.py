"""What the baselines share: their result, what they take from examples, and how they pick an option."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import DataError, need
from unrolled.core.types import Example, Floats, Integers

Answers = tuple[str, ...] | tuple[tuple[str, ...], ...] | tuple[Floats, ...]
Fold = tuple[Integers, Integers]  # indices to fit on, indices to check on
Choice = TypeVar("Choice")


@dataclass(frozen=True)
class Baseline:
    """What a baseline answers for the test part.

    name: for people.  predictions: an answer an example, in order and in the form of the target: a class, the tags
    of the tokens, or numbers ([n_y] for `number`, [T_x, n_x] for `next`).  seconds: training, picking of options and
    prediction together.  note: what was picked or left out.
    """

    name: str
    predictions: Answers
    seconds: float
    note: str = ""


def module(name: str, package: str) -> Any:
    """A module of a package that is installed apart; raises MissingExtra without it."""
    with need("compare", package):
        return import_module(name)


def texts(examples: Sequence[Example]) -> list[str]:
    """The texts, tokens joined by spaces; raises DataError where x is numbers."""
    found: list[str] = []
    for example in _some(examples):
        x = example.x
        if isinstance(x, np.ndarray):
            raise _wrong(example, "the input is numbers", "a text")
        found.append(x if isinstance(x, str) else " ".join(x))
    return found


def tokens(examples: Sequence[Example]) -> list[tuple[str, ...]]:
    """The tokens of each sentence; raises DataError where x is no sequence of words."""
    found: list[tuple[str, ...]] = []
    for example in _some(examples):
        if not isinstance(example.x, tuple):
            raise _wrong(example, "the sentence is not split into tokens", "a tuple of words")
        found.append(example.x)
    return found


def series(examples: Sequence[Example]) -> list[Floats]:
    """The numbers [T_x, n_x] of each, float64; raises DataError: not that, empty, not finite, n_x differs."""
    found: list[Floats] = []
    for example in _some(examples):
        x = example.x
        if not isinstance(x, np.ndarray) or x.ndim != 2 or not x.size:
            raise _wrong(example, "the input is not numbers", "numbers [T_x, n_x], at least one step")
        if not np.isfinite(x).all():
            raise _wrong(example, "a number is missing or not finite", "finite numbers")
        if found and x.shape[1] != found[0].shape[1]:
            raise _wrong(example, f"{x.shape[1]} numbers a step", str(found[0].shape[1]))
        found.append(x.astype(np.float64))
    return found


def labels(examples: Sequence[Example]) -> list[str]:
    """The class of each; raises DataError where there is none."""
    found: list[str] = []
    for example in _some(examples):
        if not isinstance(example.y, str):
            raise _wrong(example, "no class to learn from", "a label")
        found.append(example.y)
    return found


def tagged(examples: Sequence[Example]) -> list[tuple[str, ...]]:
    """The tags of each sentence; raises DataError where they are missing or not one a token."""
    found: list[tuple[str, ...]] = []
    for example in _some(examples):
        tags = tuple(tag for tag in example.y or () if isinstance(tag, str))
        if not isinstance(example.y, tuple) or len(tags) != len(example.x):
            raise _wrong(example, f"{len(tags)} tags for {len(example.x)} tokens", "a tag a token")
        found.append(tags)
    return found


def reals(examples: Sequence[Example]) -> Floats:
    """The targets [examples, n_y], float64; raises DataError where they are missing or their count differs."""
    found: list[list[float]] = []
    for example in _some(examples):
        if not isinstance(example.y, tuple) or not example.y or any(isinstance(v, str) for v in example.y):
            raise _wrong(example, "no numbers to learn from", "one or more numbers as the target")
        found.append([float(value) for value in example.y])
        if len(found[-1]) != len(found[0]):
            raise _wrong(example, f"{len(found[-1])} numbers as the target", str(len(found[0])))
    return np.array(found)


def _some(examples: Sequence[Example]) -> Sequence[Example]:
    if not examples:
        raise DataError("no examples", expected="at least one to learn from and one to answer")
    return examples


def _wrong(example: Example, what: str, expected: str) -> DataError:
    return DataError(what, file=example.place.file, line=example.place.line, expected=expected)


def most_frequent(found: Iterable[str]) -> str:
    """The most frequent string, the first in alphabetical order of equals; raises ValueError of none."""
    counts = Counter(found)
    return min(counts, key=lambda name: (-counts[name], name))


def folds(count: int, seed: int, many: int = 2_000) -> list[Fold]:
    """Inner splits of `count` training items: five folds, from `many` items up only the first, none below ten."""
    order = np.random.default_rng(seed).permutation(count)
    if count < 10:
        return []
    parts = np.array_split(order, 5)
    return [(np.concatenate(parts[:i] + parts[i + 1 :]), parts[i]) for i in range(1 if count >= many else 5)]


def pick(options: Sequence[Choice], splits: Sequence[Fold], score: Callable[[Choice, Fold], float]) -> Choice:
    """The option with the highest mean score over the splits, the first of equals; the middle one without splits."""
    if not splits:
        return options[len(options) // 2]
    means = [float(np.mean([score(option, split) for split in splits])) for option in options]
    return options[int(np.argmax(means))]


def agreement(answers: Sequence[str], truth: Sequence[str]) -> float:
    """The share of answers that are right."""
    return float(np.mean([a == b for a, b in zip(answers, truth, strict=True)]))


def scaling(x: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation [n] of the rows of x [rows, n]; 1 where a column is constant."""
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    constant = deviation <= 1e-12 * np.maximum(1.0, np.abs(mean))
    return mean, np.where(constant, 1.0, deviation)


RIDGES = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)


def ridge(x: Floats, y: Floats, strength: float) -> Callable[[Floats], Floats]:
    """Least squares of y [rows, n_y] on standardised x [rows, n], plus `strength` times the squared weights."""
    (mean, deviation), level = scaling(x), y.mean(axis=0)
    z = (x - mean) / deviation
    gram = z.T @ z + strength * np.eye(z.shape[1])
    weights: NDArray[np.float64] = np.linalg.solve(gram, z.T @ (y - level))
    return lambda new: ((new - mean) / deviation) @ weights + level


def picked_ridge(x: Floats, y: Floats, splits: Sequence[Fold]) -> tuple[Callable[[Floats], Floats], float]:
    """A ridge regression and its strength, picked on the splits by the squared error."""

    def score(strength: float, split: Fold) -> float:
        fit, check = split
        return -float(np.square(ridge(x[fit], y[fit], strength)(x[check]) - y[check]).mean())

    strength = pick(RIDGES, splits, score)
    return ridge(x, y, strength), strength


@contextmanager
def unhurried() -> Iterator[None]:
    """Silence scikit-learn's note that a fit stopped before it converged: a baseline need not be polished."""
    exceptions = module("sklearn.exceptions", "scikit-learn")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", exceptions.ConvergenceWarning)
        yield
