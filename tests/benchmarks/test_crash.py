"""The comparison that benchmarks/crash.py makes: it must see every difference, and none where only times differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import crash
from unrolled.models.model_file import ModelFile, save
from unrolled.training.run_folder import (
    Checkpoint,
    log_metrics,
    open_run,
    read_checkpoint,
    save_checkpoint,
    save_plan,
)


def tensors() -> dict[str, Any]:
    return {"weights.W": np.arange(6, dtype=np.float32).reshape(2, 3), "optimizer.0.step": np.array(4.0)}


def write_run(folder: Path, **changes: Any) -> Path:
    parts: dict[str, Any] = {
        "plan": {"steps": 4, "seconds": 9.0},
        "metrics": [{"step": 2, "loss": 1.5, "seconds": 0.1}, {"step": 4, "loss": 1.25, "seconds": 0.2}],
        "counters": {"step": 4, "best_loss": 1.25},
        "tensors": tensors(),
    }
    parts |= changes
    with open_run(folder, {"data": "ab"}, resume=False, force=False) as run:
        save_plan(run, parts["plan"])
        for record in parts["metrics"]:
            log_metrics(run, record)
        save_checkpoint(run, Checkpoint(parts["counters"], parts["tensors"]))
    return folder


def test_equal_runs_are_equal_whatever_time_they_took(tmp_path: Path):
    metrics = [{"step": 2, "loss": 1.5, "seconds": 7.0}, {"step": 4, "loss": 1.25, "seconds": 8.0}]
    one, two = write_run(tmp_path / "a"), write_run(tmp_path / "b", metrics=metrics)
    assert crash.compare_runs(one, two) == []


def nudged() -> dict[str, Any]:
    changed = tensors()
    changed["weights.W"][1, 2] = np.nextafter(changed["weights.W"][1, 2], np.float32(9))
    return changed


@pytest.mark.parametrize(
    "change, words",
    [
        ({"tensors": nudged()}, "tensor weights.W differs in 1 of 6 numbers"),
        ({"tensors": tensors() | {"weights.W": -np.zeros((2, 3), np.float32)}}, "tensor weights.W differs"),
        (
            {"tensors": tensors() | {"weights.W": np.zeros((3, 2), np.float32)}},
            "tensor weights.W is float32 [2, 3]",
        ),
        ({"tensors": tensors() | {"more": np.ones(1)}}, "tensor more is only in one"),
        ({"counters": {"step": 5, "best_loss": 1.25}}, "step was 4, is 5"),
        ({"plan": {"steps": 5, "seconds": 9.0}}, "steps was 4, is 5"),
        ({"metrics": [{"step": 2, "loss": 1.5}]}, "2 and 1 metrics"),
        (
            {"metrics": [{"step": 2, "loss": 1.5}, {"step": 4, "loss": 1.26}]},
            "metric 2: loss was 1.25, is 1.26",
        ),
    ],
)
def test_every_difference_of_two_runs_is_seen(tmp_path: Path, change: dict[str, Any], words: str):
    one, two = write_run(tmp_path / "a"), write_run(tmp_path / "b", **change)
    found = crash.compare_runs(one, two)
    assert len(found) == 1 and found[0].startswith(words), found


def test_minus_zero_is_another_number():
    assert crash.compare_tensors({"a": np.zeros(2)}, {"a": -np.zeros(2)}) == [
        "tensor a differs in 0 of 2 numbers"
    ]


def test_differences_of_two_models_are_seen(tmp_path: Path):
    def model(path: Path, **changes: Any) -> Path:
        parts: dict[str, Any] = {
            "task": "language",
            "spec": {"n_a": 2},
            "learnt": {},
            "config": {"lr": (1, 2)},
        }
        parts |= {"notes": {"loss": 1.5, "seconds": len(path.name)}, "tensors": tensors()} | changes
        save(path, ModelFile(**parts))
        return path

    one = model(tmp_path / "a")
    assert crash.compare_models(one, model(tmp_path / "longer")) == []
    assert crash.compare_models(one, model(tmp_path / "c", notes={"loss": 2})) == ["notes.loss was 1.5, is 2"]
    assert crash.compare_models(one, model(tmp_path / "d", tensors=nudged())) != []


def test_a_plan_can_be_shared(tmp_path: Path):
    source = write_run(tmp_path / "a")
    crash.share_plan(source, tmp_path / "m")
    folder = crash.folder_of(tmp_path / "m")
    with open_run(folder, {"data": "ab"}, resume=True, force=False) as run:
        assert run.plan == {"steps": 4, "seconds": 9.0} and run.checkpoint is None
    assert read_checkpoint(source).counters["step"] == crash.checkpoint_step(source) == 4
    assert crash.checkpoint_step(folder) == 0


def test_a_test_that_resumed_nothing_fails():
    assert crash.verdict(30, 20, []) == ("30 kills, 20 of them after a checkpoint: equal to the bit", 0)
    assert crash.verdict(30, 20, ["step was 1, is 2"])[1] == 1
    assert crash.verdict(30, 0, [])[1] == 1


def test_what_follows_two_dashes_is_for_the_training():
    found = crash.options_of(["text", "--epochs", "2", "--", "--unit", "word"])
    assert found.options == ["--unit", "word"] and found.epochs == 2 and found.kills == 30
