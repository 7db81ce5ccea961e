"""Load the compiled libraries of csrc/, one per instruction set, and declare their functions to ctypes.

csrc/unrolled.h says what every argument means; the structures here are its own, field by field.
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

VERSION = 9  # of the face in unrolled.h
NAMES = ("avx512vnni", "avx512", "avx2", "baseline")  # the quickest first
_SETTLED: ContextVar[str | None] = ContextVar("settled", default=None)  # see `using`
FORCED = ("reference", "torch", *reversed(NAMES))  # what UNROLLED_KERNEL may say
_CODES = {
    ("rnn", "tanh"): 0,
    ("rnn", "relu"): 1,
    ("gru-simple", "tanh"): 2,
    ("gru", "tanh"): 3,
    ("lstm", "tanh"): 4,
}


class Sequences(Structure):
    """`unrolled_sequences`."""

    _fields_ = (
        *((name, c_int64) for name in ("cell", "threads", "split", "steps", "batch", "units")),
        ("counts", c_void_p),
        ("W_a", c_void_p),
        ("ld_W", c_int64),
        ("taken", c_void_p * 2),
        ("zoneout", c_float),
    )


class Forward(Structure):
    """`unrolled_forward`."""

    _fields_ = (
        ("of", Sequences),
        ("train", c_int64),
        *((name, c_void_p) for name in ("b", "gates", "a")),
        ("state", c_void_p * 2),
        *((name, c_void_p) for name in ("c", "relevant", "work")),
    )


class Backward(Structure):
    """`unrolled_backward`."""

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
    """`unrolled_entropy`."""

    _fields_ = (
        *((name, c_int64) for name in ("threads", "rows", "outputs", "train")),
        *((name, c_void_p) for name in ("z", "b", "y", "nats", "d_b", "work")),
    )


class Layer(Structure):
    """`unrolled_layer`."""

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
    """`unrolled_head`."""

    _fields_ = (
        *((name, c_int64) for name in ("rows", "inputs", "outputs", "bits", "normalise", "k")),
        *((name, c_void_p) for name in ("W", "b", "x", "y", "best", "ids", "work")),
    )


class Step(Structure):
    """`unrolled_steps`."""

    _fields_ = (
        ("layers", c_void_p),
        ("count", c_int64),
        ("head", c_void_p),
        ("threads", c_int64),
        ("back", c_int64),
    )


@dataclass(frozen=True, eq=False)
class Library:
    """One instruction set's kernels. width: floats of one vector."""

    name: str
    functions: ctypes.CDLL
    width: int

    def code(self, cell: Cell) -> int:
        """The cell's number in unrolled.h."""
        return _CODES[cell.name, cell.activation]

    def work(self, cell: Cell, batch: int, n_a: int, threads: int) -> int:
        """Floats of scratch that a call needs."""
        return int(self.functions.unrolled_work(self.code(cell), batch, n_a, threads))


def knows(cell: Cell) -> bool:
    """Whether the libraries compute this cell; a new one runs on torch and NumPy until it is written there."""
    return (cell.name, cell.activation) in _CODES


@cache
def libraries(folder: Path = Path(__file__).parent) -> dict[str, Library]:
    """The libraries that were built and that this CPU runs, the quickest first."""
    opened = {name: _open(name, folder / f"{name}.so") for name in NAMES}
    return {name: library for name, library in opened.items() if library is not None}


@contextmanager
def using(name: str) -> Iterator[None]:
    """Within, whole sequences run on the kernel that a plan settled on, as `running` told it. UNROLLED_KERNEL has the
    last word."""
    before = _SETTLED.set(name)
    try:
        yield
    finally:
        _SETTLED.reset(before)


def forced() -> str | None:
    """What UNROLLED_KERNEL says, or what `using` does, if anything. Raises UsageError where it names no kernel, or one
    that cannot run."""
    name = os.environ.get("UNROLLED_KERNEL") or _SETTLED.get()
    if name is None:
        return None
    if name not in FORCED:
        what = f"UNROLLED_KERNEL is '{name}'"
        raise UsageError(what, expected=", ".join(FORCED), hint=suggest(name, FORCED))
    if name in NAMES and name not in libraries():
        there = ", ".join(libraries()) or "none: no C++ compiler was there when unrolled was installed"
        raise UsageError(
            f"UNROLLED_KERNEL is '{name}', which this CPU or this installation has not", expected=there
        )
    return name


def library() -> Library | None:
    """The library to use: the one that UNROLLED_KERNEL names, else the quickest; None where there is none, or where
    UNROLLED_KERNEL asks for something else. Raises UsageError as `forced`."""
    name = forced()
    if name is None:
        return next(iter(libraries().values()), None)
    return libraries().get(name)


def running() -> str:
    """What whole sequences run on, as UNROLLED_KERNEL would name it. Raises UsageError as `forced`."""
    chosen = library()
    return chosen.name if chosen is not None else forced() or "torch"


def share_threads() -> bool:
    """Let all libraries run on the threads of the OpenMP runtime that torch has loaded: a second pool would compete
    with it. False where there is none.

    The runtime is found among the files that this process has mapped (Linux); elsewhere the kernels run on one thread.
    """
    try:
        lines = os.fsdecode(Path("/proc/self/maps").read_bytes()).split("\n")
    except OSError:
        return False
    mapped = {path for path in map(mapped_file, lines) if re.search("libgomp|libiomp", Path(path).name)}
    for path in sorted(mapped, key=lambda path: "torch" not in path):  # torch's own first
        try:
            # Only if it is loaded already; both have the functions of GCC's runtime.
            runtime = ctypes.CDLL(path, os.RTLD_NOLOAD | os.RTLD_NOW)
        except OSError:  # such as a file that was replaced since the process mapped it
            continue
        for each in libraries().values():
            each.functions.unrolled_use_threads(
                *(ctypes.cast(f, c_void_p) for f in (runtime.GOMP_parallel, runtime.omp_get_num_threads)),
                ctypes.cast(runtime.omp_get_thread_num, c_void_p),
            )
        return True
    return False


def mapped_file(line: str) -> str:
    """The path at the end of a line of /proc/self/maps, which may contain spaces; empty where there is none."""
    fields = line.split(maxsplit=5)  # address, permissions, offset, device, inode, path
    return fields[5].replace("\\012", "\n") if len(fields) == 6 else ""


@contextmanager
def flushing_denormals(threads: int) -> Iterator[None]:
    """Within, numbers below 2^-126 count as zeros for this thread and so many of the process: a few in an array,
    as where attention is sharp, make a product several times slower. Nothing changes where no library was built."""
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
    """The library in this file; None where there is none, where the CPU lacks its instructions, or where it was built
    for another version of the package (an editable checkout that moved on)."""
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
    function = getattr(functions, name)  # only an attribute is the same object every time
    function.argtypes, function.restype = list(arguments), result
