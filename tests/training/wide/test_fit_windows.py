"""The wide part of a forecast: a ridge regression on the numbers of the window."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import unrolled
from support.small_models import run
from unrolled.core.errors import DataError
from unrolled.inference.open_model import open_trained
from unrolled.models.wide.window_linear import columns, from_tensors
from unrolled.training.wide.fit_windows import STRENGTHS, fit_windows, refitted, standards

SHAPE = ("--hidden", "4", "--epochs", "1", "--threads", "1")


def series(count: int, seed: int = 0) -> np.ndarray:
    """A daily season with noise, [count]."""
    noise = np.random.default_rng(seed).normal(0, 0.3, count)
    return 5 + 2 * np.sin(2 * np.pi * np.arange(count) / 24) + noise


def table(path: Path, values: np.ndarray) -> Path:
    """A table with one column."""
    path.write_text("load\n" + "".join(f"{value:.4f}\n" for value in values))
    return path


def windows(values: np.ndarray, history: int, horizon: int) -> tuple[list[np.ndarray], np.ndarray]:
    """All windows and their targets, standardised."""
    values = (values - values.mean()) / values.std()
    ends = range(history, len(values) - horizon + 1)
    x = [values[end - history : end].astype(np.float32) for end in ends]
    return x, np.stack([values[end : end + horizon] for end in ends])


def test_the_fit_is_the_ridge_regression_of_scikit_learn():
    from sklearn.linear_model import Ridge

    x, y = windows(series(300), 30, 5)
    fitted = fit_windows(x, y, 1)
    inputs = columns(x, *standards(x, 1))
    other = Ridge(alpha=fitted.strength / inputs.shape[1]).fit(inputs, y)
    np.testing.assert_allclose(fitted.linear.scores(x), other.predict(inputs), atol=1e-4)


def test_the_errors_are_those_of_windows_that_were_left_out():
    x, y = windows(series(3000), 48, 6)
    fitted = fit_windows(x[:400], y[:400], 1)
    inside = np.square(y[:400] - fitted.linear.scores(x[:400])).mean()
    outside = np.square(fitted.errors).mean()
    new = np.square(y[500:] - fitted.linear.scores(x[500:])).mean()
    assert inside < new
    assert abs(outside - new) < 0.1 * new


def test_the_forecast_follows_a_level_that_training_has_not_seen():
    values = series(2000) + np.arange(2000) * 0.01
    x, y = windows(values, 48, 6)
    fitted = fit_windows(x[:1200], y[:1200], 1)
    errors = np.abs(y - fitted.linear.scores(x)).mean(1)
    assert errors[1700:].mean() < 1.2 * errors[:1200].mean()


def test_a_window_of_two_columns_can_be_read_from_its_arrays():
    x, y = windows(series(400), 40, 3)
    linear = fit_windows(x, y, 2).linear
    assert linear.mean.shape == (20, 2)
    again = from_tensors(linear.tensors(), 3)
    np.testing.assert_array_equal(again.scores(x), linear.scores(x))
    for name, array in linear.tensors().items():
        for damaged in (array[..., None], array.astype(np.float64)):
            with pytest.raises(DataError, match="of the wide part"):
                from_tensors({**linear.tensors(), name: damaged}, 3)
    with pytest.raises(DataError, match="deviations above 0"):
        from_tensors({**linear.tensors(), "deviation": 0 * linear.deviation}, 3)


def test_noise_gets_the_strongest_penalty():
    x, y = windows(np.random.default_rng(0).normal(size=400), 40, 3)
    assert fit_windows(x, y, 1).strength == STRENGTHS[-1]


def test_many_windows_are_fitted_to_evenly_spread_ones(monkeypatch: pytest.MonkeyPatch):
    from unrolled.training.wide import fit_windows as module

    x, y = windows(series(400), 20, 2)
    monkeypatch.setattr(module, "MOST_NUMBERS", 520 * 50)
    few = fit_windows(x, y, 1)
    assert few.errors.shape == (50, 2)
    rows = np.linspace(0, len(x) - 1, 50).astype(np.int64)
    same = refitted([x[row] for row in rows], y[rows], 1, few.strength)
    np.testing.assert_array_equal(few.linear.scores(x), same.scores(x))


def test_a_forecast_is_as_good_as_ridge_before_the_network_has_learnt(tmp_path: Path):
    train = table(tmp_path / "train.csv", series(500))
    test = table(tmp_path / "test.csv", series(500, seed=1))
    options = ("--horizon", "6", "--history", "48", *SHAPE)
    for name, flag in (("wide", "--wide"), ("alone", "--no-wide")):
        done = run("train", "numbers:number", train, "--out", tmp_path / name, flag, *options)
        assert done.code == 0, done.err
    mae = {}
    for name in ("wide", "alone"):
        for engine in ("numpy", "torch"):
            done = run("evaluate", tmp_path / name, test, "--json", "--engine", engine)
            mae[name, engine] = json.loads(done.out)["mae"]
    assert mae["wide", "numpy"] < 0.3 < mae["alone", "numpy"]  # the noise alone has 0.24
    assert abs(mae["wide", "numpy"] - mae["wide", "torch"]) < 1e-5
    wide = open_trained(tmp_path / "wide").wide
    assert wide is not None
    assert wide.part.linear.tensors()["weights"].shape == (6, 548)


def test_predict_forecasts_also_from_a_series_shorter_than_the_window(tmp_path: Path):
    train = table(tmp_path / "train.csv", series(400))
    options = ("--horizon", "3", "--history", "48", *SHAPE)
    assert run("train", "numbers:number", train, "--out", tmp_path / "m", *options).code == 0
    for count in (10, 48, 100):
        short = table(tmp_path / "short.csv", series(100)[:count])
        done = run("predict", tmp_path / "m", short, "--format", "csv")
        assert done.code == 0, done.err
        assert len(done.out.splitlines()) == 4
    one = series(100)[-48:, None].round(4)
    rows = [line.split(",") for line in done.out.splitlines()[1:]]
    found = unrolled.load(tmp_path / "m").predict([one])[0]
    np.testing.assert_allclose([float(row[1]) for row in rows], found, atol=1e-5)
