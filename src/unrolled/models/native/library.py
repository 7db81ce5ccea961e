"""Load the compiled libraries of csrc/, one per instruction set, and declare their functions to ctypes.

csrc/unrolled.h explains every argument. The structures here repeat its structures, field by field.
"""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from ctypes import POINTER, Structure, c_float, c_int64, c_void_p
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from unrolled.core.errors import UsageError, suggest
from unrolled.models.cells import Cell

VERSION = 9  # version of the interface in unrolled.h
NAMES = ("avx512vnni", "avx512", "avx2", "baseline")  # the fastest first
_SETTLED: ContextVar[str | None] = ContextVar("settled", default=None)  # the kernel that `using` sets
FORCED = ("reference", "torch", *reversed(NAMES))  # allowed values of UNROLLED_KERNEL
_CODES = {
    ("rnn", "tanh"): 0,
    ("rnn", "relu"): 1,
    ("gru-simple", "tanh"): 2,
    ("gru", "tanh"): 3,
    ("lstm", "tanh"): 4,
}


class Sequences(Structure):
    """The structure `unrolled_sequences`."""

    _fields_ = (
        *((name, c_int64) for name in ("cell", "threads", "split", "steps", "batch", "units")),
        ("counts", c_void_p),
        ("W_a", c_void_p),
        ("ld_W", c_int64),
        ("taken", c_void_p * 2),
        ("zoneout", c_float),
    )


class Forward(Structure):
    """The structure `unrolled_forward`."""

    _fields_ = (
        ("of", Sequences),
        ("train", c_int64),
        *((name, c_void_p) for name in ("b", "gates", "a")),
        ("state", c_void_p * 2),
        *((name, c_void_p) for name in ("c", "relevant", "work")),
    )


class Backward(Structure):
    """The structure `unrolled_backward`."""

    _fields_ = (
        ("of", Sequences),
        *((name, c_void_p) for name in ("gates", "a", "c")),
        ("state", c_void_p * 2),
        ("d_a", c_void_p),
        ("d_state", c_void_p * 2),
        *((name, c_void_p) for name in ("d_gates", "d_b", "x", "stacked")),
        ("inputs", c_int64),
        ("work", c_void_p),
    )


class Entropy(Structure):
    """The structure `unrolled_entropy`."""

    _fields_ = (
        *((name, c_int64) for name in ("threads", "rows", "outputs", "train")),
        *((name, c_void_p) for name in ("z", "b", "y", "nats", "d_b", "work")),
    )


class Layer(Structure):
    """The structure `unrolled_layer`."""

    _fields_ = (
        *((name, c_int64) for name in ("cell", "rows", "units", "inputs", "bits")),
        ("W_a", c_void_p * 2),
        ("W_x", c_void_p * 2),
        *((name, c_void_p) for name in ("b", "table", "ids")),
        ("lines", c_int64),
        ("x", c_void_p),
        ("state", c_void_p * 2),
        ("zoneout", c_float),
        ("work", c_void_p),
    )


class Head(Structure):
    """The structure `unrolled_head`."""

    _fields_ = (
        *((name, c_int64) for name in ("rows", "inputs", "outputs", "bits", "normalise", "k")),
        *((name, c_void_p) for name in ("W", "b", "x", "y", "best", "ids", "work")),
    )


class Step(Structure):
    """The structure `unrolled_steps`."""

    _fields_ = (
        ("layers", c_void_p),
        ("count", c_int64),
        ("head", c_void_p),
        ("threads", c_int64),
        ("back", c_int64),
    )


@dataclass(frozen=True, eq=False)
class Library:
    """The kernels for one instruction set. width: number of floats per vector."""

    name: str
    functions: ctypes.CDLL
    width: int

    def code(self, cell: Cell) -> int:
        """Return the number of the cell in unrolled.h."""
        return _CODES[cell.name, cell.activation]

    def work(self, cell: Cell, batch: int, n_a: int, threads: int) -> int:
        """Return the number of floats of scratch memory that a call needs."""
        return int(self.functions.unrolled_work(self.code(cell), batch, n_a, threads))


def knows(cell: Cell) -> bool:
    """Return whether the libraries compute this cell. If not, it runs on torch and NumPy."""
    return (cell.name, cell.activation) in _CODES


@cache
def libraries(folder: Path = Path(__file__).parent) -> dict[str, Library]:
    """Return the compiled libraries that this CPU can run, the fastest first."""
    opened = {name: _open(name, folder / f"{name}.so") for name in NAMES}
    return {name: library for name, library in opened.items() if library is not None}


@contextmanager
def using(name: str) -> Iterator[None]:
    """In this context, run whole sequences on the kernel `name`, which a training plan chose (see `running`).

    UNROLLED_KERNEL takes precedence.
    """
    before = _SETTLED.set(name)
    try:
        yield
    finally:
        _SETTLED.reset(before)


def forced() -> str | None:
    """Return the kernel that UNROLLED_KERNEL or `using` names, or None.

    Raises UsageError if it is unknown or cannot run.
    """
    name = os.environ.get("UNROLLED_KERNEL") or _SETTLED.get()
    if name is None:
        return None
    if name not in FORCED:
        what = f"UNROLLED_KERNEL is '{name}'"
        raise UsageError(what, expected=", ".join(FORCED), hint=suggest(name, FORCED))
    if name in NAMES and name not in libraries():
        there = ", ".join(libraries()) or "none: no C++ compiler was found when unrolled was installed"
        raise UsageError(
            f"UNROLLED_KERNEL is '{name}', which this CPU or installation does not support", expected=there
        )
    return name


def library() -> Library | None:
    """Return the library to use: the one that `forced` names, or else the fastest.

    Return None if there is none, or if `forced` names `reference` or `torch`. Raises the errors of `forced`.
    """
    name = forced()
    if name is None:
        return next(iter(libraries().values()), None)
    return libraries().get(name)


def running() -> str:
    """Return the name of the kernel that runs whole sequences, a value of UNROLLED_KERNEL.

    Raises the errors of `forced`.
    """
    chosen = library()
    return chosen.name if chosen is not None else forced() or "torch"


def share_threads() -> bool:
    """Let all libraries use the threads of the OpenMP runtime that torch has loaded.

    A second thread pool would compete with that runtime. Return False if there is no such runtime.

    It is found among the files that this process has mapped (Linux). On other systems the kernels run on one
    thread.
    """
    try:
        lines = os.fsdecode(Path("/proc/self/maps").read_bytes()).split("\n")
    except OSError:
        return False
    mapped = {path for path in map(mapped_file, lines) if re.search("libgomp|libiomp", Path(path).name)}
    for path in sorted(mapped, key=lambda path: "torch" not in path):  # that of torch first
        try:
            # Open it only if it is already loaded. Both runtimes have the functions of GCC's runtime.
            runtime = ctypes.CDLL(path, os.RTLD_NOLOAD | os.RTLD_NOW)
        except OSError:  # for example, the file was replaced after the process mapped it
            continue
        for each in libraries().values():
            each.functions.unrolled_use_threads(
                *(ctypes.cast(f, c_void_p) for f in (runtime.GOMP_parallel, runtime.omp_get_num_threads)),
                ctypes.cast(runtime.omp_get_thread_num, c_void_p),
            )
        return True
    return False


def mapped_file(line: str) -> str:
    """Return the path at the end of a line of /proc/self/maps, or an empty string. It may contain spaces."""
    fields = line.split(maxsplit=5)  # address, permissions, offset, device, inode, path
    return fields[5].replace("\\012", "\n") if len(fields) == 6 else ""


@contextmanager
def flushing_denormals(threads: int) -> Iterator[None]:
    """In this context, treat numbers below 2^-126 as zeros, in this thread and in `threads` OpenMP threads.

    Even a few such numbers in an array make a product several times slower. They occur when attention is
    sharp, for example. Without a compiled library this does nothing.
    """
    found = next(iter(libraries().values()), None)
    if found is None:
        yield
        return
    threads = threads if share_threads() else 1
    before = found.functions.unrolled_flush_denormals(1, threads)
    try:
        yield
    finally:
        found.functions.unrolled_flush_denormals(before, threads)


def _open(name: str, path: Path) -> Library | None:
    """Return the library in this file, or None.

    It is None if there is no file, if the CPU lacks its instructions, or if it was compiled for another
    version of the package. The last case occurs in an editable checkout that was updated.
    """
    if not path.is_file():
        return None
    try:
        functions = ctypes.CDLL(str(path))
    except OSError:  # built for another machine
        return None
    for each in ("unrolled_cpu", "unrolled_version", "unrolled_width"):
        _declare(functions, each, c_int64)
    if not functions.unrolled_cpu() or functions.unrolled_version() != VERSION:
        return None
    _declare(functions, "unrolled_work", c_int64, c_int64, c_int64, c_int64, c_int64)
    _declare(functions, "unrolled_run_forward", None, POINTER(Forward))
    _declare(functions, "unrolled_run_backward", None, POINTER(Backward))
    _declare(functions, "unrolled_cross_entropy", None, POINTER(Entropy))
    _declare(functions, "unrolled_use_threads", None, c_void_p, c_void_p, c_void_p)
    _declare(functions, "unrolled_packed", c_int64, c_int64, c_int64, c_int64)
    _declare(functions, "unrolled_pack", None, c_int64, c_int64, c_void_p, c_int64, c_int64, c_void_p)
    _declare(functions, "unrolled_flush_denormals", c_int64, c_int64, c_int64)
    _declare(functions, "unrolled_step_work", c_int64, c_int64, c_int64, c_int64, c_int64)
    _declare(functions, "unrolled_step", c_int64, c_void_p)
    for each in ("unrolled_sigmoid", "unrolled_tanh"):
        _declare(functions, each, None, c_int64, c_void_p, c_void_p)
    return Library(name, functions, int(functions.unrolled_width()))


def _declare(functions: ctypes.CDLL, name: str, result: type | None, *arguments: type) -> None:
    function = getattr(functions, name)  # functions[name] would return a new object each time
    function.argtypes, function.restype = list(arguments), result
