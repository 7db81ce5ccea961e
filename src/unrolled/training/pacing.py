"""Keeps a training with a budget of minutes to its time, on a machine whose speed changes.

The first plan is made from a few measured steps. It may be made a second time, after a tenth of the budget, from the
speed of the training itself: then it is frozen. Later looks at the clock change the number of steps only if the machine
has changed its speed: it falls if the training would end too late, and it grows if the training would end much too
early. The clock is looked at when half of the time that was left has passed, or half of the steps have been done. Each
change is written into the run folder before it takes
effect, with the step at which it does (`Plan.changes`), so a resumed run trains by the same plan to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

from unrolled.nn.architectures import Network
from unrolled.training.budget import Spent, deadline, make_plan
from unrolled.training.job import TrainingJob, TrainingRequest
from unrolled.training.loop import Plan, Revise, TrainerPosition, share_done, steps_of, unchanged
from unrolled.training.run_folder import Run, save_plan

Clock = Callable[[], float]

SECOND = 0.1  # share of the budget after which the plan is made a second time
NOISE = 0.02  # share of the budget by which an expected end may be wrong before a plan changes
GROWS = 0.25  # a frozen plan grows if so many more of the steps that are left fit into the time,
MUCH = 0.05  # and if these take so large a share of the budget
LATEST = 0.04  # share of the budget by which a training may end too late


def planned(
    job: TrainingJob,
    network: Network,
    request: TrainingRequest,
    run: Run,
    note: Callable[[str], None],
    clock: Clock,
) -> Plan:
    """The plan of the run folder, or a new one, which is saved there."""
    if run.plan is not None:
        return from_json(run.plan)
    spent = spending(request, clock)
    training = job.config.training
    plan = make_plan(job.problem, network, training, job.valid_size, spent, settling=job.settling, note=note)
    save_plan(run, asdict(plan))
    return plan


def spending(request: TrainingRequest, clock: Clock) -> Spent:
    """When the budget of a request and the reading of its data began."""
    began = request.beginning()
    return Spent(began, began if request.reading is None else request.reading, clock)


def from_json(plan: Mapping[str, Any]) -> Plan:
    """A plan as a run folder holds it. `Any`: a digest has shown that the values are those that were written."""
    changes = tuple((int(step), int(steps)) for step, steps in plan.get("changes", ()))
    values: dict[str, Any] = {**plan, "changes": changes}  # JSON has lists where a plan has tuples
    return Plan(**values)


def watching(
    plan: Plan, at: TrainerPosition, job: TrainingJob, request: TrainingRequest, run: Run, clock: Clock
) -> Revise:
    """What keeps a training that begins at `at` to the minutes that were asked for, if any were. A resumed one gets as
    much of them as is left of its plan."""
    minutes = request.config.training.minutes
    if minutes is None:
        return unchanged
    now = clock()
    left = deadline(minutes, request.beginning()) - now
    share = share_done(plan, at, len(job.problem.epoch(at.epoch)))
    end = now + (1 - share) * left

    def write(plan: Plan) -> None:
        save_plan(run, asdict(plan))

    return pacing(plan, minutes * 60, end, clock, write)


def settle(plan: Plan, run: Run) -> None:
    """Write down that a training ended by this plan. Another run that is given it trains to the same bits."""
    if not plan.final:
        save_plan(run, asdict(replace(plan, frozen=True, final=True)))


def pacing(plan: Plan, budget: float, end: float, clock: Clock, write: Callable[[Plan], None]) -> Revise:
    """What changes `plan` while it trains, called after each step.

    budget: seconds, for the shares above. end: when the training should have ended, by `clock`. write: saves a plan.
    """
    begun = clock()
    looked: list[tuple[float, int]] = []  # when the clock was looked at last, and at which step
    half = begun + max(0.0, end - begun) / 2
    following = [half if plan.frozen else min(half, begun + SECOND * budget)]
    middle = [math.inf]  # the step at which half of those that were left at the last look have been done
    settling_in = (
        begun + following[0]
    ) / 2  # what the plan is made from a second time comes after this moment

    def revise(plan: Plan, at: TrainerPosition, batches: int) -> Plan:
        if plan.final or plan.steps is None or at.step <= max((step for step, _ in plan.changes), default=0):
            return plan
        now = clock()
        if not looked or (not plan.frozen and now < settling_in):
            looked.append((now, at.step))
            middle[0] = _middle(plan, at, batches)
            return plan
        since, first = looked[-1]
        done, validated = _validations(plan, at, batches, at.step), _validations(plan, at, batches, first)
        step_seconds = (now - since) / (at.step - first + (done - validated) * plan.validating)
        if plan.frozen and now + step_seconds * (1 + plan.validating + plan.ending) > end + LATEST * budget:
            return _changed(plan, at, at.step, write)
        if now < following[0] and at.step < middle[0]:
            return plan
        after = (plan.validations - done) * plan.validating + plan.ending
        left = (end - now) / max(1e-9, step_seconds) - after
        looked.append((now, at.step))
        following[0] = now + max(0.0, end - now) / 2
        noise = NOISE * budget / max(1e-9, step_seconds)
        plan = _decide(plan, at, batches, at.step + max(0, int(left)), noise, write)
        middle[0] = _middle(plan, at, batches)
        return plan

    return revise


def _left(plan: Plan, at: TrainerPosition, batches: int) -> int:
    """How many steps are left by the plan, or by the epochs that were asked for."""
    left = (steps_of(plan, at.step) or 0) - at.step
    if plan.epochs is None:
        return left
    return min(left, plan.epochs * batches - at.epoch * batches - at.index)


def _middle(plan: Plan, at: TrainerPosition, batches: int) -> float:
    return at.step + _left(plan, at, batches) / 2


def _validations(plan: Plan, at: TrainerPosition, batches: int, step: int) -> int:
    """How many validations there were when the clock was looked at after a step: one that may follow it comes later."""
    return int(share_done(plan, at, batches) / at.step * (step - 1) * plan.validations + 1e-9)


def _decide(
    plan: Plan, at: TrainerPosition, batches: int, fitting: int, noise: float, write: Callable[[Plan], None]
) -> Plan:
    """The plan after a look at the clock. fitting: how many steps the training has time for in all, at the speed since
    the look before. noise: steps by which that may be wrong.
    """
    steps, left = steps_of(plan, at.step) or 0, _left(plan, at, batches)
    more = max(noise * MUCH / NOISE, GROWS * (steps - at.step)) if plan.frozen else noise
    if left > fitting - at.step + noise or fitting - steps > more:
        return _changed(plan, at, fitting, write)
    if not plan.frozen:
        plan = replace(plan, frozen=True)
        write(plan)
    return plan


def _changed(plan: Plan, at: TrainerPosition, steps: int, write: Callable[[Plan], None]) -> Plan:
    """The plan with another number of steps from here on; on disk when this returns."""
    plan = replace(plan, frozen=True, changes=(*plan.changes, (at.step, max(at.step, steps))))
    write(plan)
    return plan
