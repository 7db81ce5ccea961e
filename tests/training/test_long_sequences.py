"""An answer from the last state of a long sequence: the network must learn from inputs that are far away."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from unrolled.cli import main
from unrolled.training import supervised_job

TAIL = 300  # steps of silence after the signal


def write(path: Path, seed: int, count: int = 120) -> Path:
    """Two classes: a short wave that begins upwards or downwards, then silence with a little noise."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 2
    steps = rng.integers(TAIL, TAIL + 40, count)
    wave = 2 * np.sin(np.arange(6, dtype=np.float32))
    x = 0.01 * rng.standard_normal((int(steps.sum()), 1), np.float32)
    for begin, label in zip(np.cumsum(steps) - steps, y, strict=True):
        x[begin + 2 : begin + 8, 0] += wave if label else -wave
    np.savez(path, x=x, y=y, lengths=steps)
    return path


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_last_state_answers_after_a_long_silence(
    cell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    train, valid, out = write(tmp_path / "a.npz", 0), write(tmp_path / "b.npz", 1), tmp_path / "m"
    words = ["train", "numbers:label", str(train), "--valid", str(valid), "--out", str(out), "--force"]
    words += ["--cell", cell, "--pooling", "last", "--no-bidirectional", "--hidden", "16", "--epochs", "12"]

    def accuracy() -> float:
        assert main([*words, "--threads", "1"]) == 0, capsys.readouterr()
        capsys.readouterr()
        assert main(["evaluate", str(out), str(valid), "--json"]) == 0
        return json.loads(capsys.readouterr().out)["accuracy"]

    assert accuracy() == 1.0
    if cell == "lstm":
        monkeypatch.setattr(supervised_job, "LONG", 1000)  # the usual first weights
        assert accuracy() < 0.7, "the task is too easy to prove anything"
