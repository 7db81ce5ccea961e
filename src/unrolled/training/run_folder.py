"""The run folder `MODEL.run/`: what is needed to resume bit-identically after a kill at any moment.

    lock           held while a trainer lives; who it is: process, host, since when (run_lock.py)
    config.json    the run's identity: data fingerprints, configuration, versions, threads, instruction set
    plan.json      what the measured speed decided: steps, threads, kernels; frozen once written
    metrics.jsonl  one record a line, in the order of training
    checkpoint     weights, optimizer, averages, best so far, carried state; counters as JSON (core/tensor_file.py)
    data/          the encoded data (datasets/prepared_folder.py)

Every file but the lock and the metrics is replaced as a whole. Metrics are synced before the checkpoint that
counts them, and cut back to its count at resume. config.json is written last and removed first, so a folder
without it is an empty run.

Digests bind every file to the run: the plan and the checkpoint hold the digest of the identity, the model file holds
it too, and the checkpoint keeps the plan and the metrics. So files of another run are never mixed in, and a damaged
config.json, plan.json or metrics.jsonl is written anew. Arrays are NumPy's; nothing here imports torch.
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
LOGGED = "log.metrics"  # the tensor of a checkpoint that keeps the bytes of the metrics
CONFIG, PLAN, METRICS, CHECKPOINT = "config.json", "plan.json", "metrics.jsonl", "checkpoint"
AFRESH = "--force without --resume, to start afresh"
# Fields of a metric that differ from run to run: how long it took and how fast it was.
TIMES = re.compile(r"(?:.*_)?(?:seconds|time|elapsed|eta|per_second|rss|memory)(?:_.*)?")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A moment of training. counters: plain JSON, finite (steps, positions, scores, schedule).

    tensors: name -> array of any shape, at least one element, finite; names as in a model file.
    """

    counters: Mapping[str, object]
    tensors: Mapping[str, Array]


@dataclass(frozen=True, eq=False)
class Run:
    """An open run folder. `plan` and `checkpoint` are those of before, None where there were none.

    left_by: who held the lock and ended without releasing it (a kill, a power loss): pid, host, since.
    repaired: a sentence for each part that was damaged and was written anew or given up.
    """

    folder: Path
    identity: Mapping[str, object]
    plan: Mapping[str, object] | None = None
    checkpoint: Checkpoint | None = None
    left_by: Mapping[str, object] | None = None
    repaired: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 of the identity: what plan, checkpoint and model of this run hold."""
        return _digest(self.identity)


@contextlib.contextmanager
def open_run(
    folder: Path, identity: Mapping[str, object], *, resume: bool, force: bool
) -> Generator[Run, None, None]:
    """Lock `folder` (made where there is none), sweep what kills left, and begin or go on.

    Without `resume` a run that is there is refused, with `force` it is started afresh. With `resume` it goes on
    where `identity` (nested dicts of plain JSON) is the same, otherwise each difference is named and refused;
    both together go on where that is possible and start afresh where it is not. What is damaged is repaired where
    the other files tell what was in it.

    Raises UsageError (a run is there, another trains in it, the identity differs), DataError (a damaged file that
    cannot be repaired), StorageError (the disk refuses).
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
    """The folder goes where not even its configuration could be written."""
    if not (folder / CONFIG).exists():
        shutil.rmtree(folder, ignore_errors=True)


def save_plan(run: Run, plan: Mapping[str, object]) -> Run:
    """Freeze what the measured speed decided; the run with it. A resumed run gets it as `run.plan`."""
    _write_json(run.folder / PLAN, {"plan": plan, "run": run.digest})
    return replace(run, plan=plan)


def save_checkpoint(run: Run, checkpoint: Checkpoint) -> None:
    """Replace the checkpoint; the metrics logged so far belong to it. Durable when this returns.

    Raises StorageError (the old checkpoint intact), NonFiniteError naming the tensor (nothing written).
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


def read_metrics(folder: Path) -> list[dict[str, object]]:
    """The records of a run so far; a last line that a kill cut short is left out."""
    path = Path(folder) / METRICS
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
        return [as_object(tensor_file.parse(line)) for line in lines]
    except OSError as error:
        raise opening_error(error, path) from error
    except ValueError as error:
        raise damaged(f"a line is no JSON: {error}", path, AFRESH) from error


def read_checkpoint(folder: Path) -> Checkpoint:
    """The checkpoint of a run folder, verified, without locking it."""
    return _checkpoint(Path(folder) / CHECKPOINT)[1]


def without_times(record: object) -> object:
    """A metric, or any JSON, without the fields that no two runs share (seconds, tokens_per_second ...)."""
    match record:
        case dict():
            return {k: without_times(v) for k, v in record.items() if not TIMES.fullmatch(str(k))}
        case list():
            return [without_times(value) for value in record]
        case _:
            return record


def differences(earlier: Mapping[str, object], now: Mapping[str, object]) -> list[str]:
    """Each value of two nested dicts that differs, as `configuration.lr was 0.003, is 0.001`."""
    old, new = _flat(earlier), _flat(now)
    return [
        f"{name} was {_short(old, name)}, is {_short(new, name)}"
        for name in sorted(old.keys() | new.keys())
        if name not in old or name not in new or canonical(old[name]) != canonical(new[name])
    ]


def _prepare(folder: Path, identity: dict[str, object], *, resume: bool, force: bool) -> Run:
    """Begin, go on or refuse: the table of `open_run`."""
    there = (folder / CONFIG).exists()
    if there and not resume and not force:
        raise UsageError(
            "holds a run already", file=folder, hint="--resume to go on, or --force to start afresh"
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
            differing, told = [], [f"{error}; starting afresh"]
        if differing and not force:
            hint = "the same as before, or --force to start afresh"
            raise UsageError(f"cannot be resumed: {'; '.join(differing)}", file=folder, hint=hint)
    _start_afresh(folder, identity)
    return Run(folder, identity, repaired=tuple(told))


def _compare(folder: Path, identity: dict[str, object], told: list[str]) -> list[str]:
    """What differs from the identity of before. A damaged config.json is written anew where the checkpoint shows that
    it held the same, or where there is no checkpoint and nothing is lost."""
    path = folder / CONFIG
    try:
        return differences(as_object(_read_json(path, "identity")["identity"]), identity)
    except DataError:
        if _of_another_release(path):
            raise
        if (folder / CHECKPOINT).exists() and _checkpoint(folder / CHECKPOINT)[0]["run"] != _digest(identity):
            raise
    told.append(f"{path} was damaged: written anew")
    _write_json(path, {"identity": identity})
    return []


def _start_afresh(folder: Path, identity: dict[str, object]) -> None:
    # Each sync is a barrier: without them a power loss could leave the new config.json beside an old checkpoint.
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
    # The plan may have been revised after the checkpoint was written, so plan.json counts if it is whole.
    plan = _plan(run, [])
    if plan is None and document["plan"] is not None:
        plan = as_object(document["plan"])
        told.append(f"{folder / PLAN} was damaged or gone: written anew from the checkpoint")
        save_plan(run, plan)
    if not _cut_metrics(folder / METRICS, logged):
        told.append(f"{folder / METRICS} was damaged or gone: written anew from the checkpoint")
    return replace(run, plan=plan, checkpoint=checkpoint, repaired=tuple(told))


def _saved_plan(run: Run) -> dict[str, object] | None:
    """The plan that is in the run folder now; that of `run` if the file is damaged."""
    try:
        return as_object(_read_json(run.folder / PLAN, "plan", "run")["plan"])
    except (DataError, OSError):
        return None if run.plan is None else dict(run.plan)


def _plan(run: Run, told: list[str]) -> dict[str, object] | None:
    """The plan of this run; None where there is none, or a damaged one: nothing was trained by it yet, or the
    checkpoint has it too."""
    path = run.folder / PLAN
    if not path.exists():
        return None
    try:
        document = _read_json(path, "plan", "run")
        if document["run"] == run.digest:
            return as_object(document["plan"])
        told.append(f"{path} belonged to another run: made anew")
    except DataError as error:
        told.append(f"{error.what}: made anew")
    path.unlink()
    return None


def _checkpoint(path: Path) -> tuple[dict[str, object], Checkpoint, bytes]:
    """The document of a checkpoint file, the checkpoint, and the metrics that belong to it."""
    document, tensors = tensor_file.read(path, KIND, FORMAT_VERSION)
    logged = tensors.pop(LOGGED, np.zeros(0, np.uint8)).tobytes()
    plan = document.get("plan")
    expected = {"format": int, "counters": dict, "metrics_bytes": int, "run": str, "plan": type(plan)}
    found = {key: type(value) for key, value in document.items()}
    if found != expected or type(plan) not in (dict, type(None)) or len(logged) != document["metrics_bytes"]:
        raise damaged("header is not as a checkpoint has it", path, AFRESH)
    return document, Checkpoint(as_object(document["counters"]), tensors), logged


def _cut_metrics(path: Path, logged: bytes) -> bool:
    """Drop what was logged after the checkpoint; False where what was logged before had to be written anew."""
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
    """What is in an open file, or its first bytes."""
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, size if most is None else min(size, most), 0)


def _write_json(path: Path, parts: Mapping[str, object]) -> None:
    """A JSON file for people to read, with a checksum that shows when somebody also wrote in it."""
    document = {"format": FORMAT_VERSION, **parts, "sha256": _digest(parts)}
    write_atomically(
        path, json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True).encode() + b"\n"
    )


def _read_json(path: Path, *keys: str) -> dict[str, object]:
    """The parts of such a file, of which the first is an object and the others are texts."""
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
        raise damaged(f"it is no JSON: {error}", path, AFRESH) from error
    if type(document) is not dict:
        raise damaged("it is no JSON object", path, AFRESH)
    if document.get("format") != FORMAT_VERSION:
        what = f"has format {document.get('format')!r:.40}; this release knows format {FORMAT_VERSION}"
        raise DataError(what, file=path, hint="the release that began the run")
    return document


def _of_another_release(path: Path) -> bool:
    """Whether a file of ours is whole, but of a format that this release does not know."""
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
