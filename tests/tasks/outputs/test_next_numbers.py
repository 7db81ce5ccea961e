"""numbers:next: what a series will say next, how surprising what it said was, and anomalies."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from support.small_models import refused, run
from unrolled.core.config import DataConfig, ModelConfig
from unrolled.core.errors import DataError
from unrolled.core.types import Example, Place
from unrolled.datasets.windows import next_step_windows
from unrolled.tasks.outputs.next_numbers import NextNumbers, learn_next_numbers, next_numbers

PLACE = Place(Path("log.csv"), 2)
OUTPUT = NextNumbers((1.0, -2.0), (2.0, 0.5), (0.1, 0.2), 5.0)


def series(steps: int, seed: int = 0) -> np.ndarray:
    """Two waves with a little noise: [steps, 2]."""
    t, noise = np.arange(steps), np.random.default_rng(seed).normal(size=(steps, 2))
    return np.stack([np.sin(t / 4), 5 + 2 * np.cos(t / 3)], axis=1) + 0.02 * noise


def write(path: Path, x: np.ndarray) -> Path:
    rows = "\n".join(",".join(f"{value:.4f}" for value in row) for row in x)
    path.write_text(f"heat,flow\n{rows}\n")
    return path


def test_pieces_ask_each_step_but_the_first_once_and_never_without_its_history():
    x = series(23)
    found = list(next_step_windows([Example(x, None, PLACE)], 5))
    assert [len(one.x) for one in found] == [5, 10, 10, 10, 8]
    asked: list[float] = []
    for number, one in enumerate(found):
        y = np.asarray(one.y)
        there = ~np.isnan(y).any(axis=1)
        begin = one.place.line - PLACE.line
        assert np.array_equal(np.asarray(one.x), x[begin : begin + len(one.x)])
        for row in np.flatnonzero(there):
            assert np.array_equal(y[row], x[begin + row + 1])
            assert number == 0 or row >= 5
            asked.append(begin + row + 1)
    assert asked == list(range(1, 23))


def test_nothing_follows_a_single_step():
    with pytest.raises(DataError, match="no series has two steps"):
        list(next_step_windows([Example(series(1), None, PLACE)], 5))
    with pytest.raises(DataError, match="no series has two steps"):
        list(next_step_windows([], 5))


def test_surprise_is_half_the_squared_distance_in_usual_errors():
    x = np.array([[1.0, -2.0], [1.4, -2.0], [1.0, -1.7]])
    answer = np.zeros((3, 2), np.float32)  # the means, predicted at every step
    found = OUTPUT.surprise(answer, x)
    assert math.isnan(found[0])
    assert np.allclose(found[1:], [0.5 * (0.4 / 0.2) ** 2, 0.5 * (0.3 / 0.1) ** 2])


def test_settled_errors_make_the_threshold_rare_and_the_answer_tells_what_is_beyond():
    chance = np.random.default_rng(1)
    y = [chance.normal(size=(500, 2)) * (0.3, 0.6) for _ in range(8)]
    y[0][:7] = np.nan  # nothing is asked there
    settled = NextNumbers((0.0, 0.0), (1.0, 1.0), (1.0, 1.0)).calibrate(
        y, [np.zeros((500, 2), np.float32)] * 8, {}
    )
    assert np.allclose(settled.error, (0.3, 0.6), rtol=0.05)
    assert settled.threshold is not None and 5 < settled.threshold < 12  # chi-square of two: -ln 0.001 = 6.9
    x = np.zeros((50, 2))
    x[30] = (0.0, 6.0)
    record = settled.to_answer(np.zeros((50, 2), np.float32), x, 1, {}).record
    assert record["step"] == 31 and record["anomalies"] == [31]
    assert record["score"] == record["highest"] / settled.threshold > 1
    assert record["surprise"][0] is None and len(record["surprise"]) == 50
    json.dumps(record, allow_nan=False)


def test_a_single_step_surprises_nobody():
    answer = OUTPUT.to_answer(np.zeros((1, 2), np.float32), np.zeros((1, 2)), 1, {})
    assert answer.text == "-\t-\t-" and answer.record["highest"] is None
    assert answer.record["next"] == [1.0, -2.0]


def test_what_is_learnt_comes_back_from_json_and_damage_is_refused():
    assert next_numbers(json.loads(json.dumps(OUTPUT.to_json()))) == OUTPUT
    learnt = learn_next_numbers([Example(series(100), None, PLACE)], DataConfig(), ModelConfig())
    assert np.allclose(learnt.mean, series(100).mean(axis=0)) and learnt.threshold is None
    good = OUTPUT.to_json()
    for name, value in (
        ("mean", [1.0]), ("error", [0.0, 1.0]), ("threshold", "5"), ("threshold", -1.0), ("mean", None),
        ("deviation", [math.inf, 1.0]), ("more", 1),
    ):  # fmt: skip
        with pytest.raises(DataError):
            next_numbers({**good, name: value})


def test_a_log_is_learnt_and_a_fault_in_another_found(tmp_path):
    log, model = write(tmp_path / "log.csv", series(3000)), tmp_path / "m"
    done = run(
        "train", "numbers:next", log, "--out", model, "--epochs", "40", "--hidden", "24", "--threads", "1"
    )
    assert done.code == 0, done.err
    new = series(400, seed=1)
    new[250, 1] += 2.0
    faulty, sound = write(tmp_path / "new.csv", new), write(tmp_path / "sound.csv", series(400, seed=1))
    metrics = json.loads(run("evaluate", model, sound, "--json").out)
    assert metrics["mae"] < 0.5 * metrics["mae_last"] and metrics["r2"] > 0.9
    record = json.loads(run("predict", model, faulty, "--format", "jsonl").out)
    assert record["step"] == 251 and 251 in record["anomalies"] and record["score"] > 3
    quiet = json.loads(run("predict", model, sound, "--format", "jsonl").out)
    # The future never changes a surprise, and the first ones have seen little: they are no fault.
    assert quiet["surprise"][:250] == record["surprise"][:250]
    assert len([step for step in quiet["anomalies"] if step > 32]) <= 4
    highest, step, told = run("predict", model, faulty).out.split("\t")
    assert float(highest) == pytest.approx(record["highest"], rel=1e-3) and int(step) == 251
    assert len(told.split()) == 400


def test_refusals(tmp_path):
    log = write(tmp_path / "log.csv", series(50))
    told = refused(run("train", "numbers:next", log, "--out", tmp_path / "m", "--bidirectional"))
    assert "would see the next step, which it must predict; try --no-bidirectional" in told
    told = refused(run("compare", "numbers:next", log))
    assert (
        told
        == "compare does not support numbers:next; try numbers:number with --horizon 1, which is the same task"
    )
