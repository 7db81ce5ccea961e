"""Baselines that read a series as one row: a fully connected network, and ridge regression on statistics.

A fully connected network on the padded series shares no weights between steps: what it learns about step 3
does not help at step 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any

import numpy as np

from unrolled.analysis.baselines.example_arrays import labels, reals, series
from unrolled.analysis.baselines.fitting import (
    Baseline,
    agreement,
    folds,
    module,
    pick,
    picked_ridge,
    scaling,
    unhurried,
)
from unrolled.core.types import Array, Example, Floats, Integers

ALPHAS = (1.0, 0.01, 1e-4)  # strengths of the L2 penalty of the network
UNITS = 128
SWEEPS = 200


def connected_label(train: Sequence[Example], test: Sequence[Example], seed: int = 0) -> Baseline:
    """Fully connected network (one hidden layer, padded series) for classes.

    Raises MissingExtra, DataError.
    """
    start = perf_counter()
    x, asked, steps = _rows(train, test)
    classes = labels(train)
    name = "padded fully connected"
    if len(set(classes)) == 1:
        return Baseline(name, (classes[0],) * len(test), perf_counter() - start, "one class only")
    truth = np.array(classes)

    def score(alpha: float, split: tuple[Integers, Integers]) -> float:
        fit, check = split
        answers = _network("MLPClassifier", x[fit], truth[fit], alpha, seed).predict(x[check])
        return agreement([str(a) for a in answers], [classes[i] for i in check])

    with unhurried():
        alpha = pick(ALPHAS, folds(len(x), seed)[:1], score)
        answers = _network("MLPClassifier", x, truth, alpha, seed).predict(asked)
    note = f"{steps} steps, alpha {alpha:g}"
    return Baseline(name, tuple(str(a) for a in answers), perf_counter() - start, note)


def connected_number(train: Sequence[Example], test: Sequence[Example], seed: int = 0) -> Baseline:
    """Fully connected network as in `connected_label`, for numbers, which are standardised for training.

    Raises MissingExtra, DataError.
    """
    start = perf_counter()
    x, asked, steps = _rows(train, test)
    targets = reals(train)
    mean, deviation = scaling(targets)
    y = (targets - mean) / deviation

    def score(alpha: float, split: tuple[Integers, Integers]) -> float:
        fit, check = split
        return -float(np.square(_regress(x[fit], y[fit], x[check], alpha, seed) - y[check]).mean())

    with unhurried():
        alpha = pick(ALPHAS, folds(len(x), seed)[:1], score)
        answers = _regress(x, y, asked, alpha, seed) * deviation + mean
    note = f"{steps} steps, alpha {alpha:g}"
    return Baseline("padded fully connected", tuple(answers), perf_counter() - start, note)


def _network(kind: str, x: Floats, y: Array, alpha: float, seed: int) -> Any:
    """Fit a network of scikit-learn. The result is Any, since scikit-learn has no types."""
    networks = module("sklearn.neural_network", "scikit-learn")
    make = {"MLPClassifier": networks.MLPClassifier, "MLPRegressor": networks.MLPRegressor}[kind]
    return make(hidden_layer_sizes=(UNITS,), alpha=alpha, max_iter=SWEEPS, random_state=seed).fit(x, y)


def _regress(x: Floats, y: Floats, asked: Floats, alpha: float, seed: int) -> Floats:
    """Fit a network and return its predictions [asked, n_y]. scikit-learn needs a single target as [rows]."""
    flat = y[:, 0] if y.shape[1] == 1 else y
    answers: Floats = np.asarray(_network("MLPRegressor", x, flat, alpha, seed).predict(asked))
    return answers.reshape(len(asked), y.shape[1])


def _rows(train: Sequence[Example], test: Sequence[Example]) -> tuple[Floats, Floats, int]:
    """Return both sets as rows, [examples, steps * n_x], and the number of steps.

    The number of steps is the 95th percentile of the training lengths. The channels are standardised. Longer
    series are cut, and shorter ones are padded with zeros, which is the mean of the channels.
    """
    known, asked = series(train), series([*train[:1], *test])[1:]
    steps = int(np.ceil(np.percentile([len(x) for x in known], 95)))
    mean, deviation = scaling(np.concatenate(known))

    def flat(parts: list[Floats]) -> Floats:
        rows = np.zeros((len(parts), steps, len(mean)))
        for row, x in zip(rows, parts, strict=True):
            cut = x[:steps]
            row[: len(cut)] = (cut - mean) / deviation
        return rows.reshape(len(parts), -1)

    return flat(known), flat(asked), steps


def ridge_summary(train: Sequence[Example], test: Sequence[Example], seed: int = 0) -> Baseline:
    """Ridge regression on the `summary` of a series. Raises DataError."""
    start = perf_counter()
    known, asked = series(train), series([*train[:1], *test])[1:]
    x, y = np.stack([summary(part) for part in known]), reals(train)
    model, strength = picked_ridge(x, y, folds(len(x), seed))
    answers = model(np.array([summary(part) for part in asked]).reshape(len(asked), x.shape[1]))
    note = f"strength {strength:g}"
    return Baseline("ridge on summary statistics", tuple(answers), perf_counter() - start, note)


def summary(x: Floats) -> Floats:
    """Return summary statistics of a series x [T_x, n_x], as [8 n_x + 1].

    For each channel: mean, standard deviation, minimum, maximum, first value, last value, slope per step, and
    mean absolute difference between steps. The last statistic is the logarithm of the length.
    """
    steps = np.arange(len(x)) - (len(x) - 1) / 2
    slope = steps @ x / max(float(steps @ steps), 1.0)
    jumps = np.abs(np.diff(x, axis=0)).sum(axis=0) / max(len(x) - 1, 1)
    kept = (x.mean(axis=0), x.std(axis=0), x.min(axis=0), x.max(axis=0), x[0], x[-1], slope, jumps)
    return np.concatenate([*kept, np.log([float(len(x))])])
