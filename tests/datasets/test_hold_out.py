"""What is held out for validation: examples drawn at random, and the ends of series."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unrolled.analysis.check.example_report import Parts, check
from unrolled.analysis.compare.benchmarks import split
from unrolled.core.config import build as configure
from unrolled.core.types import Example, Place
from unrolled.datasets.example_dataset import held_out, prepare
from unrolled.datasets.example_source import from_files
from unrolled.datasets.hold_out import drawn, ends, windows_of_series
from unrolled.datasets.windows import forecast_windows
from unrolled.tasks.fill import resolve_data


def write_series(path: Path, series: int, steps: int) -> Path:
    """Series under each other by `id`, at the levels 0, 10, 20 ..."""
    rows = [
        f"{number},{10 * number + np.sin(step / 3):.3f}" for number in range(series) for step in range(steps)
    ]
    path.write_text("\n".join(["id,level", *rows]) + "\n")
    return path


@pytest.mark.parametrize(("series", "steps", "held_of_each"), [(10, 44, 3), (1, 500, 48), (40, 24, 1)])
def test_the_end_of_every_series_is_held_out_and_the_others_are_trained_on(
    series, steps, held_of_each, tmp_path
):
    path = write_series(tmp_path / "s.csv", series, steps)
    options = {"horizon": 5, "history": 10, "columns": "x=level,by=id"}
    config = resolve_data(configure("numbers:number", options))
    ready = prepare(from_files([path], config), None, config, tmp_path / "data")
    assert ready.valid is not None
    lines = {"train": np.zeros(len(ready.train), int), "valid": np.zeros(len(ready.valid), int)}
    for name, part in (("train", ready.train), ("valid", ready.valid)):
        lines[name] = np.array(
            [part.place(number).line - 2 for number in range(len(part))]
        )  # rows of the table
    for number in range(series):
        train, valid = (
            {int(row) - number * steps for row in lines[name] if row // steps == number} for name in lines
        )
        windows = set(range(10, steps - 4))  # by the first step that is asked for
        assert valid == set(sorted(windows)[-held_of_each:])
        seen = {row + ahead for row in train for ahead in range(5)}
        assert train and seen.isdisjoint(row + ahead for row in valid for ahead in range(5))
        assert len(windows - train - valid) == 4, "no more is left out than must be"
    told = check(config, Parts((path,)))["training"]
    assert (told["sequences"], told["held_out"]) == (len(ready.train), len(ready.valid))
    kept, scored = split(from_files([path], config), 5)
    assert (
        {one.series for one in kept.examples()}
        == {one.series for one in scored.examples()}
        == set(range(series))
    )


@given(st.lists(st.integers(0, 40), min_size=1, max_size=12), st.integers(1, 9), st.floats(0.01, 0.9))
def test_no_step_that_is_asked_for_in_validation_is_asked_for_in_training(counts, horizon, share):
    count = sum(counts)
    parts = ends(counts, int(count * share), horizon, 7)
    train, starts = parts.train(count), np.cumsum([0, *counts])
    assert len(train) + len(parts.held) + len(parts.unused) == count
    assert len(parts.held) <= int(count * share)
    for begin, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        own = [numbers[(numbers >= begin) & (numbers < end)] for numbers in (train, parts.held)]
        asked = [{step + ahead for step in numbers.tolist() for ahead in range(horizon)} for numbers in own]
        assert asked[0].isdisjoint(asked[1])
        if len(own[0]) and len(own[1]):
            assert own[1].tolist() == list(range(end - len(own[1]), end)), "the end of the series"
    longest = max(counts)
    if longest > horizon and int(count * share):
        assert all(len(train[(train >= a) & (train < b)]) for a, b in pairwise(starts.tolist()) if b > a)


def test_series_too_short_to_be_cut_are_drawn_as_wholes():
    parts = ends([4] * 50, 20, 5, 7)
    assert len(parts.held) == 20 and not len(parts.unused)
    assert set(np.bincount(parts.held // 4, minlength=50).tolist()) == {0, 4}
    assert not len(ends([5], 1, 5, 7).held), "the only series stays in training"


def test_examples_are_counted_by_their_series_and_others_together():
    steps = np.arange(20.0)[:, None]
    series = [Example(steps[:count], None, Place(Path("a"), 1), "same id") for count in (20, 7, 20)]
    assert windows_of_series(forecast_windows(series, 2, 6)) == [13, 1, 13]
    assert windows_of_series(series) == [3]


def test_what_is_drawn_is_the_same_for_every_seed():
    one, other = (configure("classify", {"seed": seed}) for seed in (0, 1))
    held = held_out([300], one).held
    assert len(held) == 30 and held.tolist() == held_out([300], other).held.tolist()
    assert held.tolist() == drawn(300, 30, 7).held.tolist() == sorted(set(held.tolist()))
    assert not len(held_out([199], one).held)
