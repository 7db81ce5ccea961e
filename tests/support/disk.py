"""A disk that can lose power, and a machine whose system calls can fail or kill: for the tests of files.

`record` notes every system call that changes files under a folder. `crashes` then lists what the disk may hold if
the power fails after any of them, on a file system that promises nothing but fsync: data not synced may be old,
missing, half there or zeros (the part synced before stays); names not synced (created, renamed, removed) may be
lost, each on its own.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHANGING = (
    *("open", "write", "pwrite", "fsync", "fchmod", "replace", "unlink", "ftruncate", "mkdir", "close"),
)


@contextlib.contextmanager
def replaced(make: Callable[[str, Callable[..., Any]], Callable[..., Any]]) -> Iterator[None]:
    """Replace the changing functions of `os` by `make(name, original)`."""
    originals = {name: getattr(os, name) for name in CHANGING}
    try:
        for name, original in originals.items():
            setattr(os, name, make(name, original))
        yield
    finally:
        for name, original in originals.items():
            setattr(os, name, original)


@contextlib.contextmanager
def failing(number: int, code: int, told: list[str], aloud: bool = False) -> Iterator[None]:
    """The call with this number fails with errno `code`; its name is appended to `told`. Closing never fails.

    aloud: "FAULT" goes to stderr too, for whoever waits in another process.
    """
    calls = itertools.count()

    def make(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if name != "close" and next(calls) == number:
                told.append(name)
                if aloud:
                    print("FAULT", name, file=sys.stderr, flush=True)
                raise OSError(code, os.strerror(code))
            return original(*arguments, **options)

        return call

    with replaced(make):
        yield


@contextlib.contextmanager
def dying(number: int) -> Iterator[None]:
    """This process kills itself (-9) before the call with this number; a write is half done then."""
    calls = itertools.count()

    def make(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if next(calls) == number:
                if name == "write":
                    original(arguments[0], arguments[1][: len(arguments[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments, **options)

        return call

    with replaced(make):
        yield


@dataclass
class Disk:
    """What is durable, and what is pending: contents by file number, names by path."""

    contents: dict[int, bytes] = field(default_factory=dict)
    pending: dict[int, list[bytes]] = field(default_factory=dict)
    names: dict[Path, int] = field(default_factory=dict)
    moves: list[tuple[Path, Path | None, int]] = field(default_factory=list)  # (name, name it had, number)


@dataclass
class Recording:
    """The calls in order, as functions that apply them to a Disk; `marks` maps a count of calls to what is promised."""

    root: Path
    calls: list[Callable[[Disk], None]] = field(default_factory=list)
    marks: dict[int, Any] = field(default_factory=dict)
    files: dict[Path, int] = field(default_factory=dict)
    opened: dict[int, Path] = field(default_factory=dict)
    before: dict[Path, bytes] = field(default_factory=dict)

    def mark(self, promise: Any) -> None:
        """From here on, after any crash, `promise` must hold."""
        self.marks[len(self.calls)] = promise


@contextlib.contextmanager
def record(root: Path) -> Iterator[Recording]:
    """Note what changes files under `root`; what is there already is durable."""
    recording = Recording(root)
    for path in root.rglob("*"):
        if path.is_file():
            recording.files[path] = len(recording.files)
            recording.before[path] = path.read_bytes()
    numbers = itertools.count(len(recording.files))

    def make(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            there = name == "open" and Path(arguments[0]).exists()
            result = original(*arguments, **options)
            _note(recording, name, arguments, result, there, numbers)
            return result

        return call

    with replaced(make):
        yield recording


def _note(
    recording: Recording,
    name: str,
    arguments: tuple[Any, ...],
    result: Any,
    there: bool,
    numbers: Iterator[int],
) -> None:
    files, opened, calls = recording.files, recording.opened, recording.calls
    match name:
        case "open":
            path = Path(arguments[0])
            if path != recording.root and recording.root not in path.parents:
                return
            opened[result] = path
            if not there:
                number = files[path] = next(numbers)
                calls.append(lambda disk: disk.moves.append((path, None, number)))
        case "close":
            opened.pop(arguments[0], None)
        case "write" | "ftruncate" if arguments[0] in opened:
            path = opened[arguments[0]]
            number, content = files[path], path.read_bytes()
            calls.append(lambda disk: disk.pending.setdefault(number, []).append(content))
        case "fsync" if arguments[0] in opened:
            path = opened[arguments[0]]
            if path.is_dir():
                calls.append(lambda disk: _settle_names(disk, path))
            else:
                number = files[path]
                calls.append(lambda disk: _settle_contents(disk, number))
        case "replace":
            source, target = map(Path, arguments)
            number = files[target] = files.pop(source)
            for descriptor in [key for key, value in opened.items() if value == source]:
                opened[descriptor] = target
            calls.append(lambda disk: disk.moves.append((target, source, number)))
        case "unlink" if Path(arguments[0]) in files:
            path = Path(arguments[0])
            del files[path]
            calls.append(lambda disk: disk.moves.append((path, path, -1)))
        case _:
            pass


def _settle_contents(disk: Disk, number: int) -> None:
    if disk.pending.get(number):
        disk.contents[number] = disk.pending.pop(number)[-1]


def _settle_names(disk: Disk, folder: Path) -> None:
    settled = [move for move in disk.moves if move[0].parent == folder]
    disk.moves = [move for move in disk.moves if move[0].parent != folder]
    _apply(disk.names, settled)


def _apply(names: dict[Path, int], moves: list[tuple[Path, Path | None, int]]) -> None:
    for name, had, number in moves:
        if had is not None:
            names.pop(had, None)
        if number >= 0:
            names[name] = number


def crashes(recording: Recording, most: int = 300) -> Iterator[tuple[dict[Path, bytes], Any]]:
    """(what the disk may hold, the promise then in force) for a power loss after each call, at most `most` a call."""
    disk = Disk(
        {recording_number: recording.before[path] for path, recording_number in _initial(recording).items()},
        {},
        _initial(recording),
    )
    promise = recording.marks.get(0)
    chance = random.Random(0)
    for count, call in enumerate(recording.calls, start=1):
        call(disk)
        promise = recording.marks.get(count, promise)
        states = list(_states(disk))
        for state in states if len(states) <= most else chance.sample(states, most):
            yield state, promise


def _initial(recording: Recording) -> dict[Path, int]:
    return {path: number for number, path in enumerate(recording.before)}


def _states(disk: Disk) -> Iterator[dict[Path, bytes]]:
    choices = [[(number, content) for content in _outcomes(disk, number)] for number in sorted(disk.pending)]
    for kept in itertools.product((True, False), repeat=len(disk.moves)):
        names = dict(disk.names)
        _apply(names, [move for move, keep in zip(disk.moves, kept, strict=True) if keep])
        for outcome in itertools.product(*choices):
            contents = disk.contents | dict(outcome)
            yield {path: contents.get(number, b"") for path, number in names.items()}


def _outcomes(disk: Disk, number: int) -> list[bytes]:
    old, new = disk.contents.get(number, b""), disk.pending[number][-1]
    same = next(
        (i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new))
    )
    kept, rest = new[:same], new[same:]  # what is synced stays: appending does not endanger it
    return list(dict.fromkeys([old, kept, kept + rest[: len(rest) // 2], kept + bytes(len(rest)), new]))


def restore(state: dict[Path, bytes], root: Path, copy: Path) -> None:
    """Write a state of `root` into the folder `copy`, in place of what is there."""
    for path in sorted(copy.rglob("*"), reverse=True):
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()
    for path, content in state.items():
        there = copy / path.relative_to(root)
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_bytes(content)
