"""Baselines that ignore the input: the most frequent class or tag, the mean of the targets."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

from unrolled.analysis.baselines.example_arrays import labels, reals, tagged, tokens
from unrolled.analysis.baselines.fitting import Baseline, most_frequent
from unrolled.core.types import Example
from unrolled.core.values.example_values import length


def majority_class(train: Sequence[Example], test: Sequence[Example], seed: int = 0) -> Baseline:
    """Predict the most frequent class for every example."""
    start = perf_counter()
    answer = most_frequent(labels(train))
    return Baseline("most frequent class", (answer,) * len(test), perf_counter() - start, answer)


def majority_tag(train: Sequence[Example], test: Sequence[Example], seed: int = 0) -> Baseline:
    """Predict the most frequent tag for every token."""
    start = perf_counter()
    answer = most_frequent(tag for tags in tagged(train) for tag in tags)
    predictions = tuple((answer,) * len(words) for words in tokens(test))
    return Baseline("most frequent tag", predictions, perf_counter() - start, answer)


def mean_number(train: Sequence[Example], test: Sequence[Example], seed: int = 0) -> Baseline:
    """Predict the mean of the training targets for every example."""
    start = perf_counter()
    mean = reals(train).mean(axis=0)
    return Baseline("mean", (mean,) * len(test), perf_counter() - start)


def majority_step(train: Sequence[Example], test: Sequence[Example], seed: int = 0) -> Baseline:
    """Predict the most frequent tag for every step of a series."""
    start = perf_counter()
    answer = most_frequent(tag for tags in tagged(train) for tag in tags)
    predictions = tuple((answer,) * length(example.x) for example in test)
    return Baseline("most frequent tag", predictions, perf_counter() - start, answer)
