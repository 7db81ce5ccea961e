"""From a request to a model file: read, settle the plan, train, write. The same few steps for every task."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import modelfile
from ._version import __version__
from .architectures import Network, build
from .batching import LanguageEpoch, evaluation_batches
from .config import Config, to_json
from .engines.numpy_engine import NumpyEngine
from .errors import Interrupted, UnrolledError, UsageError
from .files import refuse_to_overwrite
from .keeper import RunKeeper, arrays, listening, restore
from .machine import peak_bytes, process_age, tune
from .network import NetworkSpec, parameters
from .outputs.next import Wish, samples
from .planning import make_plan, refuse_too_large
from .prepare import Prepared, Source, prepare
from .progress import Reporter, duration
from .runstate import CHECKPOINT, Run, open_run, save_plan
from .store import Store
from .tasks import resolve, resolve_data
from .train import Plan, Problem, Progress, begin, train
from .types import Batch

VALIDATION_LANES = 32  # of a long validation text, each warmed up by `WARM` tokens
WARM = 256


@dataclass(frozen=True)
class Request:
    """What a person asked of `train`: the configuration (blanks allowed), the parts, and where the model goes.

    began: when a budget of minutes began, by time.monotonic(); None: with the process, as for a command.
    """

    config: Config
    data: Source
    valid: Source | None
    out: Path
    resume: bool = False
    force: bool = False
    began: float | None = None

    def beginning(self) -> float:
        """When the budget began, by time.monotonic()."""
        return time.monotonic() - process_age() if self.began is None else self.began


def fit(request: Request, reporter: Reporter) -> modelfile.ModelFile:
    """Train and write the model; an interrupted run leaves the best so far. Returns what was written.

    A finished run is left untouched by `resume`. Raises UsageError (something is in the way, a run that cannot be
    resumed), DataError, StorageError, NonFiniteError, Interrupted.
    """
    config = _checked(resolve_data(request.config))
    folder = request.out.with_name(request.out.name + ".run")
    if not (request.resume and folder.exists()):
        refuse_to_overwrite(request.out, force=request.force)
    tune()
    identity = _identity(config, request)
    with open_run(folder, identity, resume=request.resume, force=request.force) as run:
        finished = _finished(request.out, run)
        if finished is not None:
            reporter.note(f"{request.out} is finished already; left as it is")
            return finished
        if request.resume and run.checkpoint is None:
            reporter.note("nothing to resume; starting afresh")
        with _leaving_nothing_useless(run), _memory_errors_told():
            try:
                return _run(request, config, run, reporter)
            finally:
                reporter.close()


def _finished(out: Path, run: Run) -> modelfile.ModelFile | None:
    """The model where the run is done and has written it; None where there is work left.

    A kill may have come between the last checkpoint and the model: then an earlier interruption's model is there.
    """
    if run.checkpoint is None or not run.checkpoint.counters["done"] or not out.exists():
        return None
    model = modelfile.load(out)
    return model if model.notes.get("steps") == run.checkpoint.counters["step"] else None


@contextmanager
def _leaving_nothing_useless(run: Run) -> Iterator[None]:
    """Where an error or Ctrl-C comes before the first checkpoint, the run folder goes: it holds nothing to resume."""
    try:
        yield
    except (UnrolledError, KeyboardInterrupt):
        if not (run.folder / CHECKPOINT).exists():
            shutil.rmtree(run.folder, ignore_errors=True)
        raise


@contextmanager
def _memory_errors_told() -> Iterator[None]:
    """torch says with a RuntimeError that there is no memory; told as an error of ours."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "allocate memory" not in str(error):
            raise
        raise UsageError("out of memory", hint="a smaller --batch-size, --window or --hidden") from error


def _run(request: Request, config: Config, run: Run, reporter: Reporter) -> modelfile.ModelFile:
    prepared = prepare(request.data, request.valid, config.data, run.folder / "data")
    config, spec, network, problem = assemble(config, prepared)
    if run.plan is not None:
        plan = Plan(**run.plan)
    else:
        plan = make_plan(problem, network, config.training, _size(prepared.valid), began=request.beginning())
        save_plan(run, asdict(plan))
    torch.set_num_threads(plan.threads)
    describe(config, spec, prepared, plan, reporter)
    progress = begin(network, config.training)
    if run.checkpoint is not None:
        restore(run.checkpoint, progress)
        reporter.note(f"resumed at step {progress.at.step:,}")
    keeper = RunKeeper(run, reporter, problem.sample, _tokens_a_step(config), progress.at.step)
    write = _writer(request.out, config, spec, prepared, progress)
    with listening(keeper):
        try:
            train(problem, progress, plan, config.training, keeper)
        except Interrupted as stop:
            write()
            raise _stopped(keeper, request.out) from stop
    model = write()
    best = model.notes["validation_loss"]
    reporter.note(
        f"wrote {request.out}" + (f" (validation loss {best:.4f} nats a token)" if best is not None else "")
    )
    return model


def _checked(config: Config) -> Config:
    if config.model.bidirectional:
        raise UsageError(
            "a language model that reads from both ends would see what it is to guess",
            hint="--no-bidirectional",
        )
    return config


def _identity(config: Config, request: Request) -> dict[str, Any]:
    """What must be the same for a run to be resumed to the bit."""
    return {
        "configuration": to_json(config),
        "data": {"train": request.data.sha256, "valid": request.valid.sha256 if request.valid else None},
        "versions": {"unrolled": __version__, "torch": torch.__version__, "numpy": np.__version__},
        "instruction set": torch.backends.cpu.get_cpu_capability(),
        "kernel": os.environ.get("UNROLLED_KERNEL") or "quickest",
    }


def assemble(config: Config, prepared: Prepared) -> tuple[Config, NetworkSpec, Network, Problem]:
    """The finished configuration, the network and the problem that the loop is given.

    Raises UsageError where training it would take more memory than there is.
    """
    reading, store = prepared.reading, prepared.train
    config = resolve(config, len(store), len(reading.vocabulary))
    model, training = config.model, config.training
    spec = NetworkSpec(
        n_x=len(reading.vocabulary),
        n_y=len(reading.vocabulary),
        n_a=model.hidden or 1,
        cell=model.cell,
        activation=model.activation,
        layers=model.layers or 1,
        embedding=model.embedding or 0,
        tie=bool(model.tie),
        softmax=model.softmax,
    )
    batch_size, window = training.batch_size or 1, training.window or 1

    def epoch(number: int) -> Sequence[Batch]:
        return LanguageEpoch(
            store, batch_size, window, training.seed, number, training.cold, reading.vocabulary.rare
        )

    def validation(limit: int) -> Iterable[Batch]:
        part = prepared.valid
        assert part is not None
        return evaluation_batches(part.slice(0, min(limit, len(part))), VALIDATION_LANES, window, WARM)

    def sample(weights: Mapping[str, Any]) -> str:
        wish = Wish(length=160 if reading.unit == "char" else 30, temperature=0.8)
        return next(iter(samples(NumpyEngine(spec, weights), reading, wish)))

    refuse_too_large(spec, training)
    problem = Problem(epoch, validation if prepared.valid is not None else None, store.place, sample)
    return config, spec, build(spec, seed=training.seed), problem


def _size(part: Store | None) -> int:
    return 0 if part is None else len(part)


def describe(config: Config, spec: NetworkSpec, prepared: Prepared, plan: Plan, reporter: Reporter) -> None:
    """Say what is about to happen."""
    reading, coverage = prepared.reading, prepared.coverage
    held = f", {len(prepared.valid):,} held out for validation" if prepared.valid else ", nothing held out"
    reporter.note(
        f"{len(prepared.train):,} tokens ({reading.unit}) in {prepared.train.documents:,} documents"
        f" (a {reading.documents} each)"
        f"{held}; {coverage.types:,} distinct, {coverage.unknown:.2%} of the text is <UNK>"
    )
    ends = f"embedding {spec.embedding}" if spec.embedding else "one-hot input"
    reporter.note(
        f"{spec.layers} x {spec.n_a} {spec.cell}, {ends}{', tied' if spec.tie else ''}, "
        f"dropout {config.training.dropout:g}: {parameters(spec):,} parameters"
    )
    size = f"{plan.steps:,} steps" if plan.steps else f"{plan.epochs} epochs"
    time = f", about {duration(plan.seconds)}" if plan.seconds else ""
    reporter.note(
        f"{size} of {config.training.batch_size} x {config.training.window} on {plan.threads} threads{time}"
    )


def _tokens_a_step(config: Config) -> float:
    return float((config.training.batch_size or 1) * (config.training.window or 1))


def _writer(out: Path, config: Config, spec: NetworkSpec, prepared: Prepared, progress: Progress) -> Any:
    """A function that writes the model as it is best at the moment, and returns it."""

    def write() -> modelfile.ModelFile:
        at = progress.at
        weights = progress.best or progress.average or dict(progress.network.named_parameters())
        notes = {
            "steps": at.step,
            "validation_loss": at.best_loss if prepared.valid is not None else None,
            "train_tokens": len(prepared.train),
            "unknown": prepared.coverage.unknown,
            "versions": {
                "unrolled": __version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
        }
        model = modelfile.ModelFile(
            config.task, spec.to_json(), prepared.reading.to_json(), to_json(config), notes, arrays(weights)
        )
        modelfile.save(out, model, force=True)
        return model

    return write


def _stopped(keeper: RunKeeper, out: Path) -> Interrupted:
    stopped = Interrupted(
        f"stopped; the best so far is in {out}", hint="the same command with --resume to go on"
    )
    stopped.exit_code = 128 + (keeper.signal or signal.SIGINT)
    return stopped


def dry_run(request: Request, reporter: Reporter) -> dict[str, Any]:
    """What `fit` would do, measured on real steps: the plan, parameters, memory and time. Writes nothing that stays."""
    config = _checked(resolve_data(request.config))
    tune()
    with tempfile.TemporaryDirectory(prefix="unrolled-") as folder, _memory_errors_told():
        prepared = prepare(request.data, request.valid, config.data, Path(folder))
        config, spec, network, problem = assemble(config, prepared)
        valid_tokens, began = _size(prepared.valid), request.beginning()
        plan = make_plan(problem, network, config.training, valid_tokens, began=began, timed=True)
        describe(config, spec, prepared, plan, reporter)
    return {
        "plan": asdict(plan),
        "parameters": parameters(spec),
        "memory_bytes": peak_bytes(),
        "seconds": time.monotonic() - began + plan.seconds,
    }
