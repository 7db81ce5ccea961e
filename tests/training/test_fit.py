"""What a training says before it begins and when it has ended."""

from __future__ import annotations

from dataclasses import replace

import pytest

from support.networks import spec_of
from support.training_runs import place
from unrolled.core.config import build as configure
from unrolled.core.progress import Silent
from unrolled.models.network_spec import NetworkSpec
from unrolled.models.tensor_shapes import parameters
from unrolled.tasks.fill import resolve_data
from unrolled.training.fit import describe
from unrolled.training.job import TrainingJob
from unrolled.training.loop import Plan, TrainingData

SIZES = {"n_x": 7, "n_y": 7, "n_a": 8, "embedding": 5}
WORDS = spec_of(SIZES)
PLAN = Plan(
    steps=1200, epochs=None, validations=4, validation_tokens=10, threads=2, kernel="torch", seconds=90.0
)


class Told(Silent):
    """A reporter that remembers the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def job(spec: NetworkSpec) -> TrainingJob:
    config = resolve_data(configure("language", {"dropout": 0.25}))
    problem = TrainingData(lambda epoch: [], None, place)
    return TrainingJob(
        config, spec, problem, 10, 32.0, ("7 words",), "4 windows of 8 tokens", "nats", lambda weights: {}, {}
    )


def told(spec: NetworkSpec, plan: Plan = PLAN) -> list[str]:
    reporter = Told()
    describe(job(spec), plan, reporter)
    return reporter.notes


def test_the_data_the_network_and_the_plan_are_described():
    assert told(WORDS) == [
        "7 words",
        f"1 x 8 lstm, embedding 5, dropout 0.25: {parameters(WORDS)} parameters",
        "1,200 steps, batches of 4 windows of 8 tokens, 2 threads, about 1m30s",
    ]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (spec_of(SIZES, embedding=0), "1 x 8 lstm, one-hot input, dropout"),
        (spec_of(SIZES, tie=True), "1 x 8 lstm, embedding 5, tied weights, dropout"),
        (
            spec_of(SIZES, architecture="many-to-one", bidirectional=True, layers=2, cell="gru"),
            "2 x 8 gru, both directions, embedding 5, dropout",
        ),
        (spec_of(n_x=3, n_y=2, n_a=4, ids=False), "1 x 4 lstm, 3 inputs, dropout"),
        (
            spec_of(n_x=128, n_y=3, n_a=5, ids=False, front="frames", front_size=6),
            "1 x 5 lstm, 128 inputs, convolution with 6 outputs, dropout",
        ),
    ],
)
def test_every_part_of_a_network_is_named(spec: NetworkSpec, words: str):
    assert told(spec)[1].startswith(words)


def test_epochs_of_an_unknown_time_are_described():
    plan = replace(PLAN, steps=None, epochs=1, threads=1, seconds=0.0)
    assert told(WORDS, plan)[2] == "1 epoch, batches of 4 windows of 8 tokens, 1 thread"
