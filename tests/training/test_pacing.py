"""Budgets of minutes on a machine whose speed changes. No test waits: the clock is a function, moved on by the work."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import crash
from support.networks import spec_of
from support.training_runs import batch_of, place, write_text
from unrolled.core.config import TrainConfig
from unrolled.core.config import build as configure
from unrolled.core.errors import Interrupted
from unrolled.core.progress import Moment, Silent
from unrolled.core.types import Batch
from unrolled.datasets.text_dataset import from_files
from unrolled.nn.architectures import build
from unrolled.training import budget, loop
from unrolled.training.budget import Measure
from unrolled.training.checkpointing import to_checkpoint
from unrolled.training.fit import fit
from unrolled.training.language_job import request
from unrolled.training.loop import (
    Plan,
    TrainerPosition,
    TrainerState,
    TrainingData,
    begin,
    share_done,
    steps_of,
)
from unrolled.training.pacing import from_json, pacing

BUDGET = 100.0
PLAN = Plan(
    steps=200,
    epochs=None,
    validations=20,
    validation_tokens=10,
    threads=1,
    kernel="torch",
    seconds=97.0,
    frozen=False,
    validating=0.5,
)


class Machine:
    """A clock that moves by what is done, and the plans that were written down.

    pace: seconds of a step that begins at a time. The plan that was written last is `written[-1]`.
    """

    def __init__(self, pace: Callable[[float], float]) -> None:
        self.now, self.pace = 0.0, pace
        self.written: list[Plan] = []

    def clock(self) -> float:
        return self.now

    def work(self, plan: Plan, at: TrainerPosition, until: float = BUDGET, batches: int = 10) -> Plan:
        """Train by the plan, a step as long as the machine takes for it; returns the plan at the end."""
        revise = pacing(plan, BUDGET, until, self.clock, self.written.append)
        while not at.done:
            self.now += self.pace(self.now)
            before = share_done(plan, at, batches)
            at.step += 1
            at.epoch, at.index = divmod(at.step, batches)
            plan = revise(plan, at, batches)
            after = share_done(plan, at, batches)
            at.done = after >= 1
            if int(after * plan.validations) > int(before * plan.validations):
                self.now += plan.validating * self.pace(self.now)
        return plan


def test_a_plan_that_fits_is_frozen_and_never_changed():
    machine = Machine(lambda now: 0.475)
    plan = machine.work(PLAN, TrainerPosition())
    assert plan.changes == () and plan.frozen
    assert machine.written == [plan]
    assert machine.now == pytest.approx(100, abs=1)


def test_a_busy_start_is_made_up_for_after_a_tenth_of_the_budget():
    """79 steps were planned where 240 fitted."""
    machine = Machine(lambda now: 1.2 if now < 5 else 0.4)
    plan = machine.work(replace(PLAN, steps=79), TrainerPosition())
    step, steps = plan.changes[0]
    assert step < 26 and steps == pytest.approx(225, abs=25)
    assert 90 < machine.now < 104
    assert len(machine.written) == len(plan.changes) <= 2


@pytest.mark.parametrize("slower", [2.0, 6.0])
@pytest.mark.parametrize("until", [12.0, 25.0, 40.0])
def test_a_start_that_is_busy_for_longer_is_made_up_for_too(slower: float, until: float):
    """The plan of the second look is made from the slow machine; the training must not end when half is left."""
    machine = Machine(lambda now: 0.475 * (slower if now < until else 1.0))
    machine.work(replace(PLAN, steps=int(95 / 0.475 / slower)), TrainerPosition())
    assert 90 < machine.now < 104


@pytest.mark.parametrize("slower", [1.5, 2.0, 4.0])
@pytest.mark.parametrize("when", [0.0, 5.0, 12.0, 30.0, 60.0, 90.0])
def test_a_machine_that_becomes_slower_ends_in_time(slower, when):
    machine = Machine(lambda now: 0.475 * (slower if now >= when else 1.0))
    plan = machine.work(PLAN, TrainerPosition())
    assert 90 < machine.now < 107
    assert [step for step, _ in plan.changes] == sorted({step for step, _ in plan.changes})
    totals = [steps for _, steps in plan.changes[1:]]
    assert totals == sorted(totals, reverse=True), "frozen: the number of steps only falls"


def test_a_machine_that_is_slow_for_a_while_uses_its_budget():
    machine = Machine(lambda now: 0.475 * (3 if 40 < now < 45 else 1))
    machine.work(PLAN, TrainerPosition())
    assert 90 < machine.now < 105


@given(
    st.lists(st.tuples(st.floats(1, 40), st.floats(0.5, 2.0)), min_size=1, max_size=6),
    st.floats(0.3, 3.0),
)
def test_no_course_of_speeds_makes_a_training_too_long(course, wrong):
    """Whatever was measured, and however the machine is slowed down or left alone."""

    def pace(now: float) -> float:
        for seconds, factor in course:
            if now < seconds:
                return 0.2 * factor
            now -= seconds
        return 0.2

    machine = Machine(pace)
    machine.work(replace(PLAN, steps=max(1, int(480 * wrong)), validating=0.1), TrainerPosition())
    assert machine.now < 110


def test_one_step_too_many_is_not_begun():
    machine = Machine(lambda now: 1.0 if now < 97 else 30.0)
    machine.work(replace(PLAN, steps=200, frozen=True, validating=0.0, validations=1), TrainerPosition())
    assert machine.now < 135  # a step is as long as it is


def test_a_frozen_plan_is_looked_at_when_half_of_its_steps_are_done():
    """Of 41 steps, 40 are left after the first one, and half of these are done after step 21."""
    machine = Machine(lambda now: 0.2)
    plan = machine.work(
        replace(PLAN, steps=41, frozen=True, validating=0.0, validations=1), TrainerPosition()
    )
    step, steps = plan.changes[0]
    assert step == 21 and steps == pytest.approx(500, abs=2)


def test_epochs_that_end_before_the_minutes_change_nothing():
    machine = Machine(lambda now: 0.5)
    plan = machine.work(replace(PLAN, steps=500, epochs=3, frozen=True), TrainerPosition())
    assert plan.changes == ()
    assert machine.now < 21


def test_a_final_plan_is_left_alone_on_any_machine():
    machine = Machine(lambda now: 9.0)
    plan = replace(PLAN, steps=50, frozen=True, final=True, changes=((20, 30),))
    at = TrainerPosition()
    assert machine.work(plan, at) == plan
    assert (at.step, machine.written) == (30, [])


def test_the_steps_of_a_plan_hold_from_where_they_were_decided():
    plan = replace(PLAN, steps=100, changes=((10, 200), (50, 60)))
    assert [steps_of(plan, step) for step in (0, 9, 10, 49, 50, 60)] == [100, 100, 200, 200, 60, 60]
    assert share_done(plan, TrainerPosition(step=49), 10) == 49 / 200
    assert share_done(plan, TrainerPosition(step=54), 10) == 0.9
    assert from_json(json.loads(json.dumps(asdict(plan)))) == plan


# --- resumed to the bit


SPEC = spec_of(n_x=7, n_y=7, n_a=8, embedding=5)
CONFIG = TrainConfig(lr=0.02, average=0.9, dropout=0.2)


class Slow:
    """The callback of a training on a machine: each step moves its clock on; after one step it may be killed."""

    def __init__(self, machine: Machine, last: int | None = None) -> None:
        self.machine, self.last = machine, last

    def step(self, progress: TrainerState, loss: float, share: float) -> None:
        self.machine.now += self.machine.pace(self.machine.now)
        if progress.at.step == self.last:
            raise Interrupted("killed")

    def validated(self, progress: TrainerState, metrics: object, share: float) -> None:
        """Nothing."""


def small_problem() -> TrainingData:
    def epoch(number: int) -> list[Batch]:
        ids = np.random.default_rng(number).integers(0, 7, (5, 3, 9))
        return [batch_of(ids[i].tolist(), carry=i > 0) for i in range(5)]

    return TrainingData(epoch, lambda limit: epoch(99)[:2], place)


def train(plan: Plan, machine: Machine, last: int | None = None) -> TrainerState:
    progress = begin(build(SPEC, seed=0), CONFIG)
    revise = pacing(plan, BUDGET, BUDGET - 3, machine.clock, machine.written.append)
    loop.train(small_problem(), progress, plan, CONFIG, Slow(machine, last), revise)
    return progress


@settings(max_examples=8)
@given(st.integers(1, 33))
def test_killed_at_any_step_and_begun_again_by_what_was_written_down(last):
    """The machine slows down; after the kill it is another one. The changes up to the kill hold as they were."""
    plan = replace(PLAN, steps=40, validating=0.0, validations=4)
    slowing = Machine(lambda now: 2.4 if now < 30 else 6.0)
    straight = to_checkpoint(train(plan, slowing))
    final = replace(slowing.written[-1], final=True)
    assert final.changes, "it was too slow for 40 steps"
    killed = Machine(lambda now: 2.4 if now < 30 else 6.0)
    if last < straight.counters["step"]:
        with pytest.raises(Interrupted):
            train(plan, killed, last)
        before = killed.written[-1] if killed.written else plan
        assert before.changes == tuple(change for change in final.changes if change[0] <= last)
        assert before.changes == tuple(change for change in slowing.written[-1].changes if change[0] <= last)
    again = to_checkpoint(train(final, Machine(lambda now: 1000.0)))
    assert again.counters == straight.counters
    assert crash.compare_tensors(straight.tensors, again.tensors) == []


class Told(Silent):
    """A reporter that moves the clock on by the time of a step, and remembers the notes."""

    def __init__(self, machine: Machine) -> None:
        self.machine, self.notes = machine, list[str]()

    def note(self, text: str) -> None:
        self.notes.append(text)

    def moment(self, now: Moment) -> None:
        self.machine.now += self.machine.pace(self.machine.now)


def test_a_whole_training_keeps_to_its_minutes_and_writes_its_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """As a person starts it, on a machine that is busy while it is measured, quick, and then slower by half."""
    monkeypatch.setattr(budget, "measure_speed", lambda *a: Measure(3.0, 64.0, 1, "torch"))
    source = from_files([write_text(tmp_path / "t.txt", 60)], "file")
    options = {
        "hidden": 8,
        "batch_size": 2,
        "window": 16,
        "threads": 1,
        "seed": 3,
        "minutes": 2,
        "average": 0.9,
    }
    machine = Machine(lambda now: 1.0 if now < 50 else 2.0)
    asked = request(configure("language", options), source, None, tmp_path / "m", began=0.0)
    told = Told(machine)
    model = fit(asked, told, machine.clock)
    assert 108 < machine.now < 132
    plan = json.loads((tmp_path / "m.run" / "plan.json").read_text())["plan"]
    assert plan["final"] and plan["steps"] < 40 < plan["changes"][0][1]
    assert len(plan["changes"]) >= 2
    crash.share_plan(tmp_path / "m.run", tmp_path / "other")
    again = replace(asked, out=tmp_path / "other", resume=True)
    other = fit(again, Told(Machine(lambda now: 50.0)), Machine(lambda now: 50.0).clock)
    assert other.notes["steps"] == model.notes["steps"]
    assert crash.compare_models(tmp_path / "m", tmp_path / "other") == []
    assert crash.compare_runs(tmp_path / "m.run", tmp_path / "other.run") == []
