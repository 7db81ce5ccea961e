"""The run folder `MODEL.run/`.

It contains everything that is needed for a bit-identical resume, even if the process was killed at any moment:

    lock           locked while a process trains; names the process, host and start time (run_lock.py)
    config.json    the run's identity: data fingerprints, configuration, versions, kernel, instruction set
    plan.json      the plan: steps, threads, kernel; replaced when the plan changes
    metrics.jsonl  one record per line, in the order of training
    checkpoint     weights, optimizer, averages, best weights so far, carried state; counters as JSON
                   (core/tensor_file.py)
    data/          the encoded data (datasets/prepared_folder.py)

Every file is replaced as a whole, except the lock and the metrics. Metrics are synced before the checkpoint
that stores them. When a run is resumed, the metrics are restored to the state in the checkpoint. config.json
is written last and removed first, so a folder without it is an empty run.

Digests connect every file to the run. The plan, the checkpoint and the model file contain the digest of the
identity. The checkpoint also contains the plan and the metrics. So files of different runs are never mixed. A
damaged config.json, plan.json or metrics.jsonl can be written again. Arrays are NumPy arrays; this module
does not import torch.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from unrolled.core import tensor_file
from unrolled.core.atomic_files import (
    opening_error,
    storage_error,
    sweep,
    sync,
    sync_folder,
    write_all,
    write_atomically,
)
from unrolled.core.errors import DataError, NonFiniteError, StorageError, UsageError
from unrolled.core.tensor_file import canonical, damaged
from unrolled.core.types import Array
from unrolled.core.values.json_values import as_object
from unrolled.training.run_lock import locked

KIND = "checkpoint"
FORMAT_VERSION = 2
LOGGED = "log.metrics"  # name of the tensor of a checkpoint that contains the bytes of the metrics
CONFIG, PLAN, METRICS, CHECKPOINT = "config.json", "plan.json", "metrics.jsonl", "checkpoint"
AFRESH = "--force without --resume, to start from the beginning"
# Fields of a metric that differ from run to run: time, speed and memory.
TIMES = re.compile(r"(?:.*_)?(?:seconds|time|elapsed|eta|per_second|rss|memory)(?:_.*)?")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The content of a checkpoint.

    counters: plain JSON with finite numbers (steps, positions, losses, schedule).
    tensors: name -> array of any shape, with at least one element, all finite; names as in a model file.
    """

    counters: Mapping[str, object]
    tensors: Mapping[str, Array]


@dataclass(frozen=True, eq=False)
class Run:
    """An open run folder.

    identity: everything that must be the same to resume the run, as nested dicts.
    plan, checkpoint: the plan and checkpoint that were in the folder; None if there were none.
    left_by: the last owner of the lock (pid, host, since) if it did not release the lock (a kill, a power
        loss).
    repaired: a message for each damaged part that was written again or discarded.
    """

    folder: Path
    identity: Mapping[str, object]
    plan: Mapping[str, object] | None = None
    checkpoint: Checkpoint | None = None
    left_by: Mapping[str, object] | None = None
    repaired: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 of the identity. The plan, checkpoint and model of this run contain it."""
        return _digest(self.identity)


@contextlib.contextmanager
def open_run(
    folder: Path, identity: Mapping[str, object], *, resume: bool, force: bool
) -> Generator[Run, None, None]:
    """Lock `folder`, remove the temporary files of killed processes, and begin or resume a run.

    identity: nested dicts of plain JSON.

    The folder is created if it does not exist. If the folder contains a run:

    - neither `resume` nor `force`: the run is refused;
    - `force`: training starts from the beginning;
    - `resume`: the run is resumed if `identity` is the same; otherwise it is refused, and the error lists the
      differences;
    - both: the run is resumed if possible; otherwise training starts from the beginning.

    A damaged file is repaired if the other files contain its content.

    Raises UsageError (a run exists, another process trains in it, or the identity differs), DataError (a
    damaged file that cannot be repaired), StorageError (input/output error).
    """
    folder = Path(folder)
    with locked(folder, (CONFIG,)) as left_by:
        for place in (folder.parent, folder, *(path for path in folder.rglob("*") if path.is_dir())):
            sweep(place)
        try:
            run = _prepare(folder, json.loads(canonical(identity)), resume=resume, force=force)
            run = replace(run, left_by=left_by)
        except StorageError:
            _remove_unbegun(folder)
            raise
        except OSError as error:
            _remove_unbegun(folder)
            raise storage_error(error, folder / CONFIG) from error
        yield run


def _remove_unbegun(folder: Path) -> None:
    """Remove the folder if even its configuration could not be written."""
    if not (folder / CONFIG).exists():
        shutil.rmtree(folder, ignore_errors=True)


def save_plan(run: Run, plan: Mapping[str, object]) -> Run:
    """Save the plan, and return the run with this plan. A resumed run has it as `run.plan`."""
    _write_json(run.folder / PLAN, {"plan": plan, "run": run.digest})
    return replace(run, plan=plan)


def save_checkpoint(run: Run, checkpoint: Checkpoint) -> None:
    """Replace the checkpoint. It is on disk when this returns, and contains the metrics logged so far.

    Raises StorageError (the old checkpoint is intact), NonFiniteError with the name of the tensor (nothing is
    written).
    """
    path = run.folder / METRICS
    try:
        descriptor = os.open(path, os.O_RDWR)
        try:
            sync(descriptor)
            logged = _all_of(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise storage_error(error, path) from error
    document = {"counters": dict(checkpoint.counters), "metrics_bytes": len(logged), "run": run.digest}
    document |= {"plan": _saved_plan(run)}
    tensors = dict(checkpoint.tensors)
    if logged:
        tensors[LOGGED] = np.frombuffer(logged, np.uint8)
    write_atomically(run.folder / CHECKPOINT, *tensor_file.pack(KIND, FORMAT_VERSION, document, tensors))


def log_metrics(run: Run, record: Mapping[str, object]) -> None:
    """Append one record (plain JSON, finite numbers) to the metrics. The next checkpoint syncs it to disk.

    Raises NonFiniteError if a number is not finite, StorageError (input/output error).
    """
    path = run.folder / METRICS
    try:
        line = f"{json.dumps(record, ensure_ascii=False, allow_nan=False)}\n".encode()
    except ValueError as error:
        raise NonFiniteError(f"a metric is not finite: {record}", file=path) from error
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
        try:
            write_all(descriptor, memoryview(line))
        finally:
            os.close(descriptor)
    except OSError as error:
        raise storage_error(error, path, len(line)) from error


def read_metrics(folder: Path) -> list[dict[str, object]]:
    """Return the records of a run so far. An incomplete last line (after a kill) is ignored."""
    path = Path(folder) / METRICS
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
        return [as_object(tensor_file.parse(line)) for line in lines]
    except OSError as error:
        raise opening_error(error, path) from error
    except ValueError as error:
        raise damaged(f"a line is not JSON: {error}", path, AFRESH) from error


def read_checkpoint(folder: Path) -> Checkpoint:
    """Return the checkpoint of a run folder, verified. The folder is not locked."""
    return _checkpoint(Path(folder) / CHECKPOINT)[1]


def without_times(record: object) -> object:
    """Return a metric, or any JSON, without the fields that differ between runs, such as seconds."""
    match record:
        case dict():
            return {k: without_times(v) for k, v in record.items() if not TIMES.fullmatch(str(k))}
        case list():
            return [without_times(value) for value in record]
        case _:
            return record


def differences(earlier: Mapping[str, object], now: Mapping[str, object]) -> list[str]:
    """Return the differences between two nested dicts, such as `configuration.lr was 0.003, is 0.001`."""
    old, new = _flat(earlier), _flat(now)
    return [
        f"{name} was {_short(old, name)}, is {_short(new, name)}"
        for name in sorted(old.keys() | new.keys())
        if name not in old or name not in new or canonical(old[name]) != canonical(new[name])
    ]


def _prepare(folder: Path, identity: dict[str, object], *, resume: bool, force: bool) -> Run:
    """Begin, resume or refuse a run, as `open_run` describes."""
    there = (folder / CONFIG).exists()
    if there and not resume and not force:
        raise UsageError(
            "holds a run already",
            file=folder,
            hint="--resume to continue it, or --force to start from the beginning",
        )
    told: list[str] = []
    if there and resume:
        try:
            differing = _compare(folder, identity, told)
            if not differing:
                return _go_on(folder, identity, told)
        except DataError as error:
            if not force:
                raise
            differing, told = [], [f"{error}; starting from the beginning"]
        if differing and not force:
            hint = "the same values as before, or --force to start from the beginning"
            raise UsageError(f"cannot be resumed: {'; '.join(differing)}", file=folder, hint=hint)
    _start_afresh(folder, identity)
    return Run(folder, identity, repaired=tuple(told))


def _compare(folder: Path, identity: dict[str, object], told: list[str]) -> list[str]:
    """Return the differences from the saved identity.

    A damaged config.json is written again if the checkpoint shows that the damaged file contained the same
    identity as this run. It is also written again if there is no checkpoint, because then nothing can be lost.
    """
    path = folder / CONFIG
    try:
        return differences(as_object(_read_json(path, "identity")["identity"]), identity)
    except DataError:
        if _of_another_release(path):
            raise
        if (folder / CHECKPOINT).exists() and _checkpoint(folder / CHECKPOINT)[0]["run"] != _digest(identity):
            raise
    told.append(f"{path} was damaged: written again")
    _write_json(path, {"identity": identity})
    return []


def _start_afresh(folder: Path, identity: dict[str, object]) -> None:
    # Each sync is a barrier. Without them, a power loss could leave the new config.json with an old
    # checkpoint.
    (folder / CONFIG).unlink(missing_ok=True)
    sync_folder(folder)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    (folder / PLAN).unlink(missing_ok=True)
    _cut_metrics(folder / METRICS, b"")
    sync_folder(folder)
    _write_json(folder / CONFIG, {"identity": identity})


def _go_on(folder: Path, identity: dict[str, object], told: list[str]) -> Run:
    run = Run(folder, identity)
    if not (folder / CHECKPOINT).exists():
        _cut_metrics(folder / METRICS, b"")
        return replace(run, plan=_plan(run, told), repaired=tuple(told))
    document, checkpoint, logged = _checkpoint(folder / CHECKPOINT)
    if document["run"] != run.digest:
        raise DataError("belongs to another run", file=folder / CHECKPOINT, hint=AFRESH)
    # The plan may have changed after the checkpoint was written. So plan.json has priority if it is intact.
    plan = _plan(run, [])
    if plan is None and document["plan"] is not None:
        plan = as_object(document["plan"])
        told.append(f"{folder / PLAN} was damaged or missing: written again from the checkpoint")
        save_plan(run, plan)
    if not _cut_metrics(folder / METRICS, logged):
        told.append(f"{folder / METRICS} was damaged or missing: written again from the checkpoint")
    return replace(run, plan=plan, checkpoint=checkpoint, repaired=tuple(told))


def _saved_plan(run: Run) -> dict[str, object] | None:
    """Return the plan that is in the run folder now. If the file is damaged, return the plan of `run`."""
    try:
        return as_object(_read_json(run.folder / PLAN, "plan", "run")["plan"])
    except (DataError, OSError):
        return None if run.plan is None else dict(run.plan)


def _plan(run: Run, told: list[str]) -> dict[str, object] | None:
    """Return the plan of this run, or None if the file is missing, damaged or of another run.

    A damaged file or a file of another run is removed. This loses nothing: either no step was trained with
    the plan yet, or the checkpoint also contains it.
    """
    path = run.folder / PLAN
    if not path.exists():
        return None
    try:
        document = _read_json(path, "plan", "run")
        if document["run"] == run.digest:
            return as_object(document["plan"])
        told.append(f"{path} belonged to another run: a new plan is made")
    except DataError as error:
        told.append(f"{error.what}: a new plan is made")
    path.unlink()
    return None


def _checkpoint(path: Path) -> tuple[dict[str, object], Checkpoint, bytes]:
    """Return the JSON document of a checkpoint file, the checkpoint, and the bytes of its metrics."""
    document, tensors = tensor_file.read(path, KIND, FORMAT_VERSION)
    logged = tensors.pop(LOGGED, np.zeros(0, np.uint8)).tobytes()
    plan = document.get("plan")
    expected = {"format": int, "counters": dict, "metrics_bytes": int, "run": str, "plan": type(plan)}
    found = {key: type(value) for key, value in document.items()}
    if found != expected or type(plan) not in (dict, type(None)) or len(logged) != document["metrics_bytes"]:
        raise damaged("the header is not that of a checkpoint", path, AFRESH)
    return document, Checkpoint(as_object(document["counters"]), tensors), logged


def _cut_metrics(path: Path, logged: bytes) -> bool:
    """Remove the metrics that were logged after the checkpoint.

    Return False if the earlier metrics were damaged and had to be written again.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    try:
        same = _all_of(descriptor, len(logged)) == logged
        if not same:
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)
            write_all(descriptor, memoryview(logged))
        os.ftruncate(descriptor, len(logged))
        sync(descriptor)
    finally:
        os.close(descriptor)
    return same


def _all_of(descriptor: int, most: int | None = None) -> bytes:
    """Return the content of an open file, or its first `most` bytes."""
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, size if most is None else min(size, most), 0)


def _write_json(path: Path, parts: Mapping[str, object]) -> None:
    """Write a readable JSON file. It contains a checksum that detects later changes."""
    document = {"format": FORMAT_VERSION, **parts, "sha256": _digest(parts)}
    write_atomically(
        path, json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True).encode() + b"\n"
    )


def _read_json(path: Path, *keys: str) -> dict[str, object]:
    """Read a file of `_write_json`, and return the values of `keys`.

    The first value is an object, the others are strings.
    Raises DataError if the file is damaged.
    """
    document = _parsed(path)
    kinds = {key: str for key in keys} | {keys[0]: dict}
    if {key: type(document.get(key)) for key in keys} != kinds or document.keys() != {
        *keys,
        "format",
        "sha256",
    }:
        raise damaged(f"expected format, {', '.join(keys)} and sha256", path, AFRESH)
    parts = {key: document[key] for key in keys}
    if _digest(parts) != document["sha256"]:
        raise damaged("does not match its checksum", path, AFRESH)
    return parts


def _parsed(path: Path) -> dict[str, object]:
    try:
        document = tensor_file.parse(path.read_bytes())
    except ValueError as error:
        raise damaged(f"it is not JSON: {error}", path, AFRESH) from error
    if type(document) is not dict:
        raise damaged("it is not a JSON object", path, AFRESH)
    if document.get("format") != FORMAT_VERSION:
        what = f"has format {document.get('format')!r:.40}; this release reads format {FORMAT_VERSION}"
        raise DataError(what, file=path, hint="the release that started the run")
    return document


def _of_another_release(path: Path) -> bool:
    """Return whether a file is intact, but has the format version of another release."""
    try:
        document = tensor_file.parse(path.read_bytes())
    except ValueError:
        return False
    return (
        type(document) is dict
        and type(document.get("format")) is int
        and document["format"] != FORMAT_VERSION
    )


def _digest(value: Mapping[str, object]) -> str:
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def _flat(value: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, member in value.items():
        match member:
            case dict():
                flat |= _flat(member, f"{prefix}{name}.")
            case _:
                flat[f"{prefix}{name}"] = member
    return flat


def _short(values: Mapping[str, object], name: str) -> str:
    return f"{canonical(values[name]):.60}" if name in values else "absent"
