"""The run folder `MODEL.run/`: what is needed to resume bit-identically after a kill at any moment.

    lock           held (flock) while a trainer lives; who it is: process, host, since when
    config.json    the run's identity: data fingerprints, configuration, versions, threads, instruction set
    plan.json      what the measured speed decided: steps, threads, kernels; frozen once written
    metrics.jsonl  one record a line, in the order of training
    checkpoint     weights, optimizer, averages, best so far, carried state; counters as JSON (core/tensor_file.py)

Every file but the lock and the metrics is replaced as a whole. Metrics are synced before the checkpoint that
counts them, and cut back to its count at resume. config.json is written last and removed first, so a folder
without it is an empty run. Arrays are NumPy's; nothing here imports torch.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import socket
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
from unrolled.core.tensor_file import Array, canonical, damaged

KIND = "checkpoint"
FORMAT_VERSION = 1
LOCK, CONFIG, PLAN, METRICS, CHECKPOINT = "lock", "config.json", "plan.json", "metrics.jsonl", "checkpoint"
AFRESH = "--force without --resume, to start afresh"
# Fields of a metric that differ from run to run: how long it took and how fast it was.
TIMES = re.compile(r"(?:.*_)?(?:seconds|time|elapsed|eta|per_second|rss|memory)(?:_.*)?")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A moment of training. counters: plain JSON, finite (steps, positions, scores, schedule).

    tensors: name -> array of any shape, at least one element, finite; names as in a model file.
    """

    counters: Mapping[str, Any]
    tensors: Mapping[str, Array]


@dataclass(frozen=True, eq=False)
class Run:
    """An open run folder. `plan` and `checkpoint` are those of before, None where there were none.

    left_by: who held the lock and ended without releasing it (a kill, a power loss): pid, host, since.
    """

    folder: Path
    identity: Mapping[str, Any]
    plan: Mapping[str, Any] | None
    checkpoint: Checkpoint | None
    left_by: Mapping[str, Any] | None


@contextlib.contextmanager
def open_run(
    folder: Path, identity: Mapping[str, Any], *, resume: bool, force: bool
) -> Generator[Run, None, None]:
    """Lock `folder` (made where there is none), sweep what kills left, and begin or go on.

    Without `resume` a run that is there is refused, with `force` it is started afresh. With `resume` it goes on
    where `identity` (nested dicts of plain JSON) is the same, otherwise each difference is named and refused;
    both together go on where that is possible and start afresh where it is not.

    Raises UsageError (a run is there, another trains in it, the identity differs), DataError (a damaged file),
    StorageError (the disk refuses).
    """
    folder = Path(folder)
    with _locked(folder) as left_by:
        sweep(folder)
        sweep(folder.parent)
        try:
            run = _prepare(folder, json.loads(canonical(identity)), left_by, resume=resume, force=force)
        except StorageError:
            _remove_unbegun(folder)
            raise
        except OSError as error:
            _remove_unbegun(folder)
            raise storage_error(error, folder / CONFIG) from error
        yield run


def _remove_unbegun(folder: Path) -> None:
    """The folder goes where not even its configuration could be written."""
    if not (folder / CONFIG).exists():
        shutil.rmtree(folder, ignore_errors=True)


def save_plan(run: Run, plan: Mapping[str, Any]) -> None:
    """Freeze what the measured speed decided; a resumed run gets it as `run.plan`."""
    _write_json(run.folder / PLAN, "plan", plan)


def save_checkpoint(run: Run, checkpoint: Checkpoint) -> None:
    """Replace the checkpoint; the metrics logged so far belong to it. Durable when this returns.

    Raises StorageError (the old checkpoint intact), NonFiniteError naming the tensor (nothing written).
    """
    path = run.folder / METRICS
    try:
        descriptor = os.open(path, os.O_RDWR)
        try:
            sync(descriptor)
            kept = os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)
    except OSError as error:
        raise storage_error(error, path) from error
    document = {"counters": dict(checkpoint.counters), "metrics_bytes": kept, "run": _digest(run.identity)}
    write_atomically(
        run.folder / CHECKPOINT, *tensor_file.pack(KIND, FORMAT_VERSION, document, checkpoint.tensors)
    )


def log_metrics(run: Run, record: Mapping[str, Any]) -> None:
    """Append one record (plain JSON, finite) to the metrics; the next checkpoint makes it durable."""
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


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The records of a run so far; a last line that a kill cut short is left out."""
    path = Path(folder) / METRICS
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
        return [tensor_file.parse(line) for line in lines]
    except OSError as error:
        raise opening_error(error, path) from error
    except ValueError as error:
        raise damaged(f"a line is no JSON: {error}", path, AFRESH) from error


def read_checkpoint(folder: Path) -> Checkpoint:
    """The checkpoint of a run folder, verified, without locking it."""
    document, tensors = _checkpoint(Path(folder) / CHECKPOINT)
    return Checkpoint(document["counters"], tensors)


def without_times(record: Any) -> Any:
    """A metric, or any JSON, without the fields that no two runs share (seconds, tokens_per_second ...)."""
    match record:
        case dict():
            return {k: without_times(v) for k, v in record.items() if not TIMES.fullmatch(str(k))}
        case list():
            return [without_times(value) for value in record]
        case _:
            return record


def differences(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Each value of two nested dicts that differs, as `configuration.lr was 0.003, is 0.001`."""
    old, new = _flat(earlier), _flat(now)
    return [
        f"{name} was {_short(old, name)}, is {_short(new, name)}"
        for name in sorted(old.keys() | new.keys())
        if name not in old or name not in new or canonical(old[name]) != canonical(new[name])
    ]


@contextlib.contextmanager
def _locked(folder: Path) -> Generator[dict[str, Any] | None, None, None]:
    """Hold the folder's lock; yields who held it before and was killed. The system releases it at any death."""
    path = folder / LOCK
    try:
        folder.mkdir(exist_ok=True)
        if not path.exists() and any(folder.iterdir()):
            raise UsageError("is not a run folder and not empty", file=folder, hint="another --out")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise storage_error(error, folder, 0) from error
    try:
        _take(descriptor, folder)
        left_by = _holder(descriptor)
        me = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        }
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, canonical(me).encode(), 0)
            sync_folder(folder.parent)
        except OSError as error:
            raise storage_error(error, path, 0) from error
        yield left_by
        with contextlib.suppress(OSError):  # a full disk does not keep a run from ending
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _take(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = _holder(descriptor) or {}
        who = f"process {holder.get('pid', '(unknown)')} on {holder.get('host', '(unknown host)')}"
        what = f"another trainer is at work here: {who}, since {holder.get('since', '(unknown)')}"
        raise UsageError(what, file=folder, hint="waiting until it ends, or another --out") from error
    except OSError as error:
        what = f"cannot be locked: {error.strerror or error}"
        raise StorageError(what, file=folder, hint="a folder on a local disk") from error


def _holder(descriptor: int) -> dict[str, Any] | None:
    try:
        holder = tensor_file.parse(os.pread(descriptor, 4096, 0))
    except ValueError:  # empty: released in good order, or being written
        return None
    return holder if type(holder) is dict else None


def _prepare(
    folder: Path, identity: dict[str, Any], left_by: dict[str, Any] | None, *, resume: bool, force: bool
) -> Run:
    """Begin, go on or refuse: the table of `open_run`."""
    there = (folder / CONFIG).exists()
    if there and not resume and not force:
        raise UsageError(
            "holds a run already", file=folder, hint="--resume to go on, or --force to start afresh"
        )
    if there and resume:
        differing = differences(_read_json(folder / CONFIG, "identity"), identity)
        if not differing:
            return _go_on(folder, identity, left_by)
        if not force:
            hint = "the same as before, or --force to start afresh"
            raise UsageError(f"cannot be resumed: {'; '.join(differing)}", file=folder, hint=hint)
    _start_afresh(folder, identity)
    return Run(folder, identity, None, None, left_by)


def _start_afresh(folder: Path, identity: dict[str, Any]) -> None:
    # Each sync is a barrier: without them a power loss could leave the new config.json beside an old checkpoint.
    (folder / CONFIG).unlink(missing_ok=True)
    sync_folder(folder)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    (folder / PLAN).unlink(missing_ok=True)
    _cut_metrics(folder / METRICS, 0)
    sync_folder(folder)
    _write_json(folder / CONFIG, "identity", identity)


def _go_on(folder: Path, identity: dict[str, Any], left_by: dict[str, Any] | None) -> Run:
    plan = _read_json(folder / PLAN, "plan") if (folder / PLAN).exists() else None
    if not (folder / CHECKPOINT).exists():
        _cut_metrics(folder / METRICS, 0)
        return Run(folder, identity, plan, None, left_by)
    document, tensors = _checkpoint(folder / CHECKPOINT)
    if document["run"] != _digest(identity):
        raise DataError("belongs to another run", file=folder / CHECKPOINT, hint=AFRESH)
    _cut_metrics(folder / METRICS, document["metrics_bytes"])
    return Run(folder, identity, plan, Checkpoint(document["counters"], tensors), left_by)


def _checkpoint(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    document, tensors = tensor_file.read(path, KIND, FORMAT_VERSION)
    expected = {"format": int, "counters": dict, "metrics_bytes": int, "run": str}
    if {key: type(value) for key, value in document.items()} != expected:
        raise damaged("header is not as a checkpoint has it", path, AFRESH)
    return document, tensors


def _cut_metrics(path: Path, kept: int) -> None:
    """Drop what was logged after the checkpoint; the file is made where there is none."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        size = os.fstat(descriptor).st_size
        if size < kept:
            raise damaged(f"{size:,} bytes where the checkpoint counts {kept:,}", path, AFRESH)
        os.ftruncate(descriptor, kept)
        sync(descriptor)
    finally:
        os.close(descriptor)


def _write_json(path: Path, key: str, value: Mapping[str, Any]) -> None:
    """A JSON file for people to read, with a checksum that shows when somebody also wrote in it."""
    document = {"format": FORMAT_VERSION, key: value, "sha256": _digest(value)}
    write_atomically(
        path, json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True).encode() + b"\n"
    )


def _read_json(path: Path, key: str) -> dict[str, Any]:
    try:
        document = tensor_file.parse(path.read_bytes())
    except ValueError as error:
        raise damaged(f"it is no JSON: {error}", path, AFRESH) from error
    if (
        type(document) is not dict
        or document.keys() != {"format", key, "sha256"}
        or type(document[key]) is not dict
    ):
        raise damaged(f"expected format, {key} and sha256", path, AFRESH)
    if document["format"] != FORMAT_VERSION:
        what = f"has format {document['format']!r:.40}; this release knows format {FORMAT_VERSION}"
        raise DataError(what, file=path, hint="the release that began the run")
    if _digest(document[key]) != document["sha256"]:
        raise damaged("does not match its checksum", path, AFRESH)
    return document[key]


def _digest(value: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, member in value.items():
        match member:
            case dict():
                flat |= _flat(member, f"{prefix}{name}.")
            case _:
                flat[f"{prefix}{name}"] = member
    return flat


def _short(values: Mapping[str, Any], name: str) -> str:
    return f"{canonical(values[name]):.60}" if name in values else "absent"
