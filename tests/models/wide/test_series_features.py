"""The statistics of a series: one length for all series, finite for extreme ones, and right for known signals."""

from __future__ import annotations

import numpy as np
import pytest

from unrolled.models.wide.series_features import OCTAVES, QUANTILES, cepstrum, summary

N = len(QUANTILES)


@pytest.mark.parametrize("columns", [1, 2, 30])
def test_the_number_of_features_depends_on_the_columns_only(columns: int):
    rng = np.random.default_rng(0)
    sizes = {len(summary(rng.normal(size=(steps, columns)))) for steps in (0, 1, 2, 3, 7, 300, 5_000)}
    assert len(sizes) == 1


@pytest.mark.parametrize(
    "x", [np.zeros((9, 3)), np.full((9, 3), 1e6), np.full((1, 3), -1e6), np.zeros((0, 3))]
)
def test_constant_and_empty_series_have_finite_features(x: np.ndarray):
    assert np.isfinite(summary(x.astype(np.float32))).all()


def test_the_statistics_of_a_known_series():
    found = summary(np.array([[1.0], [3.0], [1.0], [3.0]]))
    assert found[0] == 2.0  # mean
    assert found[1] == 1.0  # deviation
    assert (found[2], found[1 + N]) == (1.0, 3.0)  # smallest and largest
    assert (found[2 + N], found[4 + N], found[5 + N]) == (2.0, 2.0, 1.0)  # changes, and crossings of the mean


@pytest.mark.parametrize(("period", "band"), [(128, 0), (16, 4), (3, 7)])
def test_the_band_of_a_sine_has_the_most_power(period: int, band: int):
    x = np.sin(2 * np.pi * np.arange(512) / period)[:, None]
    bands = summary(x)[-OCTAVES - 1 : -1]
    assert abs(int(bands.argmax()) - band) <= 1


def test_correlations_of_columns():
    x = np.random.default_rng(0).normal(size=(500, 1))
    found = summary(np.concatenate([x, -x, x], axis=1))
    np.testing.assert_allclose(found[-4:-1], [-1, 1, -1], atol=1e-6)


def test_the_cepstrum_is_the_orthonormal_cosine_transform():
    scipy_fft = pytest.importorskip("scipy.fft")
    frames = np.random.default_rng(0).normal(size=(7, 40))
    expected = scipy_fft.dct(frames, axis=1, norm="ortho")[:, 1:20]
    np.testing.assert_allclose(cepstrum(frames)[:, 1:], expected, atol=1e-9)
