"""Decode an untrusted file in a subprocess with limits on time and memory.

If a decoder hangs, crashes or allocates too much memory, only its subprocess ends.

A function named `module:function` gets JSON and returns JSON and an array. After a file, its subprocess waits
for the next one. If several threads decode at once, several subprocesses run. The parent accepts only JSON
and bytes from them, never a pickle.

A subprocess imports nothing from the current folder, which may contain untrusted files. It runs in Python's
isolated mode; its search path is the standard library and the absolute entries of the parent's search path.
The kernel ends it when its time is over or when the parent process has ended, even if the decoder never
returns to Python.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import importlib
import json
import math
import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import Empty, LifoQueue
from typing import IO, BinaryIO

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import DataError, MissingExtra, UnrolledError
from unrolled.core.regular_files import require_regular
from unrolled.core.types import Place
from unrolled.core.values.json_values import as_list_of, as_object

SECONDS = 60.0  # time limit per file, for wall time and for CPU time
GRACE = 2.0  # additional seconds after which the kernel ends a subprocess that the parent has not ended
BOOT = "import sys; sys.path += sys.argv[1:]; from unrolled.data.sandbox import main; main()"
MEMORY = 1 << 30  # bytes that a file may use, in addition to the memory mapped when decoding starts
MOST = 1 << 30  # maximum bytes of an answer
ERRORS: dict[str, type[UnrolledError]] = {"DataError": DataError, "MissingExtra": MissingExtra}

Answer = tuple[NDArray[np.uint8], dict[str, object]]
_idle: LifoQueue[subprocess.Popen[bytes]] = LifoQueue()


@dataclass(frozen=True)
class Limits:
    """Limits for one file: seconds (of wall time and of CPU time), and bytes of memory."""

    seconds: float = SECONDS
    memory: int = MEMORY


def run_in_subprocess(function: str, arguments: Mapping[str, object], limits: Limits | None = None) -> Answer:
    """Call `module:function(**arguments)` in a subprocess. Return its answer: an array of bytes, and a dict.

    Raises DataError if the function exceeds the limits or crashes. If the function raises DataError or
    MissingExtra, raises the same error without the file name, which the caller adds.
    """
    limits = limits or Limits()
    worker = _worker()
    try:
        answer = _ask(worker, {"function": function, "arguments": arguments, **asdict(limits)}, limits)
    except BaseException:
        _end(worker)
        raise
    _idle.put(worker)
    head, body = answer
    if "error" in head:
        expected, hint = (None if head[key] is None else str(head[key]) for key in ("expected", "hint"))
        raise ERRORS[str(head["error"])](str(head["what"]), expected=expected, hint=hint)
    shape = as_list_of(int, head["shape"])
    return np.frombuffer(body, np.uint8).reshape(shape), as_object(head["about"])


def decode_file(path: Path, place: Place, function: str, arguments: Mapping[str, object]) -> Answer:
    """Run a function on a user's file in a subprocess.

    place: where the data names the file; errors of the function report this place.

    Raises DataError if the file cannot be decoded, UsageError if it does not exist, StorageError if it cannot
    be read.
    """
    require_regular(path, folder=True)
    try:
        return run_in_subprocess(function, {"path": str(path), **arguments})
    except DataError as error:
        what = error.what if place.file == path else f"{path}: {error.what}"
        raise DataError(
            what, file=place.file, line=place.line, expected=error.expected, hint=error.hint
        ) from error


def _worker() -> subprocess.Popen[bytes]:
    with contextlib.suppress(Empty):
        worker = _idle.get_nowait()
        if worker.poll() is None:
            return worker
        _end(worker)
    one_thread = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", BOOT, *_search_path()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        env={**os.environ, **one_thread},
        start_new_session=True,  # Ctrl-C must reach only the parent
    )


def _search_path() -> list[str]:
    """Return the search path of a subprocess after the standard library.

    It has the folder of this package, then the absolute entries of `sys.path` except the current folder.
    """
    here = Path.cwd().resolve()
    ours = [entry for entry in map(Path, sys.path) if entry.is_absolute() and entry.resolve() != here]
    return list(dict.fromkeys(map(str, [Path(__file__).resolve().parents[2], *ours])))


def _end(worker: subprocess.Popen[bytes]) -> None:
    worker.kill()
    worker.wait()
    for pipe in (worker.stdin, worker.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


@atexit.register
def close() -> None:
    """End the idle subprocesses."""
    with contextlib.suppress(Empty):
        while True:
            _end(_idle.get_nowait())


def _ask(
    worker: subprocess.Popen[bytes], question: Mapping[str, object], limits: Limits
) -> tuple[dict[str, object], bytes]:
    until = time.monotonic() + limits.seconds
    assert worker.stdin is not None and worker.stdout is not None
    try:
        worker.stdin.write(json.dumps(question).encode() + b"\n")
        size = int.from_bytes(_receive(worker.stdout, 8, until, limits), "little")
        head = json.loads(_receive(worker.stdout, min(size, MOST), until, limits))
        return head, _receive(worker.stdout, min(head["bytes"], MOST), until, limits)
    except (BrokenPipeError, EOFError):
        code = worker.wait()
        if -code in (signal.SIGALRM, signal.SIGXCPU):
            raise _too_long(limits) from None
        with contextlib.suppress(ValueError):
            raise DataError(f"the decoder of the file crashed ({signal.Signals(-code).name})") from None
        raise DataError(f"the decoder of the file ended with exit code {code}") from None


def _receive(pipe: IO[bytes], size: int, until: float, limits: Limits) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        ready, _, _ = select.select([pipe], [], [], max(0.0, until - time.monotonic()))
        if not ready:
            raise _too_long(limits)
        got = os.read(pipe.fileno(), min(size - len(parts), 1 << 20))
        if not got:
            raise EOFError
        parts += got
    return bytes(parts)


def _too_long(limits: Limits) -> DataError:
    what = f"takes more than {limits.seconds:g} seconds to decode"
    return DataError(what, expected="a shorter or smaller file")


def worker_loop(given: BinaryIO, answers: BinaryIO) -> None:
    """Answer the requests of `run_in_subprocess`, in the subprocess, until the input ends."""
    limited = 0
    for line in given:
        question = json.loads(line)
        body = b""
        try:
            module, _, name = question["function"].partition(":")
            function = getattr(importlib.import_module(module), name)
            if question["memory"] != limited:
                limited = question["memory"]
                _limit(limited)
            with _watched(question["seconds"]):
                array, about = function(**question["arguments"])
            body = np.ascontiguousarray(array).tobytes()
            head: dict[str, object] = {"shape": list(array.shape), "about": about}
        except UnrolledError as error:
            kind = "MissingExtra" if isinstance(error, MissingExtra) else "DataError"
            head = _told(kind, error.what, error.expected, error.hint)
        except MemoryError:
            what = f"takes more than {question['memory'] >> 20:,} MB to decode"
            head = _told("DataError", what, "a smaller file")
        except (
            Exception
        ) as error:  # an untrusted file can make a decoder raise anything; the loop must continue
            head = _told("DataError", f"cannot be decoded: {error!r:.200}")
        packed = json.dumps({**head, "bytes": len(body)}).encode()
        for piece in (len(packed).to_bytes(8, "little"), packed, body):
            answers.write(piece)
        answers.flush()


def _told(kind: str, what: str, expected: str | None = None, hint: str | None = None) -> dict[str, object]:
    return {"error": kind, "what": what, "expected": expected, "hint": hint}


def _limit(memory: int) -> None:
    """Limit the process to `memory` more bytes than are mapped now, and disable core dumps.

    The memory limit is set on Linux only.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":  # other systems do not enforce the limit, or do not report the mapped memory
        with open("/proc/self/statm") as file:
            mapped = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        most = mapped + memory
        resource.setrlimit(
            resource.RLIMIT_AS, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard)
        )


@contextlib.contextmanager
def _watched(seconds: float) -> Iterator[None]:
    """While the body runs, let the kernel end this process by signals that have no handler.

    It ends the process after `seconds` (plus GRACE) of wall time or of CPU time, or when the other end of
    stdin is closed.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    most = math.ceil(used.ru_utime + used.ru_stime + seconds + GRACE)
    resource.setrlimit(
        resource.RLIMIT_CPU, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard)
    )
    signal.setitimer(signal.ITIMER_REAL, seconds + GRACE)
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    try:
        if select.select([0], [], [], 0)[
            0
        ]:  # the next request comes after the answer, so readable now means that the parent closed stdin
            os._exit(1)
        yield
    finally:
        signal.signal(signal.SIGIO, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_REAL, 0)


def main() -> None:
    """Run `worker_loop` on stdin and stdout: the main function of a subprocess."""
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # output that a library prints must not mix with the answers
    # From here on the kernel sends SIGIO when data arrives on stdin, and when its other end is closed.
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)
    worker_loop(sys.stdin.buffer, channel)
