"""The training loop of all tasks: `TrainingData` provides batches, and a `Callback` saves checkpoints.

All random numbers depend only on (seed, step), and the order of batches only on (seed, epoch, index). So a
run that was killed and resumed ends with the same bits as a run without interruption.
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
from unrolled.training.optimizers import SCHEDULES, Optimizer, make

Weights = dict[str, Tensor]
SMALLER = "a smaller --lr, or --clip 0.25; add --force, because changed options start a new run"
# Training has diverged if the loss is this many times the first loss. It does not recover from there, and
# this check often comes before the first NaN.
DIVERGED = 1000.0
# Training has also diverged if the root mean square of all weights exceeds this, far above healthy values.
# The loss can stay finite then, because the gates saturate.
WILD = 1e4
QUIET = 50  # minimum number of steps in a row with a loss below `TrainingData.enough` to end a training early


@dataclass(frozen=True)
class TrainingData:
    """The data that the training loop uses.

    epoch: number of an epoch -> its batches.
    validation: maximum number of tokens -> validation batches; None without a validation set.
    measure: weights and maximum number of tokens -> a score of the validation set, which chooses the best
        weights (higher is better), and the metrics to show. None: the loss chooses them.
    place: number of an example -> its file and line.
    criterion: the loss for training; validation always uses PLAIN.
    sample: weights -> a sample text; None if the task has no samples.
    enough: mean loss of a batch below which nothing is left to learn from it; 0 disables the check.
    carries: whether rows of a batch may continue the rows of the previous batch; then the state is kept and
        saved.
    """

    epoch: Callable[[int], Sequence[Batch]]
    validation: Callable[[int], Iterable[Batch]] | None
    place: Callable[[int], Place]
    criterion: Criterion = PLAIN
    sample: Callable[[Mapping[str, Array]], str] | None = None
    enough: float = 0.0
    carries: bool = True
    measure: Callable[[Mapping[str, Array], int], tuple[float, Mapping[str, float]]] | None = None


@dataclass(frozen=True)
class Plan:
    """The decisions about a training. The result of a training depends only on (seed, data, plan).

    steps: number of steps, if a budget of minutes is set; else None.
    epochs: number of epochs, if set; else None. Training ends when the steps or the epochs are done.
    validations: number of validations.
    validation_tokens: maximum number of tokens per validation.
    threads: number of threads.
    kernel: name of the kernel for whole sequences, as in UNROLLED_KERNEL.
    seconds: expected duration.

    With a budget of minutes, the number of steps may change during training (`pacing`):

    changes: pairs (step, total number of steps from this step on), in order.
    frozen: from now on, the number changes only if the speed of the machine changes.
    final: True after a training with this plan is complete; then the plan never changes.
    validating: duration of one validation, in training steps.
    ending: duration of the work after the last step, in training steps.
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
    """The position of the loop and its results so far: everything in a checkpoint that is not a tensor.

    provisional: no validation loss was measured yet, so the best weights were chosen by training loss.
    ended: the reason if the training ended before its plan was done; else empty.
    diverged: the reason if the training diverged and ended with its best weights; else empty.
    """

    step: int = 0
    epoch: int = 0
    index: int = 0  # number of the next batch within the epoch
    first_loss: float | None = None
    train_nats: float = 0.0  # sum of the training loss since the last validation
    train_count: int = 0  # number of targets in this sum
    best_loss: float | None = None
    score: float | None = None  # of the last validation, from `TrainingData.measure`
    best_score: float | None = None  # of the best weights
    best_step: int = 0  # step of the best weights
    provisional: bool = False
    stalls: int = 0  # number of validations in a row without a better result
    quiet: int = 0  # number of steps in a row with nothing left to learn
    lr_scale: float = 1.0  # halved by the plateau schedule
    done: bool = False
    ended: str = ""
    diverged: str = ""


@dataclass
class TrainerState:
    """The complete content of a checkpoint.

    network: the network with the current weights.
    optimizers: the optimizers with their moments.
    average: moving average of the weights; empty if not used.
    best: the best weights so far; empty if there are none yet.
    state: the state that is carried to the next batch.
    at: the position.
    """

    network: Network
    optimizers: tuple[Optimizer, ...]
    average: Weights
    best: Weights
    state: TensorState | None = None
    at: TrainerPosition = field(default_factory=TrainerPosition)


@runtime_checkable
class Callback(Protocol):
    """The callback interface: saves checkpoints, receives validation metrics, and can stop the training."""

    def step(self, progress: TrainerState, loss: float, share: float) -> None:
        """Called after each step. share: fraction of the training that is done.

        Raises Interrupted to stop.
        """
        ...

    def validated(self, progress: TrainerState, metrics: Mapping[str, float], share: float) -> None:
        """Called with the metrics after each validation. share: as in `step`."""
        ...


def begin(network: Network, config: TrainConfig) -> TrainerState:
    """Return the initial state of a training."""
    average = snapshot(network) if config.average else {}
    return TrainerState(network, make(network.named_parameters(), config), average, {})


Revise = Callable[[Plan, TrainerPosition, int], Plan]


def unchanged(plan: Plan, at: TrainerPosition, batches: int) -> Plan:
    """Return the plan unchanged. This is the `Revise` of a training without a time limit."""
    return plan


def train(
    problem: TrainingData,
    progress: TrainerState,
    plan: Plan,
    config: TrainConfig,
    callback: Callback,
    revise: Revise = unchanged,
) -> Plan:
    """Train until the plan is done or nothing is left to learn. Return the plan with its changes.

    `progress` contains the result; `kept` chooses the weights to keep.

    revise: called after each step with the plan, the position and the number of batches per epoch. It returns
    the plan for the following steps. It must write a changed plan to disk before it returns.

    Raises NonFiniteError if training diverged, for example if the loss or gradient of a step is not finite.
    The step is then not applied, and the message contains the files and lines of its examples. Exceptions of
    `callback` are passed on; `progress` then has the state after the last complete step.
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
                callback.validated(progress, metrics, after)
                at.train_nats, at.train_count = 0.0, 0
            callback.step(progress, loss, after)
            if at.done:
                break
        else:
            at.epoch, at.index, progress.state = at.epoch + 1, 0, None
    network.eval()
    return plan


def kept(progress: TrainerState) -> Weights:
    """Return the weights to keep: the weights with the best validation result.

    Without a validation result, return the averaged weights, or the last weights if there is no average. The
    training loss does not show which weights are best.
    """
    if progress.best and not progress.at.provisional:
        return progress.best
    return progress.average or dict(progress.network.named_parameters())


def dropouts_of(config: TrainConfig) -> Dropouts:
    """Return the dropouts of a configuration."""
    layer, given = config.dropout or 0.0, config.input_dropout or 0.0
    return Dropouts(layer, config.variational, config.weight_dropout, given, config.zoneout)


def step(
    problem: TrainingData, progress: TrainerState, batch: Batch, dropouts: Dropouts, config: TrainConfig
) -> float:
    """Do one optimizer step on one batch. Return its mean loss in nats. Raises NonFiniteError as `train`."""
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
    """Return mean losses in nats, and the metrics of `problem.measure`.

    train_loss: training loss since the last validation.
    loss: validation loss of the averaged weights; without an average, of the current weights. `loss` is
    missing if there is no validation set, or if no target in it is known.

    Raises NonFiniteError if the validation loss is not finite.
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
        at.score, shown = None, dict[str, float]()
        if problem.measure is not None and count and math.isfinite(total):
            at.score, found = problem.measure(_as_arrays(network), limit)
            shown |= found
    if not math.isfinite(total):
        raise NonFiniteError(
            f"training diverged by step {at.step} (validation loss {total:.4g})", hint=SMALLER
        )
    losses = {"loss": total / count, "train_loss": train_loss} if count else {"train_loss": train_loss}
    return losses | shown


def _as_arrays(network: Network) -> dict[str, Array]:
    return {name: weight.detach().numpy() for name, weight in network.named_parameters()}


def steps_of(plan: Plan, step: int) -> int | None:
    """Return the total number of steps, as it is planned at this step.

    Return None if only the number of epochs is limited.
    """
    return next((steps for begin, steps in reversed(plan.changes) if begin <= step), plan.steps)


def share_done(plan: Plan, at: TrainerPosition, batches: int) -> float:
    """Return the fraction of the plan that is done, 0 to 1.

    This is the larger one of two fractions: steps done, and epochs done.
    """
    steps = steps_of(plan, at.step)
    by_steps = at.step / steps if steps else 0.0
    by_epochs = (at.epoch + at.index / max(1, batches)) / plan.epochs if plan.epochs else 0.0
    return min(1.0, max(by_steps, by_epochs))


def set_rate(progress: TrainerState, config: TrainConfig, share: float) -> None:
    """Set the learning rate for the step at fraction `share` of the training."""
    rate = (config.lr or 0.0) * SCHEDULES[config.schedule](share, config.warmup) * progress.at.lr_scale
    for optimizer in progress.optimizers:
        for group in optimizer.groups:
            group.lr = rate


def carry(state: TensorState | None, keep: NDArray[np.bool_]) -> TensorState | None:
    """Return the carried state, with zeros in the rows that are not continued. None if no row is continued.

    keep: [batch] True for rows that continue the previous batch.
    """
    if state is None or not keep.any():
        return None
    rows = torch.from_numpy(keep).unsqueeze(1)  # [batch, 1]
    return tuple(torch.where(rows, a, torch.zeros((), dtype=a.dtype)) for a in state)


def detach(state: TensorState) -> TensorState:
    """Detach the state from the graph. This truncates back-propagation through time."""
    return tuple(a.detach() for a in state)


def snapshot(network: nn.Module) -> Weights:
    """Return a copy of the weights by name."""
    return {name: p.detach().clone() for name, p in network.named_parameters()}


@contextmanager
def averaged(progress: TrainerState) -> Iterator[Network]:
    """Inside this context, the network has its averaged weights, if there is an average.

    The original weights are restored at the end.
    """
    own = snapshot(progress.network) if progress.average else {}
    load_weights(progress.network, progress.average)
    try:
        yield progress.network
    finally:
        load_weights(progress.network, own)


def load_weights(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Copy `weights` into the network's parameters with the same names."""
    parameters = dict(network.named_parameters())
    with torch.no_grad():
        for name, value in weights.items():
            parameters[name].copy_(value)


def step_seed(seed: int, step: int) -> int:
    """Return a 63-bit seed for torch, computed from the run's seed and the step (splitmix64)."""
    z = (seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9 + 0x94D049BB133111EB) & (2**64 - 1)
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
    return (z ^ (z >> 31)) >> 1


def _average(progress: TrainerState, decay: float) -> None:
    """Update the exponential moving average of the weights.

    The decay is smaller in the first steps, so that the average forgets the initial weights.
    """
    decay = min(decay, (1 + progress.at.step) / (10 + progress.at.step))
    # Match by name: after a resume, the average has the order of the checkpoint file.
    own = dict(progress.network.named_parameters())
    paired = [own[name].detach() for name in progress.average]
    torch._foreach_lerp_(list(progress.average.values()), paired, 1 - decay)  # pyright: ignore[reportPrivateUsage] (torch has no public fused version)


def _track_best(progress: TrainerState, metrics: Mapping[str, float], config: TrainConfig) -> None:
    """Store the weights if they are the best so far: by their score, and by the loss if the scores are equal.

    Without scores, the loss decides.

    Otherwise count a stall: lower the learning rate (schedule "plateau"), or end the training (`patience`).

    If no validation loss was measured, the weights with the best training loss are stored. They are used only
    if the training diverges later (see `kept`).
    """
    at, measured = progress.at, "loss" in metrics
    loss = metrics["loss" if measured else "train_loss"]
    if at.best_loss is None or (at.provisional and measured) or _better(loss, at):
        at.stalls = 0
        _remember(progress, loss, provisional=not measured)
        return
    at.stalls += 1
    if config.schedule == "plateau":
        at.lr_scale *= 0.5
    if config.patience and at.stalls >= config.patience and not at.done:
        at.done = True
        at.ended = f"{at.stalls} validations in a row without a better result"


def _listen(problem: TrainingData, progress: TrainerState, loss: float, batches: int) -> None:
    """End the training if nothing is left to learn: the loss stayed below `enough` for a whole epoch.

    Before the first validation, store the weights at steps 2, 4, 8 ... if the loss is below the first loss.
    So there are weights to keep if the training diverges.
    """
    at = progress.at
    at.quiet = at.quiet + 1 if loss < problem.enough else 0
    if at.quiet >= max(QUIET, batches) and not at.done:
        at.done = True
        at.ended = f"nothing left to learn: {at.quiet} steps in a row with a loss below {problem.enough:g}"
    early = at.best_loss is None and at.step & (at.step - 1) == 0
    if early and at.first_loss is not None and loss < at.first_loss:
        _remember(progress, None, provisional=True)


def _better(loss: float, at: TrainerPosition) -> bool:
    """Return whether the last validation is better than that of the best weights."""
    if at.score is None or at.best_score is None or at.score == at.best_score:
        return at.best_loss is None or loss < at.best_loss
    return at.score > at.best_score


def _remember(progress: TrainerState, loss: float | None, *, provisional: bool) -> None:
    at = progress.at
    at.best_loss, at.best_score, at.best_step, at.provisional = loss, at.score, at.step, provisional
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
    named = f"loss {loss:.4g}, gradient norm {norm:.4g}, root mean square of the weights {size:.2g}"
    raise NonFiniteError(
        f"training diverged at step {at.step + 1} ({named})"
        + (f", in a batch with {others}" if others else ""),
        file=place.file if place else None,
        line=place.line if place else None,
        hint=SMALLER,
    )
