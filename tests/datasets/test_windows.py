"""Series and tunes are cut into windows: which steps a window has, and which of them are asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unrolled.core.errors import DataError, UsageError
from unrolled.core.types import Example, Note, Place, Tune
from unrolled.datasets.example_store import EncodedExample
from unrolled.datasets.windows import (
    forecast_windows,
    last_windows,
    next_step_windows,
    resampled,
    split_windows,
    tunes,
)

FILE = Path("a.csv")


def series(count: int, first_line: int = 2, y: object = None) -> Example:
    """Steps 0, 1, 2 ... as one number each."""
    return Example(np.arange(float(count))[:, None], y, Place(FILE, first_line), "me")


def numbers(x: np.ndarray) -> list[float]:
    return x[:, 0].tolist()


FAULTY = Example(None, None, Place(FILE, 9), fault=DataError("cannot be read"))


# --- forecasts


def test_a_forecast_has_its_history_and_asks_the_steps_behind_it():
    found = list(forecast_windows([series(10)], 2, 6))
    assert [numbers(one.x) for one in found] == [[*range(first, first + 6)] for first in range(3)]
    assert [one.y for one in found] == [(6, 7), (7, 8), (8, 9)]
    assert [one.place.line for one in found] == [8, 9, 10], "the line of the first step that is asked for"
    assert {(one.id, one.series) for one in found} == {("me", 0)}


@pytest.mark.parametrize(("steps", "histories"), [(7, [5]), (5, [3]), (4, [2]), (3, [1])])
def test_a_short_series_has_one_forecast_of_all_that_it_has(steps: int, histories: list[int]):
    found = list(forecast_windows([series(steps)], 2, 6))
    assert [len(one.x) for one in found] == histories
    assert found[-1].y == (steps - 2, steps - 1)


def test_a_series_no_longer_than_the_horizon_has_no_forecast():
    assert [one.series for one in forecast_windows([series(2), series(3)], 2, 6)] == [1]
    for count in (1, 2):
        with pytest.raises(
            DataError, match=r"a\.csv: no examples: no series is longer than the horizon of 2"
        ):
            list(forecast_windows([series(count)], 2, 6))


def test_a_forecast_of_other_columns_asks_these():
    own = np.stack([np.arange(5.0) * 10, np.arange(5.0) * 10 + 1], axis=1)
    found = list(forecast_windows([series(5, y=own)], 1, 3))
    assert [one.y for one in found] == [(30, 31), (40, 41)]


def test_a_forecast_with_a_missing_answer_is_left_out():
    one = series(8)
    one.x[5] = np.nan
    found = list(forecast_windows([one], 2, 2))
    assert [window.y for window in found] == [(2, 3), (3, 4), (6, 7)]
    with pytest.raises(DataError, match="and has all numbers of y"):
        list(forecast_windows([Example(np.full((8, 1), np.nan), None, Place(FILE, 2))], 2, 2))


# --- pieces


def test_pieces_ask_every_step_but_the_first_once():
    found = list(next_step_windows([series(8)], 3))
    assert [numbers(one.x) for one in found] == [[0, 1, 2], [0, 1, 2, 3, 4, 5], [3, 4, 5, 6, 7]]
    asked = [one.y[:, 0] for one in found]
    expected = [[1, 2, 3], [np.nan] * 3 + [4, 5, 6], [np.nan] * 3 + [7, np.nan]]
    for part, steps in zip(asked, expected, strict=True):
        np.testing.assert_array_equal(part, steps)
    assert [one.place.line for one in found] == [2, 2, 5]


def test_pieces_of_several_series_are_told_apart():
    assert [(one.series, len(one.x)) for one in next_step_windows([series(2), series(1), series(4)], 3)] == [
        (0, 2),
        (2, 3),
    ], "the last step of a series asks nothing, so no piece begins with it"
    with pytest.raises(DataError, match=r"a\.csv: no examples: no series has two steps"):
        list(next_step_windows([series(1), series(0)], 3))


# --- the rest of a series


def test_an_ending_is_the_last_steps_and_asks_nothing():
    found = list(last_windows([series(8, y=np.ones((8, 1))), FAULTY, series(2)], 3))
    assert numbers(found[0].x) == [5, 6, 7] and found[0].y is None and found[0].id == "me"
    assert found[1] is FAULTY
    assert numbers(found[2].x) == [0, 1]


def test_resampled_series_have_their_means_and_their_times():
    times = np.array(["2024-05-01T00:00", "2024-05-01T00:20", "2024-05-01T02:00"], "datetime64[us]")
    own = np.array([[1.0], [3.0], [7.0]])
    one = Example(np.array([[2.0], [4.0], [6.0]]), own, Place(FILE, 2), times=times)
    found, faulty = resampled([one, FAULTY], "1h")
    np.testing.assert_array_equal(found.x, [[3], [np.nan], [6]])
    np.testing.assert_array_equal(found.y, [[2], [np.nan], [7]])
    assert found.times is not None
    assert (
        found.times.tolist()
        == np.arange("2024-05-01T00", "2024-05-01T03", dtype="datetime64[h]")
        .astype("datetime64[us]")
        .tolist()
    )
    assert faulty is FAULTY
    (labelled,) = resampled([Example(one.x, "calm", Place(FILE, 2), times=times)], "1h")
    assert labelled.y == "calm"
    with pytest.raises(DataError, match=r"a\.csv:2: --resample needs time stamps, but the steps have none"):
        list(resampled([series(3)], "1h"))
    with pytest.raises(UsageError):
        list(resampled([one], "sometimes"))


# --- tunes, and what is read more than once


def tune(count: int) -> Example:
    notes = tuple(Note(tick, tick + 1, 60, 80, 0) for tick in range(count))
    return Example(Tune(notes, 24), None, Place(FILE, 1))


def test_a_tune_is_asked_for_itself():
    (asked,), (free,) = tunes([tune(2)], True), tunes([tune(2)], False)
    assert asked.y is asked.x and free.y is None


# --- rows


@pytest.mark.parametrize(("kind", "nothing"), [(np.int64, -1), (np.float64, np.nan)])
def test_long_rows_are_cut_with_a_quarter_of_a_window_before_each(kind: type, nothing: float):
    y = np.arange(10).astype(kind)
    rows = [
        EncodedExample(np.arange(10), y, Place(FILE, 2), weight=0.5),
        EncodedExample(np.arange(4), y[:4], Place(FILE, 3)),
    ]
    counts: list[int] = []
    found = list(split_windows(rows, 4, counts))
    assert counts == [3, 1]
    assert [row.x.tolist() for row in found] == [
        [0, 1, 2, 3],
        [3, 4, 5, 6, 7],
        [7, 8, 9],
        [0, 1, 2, 3],
    ]
    expected = [[0, 1, 2, 3], [nothing, 4, 5, 6, 7], [nothing, 8, 9], [0, 1, 2, 3]]
    for row, asked in zip(found, expected, strict=True):
        np.testing.assert_array_equal(row.y, np.array(asked, kind))
        assert row.y.dtype == kind
    assert [row.weight for row in found] == [0.5, 0.5, 0.5, 1.0]
    assert [row.place.line for row in found] == [2, 2, 2, 3]
    assert y.tolist() == [*range(10)], "the row itself is left as it is"


def test_rows_no_longer_than_a_window_are_left_as_they_are():
    rows = [
        EncodedExample(np.arange(10), np.arange(10), Place(FILE, 2)),
        EncodedExample(np.zeros(0), np.zeros(0), Place(FILE, 3)),
    ]
    for window in (10, 11):
        counts: list[int] = []
        assert list(split_windows(rows, window, counts)) == rows
        assert counts == [1, 1]
