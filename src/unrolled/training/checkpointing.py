"""Save a run during training: checkpoints, metrics, signals, progress."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from types import FrameType
from typing import Any

import torch

from unrolled.core import signals
from unrolled.core.errors import DataError, Interrupted
from unrolled.core.progress import Moment, Reporter
from unrolled.core.types import Array
from unrolled.training.loop import TrainerPosition, TrainerState, Weights, load_weights
from unrolled.training.run_folder import Checkpoint, Run, log_metrics, save_checkpoint

SAVE_SHARE = 0.02  # maximum fraction of the time for writing checkpoints
SAVE_SECONDS = 10.0  # minimum seconds between two checkpoints
LOSS_SMOOTHING = 0.98  # weight of the earlier losses in the moving average that is shown


class CheckpointCallback:
    """A `loop.Callback` that writes to a run folder and passes progress to a reporter."""

    def __init__(
        self,
        run: Run,
        reporter: Reporter,
        sample: Callable[[Mapping[str, Array]], str] | None,
        tokens: float,
        first_step: int,
    ) -> None:
        self._run, self._reporter, self._sample, self._tokens = run, reporter, sample, tokens
        self._started = self._saved = time.monotonic()
        self._cost = 0.0
        self._first_step = first_step
        self._loss: float | None = None
        self.signal: int | None = None
        # True while a checkpoint or the model is written. Repeated signals are then ignored, so that the
        # clean stop that the first signal requested is completed.
        self.saving = False

    def step(self, progress: TrainerState, loss: float, share: float) -> None:
        """Report progress, and save a checkpoint if one is due.

        Raises Interrupted if a signal requested a stop.
        """
        at = progress.at
        self._loss = loss if self._loss is None else self._loss + (1 - LOSS_SMOOTHING) * (loss - self._loss)
        with suppress(OSError):  # a closed terminal or pipe must not end the training
            self._reporter.moment(self._moment(progress, share))
        since = time.monotonic() - self._saved
        if self.signal is not None or at.done or since > max(SAVE_SECONDS, self._cost / SAVE_SHARE):
            self.save(progress)
        if self.signal is not None and not at.done:
            raise Interrupted("stopped", hint="--resume to continue")

    def validated(self, progress: TrainerState, metrics: Mapping[str, float], share: float) -> None:
        """Log the metrics and show them.

        A language model also shows a sample. It comes from the averaged weights if there is an average, else
        from the current weights.
        """
        at = progress.at
        log_metrics(
            self._run,
            {"step": at.step, "epoch": at.epoch, **metrics, "seconds": time.monotonic() - self._started},
        )
        sample = (
            self._sample(arrays(progress.average or dict(progress.network.named_parameters())))
            if self._sample
            else None
        )
        with suppress(OSError):
            self._reporter.validated(self._moment(progress, share), metrics, sample)

    def save(self, progress: TrainerState) -> None:
        """Write a checkpoint, and remember how long it took."""
        begun = time.monotonic()
        self.saving = True
        save_checkpoint(self._run, to_checkpoint(progress))
        self.saving = self.signal is not None  # after a signal, the model is written next
        self._saved = time.monotonic()
        self._cost = self._saved - begun

    def _moment(self, progress: TrainerState, share: float) -> Moment:
        done = progress.at.step - self._first_step
        seconds = max(1e-9, time.monotonic() - self._started)
        return Moment(share, progress.at.step, self._loss or 0.0, done * self._tokens / seconds)


@contextmanager
def handle_signals(callback: CheckpointCallback) -> Iterator[None]:
    """Inside this context, Ctrl-C, SIGTERM and SIGHUP make `callback` stop the training after the current step.

    Further signals within a short time have no additional effect. A later signal stops at once, except during
    a save. Python handles signals only in the main thread. In another thread, this context does nothing.
    """

    def ask(number: int, frame: FrameType | None) -> None:
        insists = signals.note(number)
        if callback.signal is None:
            callback.signal = signals.first(number)
        elif insists and not callback.saving:
            raise signals.Terminated(callback.signal)

    signals.forget()
    with signals.handled(ask, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        yield


def arrays(weights: Mapping[str, torch.Tensor]) -> dict[str, Array]:
    """Return the tensors as NumPy arrays with the same names. Tensors on the CPU are not copied."""
    return {name: weight.detach().cpu().numpy() for name, weight in weights.items()}


def to_checkpoint(progress: TrainerState) -> Checkpoint:
    """Return everything that the next step depends on, as arrays and plain JSON."""
    tensors = {
        f"weights.{name}": value for name, value in arrays(dict(progress.network.named_parameters())).items()
    }
    tensors |= {f"average.{name}": value for name, value in arrays(progress.average).items()}
    tensors |= {f"best.{name}": value for name, value in arrays(progress.best).items()}
    tensors |= arrays(flatten(progress.state))
    for number, optimizer in enumerate(progress.optimizers):
        for index, entry in enumerate(optimizer.states()):
            tensors |= {f"optimizer.{number}.{index}.{key}": value for key, value in arrays(entry).items()}
    return Checkpoint(asdict(progress.at), tensors)


def best_tensors(checkpoint: Checkpoint) -> dict[str, Array]:
    """Return the weights that the model of this checkpoint has, as `loop.kept` chooses them.

    These are the weights with the best validation loss if one was measured, else the averaged weights, else
    the latest.
    """
    measured = not checkpoint.counters.get("provisional", False)
    for kind in (*(("best",) if measured else ()), "average", "weights"):
        begin = f"{kind}."
        found = {
            n.removeprefix(begin): value for n, value in checkpoint.tensors.items() if n.startswith(begin)
        }
        if found:
            return found
    return {}


def restore(checkpoint: Checkpoint, progress: TrainerState) -> None:
    """Load a checkpoint into a new `progress` of the same configuration.

    Raises DataError if the checkpoint contains an unknown part.
    """
    groups: dict[str, Weights] = {"weights": {}, "average": {}, "best": {}}
    state: dict[str, torch.Tensor] = {}
    optimizers: dict[int, dict[int, dict[str, torch.Tensor]]] = {}
    for name, array in checkpoint.tensors.items():
        kind, _, rest = name.partition(".")
        value = torch.from_numpy(array.copy())
        if kind in groups:
            groups[kind][rest] = value
        elif kind == "state":
            state[name] = value
        elif kind == "optimizer":
            number, index, key = rest.split(".")
            optimizers.setdefault(int(number), {}).setdefault(int(index), {})[key] = value
        else:
            raise DataError(f"the checkpoint has an unknown part '{kind}'")
    load_weights(progress.network, groups["weights"])
    progress.average, progress.best = groups["average"], groups["best"]
    progress.state = unflatten(state)
    for number, optimizer in enumerate(progress.optimizers):
        for index, entry in enumerate(optimizer.states()):
            entry.update(optimizers.get(number, {}).get(index, {}))
    progress.at = replace(TrainerPosition(), **checkpoint.counters)


def flatten(state: object, path: str = "state") -> dict[str, torch.Tensor]:
    """Return the tensors of a carried state (nested tuples) by their path, such as `state.0.1`."""
    if state is None:
        return {}
    if not isinstance(state, tuple):
        assert isinstance(state, torch.Tensor)
        return {path: state}
    return {
        key: leaf
        for index, part in enumerate(state)
        for key, leaf in flatten(part, f"{path}.{index}").items()
    }


def unflatten(tensors: Mapping[str, torch.Tensor], path: str = "state") -> Any:
    """Rebuild the nested tuples from the result of `flatten`. Return None if there are no tensors.

    The return type is `Any`, because the nesting of the state depends on the network.
    """
    if path in tensors:
        return tensors[path]
    parts: list[object] = []
    while any(f"{key}.".startswith(f"{path}.{len(parts)}.") for key in tensors):
        parts.append(unflatten(tensors, f"{path}.{len(parts)}"))
    return tuple(parts) if parts else None
