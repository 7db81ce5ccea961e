"""A small run: its identity, its checkpoints, and steps that write metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from unrolled.training.run_folder import Checkpoint, Run, log_metrics, open_run, save_checkpoint

IDENTITY = {
    "data": {"train": "ab12"},
    "configuration": {"lr": 0.1, "layers": 2},
    "torch": "2.13",
    "threads": 2,
}


def checkpoint(step: int) -> Checkpoint:
    tensors = {
        "weights.W": np.full((2, 3), step, np.float32),
        "optimizer.0.step": np.array(step),
        "rng": np.arange(8),
    }
    return Checkpoint({"step": step, "best": None, "lr": step / 3}, tensors)


def assert_step(found: Checkpoint | None, step: int) -> None:
    assert found is not None
    expected = checkpoint(step)
    assert found.counters == expected.counters
    assert found.tensors.keys() == expected.tensors.keys()
    for name, array in expected.tensors.items():
        assert found.tensors[name].dtype == array.dtype
        np.testing.assert_array_equal(found.tensors[name], array)


def work(run: Run, first: int, last: int) -> None:
    """Steps, each with a metric; a checkpoint after each even one, and a metric that belongs to it."""
    for step in range(first, last + 1):
        log_metrics(run, {"step": step, "loss": 1 / step})
        if step % 2 == 0:
            save_checkpoint(run, checkpoint(step))


def straight(step: int) -> list[dict[str, Any]]:
    return [{"step": s, "loss": 1 / s} for s in range(1, step + 1)]


def begin(folder: Path, *, resume: bool = False, force: bool = False, **changes: Any) -> Any:
    return open_run(folder, IDENTITY | changes, resume=resume, force=force)
