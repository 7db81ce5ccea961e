"""The number of steps that a forecast reads follows the seasons of the series."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from support.small_models import run
from unrolled.inference.open_model import open_trained

SHAPE = ("--hidden", "2", "--epochs", "1", "--threads", "1")


def load(path: Path, weeks: int) -> Path:
    """An hourly load with a daily and a weekly season."""
    hour = np.arange(weeks * 168)
    work = np.where(hour // 24 % 7 < 5, 1.0, 0.5)
    value = 60 + 20 * work * np.sin(2 * np.pi * hour / 24) + np.random.default_rng(0).normal(0, 1, len(hour))
    path.write_text("load\n" + "".join(f"{one:.2f}\n" for one in value))
    return path


def test_a_forecast_reads_at_least_one_season(tmp_path: Path):
    data = load(tmp_path / "load.csv", 4)
    done = run("train", "numbers:number", data, "--horizon", "24", "--out", tmp_path / "m", *SHAPE)
    assert done.code == 0, done.err
    assert "the series has a season of 168 steps; a forecast reads the 168 steps before it" in done.err
    model = open_trained(tmp_path / "m")
    assert model.config.data.history == 168
    assert model.wide is not None
    assert model.wide.part.linear.tensors()["weights"].shape == (24, 668)
    done = run("check", "numbers:number", data, "--horizon", "24")
    assert "a forecast reads the 168 steps" in done.out


def test_a_forecast_of_a_long_series_reads_two_seasons(tmp_path: Path):
    for weeks, steps in ((7, 168), (8, 336)):
        done = run("check", "numbers:number", load(tmp_path / "load.csv", weeks), "--horizon", "24")
        assert f"a season of 168 steps; a forecast reads the {steps} steps" in done.out


def test_the_number_of_steps_can_be_set(tmp_path: Path):
    data = load(tmp_path / "load.csv", 4)
    options = ("--horizon", "24", "--history", "30", "--out", tmp_path / "m", *SHAPE)
    done = run("train", "numbers:number", data, *options)
    assert "a season of" not in done.err
    assert open_trained(tmp_path / "m").config.data.history == 30


def test_a_short_season_and_no_season_have_the_default(tmp_path: Path):
    table = tmp_path / "noise.csv"
    table.write_text("x\n" + "".join(f"{one:.2f}\n" for one in np.random.default_rng(0).normal(size=300)))
    done = run("train", "numbers:number", table, "--horizon", "2", "--out", tmp_path / "a", *SHAPE)
    assert "the series has no season; a forecast reads the 64 steps before it" in done.err
    done = run("train", "numbers:next", table, "--out", tmp_path / "b", *SHAPE)
    assert "a season of" not in done.err
    assert open_trained(tmp_path / "b").config.data.history == 64


def test_a_resumed_training_reads_the_same_steps(tmp_path: Path):
    data = load(tmp_path / "load.csv", 4)
    command = ("train", "numbers:number", data, "--horizon", "3", "--out", tmp_path / "m", *SHAPE)
    assert run(*command).code == 0
    before = (tmp_path / "m").read_bytes()
    (tmp_path / "m").unlink()
    assert run(*command, "--resume").code == 0
    assert (tmp_path / "m").read_bytes() == before
