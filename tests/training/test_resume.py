"""Killed at random moments and resumed, a training ends in the same bits as one that was left alone."""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import crash
from clips import write_actions
from support import tones
from support.networks import spec_of
from support.small_tasks import write_conll, write_reviews, write_vectors
from support.small_tunes import write_tunes
from support.training_runs import SMALL, WHOLE, batch_of, marks, place, run, start, write_text
from unrolled.core.config import TrainConfig
from unrolled.core.errors import Interrupted
from unrolled.nn.architectures import build
from unrolled.training import loop
from unrolled.training.checkpointing import flatten, restore, to_checkpoint, unflatten
from unrolled.training.loop import Plan, TrainerState, TrainingData, begin
from unrolled.training.run_folder import Checkpoint, open_run, read_checkpoint, save_checkpoint

KILLS = 3
SPEC = spec_of(n_x=7, n_y=7, n_a=8, embedding=5, layers=2)
PLAN = Plan(steps=14, epochs=None, validations=7, validation_tokens=9, threads=1, kernel="torch", seconds=0.0)


WRITERS = {
    "compose": lambda folder: write_tunes(folder / "tunes", 20),
    "language": lambda folder: write_text(folder / "t.txt", 150),
    "classify": lambda folder: write_reviews(folder / "t.csv", 260),
    "recognize": lambda folder: write_actions(folder / "clips", 18, 1),
    "tag": lambda folder: write_conll(folder / "t.conll", 220),
    "transcribe": lambda folder: tones.table(folder, tones.texts(60)),
}


def survive(folder: Path, model: Path, words: tuple[str | Path, ...], seed: int) -> int:
    """Train with kills at random moments, mostly after some checkpoint; how many were survived."""
    chance, kills = random.Random(seed), 0
    checkpoint = crash.folder_of(model) / "checkpoint"
    while True:
        command = start(folder / "log", *words, "--out", model, "--resume")
        if kills < KILLS:
            before = marks(checkpoint) if chance.random() < 0.8 else None
            lived = command.wait_for(lambda before=before: marks(checkpoint) != before)
            time.sleep(chance.uniform(0, 0.25))
            if lived and command.alive:
                command.signal(signal.SIGKILL)
                kills += command.wait() == -signal.SIGKILL
                continue
        code = command.wait()
        assert code == 0, command.said
        return kills


@pytest.mark.parametrize(
    "task, budget, options",
    [
        (
            "language",
            ("--epochs", "2"),
            ("--dropout", "0.2", "--average", "0.9", "--layers", "2"),
        ),
        (
            "language",
            ("--minutes", "0.12"),
            ("--optimizer", "adamw", "--unit", "word", "--weight-dropout", "0.1", "--zoneout", "0.1"),
        ),
        (
            "classify",
            ("--epochs", "2"),
            ("--pooling", "attention", "--average", "0.9", "--class-weights"),
        ),
        ("tag", ("--minutes", "0.1"), ("--variational",)),
        (
            "tag",
            ("--epochs", "3"),
            ("--vectors", "{0}/vectors.txt", "--average", "0.9", "--input-dropout", "0.3"),
        ),
        ("compose", ("--epochs", "4"), ("--transpose", "3")),
        (
            "recognize",
            ("--epochs", "6"),
            ("--frame-size", "16", "--differences", "--flip"),
        ),
        ("transcribe", ("--epochs", "3"), ("--augment", "--bands", "8")),
    ],
)
def test_killed_and_left_alone_end_in_the_same_bits(task, budget, options, tmp_path):
    fixed = (
        ("--deterministic",) if "--epochs" in budget else ()
    )  # which nothing that these tasks ask of torch offends
    small = SMALL if task in ("language", "compose") else WHOLE
    write_vectors(tmp_path / "vectors.txt")
    options = tuple(one.format(tmp_path) for one in options)
    words = ("train", task, WRITERS[task](tmp_path), *small, *budget, *fixed, *options)
    killed, alone = tmp_path / "killed", tmp_path / "alone"
    kills = survive(tmp_path, killed, words, seed=len(options))
    # A budget of minutes is measured: the other one takes over the plan, which it finds frozen.
    crash.share_plan(crash.folder_of(killed), alone)
    code, said = run(tmp_path / "log", *words, "--out", alone, "--resume")
    assert code == 0, said
    assert kills == KILLS
    assert crash.compare_runs(crash.folder_of(alone), crash.folder_of(killed)) == []
    assert crash.compare_models(alone, killed) == []
    assert read_checkpoint(crash.folder_of(alone)).counters["done"]


# --- in one process, at every step


class StopAt:
    """A callback that stops after a step."""

    def __init__(self, step: int) -> None:
        self.last = step
        self.metrics: list[dict[str, float]] = []

    def step(self, progress: TrainerState, loss: float, share: float) -> None:
        if progress.at.step == self.last:
            raise Interrupted("stopped")

    def validated(self, progress: TrainerState, metrics: object, share: float) -> None:
        assert isinstance(metrics, dict)
        self.metrics.append(metrics)


def problem() -> TrainingData:
    def epoch(number: int):
        ids = np.random.default_rng(number).integers(0, 7, (5, 3, 9))
        return [batch_of(ids[i].tolist(), carry=i > 0) for i in range(5)]

    return TrainingData(epoch, lambda limit: epoch(99)[:2], place)


CONFIGS = [
    TrainConfig(lr=0.02, average=0.9, dropout=0.2),
    TrainConfig(
        lr=0.02,
        optimizer="adamw",
        average=0.0,
        dropout=0.1,
        variational=True,
        weight_dropout=0.3,
        zoneout=0.2,
    ),
    TrainConfig(lr=0.3, optimizer="sgd", momentum=0.9, average=0.5, schedule="plateau", patience=3),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.optimizer)
def test_stopped_after_any_step_and_resumed_from_disk(config, tmp_path):
    straight, watch = begin(build(SPEC, seed=0), config), StopAt(-1)
    loop.train(problem(), straight, PLAN, config, watch)
    expected = to_checkpoint(straight)
    for stop in (1, 4, 5, 6, 11, 13):
        stopped, first = begin(build(SPEC, seed=0), config), StopAt(stop)
        with pytest.raises(Interrupted):
            loop.train(problem(), stopped, PLAN, config, first)
        with open_run(tmp_path / str(stop), {}, resume=False, force=False) as run_:
            save_checkpoint(run_, to_checkpoint(stopped))
        resumed, rest = begin(build(SPEC, seed=1), config), StopAt(-1)
        torch.manual_seed(12345)  # chance does not come from before
        restore(read_checkpoint(tmp_path / str(stop)), resumed)
        loop.train(problem(), resumed, PLAN, config, rest)
        found = to_checkpoint(resumed)
        assert found.counters == expected.counters
        assert crash.compare_tensors(expected.tensors, found.tensors) == []
        assert first.metrics + rest.metrics == watch.metrics


def test_a_checkpoint_holds_all_that_moves():
    config = replace(CONFIGS[0], optimizer="muon")
    progress = begin(build(SPEC, seed=0), config)
    with pytest.raises(Interrupted):
        loop.train(problem(), progress, PLAN, config, StopAt(4))
    names = to_checkpoint(progress).tensors
    for part in ("weights", "average", "best"):
        assert f"{part}.core.1.forward.W_c" in names
    assert sum(name.endswith(".momentum") for name in names) == 8
    assert (
        sum(name.endswith(".exp_avg_sq") for name in names)
        == len(dict(progress.network.named_parameters())) - 8
    )
    assert [name for name in names if name.startswith("state.")] == [f"state.{i}" for i in range(4)]


def test_states_of_any_nesting_come_back():
    leaf: Iterator[torch.Tensor] = (torch.full((2, 3), float(i)) for i in range(100))
    for state in (
        None,
        (next(leaf),),
        tuple(next(leaf) for _ in range(12)),
        ((next(leaf),), (next(leaf), next(leaf))),
    ):
        back = unflatten(flatten(state))
        assert str(back) == str(state)


def test_a_checkpoint_with_an_unknown_part_is_refused():
    progress = begin(build(SPEC, seed=0), CONFIGS[1])
    whole = to_checkpoint(progress)
    with pytest.raises(Exception, match="unknown part 'more'"):
        restore(Checkpoint(whole.counters, {**whole.tensors, "more.x": np.zeros(1)}), progress)


def test_a_copied_run_is_not_the_original(tmp_path):
    text = write_text(tmp_path / "t.txt", 150)
    """Resuming in a copy leaves the first folder alone."""
    words = ("train", "language", text, *SMALL, "--epochs", "1")
    assert run(tmp_path / "log", *words, "--out", tmp_path / "one")[0] == 0
    shutil.copytree(tmp_path / "one.run", tmp_path / "two.run")
    before = marks(tmp_path / "one.run" / "checkpoint")
    assert run(tmp_path / "log", *words, "--out", tmp_path / "two", "--resume")[0] == 0
    assert (tmp_path / "two").read_bytes() == (tmp_path / "one").read_bytes()
    assert marks(tmp_path / "one.run" / "checkpoint") == before
