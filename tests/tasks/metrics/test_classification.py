"""Metrics of classes by hand and against scikit-learn; the temperature against a search; the bootstrap's coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled.core.errors import DataError, NonFiniteError, UsageError
from unrolled.tasks.metrics.classification import (
    HIGHEST,
    LOWEST,
    ClassScore,
    accuracy,
    bootstrap,
    by_class,
    calibration_error,
    confusion,
    fit_temperature,
    log_loss,
    macro_f1,
    mean_absolute_error,
    quadratic_kappa,
)

PAIRS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


def test_scores_by_hand():
    gold, predicted = np.array([0, 0, 0, 1, 2]), np.array([0, 0, 1, 1, 0])
    table = confusion(gold, predicted, 4)
    assert table.tolist() == [[2, 1, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    assert accuracy(table) == 0.6
    scores = by_class(table)
    assert scores == [ClassScore(3, 3, 2), ClassScore(1, 2, 1), ClassScore(1, 0, 0), ClassScore(0, 0, 0)]
    assert (scores[1].precision, scores[1].recall, scores[1].f1) == (0.5, 1, pytest.approx(2 / 3))
    assert (scores[2].precision, scores[2].recall, scores[2].f1) == (0, 0, 0)
    assert macro_f1(table) == pytest.approx((2 / 3 + 2 / 3 + 0) / 3), "the class nobody saw does not count"
    assert mean_absolute_error(table) == pytest.approx(3 / 5)


def test_kappa_by_hand():
    # Two raters of 1, 2, 3 stars: agree twice, are once a star and once two stars apart.
    table = confusion(np.array([0, 1, 1, 2]), np.array([0, 1, 2, 0]), 3)
    observed, chance = (
        1 + 4,
        (1 * (2 * 0 + 1 * 1 + 1 * 4) + 2 * (2 * 1 + 1 * 0 + 1 * 1) + 1 * (2 * 4 + 1 * 1 + 0)) / 4,
    )
    assert quadratic_kappa(table) == pytest.approx(1 - observed / chance)
    assert quadratic_kappa(np.diag([3, 2, 1])) == 1
    assert quadratic_kappa(np.array([[0, 2], [2, 0]])) == -1
    assert quadratic_kappa(np.array([[5, 0], [0, 0]])) == 0


@given(PAIRS)
def test_scores_are_scikit_learns(pairs):
    theirs = pytest.importorskip("sklearn.metrics")
    gold, predicted = np.array(pairs).T
    table, labels = confusion(gold, predicted, 5), list(range(5))
    np.testing.assert_array_equal(table, theirs.confusion_matrix(gold, predicted, labels=labels))
    assert accuracy(table) == pytest.approx(theirs.accuracy_score(gold, predicted))
    assert macro_f1(table) == pytest.approx(
        theirs.f1_score(gold, predicted, average="macro", zero_division=0)
    )
    each = theirs.precision_recall_fscore_support(gold, predicted, labels=labels, zero_division=0)
    ours = [[one.precision, one.recall, one.f1, one.support] for one in by_class(table)]
    np.testing.assert_allclose(np.transpose(ours), each, atol=1e-12)
    assert mean_absolute_error(table) == pytest.approx(theirs.mean_absolute_error(gold, predicted))
    if len(set(gold) | set(predicted)) > 1:
        kappa = theirs.cohen_kappa_score(gold, predicted, labels=labels, weights="quadratic")
        assert quadratic_kappa(table) == pytest.approx(kappa, abs=1e-12)


@given(st.integers(0, 2**32), st.integers(2, 6), st.integers(1, 30))
def test_probabilities_are_scored_as_scikit_learn_does(seed, n, items):
    theirs = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(seed)
    z, y = log_softmax(rng.normal(size=(items, n)) * 3), rng.integers(0, n, items)
    labels = list(range(n))
    assert log_loss(z, y) == pytest.approx(theirs.log_loss(y, np.exp(z), labels=labels), rel=1e-9)


def test_probabilities_by_hand():
    with np.errstate(divide="ignore"):
        z = np.log(np.array([[1.0, 0], [0.25, 0.75]]))
    assert log_loss(z, np.array([0, 0])) == pytest.approx(math.log(4) / 2)
    assert log_loss(z, np.array([1, 0])) == math.inf


def test_calibration_error_by_hand():
    # 0.9 and 0.92 share the bin (13/15, 14/15], one of them right; 0.6 is alone and right.
    z = np.log(np.array([[0.9, 0.1], [0.08, 0.92], [0.6, 0.4]]))
    assert calibration_error(z, np.array([0, 0, 0])) == pytest.approx((abs(1.82 - 1) + abs(0.6 - 1)) / 3)
    sure = np.log(np.array([[1 - 1e-12, 1e-12]] * 4))
    assert calibration_error(sure, np.array([0, 0, 0, 0])) == pytest.approx(0, abs=1e-9)
    assert calibration_error(sure, np.array([1, 1, 1, 1])) == pytest.approx(1)
    edges = np.log(np.array([[0.6, 0.4], [0.6000001, 0.3999999]]))
    assert calibration_error(edges, np.array([0, 1]), bins=5) == pytest.approx((0.4 + 0.6) / 2), (
        "(0.4, 0.6], (0.6, 0.8]"
    )
    assert calibration_error(edges, np.array([0, 1]), bins=1) == pytest.approx(0.1, abs=1e-6)


def test_honest_probabilities_have_little_calibration_error_and_others_more():
    rng = np.random.default_rng(0)
    z = log_softmax(rng.normal(size=(20_000, 4)) * 2)
    y = (rng.random((len(z), 1)) > np.exp(z).cumsum(1)).sum(1)
    assert calibration_error(z, y) < 0.015
    assert calibration_error(log_softmax(z * 3), y) > 0.1


@settings(max_examples=50)
@given(st.integers(0, 2**32), st.integers(2, 5), st.floats(0.15, 8))
def test_the_temperature_has_the_least_loss(seed, n, scale):
    rng = np.random.default_rng(seed)
    honest = rng.normal(size=(200, n)) * 2
    y = (rng.random((200, 1)) > np.exp(log_softmax(honest)).cumsum(1)).sum(1).clip(0, n - 1)
    found = fit_temperature(honest * scale, y)

    def loss(temperature: float) -> float:
        return log_loss(log_softmax(honest * scale / temperature), y)

    assert all(loss(found) <= loss(other) + 1e-12 for other in np.geomspace(LOWEST, HIGHEST, 60))
    assert all(
        loss(found) <= loss(found * factor) + 1e-12 for factor in (0.999, 1.001) if LOWEST < found < HIGHEST
    )
    moved = honest * scale + rng.normal(size=(200, 1))
    assert fit_temperature(moved, y) == pytest.approx(found, rel=1e-6), (
        "log-probabilities or logits: the same"
    )


def test_the_temperature_undoes_a_factor():
    rng = np.random.default_rng(1)
    honest = rng.normal(size=(50_000, 5)) * 2
    y = (rng.random((len(honest), 1)) > np.exp(log_softmax(honest)).cumsum(1)).sum(1).clip(0, 4)
    for factor in (0.5, 1, 4):
        assert fit_temperature(honest * factor, y) == pytest.approx(factor, rel=0.03)


def test_the_temperature_is_guarded():
    rng = np.random.default_rng(2)
    z = rng.normal(size=(100, 3))
    y, other = z.argmax(1), z.argmin(1)
    assert fit_temperature(z, y) == 1, "all right: the loss falls for ever"
    assert fit_temperature(z[:29], other[:29]) == 1, "too few"
    assert fit_temperature(z, other) == HIGHEST, "all wrong: the flattest"
    assert fit_temperature(np.zeros((50, 3)), y[:50]) == 1, "no temperature changes anything"
    nearly = np.where(np.arange(100) == 0, other, y)
    assert fit_temperature(z * 1e-3, nearly) == LOWEST
    assert fit_temperature(z * 1e4, nearly) == HIGHEST
    for broken in (np.nan, np.inf, -np.inf):
        with pytest.raises(NonFiniteError, match="not finite"):
            fit_temperature(np.where(np.arange(3) == 1, broken, z), y)


def interval_of_mean(
    values: np.ndarray, seed: int, rounds: int = 1000, share: float = 0.95
) -> tuple[float, float]:
    return bootstrap(lambda drawn: float(values[drawn].mean()), len(values), seed, rounds, share)


def test_bootstrap():
    values = np.random.default_rng(3).normal(5, 2, 400)
    low, high = interval_of_mean(values, seed=1)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.15)
    assert interval_of_mean(values, seed=1) == (low, high)
    assert interval_of_mean(values, seed=2) != (low, high)
    narrow = interval_of_mean(values, seed=1, share=0.5)
    assert low < narrow[0] < narrow[1] < high
    assert interval_of_mean(np.full(7, 3.0), seed=0) == (3, 3)
    ratio = bootstrap(lambda drawn: float(np.median(values[drawn])), len(values), seed=4)
    assert ratio[0] < np.median(values) < ratio[1]
    with pytest.raises(DataError, match="nothing to score"):
        interval_of_mean(np.zeros(0), seed=0)
    with pytest.raises(UsageError, match="share=1"):
        interval_of_mean(values, seed=0, share=1.0)


def test_the_bootstrap_interval_holds_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(4)
    held = 0
    for seed in range(200):
        low, high = interval_of_mean(rng.exponential(size=60), seed, rounds=200)
        held += low <= 1 <= high
    assert 0.88 <= held / 200 <= 0.99


def test_what_cannot_be_scored_is_refused():
    with pytest.raises(DataError, match="nothing to score"):
        confusion(np.zeros(0, dtype=int), np.zeros(0, dtype=int), 2)
    with pytest.raises(DataError, match="classes 0 to 2; expected 0 to 1"):
        confusion(np.array([0, 2]), np.array([0, 1]), 2)
    with pytest.raises(DataError, match="shape"):
        confusion(np.array([0, 1]), np.array([0]), 2)
    for ask in (log_loss, calibration_error, fit_temperature):
        with pytest.raises(DataError, match="nothing to score"):
            ask(np.zeros((0, 2)), np.zeros(0, dtype=int))
        with pytest.raises(DataError, match="classes -1 to 1; expected 0 to 1"):
            ask(np.zeros((2, 2)), np.array([-1, 1]))
        with pytest.raises(DataError, match="shape"):
            ask(np.zeros((2, 2)), np.array([1]))
