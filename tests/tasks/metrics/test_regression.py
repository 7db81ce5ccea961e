"""Metrics of numbers by hand and against scikit-learn; conformal intervals hold as often as they promise."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from unrolled.core.errors import DataError, NonFiniteError, UsageError
from unrolled.tasks.metrics.regression import coverage, interval, score

SHAPES = array_shapes(min_dims=2, max_dims=2, max_side=8)
NUMBERS = st.floats(-1e6, 1e6, width=32)


def test_scores_by_hand():
    found = score(np.array([[1.0, 5], [2, 5], [6, 5]]), np.array([[2.0, 5], [2, 5], [3, 6]]))
    np.testing.assert_allclose(found.mae, [4 / 3, 1 / 3])
    np.testing.assert_allclose(found.rmse, np.sqrt([10 / 3, 1 / 3]))
    np.testing.assert_allclose(found.r2, [1 - 10 / 14, 0])
    assert found.mean_mae == pytest.approx(5 / 6)
    assert found.mean_rmse == pytest.approx((math.sqrt(10 / 3) + math.sqrt(1 / 3)) / 2)
    assert found.mean_r2 == pytest.approx(1 / 7)


def test_numbers_that_are_all_alike():
    alike = np.full(3, 0.1)  # their mean is not quite 0.1
    assert score(alike, alike).r2.tolist() == [1]
    assert score(alike, alike + 1).r2.tolist() == [0]
    assert score(np.array([7.0]), np.array([7.0])).r2.tolist() == [1]


@given(SHAPES.flatmap(lambda shape: st.tuples(*[arrays(np.float64, shape, elements=NUMBERS)] * 2)))
def test_scores_are_scikit_learns(pair):
    theirs = pytest.importorskip("sklearn.metrics")
    gold, predicted = pair
    found = score(gold, predicted)
    np.testing.assert_allclose(
        found.mae, theirs.mean_absolute_error(gold, predicted, multioutput="raw_values"), rtol=1e-12
    )
    np.testing.assert_allclose(
        found.rmse, theirs.root_mean_squared_error(gold, predicted, multioutput="raw_values"), rtol=1e-12
    )
    spread = gold.max(0) - gold.min(0)
    if len(gold) > 1 and (spread > 1e-3).all():  # below, scikit-learn's own rounding shows
        expected = theirs.r2_score(gold, predicted, multioutput="raw_values")
        np.testing.assert_allclose(found.r2, expected, rtol=1e-6, atol=1e-9)
        assert found.mean_r2 == pytest.approx(theirs.r2_score(gold, predicted), rel=1e-6, abs=1e-9)
    np.testing.assert_array_equal(score(gold[:, 0], predicted[:, 0]).mae, found.mae[:1])


def test_half_widths_by_hand():
    residuals = np.array([3.0, -1, 2, -5, 4, 0, -6, 7, 8])
    assert interval(residuals, 0.9) == 8, "the ninth of nine"
    assert interval(residuals, 0.91) == math.inf
    assert interval(residuals, 0.5) == 4
    assert interval(residuals[:8]) == math.inf, "8 are too few for 0.9"
    assert interval(np.zeros(0)) == math.inf
    assert interval(np.arange(1.0, 100), 0.55) == 55, (
        "100 * 0.55 is 55 and not the little more that floats make of it"
    )


@given(st.integers(1, 400), st.integers(1, 99))
def test_the_place_is_exact(n, percent):
    place = math.ceil(Fraction(percent, 100) * (n + 1))
    expected = float(place) if place <= n else math.inf
    assert interval(-np.arange(1.0, n + 1), percent / 100) == expected


def test_intervals_hold_as_often_as_they_promise():
    rng = np.random.default_rng(0)
    held = 0.0
    for _ in range(400):
        sizes = rng.standard_t(3, 240)  # heavy tails: no shape is assumed
        held += float(coverage(sizes[40:], np.zeros(200), interval(sizes[:40], 0.8))[0]) / 400
    # Exactly ceil(41 * 0.8) / 41 = 33 / 41 in the mean.
    assert held == pytest.approx(33 / 41, abs=0.012)


def test_coverage_of_each_output():
    gold, predicted = np.array([[1.0, 1], [2, 2], [3, 9]]), np.array([[1.5, 1], [2, 3], [3, 3]])
    np.testing.assert_allclose(coverage(gold, predicted, np.array([0.4, 1.0])), [2 / 3, 2 / 3])
    np.testing.assert_allclose(coverage(gold, predicted, 0.5), [1, 1 / 3])
    np.testing.assert_allclose(coverage(gold, predicted, math.inf), [1, 1])


def test_what_cannot_be_scored_is_refused():
    with pytest.raises(DataError, match="nothing to score"):
        score(np.zeros((0, 2)), np.zeros((0, 2)))
    with pytest.raises(DataError, match="shape"):
        score(np.zeros(2), np.zeros((2, 1)))
    for broken in (np.nan, np.inf):
        with pytest.raises(NonFiniteError):
            score(np.zeros(2), np.array([0, broken]))
        with pytest.raises(NonFiniteError):
            interval(np.array([0, broken]))
    for share in (0.0, 1.0, math.nan):
        with pytest.raises(UsageError, match="share"):
            interval(np.zeros(3), share)
    with pytest.raises(DataError, match="one output at a time"):
        interval(np.zeros((3, 1)))
