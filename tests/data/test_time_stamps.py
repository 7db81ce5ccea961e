"""Time stamps: which texts are some, what is odd about those of a series, and the means on a regular grid."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unrolled.core.errors import DataError, UsageError
from unrolled.core.types import Place
from unrolled.data import time_stamps
from unrolled.data.time_stamps import (
    next_times,
    oddities,
    parse_step,
    parse_time,
    resample,
    step_text,
    time_texts,
)

PLACE = Place(Path("a.csv"), 2)


def hours(*values: float) -> np.ndarray:
    start = np.datetime64("2024-03-01", "us")
    return np.array([start + np.timedelta64(round(value * 3_600_000_000), "us") for value in values])


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("2024-05-01", "2024-05-01T00:00:00"),
        ("2024-05", "2024-05-01T00:00:00"),
        ("2024-05-01 13:30", "2024-05-01T13:30:00"),
        (" 2024-05-01T13:30:05.25 ", "2024-05-01T13:30:05.250000"),
        ("2024-05-01T13:30:00Z", "2024-05-01T13:30:00"),
        ("2024-05-01T13:30:00+02:00", "2024-05-01T11:30:00"),
        ("20240501T1330", "2024-05-01T13:30:00"),
        ("2024", None),
        ("20240501", None),
        ("01.05.2024", None),
        ("2024-13-01", None),
        ("0001-01-01T00:00+14:00", None),
        ("tomorrow", None),
    ],
)
def test_what_is_a_time(text, iso):
    found = parse_time(text)
    assert found == (None if iso is None else np.datetime64(iso, "us"))


@given(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)))
def test_times_are_read_as_python_writes_them(time):
    assert parse_time(time.isoformat()) == np.datetime64(time, "us")
    assert parse_time(str(time)) == np.datetime64(time, "us")


def test_what_is_odd_about_the_times_of_a_series():
    found = oddities(hours(0, 1, 2, 5, 5, 6, 6.5, 6, 7))
    assert found.usual == 3_600_000_000
    assert (found.gaps, found.repeated, found.backward, found.unequal) == ((3,), (4,), (7,), (6,))
    assert oddities(hours(0)).usual is None


@pytest.mark.parametrize(
    ("text", "seconds"), [("10s", 10), ("15min", 900), ("1h", 3600), ("d", 86400), ("0.5 h", 1800)]
)
def test_steps(text, seconds):
    assert parse_step(text) == seconds * 1_000_000
    assert step_text(seconds * 1e6).split()[1] in ("s", "min", "h", "d")


@pytest.mark.parametrize("text", ["", "0s", "-1h", "1 month", "h1", "1e3s"])
def test_steps_that_are_none(text):
    with pytest.raises(UsageError, match="--resample"):
        parse_step(text)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=20), st.integers(1, 7))
def test_a_grid_has_the_mean_of_each_step(minutes, step):
    start = datetime(2024, 1, 1)
    times = np.array([np.datetime64(start + timedelta(minutes=m), "us") for m in minutes])
    values = np.arange(len(minutes), dtype=float)[:, None]
    values[0] = np.nan
    (found,), grid = resample([values], times, step * 60_000_000, PLACE)
    assert (np.diff(grid).astype(int) == step * 60_000_000).all() and len(grid) == len(found)
    for value, time in zip(found[:, 0], grid, strict=True):
        inside = [
            v
            for v, t in zip(values[:, 0], times, strict=True)
            if time <= t < time + np.timedelta64(step, "m") and not np.isnan(v)
        ]
        np.testing.assert_allclose(value, np.mean(inside) if inside else np.nan)


def test_a_grid_of_too_many_steps(monkeypatch):
    monkeypatch.setattr(time_stamps, "LONGEST", 10)
    with pytest.raises(DataError, match=r"a grid of 3,601 steps from 2024-03-01 to 2024-03-01T01:00:00"):
        resample([np.zeros((2, 1))], hours(0, 1), 1_000_000, PLACE)


def test_the_times_of_the_steps_to_come():
    assert time_texts(next_times(hours(0, 1, 2), 2)) == ("2024-03-01T03:00:00", "2024-03-01T04:00:00")
    assert time_texts(next_times(hours(0, 24), 2)) == ("2024-03-03", "2024-03-04")
    assert time_texts(next_times(hours(0), 2)) == ()
