"""Baselines on a series as one flat row: a fully connected network, and ridge regression on summary statistics.

A padded fully connected network learns each position anew: what it knows of step 3 does not help at step 4.
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

ALPHAS = (1.0, 0.01, 1e-4)  # strengths of the squared penalty of the network
UNITS = 128
SWEEPS = 200


def connected_label(train: Sequence[Example], test: Sequence[Example], seed: int = 0) -> Baseline:
    """A padded fully connected network, one hidden layer, for classes. Raises MissingExtra, DataError."""
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
    """The same for reals, which are standardised to learn them. Raises MissingExtra, DataError."""
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
    """A fitted network of scikit-learn, which has no types."""
    networks = module("sklearn.neural_network", "scikit-learn")
    make = {"MLPClassifier": networks.MLPClassifier, "MLPRegressor": networks.MLPRegressor}[kind]
    return make(hidden_layer_sizes=(UNITS,), alpha=alpha, max_iter=SWEEPS, random_state=seed).fit(x, y)


def _regress(x: Floats, y: Floats, asked: Floats, alpha: float, seed: int) -> Floats:
    """[asked, n_y]; one column is handed over flat, as scikit-learn wants it."""
    flat = y[:, 0] if y.shape[1] == 1 else y
    answers: Floats = np.asarray(_network("MLPRegressor", x, flat, alpha, seed).predict(asked))
    return answers.reshape(len(asked), y.shape[1])


def _rows(train: Sequence[Example], test: Sequence[Example]) -> tuple[Floats, Floats, int]:
    """Both parts as rows [examples, steps * n_x], and the steps: the 95th percentile of the training lengths.

    Standardised a channel; longer series are cut, shorter ones padded with zero, their mean.
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
    """Ridge regression on what `summary` keeps of a series; raises DataError."""
    start = perf_counter()
    known, asked = series(train), series([*train[:1], *test])[1:]
    x, y = np.stack([summary(part) for part in known]), reals(train)
    model, strength = picked_ridge(x, y, folds(len(x), seed))
    answers = model(np.array([summary(part) for part in asked]).reshape(len(asked), x.shape[1]))
    note = f"strength {strength:g}"
    return Baseline("ridge on summary statistics", tuple(answers), perf_counter() - start, note)


def summary(x: Floats) -> Floats:
    """Of a series [T_x, n_x] for each channel mean, deviation, least, largest, first, last, slope a step and mean
    size of a step, and the logarithm of its length: [8 n_x + 1]."""
    steps = np.arange(len(x)) - (len(x) - 1) / 2
    slope = steps @ x / max(float(steps @ steps), 1.0)
    jumps = np.abs(np.diff(x, axis=0)).sum(axis=0) / max(len(x) - 1, 1)
    kept = (x.mean(axis=0), x.std(axis=0), x.min(axis=0), x.max(axis=0), x[0], x[-1], slope, jumps)
    return np.concatenate([*kept, np.log([float(len(x))])])
