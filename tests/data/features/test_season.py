"""The period of the seasons of a series."""

from __future__ import annotations

import numpy as np
import pytest

from unrolled.data.features.season import find_period


def load(weeks: int, seed: int, trend: float = 0.0) -> np.ndarray:
    """An hourly load [T, 1] with a daily and a weekly season, noise that remembers, and a trend per week."""
    rng = np.random.default_rng(seed)
    hour = np.arange(weeks * 168)
    work = np.where(hour // 24 % 7 < 5, 1.0, 0.5)
    noise = np.zeros(len(hour))
    for t in range(1, len(hour)):
        noise[t] = 0.9 * noise[t - 1] + rng.normal(0, 1.2)
    return (60 + 20 * work * np.sin(2 * np.pi * hour / 24) + noise + trend * hour / 168)[:, None]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("weeks", [4, 20])
@pytest.mark.parametrize("trend", [0.0, 3.0])
def test_a_week_is_found_in_hourly_data(weeks: int, seed: int, trend: float):
    assert find_period([load(weeks, seed, trend)]) == 168


@pytest.mark.parametrize("noise", [0.1, 0.3, 1.0])
def test_a_single_season_is_not_a_multiple_of_it(noise: float):
    rng = np.random.default_rng(0)
    wave = np.sin(2 * np.pi * np.arange(3000) / 24) + rng.normal(0, noise, 3000)
    assert find_period([wave[:, None]]) == 24


def test_a_period_must_fit_three_times():
    assert find_period([load(3, 0)[:-1]]) == 24
    assert find_period([load(8, 0)], longest=100) == 24


def test_noise_and_constants_have_no_season():
    rng = np.random.default_rng(0)
    assert find_period([rng.normal(size=(2000, 2))]) == 1
    for _ in range(10):
        assert find_period([np.cumsum(rng.normal(size=(2000, 1)), axis=0)]) == 1
    assert find_period([np.ones((100, 1))]) == 1
    assert find_period([np.zeros((2, 1)), np.zeros((0, 1))]) == 1


def test_series_are_pooled_and_missing_numbers_do_not_matter():
    several = [load(4, seed) for seed in range(3)]
    several[0][50:60] = np.nan
    assert find_period([*several, np.zeros((1, 1))]) == 168


def test_a_column_that_is_always_missing_is_ignored():
    x = load(6, 0)
    assert find_period([np.concatenate([x, np.full_like(x, np.nan)], axis=1)]) == 168
