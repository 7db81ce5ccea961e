"""Make the first plan of a training: the number of steps, threads and validations.

Measuring the speed takes at most 5% of the budget. `pacing` may correct the plan during training. The memory
of a training is estimated before anything is allocated. A request that needs too much memory is rejected with
a message that contains the estimate.
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

MEASURING = 0.04  # maximum fraction of the budget for measuring the speed
WASTE = 0.03  # fraction of the budget that is reserved for checkpoints and for changes of the speed
VALIDATING = 0.05  # fraction of the budget for validation
ENDING = 1.0  # seconds to write the model and end the process
STRATA = 8  # number of batches that are timed, one per size class
FEWEST = 3  # minimum number of steps per measurement
CLEARLY = 0.95  # another kernel is chosen only if it takes less than this fraction of the best time
FORWARD = 0.4  # time of a forward pass, as a fraction of the time of forward and backward together
# Minimum number of multiplications in the forward pass of a step to use several threads: about 4 ms of work
# per step for one thread.
WORTH_THREADS = 1 << 25
PROBED = 10  # a tenth of the validation tokens is used to measure the time of the metrics
BASE_BYTES = 300 << 20  # memory that torch, the data and the writing of a checkpoint need


@dataclass(frozen=True)
class Measure:
    """The measured speed of training, with the threads and the kernel of the measurement.

    seconds: mean time per step. tokens: mean number of tokens per step, padding included.
    """

    seconds: float
    tokens: float
    threads: int
    kernel: str


@dataclass(frozen=True)
class Spent:
    """The start times of a training.

    began: time when the budget began.
    reading: time when the program began to read the data.
    clock: returns the current time in seconds; `began` and `reading` are times of this clock.
    """

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
    """Make the plan of a training.

    Without a budget of minutes, the plan has only epochs and does not depend on measured speed. Then the
    speed is measured only if `timed`, to estimate the duration.

    valid_tokens: number of tokens of the validation set.
    settling: number of tokens that are read again after the last step.
    note: called with a one-line warning if the budget is too short for a single step; then the plan has one
        step.
    """
    clock = spent.clock
    if config.minutes is None:
        measure = measure_speed(problem, network, config, 4.0, clock) if timed else None
        return _by_epochs(problem, network, config, valid_tokens, measure)
    budget, ready = config.minutes * 60, clock()
    measure = measure_speed(problem, network, config, min(MEASURING * budget, 12.0), clock)
    reading = FORWARD * measure.seconds / measure.tokens
    times = max(2, min(20, int(VALIDATING * budget / max(1e-9, reading * valid_tokens))))
    limit = max(1, min(valid_tokens, int(VALIDATING * budget / times / reading)))
    validating = limit * reading + _sampling_seconds(problem, network, clock)
    validating += _measuring_seconds(problem, network, limit, clock)
    ending = ENDING + settling * reading
    left = deadline(config.minutes, spent.began) - clock() - ending - times * validating
    steps = int(left / measure.seconds)
    if steps < 1:
        steps, times = 1, 1
        note(
            f"warning: {config.minutes:g} minutes are too short: the start took {spent.reading - spent.began:.1f} s, "
            f"reading the data {ready - spent.reading:.1f} s, measuring the speed {clock() - ready:.1f} s, and a step "
            f"takes {measure.seconds:.2g} s; training for one step anyway; try more --minutes, or a smaller --hidden"
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
    """Return the time when a training should end if its budget began at `began`."""
    return began + minutes * 60 * (1 - WASTE)


def _by_epochs(
    problem: TrainingData,
    network: Network,
    config: TrainConfig,
    valid_tokens: int,
    measure: Measure | None,
) -> Plan:
    epochs = config.epochs or 1
    seconds, times = 0.0, max(epochs, min(10, 3 * epochs))
    if measure:
        steps = len(problem.epoch(0)) * epochs
        seconds = measure.seconds * (steps + times * FORWARD * valid_tokens / measure.tokens)
    threads = config.threads or _worth_threads(problem, network)
    return Plan(None, epochs, times, valid_tokens, threads, native.running(), seconds)


def _worth_threads(problem: TrainingData, network: Network) -> int:
    """Return the number of threads for a training whose speed is not measured.

    A step with little work takes one thread. Several threads would wait for each other at each of its many
    short operations, and on a busy machine each wait can take milliseconds.
    """
    batches = problem.epoch(0)
    weights = sum(w.numel() for name, w in network.named_parameters() if not name.startswith("embedding."))
    return cores() if len(batches) and _steps(batches[0]) * weights >= WORTH_THREADS else 1


def _sampling_seconds(problem: TrainingData, network: Network, clock: Callable[[], float]) -> float:
    """Return how many seconds it takes to make a sample. Each validation makes one."""
    begun = clock()
    if problem.sample is not None:
        problem.sample({name: weight.detach().numpy() for name, weight in network.weights().items()})
    return clock() - begun


def _measuring_seconds(
    problem: TrainingData, network: Network, limit: int, clock: Callable[[], float]
) -> float:
    """Return how many seconds it takes to compute the metrics of `limit` tokens of the validation set."""
    if problem.measure is None:
        return 0.0
    weights = {name: weight.detach().numpy() for name, weight in network.weights().items()}
    some = max(1, limit // PROBED)
    begun = clock()
    problem.measure(weights, some)
    return (clock() - begun) * limit / some


def measure_speed(
    problem: TrainingData,
    network: Network,
    config: TrainConfig,
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
) -> Measure:
    """Time real training steps on a copy of the network, and return the fastest measurement.

    The batches are a sample of all batch sizes in the first epoch. If the number of threads is not set, one
    thread is also tried. If torch has a built-in layer for the cell, that layer is also tried.
    """
    until = clock() + seconds
    epoch = problem.epoch(0)
    batches, assembling = _strata(epoch), _assembling_seconds(epoch, clock)
    counts = [config.threads] if config.threads else sorted({cores(), 1}, reverse=True)
    trials = [(count, native.running()) for count in counts]
    trials += [
        (0, name) for name in alternatives(network.spec.core.cell_definition)
    ]  # 0: the number of threads that was fastest so far
    best: Measure | None = None
    for number, (count, kernel) in enumerate(trials):
        left = until - clock()
        if best is not None and left < FEWEST * best.seconds:
            break  # steps are so slow that another measurement would use up the budget
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
    step(problem, progress, batches[0], dropouts, config)  # not timed: the first step also allocates memory
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
    """Return the number of tokens or time steps of a batch, padding included."""
    return batch.x.shape[0] * batch.x.shape[1]


def _assembling_seconds(epoch: Sequence[Batch], clock: Callable[[], float]) -> float:
    """Return the mean time to assemble a batch, in seconds. The batches are read in the order of training."""
    count = min(FEWEST * STRATA, len(epoch))
    begun = clock()
    for index in range(count):
        epoch.__getitem__(index)
    return (clock() - begun) / count


def _strata(epoch: Sequence[Batch]) -> list[Batch]:
    """Return batches that represent the sizes of an epoch: the median batch of each of `STRATA` size classes.

    The order alternates between small and large batches, from the extremes to the middle.
    """
    chosen = np.unique(np.linspace(0, len(epoch) - 1, 20 * STRATA).astype(int))
    by_size = sorted(chosen, key=lambda index: epoch[int(index)].x.size)
    middles = ((np.arange(STRATA) + 0.5) * len(by_size) / STRATA).astype(int)
    from_outside = np.array([0, 7, 1, 6, 2, 5, 3, 4])  # so that the first few already represent all sizes
    return [epoch[int(by_size[middle])] for middle in middles[from_outside]]


def refuse_too_large(spec: NetworkSpec, config: TrainConfig, tokens: float) -> None:
    """Raise UsageError if training would need more memory than this process can still use."""
    needed, left = estimate_bytes(spec, config, tokens), memory_left()
    if needed > left:
        raise UsageError(
            f"training would take about {needed / 2**20:,.0f} MB more memory; {left / 2**20:,.0f} MB are available",
            hint="a smaller --batch-size, --window or --hidden",
        )


def estimate_bytes(spec: NetworkSpec, config: TrainConfig, tokens: float) -> int:
    """Estimate the memory that training needs, in bytes.

    The estimate includes the weights, their gradients, moments and copies, and the arrays of one step of
    `tokens` tokens. It does not include the memory that the process already uses for Python, NumPy and torch.
    """
    weights = 4 * parameters(spec) * (8 + bool(config.average))
    gates = (
        (len(spec.core.cell_definition.gates) or len(spec.core.cell_definition.names))
        * len(spec.core.directions)
        * spec.core.layers
    )
    # Per layer: gates, their gradients, inputs and states. Once: logits, their softmax and their gradient.
    step = int(4 * tokens * (4 * gates * spec.core.n_a + 3 * spec.n_y))
    return BASE_BYTES + weights + step
