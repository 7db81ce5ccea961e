"""Train a model from a request and write the model file.

The steps are the same for every task: read, plan, train, write.
"""

from __future__ import annotations

import math
import platform
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from unrolled.core.atomic_files import temporary_folder
from unrolled.core.config import Config, to_json
from unrolled.core.early_checks import check_output, run_folder_of
from unrolled.core.errors import Interrupted, NonFiniteError, UnrolledError, UsageError
from unrolled.core.progress import Reporter, counted, duration
from unrolled.core.system import peak_bytes, tune
from unrolled.core.version import __version__
from unrolled.models import model_file, native
from unrolled.models.spec_in_words import in_words
from unrolled.models.spec_json import to_json as spec_to_json
from unrolled.models.tensor_shapes import FIXED, parameters
from unrolled.models.wide.wide_part import network_tensors
from unrolled.tasks.fill import resolve_data
from unrolled.tasks.presets import find
from unrolled.training.budget import make_plan, refuse_too_large
from unrolled.training.checkpointing import CheckpointCallback, arrays, best_tensors, handle_signals, restore
from unrolled.training.job import TrainingJob, TrainingRequest
from unrolled.training.loop import (
    Plan,
    TrainerPosition,
    TrainerState,
    Weights,
    begin,
    kept,
    load_weights,
    train,
)
from unrolled.training.pacing import planned, settle, spending, watching
from unrolled.training.run_folder import CHECKPOINT, Run, open_run


def fit(
    request: TrainingRequest, reporter: Reporter, clock: Callable[[], float] = time.monotonic
) -> model_file.ModelFile:
    """Train, write the model and return it.

    If training is interrupted or diverges, the model file gets the best weights so far. A training that
    diverges then ends with a warning, and the model's notes contain the reason as `diverged`. If nothing was
    learnt before, it ends with NonFiniteError.
    With `resume`, a finished run is not changed. clock: returns the time in seconds, for a budget of minutes.

    Raises UsageError (a file exists already, or the run cannot be resumed), DataError, StorageError,
    NonFiniteError, Interrupted.
    """
    config = resolve_data(request.config)
    folder = run_folder_of(request.out)
    check_output(request.out, resume=request.resume, force=request.force)
    tune()
    identity = _identity(config, request.data)
    with open_run(folder, identity, resume=request.resume, force=request.force) as run:
        for line in run.repaired:
            reporter.note(line)
        finished = _finished(request.out, run)
        if finished is not None:
            reporter.note(f"{request.out} is finished already; not changed")
            return finished
        if request.resume and run.checkpoint is None:
            reporter.note("nothing to resume; starting from the beginning")
        order = _fixed_order() if config.training.deterministic else nullcontext()
        flushing = native.flushing_denormals(torch.get_num_threads())
        with _leaving_nothing_useless(run), _memory_errors_told(), order, flushing:
            try:
                return _run(request, config, run, reporter, clock)
            finally:
                reporter.close()


def _finished(out: Path, run: Run) -> model_file.ModelFile | None:
    """Return the model if the run is done and has written it; None if there is work left.

    The process may have been killed between the last checkpoint and writing the model. The model file is then
    of another run, or of an earlier interruption of this run. To detect this, the digest of the run, the
    number of steps and the weights are compared with the checkpoint.
    """
    if run.checkpoint is None or not run.checkpoint.counters["done"] or not out.exists():
        return None
    model = model_file.load(out)
    best = best_tensors(run.checkpoint)
    same = (
        model.notes.get("run") == run.digest and model.notes.get("steps") == run.checkpoint.counters["step"]
    )
    network = network_tensors(model)
    same = same and network.keys() - FIXED == best.keys()
    return model if same and all(np.array_equal(network[name], best[name]) for name in best) else None


@contextmanager
def _leaving_nothing_useless(run: Run) -> Iterator[None]:
    """Inside this context, an error or Ctrl-C before the first checkpoint removes the run folder.

    The folder has nothing to resume then.
    """
    try:
        yield
    except (UnrolledError, KeyboardInterrupt):
        if not (run.folder / CHECKPOINT).exists():
            shutil.rmtree(run.folder, ignore_errors=True)
        raise


@contextmanager
def _memory_errors_told() -> Iterator[None]:
    """Inside this context, out-of-memory errors become a UsageError. torch raises a RuntimeError for them."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "allocate memory" not in str(error):
            raise
        raise UsageError("out of memory", hint="a smaller --batch-size, --window or --hidden") from error


@contextmanager
def _fixed_order() -> Iterator[None]:
    """Inside this context, torch refuses operations whose sums have no fixed order.

    On a CPU, training uses no such operation. This check detects one in future changes.
    """
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def _run(
    request: TrainingRequest, config: Config, run: Run, reporter: Reporter, clock: Callable[[], float]
) -> model_file.ModelFile:
    job = request.prepare(config, run.folder / "data")
    refuse_too_large(job.spec, job.config.training, job.step_size)
    network = job.untrained()
    plan = planned(job, network, request, run, reporter.note, clock)
    torch.set_num_threads(plan.threads)
    describe(job, plan, reporter)
    progress = begin(network, job.config.training)
    if run.checkpoint is not None:
        restore(run.checkpoint, progress)
        reporter.note(f"resumed at step {progress.at.step:,}")
    callback = CheckpointCallback(run, reporter, job.problem.sample, job.step_size, progress.at.step)
    write = _writer(request.out, job, progress, run.digest, reporter)
    revise = watching(plan, progress.at, job, request, run, clock)
    with handle_signals(callback), native.using(plan.kernel):
        try:
            settle(train(job.problem, progress, plan, job.config.training, callback, revise), run)
        except Interrupted as stop:
            write(kept(progress))
            raise _stopped(callback, request.out) from stop
        except NonFiniteError as error:
            reporter.note(_end_at_best(error, progress, write, request.out))
            callback.save(progress)
        callback.saving = True
        _tell_end(progress.at, job, reporter)
        model = write(kept(progress))
    if callback.signal is not None:  # the signal came during the last step
        raise _stopped(callback, request.out, finished=True)
    best = model.notes["validation_loss"]
    reporter.note(
        f"wrote {request.out}" + (f" (validation loss {best:.4f} {job.unit})" if best is not None else "")
    )
    return model


def _identity(config: Config, data: Mapping[str, str | None]) -> dict[str, object]:
    """Return everything that must be the same so that a run can be resumed bit for bit."""
    return {
        "configuration": to_json(config),
        "data": dict(data),
        "versions": {"unrolled": __version__, "torch": torch.__version__, "numpy": np.__version__},
        "instruction set": torch.backends.cpu.get_cpu_capability(),
        "kernel": native.running(),
    }


def describe(job: TrainingJob, plan: Plan, reporter: Reporter) -> None:
    """Report the data, the network and the plan before training begins."""
    spec, training = job.spec, job.config.training
    for line in job.about:
        reporter.note(line)
    reporter.note(f"{in_words(spec)}, dropout {training.dropout:g}: {parameters(spec):,} parameters")
    size = counted(plan.steps, "step") if plan.steps else counted(plan.epochs or 0, "epoch")
    time = f", about {duration(plan.seconds)}" if plan.seconds else ""
    reporter.note(f"{size}, batches of {job.step}, {counted(plan.threads, 'thread')}{time}")


def _tell_end(at: TrainerPosition, job: TrainingJob, reporter: Reporter) -> None:
    """Report why a training ended before its plan was done. Warn if no validation loss could be measured."""
    if at.ended:
        reporter.note(f"ended early at step {at.step:,}: {at.ended}")
    if at.provisional and job.problem.validation is not None:
        reporter.note(
            "warning: no target of the validation set occurs in the training set, so no validation loss was measured"
        )


def _end_at_best(
    error: NonFiniteError, progress: TrainerState, write: Callable[[Weights], object], out: Path
) -> str:
    """End a training that diverged with `error` at its best weights. Return a warning for the user.

    The best weights replace the current weights and the average, and the position is done. So `kept` returns
    them, and a resumed run is finished.

    write: writes a model with the weights that it is given. out: the path of the model.

    Raises NonFiniteError if no loss better than the first one was measured before. If there are weights from
    before the divergence all the same, they are written, because they may help to find the cause.
    """
    at = progress.at
    if not _learnt(progress):
        if progress.best:
            write(progress.best)
            what = (
                f"warning: the weights of step {at.best_step:,} are in {out}, but no better loss was measured"
            )
        else:
            what = "nothing was learnt before, so no model was written"
        raise NonFiniteError(f"{error.what}; {what}", file=error.file, line=error.line, hint=error.hint)
    load_weights(progress.network, progress.best)
    progress.average = dict(progress.best) if progress.average else {}
    progress.state = None  # it may not be finite
    for optimizer in progress.optimizers:
        for state in optimizer.states():
            state.clear()
    at.done, at.diverged = True, error.what
    loss = f"{'training' if at.provisional else 'validation'} loss {at.best_loss:.4f}"
    what = f"{error.what}; the model has the best weights so far, of step {at.best_step:,} ({loss})"
    return f"warning: {NonFiniteError(what, file=error.file, line=error.line, hint=error.hint)}"


def _learnt(progress: TrainerState) -> bool:
    """Return whether the best weights have a loss that is better than that of the first batch."""
    at = progress.at
    if not progress.best or at.best_loss is None or at.first_loss is None:
        return False
    return math.isfinite(at.best_loss) and at.best_loss < at.first_loss


def _kinds_of(job: TrainingJob) -> tuple[tuple[str, str], ...]:
    """Return the plugins that a model may need, as pairs (entry point group, name)."""
    preset = find(job.config.task)
    return (
        ("unrolled.cells", job.spec.core.cell),
        ("unrolled.inputs", preset.input),
        ("unrolled.outputs", preset.output),
    )


def _writer(
    out: Path, job: TrainingJob, progress: TrainerState, run: str, reporter: Reporter
) -> Callable[[Mapping[str, torch.Tensor]], model_file.ModelFile]:
    """Return a function that writes the model with the weights passed to it, and returns the model.

    run: the digest of the run.
    """

    def write(chosen: Mapping[str, torch.Tensor]) -> model_file.ModelFile:
        at, weights = progress.at, {**arrays(chosen), **job.fixed}
        packages = model_file.packages_of(_kinds_of(job))
        notes = {
            "steps": at.step,
            "run": run,
            "validation_loss": None if at.provisional else at.best_loss,
            **job.notes,
            **({"packages": packages} if packages else {}),
            **({"diverged": at.diverged} if at.diverged else {}),
            "versions": {
                "unrolled": __version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
        }
        learnt = job.learnt(weights)
        model = model_file.ModelFile(
            job.config.task,
            spec_to_json(job.spec),
            learnt.fields,
            to_json(job.config),
            notes,
            {**weights, **learnt.tensors},
        )
        model_file.save(out, model, force=True)
        for line in learnt.about:
            reporter.note(line)
        return model

    return write


def _stopped(callback: CheckpointCallback, out: Path, *, finished: bool = False) -> Interrupted:
    hint = None if finished else "the same command with --resume to continue"
    stopped = Interrupted(
        f"stopped; {'the finished model' if finished else 'the best model so far'} is in {out}", hint=hint
    )
    stopped.exit_code = 128 + (callback.signal or signal.SIGINT)
    return stopped


def dry_run(request: TrainingRequest, reporter: Reporter) -> dict[str, object]:
    """Return what `fit` would do: the plan, the number of parameters, the memory and the time.

    The speed is measured on real training steps. All files are temporary.
    """
    config = resolve_data(request.config)
    tune()
    with temporary_folder() as folder, _memory_errors_told():
        job = request.prepare(config, folder)
        refuse_too_large(job.spec, job.config.training, job.step_size)
        network, spent = job.untrained(), spending(request, time.monotonic)
        plan = make_plan(
            job.problem,
            network,
            job.config.training,
            job.valid_size,
            spent,
            settling=job.settling,
            timed=True,
            note=reporter.note,
        )
        describe(job, plan, reporter)
    return {
        "plan": asdict(plan),
        "parameters": parameters(job.spec),
        "memory_bytes": peak_bytes(),
        "seconds": time.monotonic() - spent.began + plan.seconds,
    }
