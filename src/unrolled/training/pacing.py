"""Keep a training within its budget of minutes, even if the speed of the machine changes.

1. The first plan is made from a few measured steps.
2. After a tenth of the budget, the plan may be made again, from the speed of the training itself. Then the
   plan is frozen.
3. Later checks change the number of steps only if the speed of the machine has changed. The number is reduced
   if the training would end too late. It is increased if the training would end much too early.

The next check is due when half of the remaining time has passed or half of the remaining steps are done. Each
change is written to the run folder before it takes effect, together with its step (`Plan.changes`). So a
resumed run follows exactly the same plan and computes the same bits.
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

SECOND = 0.1  # fraction of the budget after which the plan is made again
NOISE = 0.02  # the plan is not changed if the expected end is wrong by less than this fraction of the budget
# A frozen plan gets more steps only if the number of additional steps exceeds both of these limits:
GROWS = 0.25  # this fraction of the remaining steps
MUCH = 0.05  # the number of steps that fit into this fraction of the budget
LATEST = 0.04  # a training may end late by at most this fraction of the budget


def planned(
    job: TrainingJob,
    network: Network,
    request: TrainingRequest,
    run: Run,
    note: Callable[[str], None],
    clock: Clock,
) -> Plan:
    """Return the plan of the run folder. If there is none, make a new plan and save it there."""
    if run.plan is not None:
        return from_json(run.plan)
    spent = spending(request, clock)
    training = job.config.training
    plan = make_plan(job.problem, network, training, job.valid_size, spent, settling=job.settling, note=note)
    save_plan(run, asdict(plan))
    return plan


def spending(request: TrainingRequest, clock: Clock) -> Spent:
    """Return the start times of a request: of its budget, and of reading its data."""
    began = request.beginning()
    return Spent(began, began if request.reading is None else request.reading, clock)


def from_json(plan: Mapping[str, Any]) -> Plan:
    """Return a plan from its JSON object in a run folder.

    The values have the type `Any`. They need no check, because a digest has verified that they are unchanged.
    """
    changes = tuple((int(step), int(steps)) for step, steps in plan.get("changes", ()))
    values: dict[str, Any] = {**plan, "changes": changes}  # the plan has tuples, but JSON has lists
    return Plan(**values)


def watching(
    plan: Plan, at: TrainerPosition, job: TrainingJob, request: TrainingRequest, run: Run, clock: Clock
) -> Revise:
    """Return the function that keeps a training to its budget of minutes.

    Without a budget of minutes, the function does not change the plan. If half of the plan is left when a
    training is resumed, the training gets half of the budget.

    at: the position where this process begins to train.
    """
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
    """Save the plan as final after the training is complete.

    A repeated run with this plan then computes the same bits.
    """
    if not plan.final:
        save_plan(run, asdict(replace(plan, frozen=True, final=True)))


def pacing(plan: Plan, budget: float, end: float, clock: Clock, write: Callable[[Plan], None]) -> Revise:
    """Return the function that changes `plan` during training. It is called after each step.

    budget: length of the budget in seconds; the fractions at the top of this file refer to it.
    end: time of `clock` when the training should end.
    write: saves a plan.
    """
    begun = clock()
    looked: list[tuple[float, int]] = []  # time and step of each check
    half = begun + max(0.0, end - begun) / 2
    following = [half if plan.frozen else min(half, begun + SECOND * budget)]
    middle = [math.inf]  # the step when half of the steps that were left at the last check are done
    # The speed for the second plan is measured only after this time, because the first steps may differ in speed.
    settling_in = (begun + following[0]) / 2

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
    """Return the number of steps that are left in the plan, or in the requested epochs if that is less."""
    left = (steps_of(plan, at.step) or 0) - at.step
    if plan.epochs is None:
        return left
    return min(left, plan.epochs * batches - at.epoch * batches - at.index)


def _middle(plan: Plan, at: TrainerPosition, batches: int) -> float:
    return at.step + _left(plan, at, batches) / 2


def _validations(plan: Plan, at: TrainerPosition, batches: int, step: int) -> int:
    """Return the number of validations before the clock was read after `step`.

    A validation that follows this step is not counted, because it starts after the clock was read.
    """
    return int(share_done(plan, at, batches) / at.step * (step - 1) * plan.validations + 1e-9)


def _decide(
    plan: Plan, at: TrainerPosition, batches: int, fitting: int, noise: float, write: Callable[[Plan], None]
) -> Plan:
    """Return the plan after a check, changed if necessary.

    fitting: total number of steps that the training has time for, at the speed since the previous check.
    noise: possible error of this number.
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
    """Return the plan with another number of steps from this position on. The changed plan is saved first."""
    plan = replace(plan, frozen=True, changes=(*plan.changes, (at.step, max(at.step, steps))))
    write(plan)
    return plan
