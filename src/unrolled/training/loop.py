"""The training loop, for every task: `TrainingData` gives it batches, and a `Callback` saves what a resumed run needs.

All chance is a function of (seed, step) and all order of (seed, epoch, index), so a run that was killed and
resumed ends in the same bits as one that was not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unrolled.core.config import TrainConfig
from unrolled.core.errors import NonFiniteError
from unrolled.core.types import Array, Batch, Place
from unrolled.nn.architectures import Network
from unrolled.nn.embedding_and_head import Dropouts
from unrolled.nn.kernels.tensors import TensorState
from unrolled.nn.losses import PLAIN, Criterion
from unrolled.training.optimizers import Optimizer, make

Weights = dict[str, Tensor]
SMALLER = "a smaller --lr, or --clip 0.25 (with --force, as it is another training)"
DIVERGED = 1000.0  # a loss so many times the first one is as lost as a NaN, and says so sooner
WILD = 1e4  # root mean square of all weights: far beyond sound ones, but gates that saturate can hide it in the loss
QUIET = 50  # steps, at least, whose losses are all below `Problem.enough` before a training ends early


@dataclass(frozen=True)
class TrainingData:
    """What the loop is given: an epoch's batches, the validation batches, where an example stands in the files.

    enough: a batch with a lower mean loss has nothing left to teach. 0: never. carries: whether rows of a batch may
    continue those of the batch before, so that the state is kept and saved.
    """

    epoch: Callable[[int], Sequence[Batch]]
    validation: Callable[[int], Iterable[Batch]] | None
    place: Callable[[int], Place]
    criterion: Criterion = PLAIN  # of training; validation is plain
    sample: Callable[[Mapping[str, Array]], str] | None = None
    enough: float = 0.0
    carries: bool = True


@dataclass(frozen=True)
class Plan:
    """What is decided about a training; its outcome is a function of (seed, data, plan).

    steps: how many, where a budget of minutes set them. epochs: how many, where asked. Whichever comes first
    ends the training. validations: how often the validation part is read, and at most how many tokens of it.
    kernel: what whole sequences run on, as UNROLLED_KERNEL would name it. seconds: what it is expected to take.

    A budget of minutes may change the number of steps on the way (`pacing`). changes: pairs of a step and the number of
    steps that holds from there on, in order. frozen: the number changes from now on only if the speed of the machine
    does. final: nothing changes any more, because a training ended by this plan. validating, ending: how many steps
    take as long as one validation, and as what follows the last one.
    """

    steps: int | None
    epochs: int | None
    validations: int
    validation_tokens: int
    threads: int
    kernel: str
    seconds: float
    changes: tuple[tuple[int, int], ...] = ()
    frozen: bool = True
    final: bool = False
    validating: float = 0.0
    ending: float = 0.0


@dataclass
class TrainerPosition:
    """Where the loop stands, and what it has found so far: all that is not a tensor.

    provisional: the best loss is a training loss, as no validation loss was measured.
    ended: why the training ended before its plan was done; empty where it did not.
    """

    step: int = 0
    epoch: int = 0
    index: int = 0  # of the next batch within the epoch
    first_loss: float | None = None
    train_nats: float = 0.0  # since the last validation
    train_count: int = 0
    best_loss: float | None = None
    best_step: int = 0  # of the weights with the best loss
    provisional: bool = False
    stalls: int = 0  # validations in a row without a better loss
    quiet: int = 0  # steps in a row with nothing left to learn
    lr_scale: float = 1.0  # halved by the plateau schedule
    done: bool = False
    ended: str = ""


@dataclass
class TrainerState:
    """All that a checkpoint holds: the position, the network's weights, the optimizers, averages and carried state."""

    network: Network
    optimizers: tuple[Optimizer, ...]
    average: Weights
    best: Weights
    state: TensorState | None = None
    at: TrainerPosition = field(default_factory=TrainerPosition)


@runtime_checkable
class Callback(Protocol):
    """Keeps a run: asked at every step whether to save, told of every validation, and may ask to stop."""

    def step(self, progress: TrainerState, loss: float, share: float) -> None:
        """Called after each step; `share` of the training is done. Raises Interrupted to stop."""
        ...

    def validated(self, progress: TrainerState, metrics: Mapping[str, float], share: float) -> None:
        """Called after each validation with its metrics."""
        ...


def begin(network: Network, config: TrainConfig) -> TrainerState:
    """A fresh start."""
    average = snapshot(network) if config.average else {}
    return TrainerState(network, make(network.named_parameters(), config), average, {})


def _cosine(share: float, warmup: float) -> float:
    """Up in a straight line during warm-up, then down to zero along a half cosine."""
    return (
        _rise(share, warmup)
        * 0.5
        * (1 + math.cos(math.pi * max(0.0, share - warmup) / max(1e-9, 1 - warmup)))
    )


def _one_cycle(share: float, warmup: float) -> float:
    """Along a half cosine up over 30% and down over the rest (Smith and Topin, arXiv 1708.07120v3)."""
    top = max(warmup, 0.3)
    way = share / top if share < top else 1 - (share - top) / (1 - top)
    return (
        0.04 + 0.96 * 0.5 * (1 - math.cos(math.pi * way))
        if share < top
        else 0.5 * (1 - math.cos(math.pi * way))
    )


def _rise(share: float, warmup: float) -> float:
    return min(1.0, 0.05 + share / warmup) if warmup > 0 else 1.0


SCHEDULES: dict[str, Callable[[float, float], float]] = {
    "cosine": _cosine,
    "onecycle": _one_cycle,
    "plateau": _rise,
    "constant": _rise,
}


Revise = Callable[[Plan, TrainerPosition, int], Plan]


def unchanged(plan: Plan, at: TrainerPosition, batches: int) -> Plan:
    """The plan as it is: a `Revise` for a training that no clock watches."""
    return plan


def train(
    problem: TrainingData,
    progress: TrainerState,
    plan: Plan,
    config: TrainConfig,
    keeper: Callback,
    revise: Revise = unchanged,
) -> Plan:
    """Train until the plan is done, or nothing is left to learn; returns the plan with its changes.

    `progress` holds the outcome; `kept` says which weights to keep. revise: called after each step with the plan, the
    position and the number of batches of an epoch; returns the plan from here on. A new one must be on disk by then.

    Raises NonFiniteError before a step whose loss or gradient is not finite, naming the files and lines of its
    examples; what `keeper` raises passes through, with `progress` between two steps.
    """
    at, network = progress.at, progress.network
    dropouts = dropouts_of(config)
    while not at.done:
        batches = problem.epoch(at.epoch)
        for index in range(at.index, len(batches)):
            before = share_done(plan, at, len(batches))
            set_rate(progress, config, before)
            torch.manual_seed(step_seed(config.seed, at.step))
            loss = step(problem, progress, batches[index], dropouts, config)
            at.step, at.index = at.step + 1, index + 1
            plan = revise(plan, at, len(batches))
            after = share_done(plan, at, len(batches))
            at.done = after >= 1.0
            _listen(problem, progress, loss, len(batches))
            if at.done or int(after * plan.validations) > int(before * plan.validations):
                metrics = validate(problem, progress, plan.validation_tokens)
                _track_best(progress, metrics, config)
                keeper.validated(progress, metrics, after)
                at.train_nats, at.train_count = 0.0, 0
            keeper.step(progress, loss, after)
            if at.done:
                break
        else:
            at.epoch, at.index, progress.state = at.epoch + 1, 0, None
    network.eval()
    return plan


def kept(progress: TrainerState) -> Weights:
    """The weights to keep: those with the best validation loss. Where none was measured, the last ones, or their
    average: a training loss does not tell which weights are best."""
    if progress.best and not progress.at.provisional:
        return progress.best
    return progress.average or dict(progress.network.named_parameters())


def dropouts_of(config: TrainConfig) -> Dropouts:
    """The dropouts that a configuration asks for."""
    layer, given = config.dropout or 0.0, config.input_dropout or 0.0
    return Dropouts(layer, config.variational, config.weight_dropout, given, config.zoneout)


def step(
    problem: TrainingData, progress: TrainerState, batch: Batch, dropouts: Dropouts, config: TrainConfig
) -> float:
    """One step of the optimizer on one batch; returns its mean loss in nats. Raises as `train` says."""
    network, at = progress.network, progress.at
    network.train()
    x, y = torch.from_numpy(batch.x), torch.from_numpy(batch.y)  # [batch, T_x], ids as int64
    carried = carry(progress.state, batch.carry)
    criterion = problem.criterion
    if batch.weights is not None:
        criterion = replace(criterion, rows=torch.from_numpy(batch.weights))
    nats, count, state = network.loss(x, y, torch.from_numpy(batch.lengths), carried, dropouts, criterion)
    network.zero_grad(set_to_none=True)
    (nats / max(1, count)).backward()
    norm = nn.utils.clip_grad_norm_(network.parameters(), config.clip or math.inf, foreach=True)
    loss = float(nats.detach()) / max(1, count)
    at.first_loss = loss if at.first_loss is None else at.first_loss
    _refuse_diverged(problem, batch, loss, float(norm), at, _root_mean_square(network))
    for optimizer in progress.optimizers:
        optimizer.step()
    progress.state = detach(state) if problem.carries else None
    if config.average:
        _average(progress, config.average)
    at.train_nats += loss * count
    at.train_count += count
    return loss


def validate(problem: TrainingData, progress: TrainerState, limit: int) -> dict[str, float]:
    """Mean losses in nats: `train_loss` since the last validation, and `loss` of the validation part by the weights
    that would be kept. There is no `loss` where there is no validation part, or where nothing in it has a known target.

    Raises NonFiniteError where the loss is not finite.
    """
    at = progress.at
    train_loss = at.train_nats / max(1, at.train_count)
    if problem.validation is None:
        return {"train_loss": train_loss}
    with averaged(progress) as network:
        total, count, state = 0.0, 0, None
        network.eval()
        for batch in problem.validation(limit):
            with torch.no_grad():
                nats, asked, state = network.loss(
                    torch.from_numpy(batch.x),
                    torch.from_numpy(batch.y),
                    torch.from_numpy(batch.lengths),
                    carry(state, batch.carry),
                )
            total, count = total + float(nats), count + asked
    if not math.isfinite(total):
        raise NonFiniteError(
            f"training diverged by step {at.step} (validation loss {total:.4g})", hint=SMALLER
        )
    return {"loss": total / count, "train_loss": train_loss} if count else {"train_loss": train_loss}


def steps_of(plan: Plan, step: int) -> int | None:
    """How many steps the training has by the plan that holds at a step; None: as many as its epochs."""
    return next((steps for begin, steps in reversed(plan.changes) if begin <= step), plan.steps)


def share_done(plan: Plan, at: TrainerPosition, batches: int) -> float:
    """How much of the plan is done, 0 to 1: by steps or by epochs, whichever is further."""
    steps = steps_of(plan, at.step)
    by_steps = at.step / steps if steps else 0.0
    by_epochs = (at.epoch + at.index / max(1, batches)) / plan.epochs if plan.epochs else 0.0
    return min(1.0, max(by_steps, by_epochs))


def set_rate(progress: TrainerState, config: TrainConfig, share: float) -> None:
    """Set the learning rate for the step at `share` of the training."""
    rate = (config.lr or 0.0) * SCHEDULES[config.schedule](share, config.warmup) * progress.at.lr_scale
    for optimizer in progress.optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate


def carry(state: TensorState | None, keep: NDArray[np.bool_]) -> TensorState | None:
    """The carried state with the rows that start afresh set to zeros; None where all do."""
    if state is None or not keep.any():
        return None
    rows = torch.from_numpy(keep).unsqueeze(1)  # [batch, 1]
    return tuple(torch.where(rows, a, torch.zeros((), dtype=a.dtype)) for a in state)


def detach(state: TensorState) -> TensorState:
    """The state cut from its history: back-propagation through time is truncated here."""
    return tuple(a.detach() for a in state)


def snapshot(network: nn.Module) -> Weights:
    """A copy of the weights by name."""
    return {name: p.detach().clone() for name, p in network.named_parameters()}


@contextmanager
def averaged(progress: TrainerState) -> Iterator[Network]:
    """The network with its averaged weights in place, where an average is kept; its own return at the end."""
    own = snapshot(progress.network) if progress.average else {}
    load_weights(progress.network, progress.average)
    try:
        yield progress.network
    finally:
        load_weights(progress.network, own)


def load_weights(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Copy `weights` into the network's parameters of the same names."""
    parameters = dict(network.named_parameters())
    with torch.no_grad():
        for name, value in weights.items():
            parameters[name].copy_(value)


def step_seed(seed: int, step: int) -> int:
    """A 63-bit seed for torch from the run's seed and the step (splitmix64)."""
    z = (seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9 + 0x94D049BB133111EB) & (2**64 - 1)
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
    return (z ^ (z >> 31)) >> 1


def _average(progress: TrainerState, decay: float) -> None:
    """Exponential moving average, its decay smaller in the first steps so that it forgets the start."""
    decay = min(decay, (1 + progress.at.step) / (10 + progress.at.step))
    own = dict(progress.network.named_parameters())  # the average's own order is a file's after a resume
    paired = [own[name].detach() for name in progress.average]
    torch._foreach_lerp_(list(progress.average.values()), paired, 1 - decay)  # pyright: ignore[reportPrivateUsage] (the one fused form torch has)


def _track_best(progress: TrainerState, metrics: Mapping[str, float], config: TrainConfig) -> None:
    """Remember the weights where the loss is the best so far; else count the stall, and act on it.

    The weights with the best training loss are remembered where no validation loss was measured: they are for a
    training that diverges later (`kept`).
    """
    at, measured = progress.at, "loss" in metrics
    loss = metrics["loss" if measured else "train_loss"]
    if at.best_loss is None or loss < at.best_loss or (at.provisional and measured):
        at.stalls = 0
        _remember(progress, loss, provisional=not measured)
        return
    at.stalls += 1
    if config.schedule == "plateau":
        at.lr_scale *= 0.5
    if config.patience and at.stalls >= config.patience and not at.done:
        at.done = True
        at.ended = f"{at.stalls} validations in a row without a better loss"


def _listen(problem: TrainingData, progress: TrainerState, loss: float, batches: int) -> None:
    """End the training where every batch of an epoch had nothing left to teach.

    Before the first validation, remember the weights at the steps 2, 4, 8 ...: so there is something to keep if the
    training diverges.
    """
    at = progress.at
    at.quiet = at.quiet + 1 if loss < problem.enough else 0
    if at.quiet >= max(QUIET, batches) and not at.done:
        at.done = True
        at.ended = f"nothing left to learn: {at.quiet} steps in a row with a loss below {problem.enough:g}"
    early = at.best_loss is None and at.step & (at.step - 1) == 0
    if early and at.first_loss is not None and loss < at.first_loss:
        _remember(progress, None, provisional=True)


def _remember(progress: TrainerState, loss: float | None, *, provisional: bool) -> None:
    at = progress.at
    at.best_loss, at.best_step, at.provisional = loss, at.step, provisional
    with averaged(progress) as network:
        progress.best = snapshot(network)


def _root_mean_square(network: nn.Module) -> float:
    weights = [p.detach() for p in network.parameters()]
    return float(nn.utils.get_total_norm(weights, foreach=True)) / math.sqrt(sum(w.numel() for w in weights))


def _refuse_diverged(
    problem: TrainingData, batch: Batch, loss: float, norm: float, at: TrainerPosition, size: float
) -> None:
    first = at.first_loss if at.first_loss is not None else loss
    if math.isfinite(loss) and math.isfinite(norm) and loss <= DIVERGED * max(first, 1.0) and size <= WILD:
        return
    rows = [int(i) for i in np.flatnonzero(batch.lengths > 0)]
    place = problem.place(int(batch.places[rows[0]])) if rows else None
    others = ", ".join(str(problem.place(int(batch.places[i]))) for i in rows[1:4])
    named = f"loss {loss:.4g}, norm of the gradient {norm:.4g}, weights of about {size:.2g}"
    raise NonFiniteError(
        f"training diverged at step {at.step + 1} ({named})"
        + (f", in a batch with {others}" if others else ""),
        file=place.file if place else None,
        line=place.line if place else None,
        hint=SMALLER,
    )
