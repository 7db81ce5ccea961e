"""The first plan of a training: how many steps the budget holds, on how many threads, how often to validate.

At most 5% of a budget goes into measuring the speed; `pacing` may correct the plan while it trains. Memory is estimated
before anything is allocated, and a request that cannot fit is rejected with the estimate.
"""

from __future__ import annotations

import copy
import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from unrolled.core.config import TrainConfig
from unrolled.core.errors import UsageError
from unrolled.core.system import cores, memory_left
from unrolled.core.types import Batch
from unrolled.models import native
from unrolled.models.network_spec import NetworkSpec
from unrolled.models.tensor_shapes import parameters
from unrolled.nn.architectures import Network
from unrolled.nn.kernels.dispatch import alternatives
from unrolled.training.loop import Plan, TrainingData, begin, dropouts_of, set_rate, step

MEASURING = 0.04  # share of the budget that may go into measuring
WASTE = 0.03  # share of the budget kept back for checkpoints and noise
VALIDATING = 0.05  # share of the budget for reading the validation part
ENDING = 1.0  # seconds to write the model and end the process
STRATA = 8  # batches timed, one of each size class
FEWEST = 3  # steps that a measurement takes at least
CLEARLY = 0.95  # of a step's time is what another way must stay below: less is noise
FORWARD = 0.4  # cost of a token forward, as a share of its cost forward and back
BASE_BYTES = 300 << 20  # what torch loads and keeps while it trains, a checkpoint being written, the data


@dataclass(frozen=True)
class Measure:
    """How long a step takes, in seconds, and what it works on, in padded tokens, on average."""

    seconds: float
    tokens: float
    threads: int
    kernel: str


@dataclass(frozen=True)
class Spent:
    """When things began, by a clock: the budget of minutes, and the reading of the data. clock: tells the seconds."""

    began: float
    reading: float
    clock: Callable[[], float] = time.monotonic


def make_plan(
    problem: TrainingData,
    network: Network,
    config: TrainConfig,
    valid_tokens: int,
    spent: Spent,
    *,
    settling: int = 0,
    timed: bool = False,
    note: Callable[[str], object] = str,
) -> Plan:
    """The plan. One by epochs alone depends on nothing that was measured (measured only if `timed`).

    valid_tokens: of the validation part. settling: tokens that are read once more after the last step. note: is told,
    in one line, where the minutes are too few for a single step: then the plan is one step.
    """
    clock = spent.clock
    if config.minutes is None:
        measure = measure_speed(problem, network, config, 4.0, clock) if timed else None
        return _by_epochs(problem, config, valid_tokens, measure)
    budget, ready = config.minutes * 60, clock()
    measure = measure_speed(problem, network, config, min(MEASURING * budget, 12.0), clock)
    reading = FORWARD * measure.seconds / measure.tokens
    times = max(2, min(20, int(VALIDATING * budget / max(1e-9, reading * valid_tokens))))
    limit = max(1, min(valid_tokens, int(VALIDATING * budget / times / reading)))
    validating = limit * reading + _sampling_seconds(problem, network, clock)
    ending = ENDING + settling * reading
    left = deadline(config.minutes, spent.began) - clock() - ending - times * validating
    steps = int(left / measure.seconds)
    if steps < 1:
        steps, times = 1, 1
        note(
            f"warning: {config.minutes:g} minutes are too short: the start took {spent.reading - spent.began:.1f} s, "
            f"reading the data {ready - spent.reading:.1f} s, measuring the speed {clock() - ready:.1f} s, and a step "
            f"takes {measure.seconds:.2g} s; training for one step all the same; try more --minutes, or a smaller "
            "--hidden"
        )
    needed = len(problem.epoch(0)) * config.epochs if config.epochs else steps
    seconds = min(steps, needed) * measure.seconds
    return Plan(
        steps,
        config.epochs,
        times,
        limit,
        measure.threads,
        measure.kernel,
        seconds,
        frozen=False,
        validating=validating / measure.seconds,
        ending=ending / measure.seconds,
    )


def deadline(minutes: float, began: float) -> float:
    """When a training should end whose budget began at `began`."""
    return began + minutes * 60 * (1 - WASTE)


def _by_epochs(
    problem: TrainingData, config: TrainConfig, valid_tokens: int, measure: Measure | None
) -> Plan:
    epochs = config.epochs or 1
    seconds, times = 0.0, max(epochs, min(10, 3 * epochs))
    if measure:
        steps = len(problem.epoch(0)) * epochs
        seconds = measure.seconds * (steps + times * FORWARD * valid_tokens / measure.tokens)
    threads = config.threads or cores()
    return Plan(None, epochs, times, valid_tokens, threads, native.running(), seconds)


def _sampling_seconds(problem: TrainingData, network: Network, clock: Callable[[], float]) -> float:
    """How long it takes to show a sample, which each validation does."""
    begun = clock()
    if problem.sample is not None:
        problem.sample({name: weight.detach().numpy() for name, weight in network.weights().items()})
    return clock() - begun


def measure_speed(
    problem: TrainingData,
    network: Network,
    config: TrainConfig,
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
) -> Measure:
    """Time real steps, on a copy, on batches of every size the first epoch has; on one thread too where the number is
    not given, and on torch's own layer where it has one."""
    until = clock() + seconds
    epoch = problem.epoch(0)
    batches, assembling = _strata(epoch), _assembling_seconds(epoch, clock)
    counts = [config.threads] if config.threads else sorted({cores(), 1}, reverse=True)
    trials = [(count, native.running()) for count in counts]
    trials += [
        (0, name) for name in alternatives(network.spec.core.cell_definition)
    ]  # 0: as many as were quickest
    best: Measure | None = None
    for number, (count, kernel) in enumerate(trials):
        left = until - clock()
        if best is not None and left < FEWEST * best.seconds:
            break  # steps so long that another measurement would eat the budget
        threads = count or (best.threads if best else 1)
        with native.using(kernel):
            share = left / (len(trials) - number)
            measure = _time(problem, network, config, batches, threads, share, clock)
        best = measure if best is None or measure.seconds < CLEARLY * best.seconds else best
    assert best is not None
    torch.set_num_threads(best.threads)
    return Measure(best.seconds + assembling, best.tokens, best.threads, best.kernel)


def _time(
    problem: TrainingData,
    network: Network,
    config: TrainConfig,
    batches: list[Batch],
    threads: int,
    seconds: float,
    clock: Callable[[], float],
) -> Measure:
    torch.set_num_threads(threads)
    progress = begin(copy.deepcopy(network), config)
    dropouts = dropouts_of(config)
    set_rate(progress, config, 0.0)
    begun = clock()
    step(problem, progress, batches[0], dropouts, config)  # the first one allocates
    times: list[float] = []
    for batch in itertools.cycle(batches):
        progress.state = None
        at = clock()
        step(problem, progress, batch, dropouts, config)
        times.append((clock() - at) / _steps(batch))
        if clock() - begun + times[-1] * _steps(batch) > seconds:
            break
    mean = statistics.fmean(_steps(batch) for batch in batches)
    return Measure(statistics.median(times) * mean, mean, threads, native.running())


def _steps(batch: Batch) -> int:
    """Padded tokens or steps of time, whatever is asked of them: one answer a sequence, or one a step."""
    return batch.x.shape[0] * batch.x.shape[1]


def _assembling_seconds(epoch: Sequence[Batch], clock: Callable[[], float]) -> float:
    """What it takes to put a batch together, in the order of training."""
    count = min(FEWEST * STRATA, len(epoch))
    begun = clock()
    for index in range(count):
        epoch.__getitem__(index)
    return (clock() - begun) / count


def _strata(epoch: Sequence[Batch]) -> list[Batch]:
    """Batches of an epoch that stand for its sizes: the middles of `STRATA` classes, from both ends inwards."""
    chosen = np.unique(np.linspace(0, len(epoch) - 1, 20 * STRATA).astype(int))
    by_size = sorted(chosen, key=lambda index: epoch[int(index)].x.size)
    middles = ((np.arange(STRATA) + 0.5) * len(by_size) / STRATA).astype(int)
    from_outside = np.array([0, 7, 1, 6, 2, 5, 3, 4])  # so that any first few stand for all
    return [epoch[int(by_size[middle])] for middle in middles[from_outside]]


def refuse_too_large(spec: NetworkSpec, config: TrainConfig, tokens: float) -> None:
    """Raise UsageError where training would take more memory than this process may still use."""
    needed, left = estimate_bytes(spec, config, tokens), memory_left()
    if needed > left:
        raise UsageError(
            f"training would take about {needed / 2**20:,.0f} MB more, and {left / 2**20:,.0f} MB can be had",
            hint="a smaller --batch-size, --window or --hidden",
        )


def estimate_bytes(spec: NetworkSpec, config: TrainConfig, tokens: float) -> int:
    """Memory that training will take, roughly: weights with their gradients, moments and copies, and a step of so
    many tokens.

    On top of what the process holds already: Python, NumPy, torch.
    """
    weights = 4 * parameters(spec) * (8 + bool(config.average))
    gates = (
        (len(spec.core.cell_definition.gates) or len(spec.core.cell_definition.names))
        * len(spec.core.directions)
        * spec.core.layers
    )
    # Gates and their gradients, inputs and states of each layer; logits, their softmax and gradient.
    step = int(4 * tokens * (4 * gates * spec.core.n_a + 3 * spec.n_y))
    return BASE_BYTES + weights + step
