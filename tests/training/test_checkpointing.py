"""Tests of the checkpoint callback: what it shows, when it saves and stops, and which weights become the model."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from support.networks import spec_of
from unrolled.core.config import TrainConfig
from unrolled.core.errors import Interrupted
from unrolled.core.progress import Moment, Silent
from unrolled.nn.architectures import build
from unrolled.training import checkpointing
from unrolled.training.checkpointing import CheckpointCallback, best_tensors
from unrolled.training.loop import TrainerState, begin, kept
from unrolled.training.run_folder import Checkpoint, Run, open_run, read_checkpoint, read_metrics

SPEC = spec_of(n_x=7, n_y=7, n_a=8, embedding=5)


class Told(Silent):
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.moments: list[Moment] = []
        self.validations: list[tuple[Moment, Mapping[str, float], str | None]] = []

    def moment(self, now: Moment) -> None:
        self.moments.append(now)

    def validated(self, now: Moment, metrics: Mapping[str, float], sample: str | None) -> None:
        self.validations.append((now, metrics, sample))


class Gone(Silent):
    """A reporter whose terminal is closed."""

    def moment(self, now: Moment) -> None:
        raise BrokenPipeError

    def validated(self, now: Moment, metrics: Mapping[str, float], sample: str | None) -> None:
        raise BrokenPipeError


@dataclass
class Clock:
    """Tells the seconds; each look at it takes `look` of them."""

    now: float = 1000.0
    look: float = 0.0

    def monotonic(self) -> float:
        self.now += self.look
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    told = Clock()
    monkeypatch.setattr(checkpointing, "time", SimpleNamespace(monotonic=told.monotonic))
    return told


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    with open_run(tmp_path / "m.run", {}, resume=False, force=False) as run:
        yield run


def trained(step: int, average: float = 0.0) -> TrainerState:
    """A training that stands at a step."""
    progress = begin(build(SPEC, seed=0), TrainConfig(average=average))
    progress.at.step = step
    return progress


def saved(run: Run) -> int | None:
    """The step of the checkpoint; None where there is none."""
    return read_checkpoint(run.folder).counters["step"] if (run.folder / "checkpoint").exists() else None


def test_the_loss_that_is_shown_is_smoothed_and_the_speed_is_of_this_process(run: Run, clock: Clock):
    told = Told()
    callback = CheckpointCallback(run, told, None, 50.0, first_step=20)
    clock.now += 2.0
    callback.step(trained(21), 3.0, 0.25)
    clock.now += 2.0
    callback.step(trained(24), 1.0, 0.5)
    assert told.moments[0] == Moment(0.25, 21, 3.0, 25.0)
    second = told.moments[1]
    assert (second.share, second.step, second.speed) == (0.5, 24, 50.0)
    assert second.loss == pytest.approx(3.0 - 0.02 * 2.0)


def test_a_checkpoint_is_saved_every_ten_seconds_and_at_the_end(run: Run, clock: Clock):
    callback = CheckpointCallback(run, Told(), None, 50.0, first_step=0)
    clock.now += 9.9
    callback.step(trained(1), 1.0, 0.1)
    assert saved(run) is None
    clock.now += 0.2
    callback.step(trained(2), 1.0, 0.1)
    assert saved(run) == 2
    clock.now += 9.9
    callback.step(trained(3), 1.0, 0.1)
    assert saved(run) == 2
    last = trained(4)
    last.at.done = True
    callback.step(last, 1.0, 1.0)
    assert saved(run) == 4


def test_what_takes_long_to_save_is_saved_seldom(run: Run, clock: Clock):
    """A checkpoint that took a second comes again after fifty: 2% of the time."""
    callback = CheckpointCallback(run, Told(), None, 50.0, first_step=0)
    clock.look = 1.0
    callback.save(trained(1))
    clock.look = 0.0
    clock.now += 49.5
    callback.step(trained(2), 1.0, 0.1)
    assert saved(run) == 1
    clock.now += 1.0
    callback.step(trained(3), 1.0, 0.1)
    assert saved(run) == 3


def test_a_signal_saves_and_stops_but_not_after_the_last_step(run: Run):
    callback = CheckpointCallback(run, Told(), None, 50.0, first_step=0)
    callback.signal = signal.SIGTERM
    with pytest.raises(Interrupted, match="stopped; try --resume"):
        callback.step(trained(1), 1.0, 0.1)
    assert saved(run) == 1 and callback.saving, "the model is written next"
    last = trained(2)
    last.at.done = True
    callback.step(last, 1.0, 1.0)
    assert saved(run) == 2


def test_a_save_that_nobody_interrupts_is_over_when_it_returns(run: Run):
    callback = CheckpointCallback(run, Told(), None, 50.0, first_step=0)
    callback.save(trained(1))
    assert not callback.saving


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_a_validation_is_logged_and_shown_with_a_sample_by_the_weights_that_are_kept(
    average: float, run: Run, clock: Clock
):
    shown: list[Mapping[str, Any]] = []

    def sample(weights: Mapping[str, Any]) -> str:
        shown.append(weights)
        return "a line"

    told, progress = Told(), trained(3, average)
    for value in progress.average.values():
        value += 1.0
    callback = CheckpointCallback(run, told, sample, 50.0, first_step=0)
    clock.now += 5.0
    progress.at.epoch = 2
    callback.validated(progress, {"loss": 0.5}, 0.75)
    assert read_metrics(run.folder) == [{"step": 3, "epoch": 2, "loss": 0.5, "seconds": 5.0}]
    assert told.validations == [(Moment(0.75, 3, 0.0, 30.0), {"loss": 0.5}, "a line")]
    expected = kept(progress)
    assert shown[0].keys() == expected.keys()
    assert all(np.array_equal(shown[0][name], expected[name].detach()) for name in expected)
    CheckpointCallback(run, told, None, 50.0, first_step=0).validated(progress, {"loss": 0.25}, 0.75)
    assert told.validations[1][2] is None


def test_a_terminal_that_is_gone_ends_no_training(run: Run):
    callback = CheckpointCallback(run, Gone(), None, 50.0, first_step=0)
    callback.step(trained(1), 1.0, 0.1)
    callback.validated(trained(1), {"loss": 0.5}, 0.1)
    assert len(read_metrics(run.folder)) == 1


def test_the_weights_of_the_model_are_the_best_then_the_average_then_the_last():
    names = ("weights.a", "average.a", "best.a", "optimizer.0.0.step")
    tensors = {name: np.array([float(number)]) for number, name in enumerate(names)}
    measured, unmeasured = {"provisional": False}, {"provisional": True}

    def found(counters: dict[str, Any], *left_out: str) -> dict[str, float]:
        there = {name: value for name, value in tensors.items() if name not in left_out}
        return {name: float(value[0]) for name, value in best_tensors(Checkpoint(counters, there)).items()}

    assert found(measured) == found({}) == {"a": 2.0}
    assert found(unmeasured) == found(measured, "best.a") == {"a": 1.0}
    assert found(unmeasured, "average.a") == {"a": 0.0}
    assert found(measured, *names[:3]) == {}
