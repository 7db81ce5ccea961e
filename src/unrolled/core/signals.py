"""Signals that ask a command to stop: Ctrl-C, SIGTERM, and SIGHUP, which comes when a terminal is closed.

The first one decides how the command ends, with exit code 128 + its number. Others that follow soon are the same
wish: a shell, a terminal and a service manager often send two. One that comes later insists.
"""

from __future__ import annotations

import os
import signal
import stat
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from types import FrameType

QUICKLY = 2.0  # seconds within which further signals mean the same as the first


class Terminated(KeyboardInterrupt):
    """A signal that unwinds as Ctrl-C does, so that temporary files are removed on the way."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__()


class _First:
    """The first signal since `forget`, and when it came, by time.monotonic().

    order: where the numbers of signals can be read in the order in which they came, or -1. Python calls the handlers
    of signals that wait together in the order of their numbers.
    """

    number: int | None = None
    at = 0.0
    order = -1


_first = _First()


def forget() -> None:
    """From here on the next signal is the first one."""
    _first.number = None


def note(number: int) -> bool:
    """Remember a signal; whether it is the first one, or comes so late after that that it insists."""
    if number == signal.SIGHUP:
        _leave_terminal()
    if _first.number is None:
        _first.number, _first.at = _earliest(number), time.monotonic()
        return True
    return time.monotonic() - _first.at > QUICKLY


def first(number: int) -> int:
    """The number of the first signal; the given one where there was none."""
    return number if _first.number is None else _first.number


@contextmanager
def handled(
    handler: Callable[[int, FrameType | None], None], *numbers: int, ends: bool = False
) -> Generator[None, None, None]:
    """These signals go to the handler within; in another thread than the main one this does nothing.

    A SIGHUP that is ignored, as under nohup, stays ignored. ends: the process ends soon after; where a signal came,
    others are ignored from then on, so that the exit code is that of the first.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with _ordered():
        taken = [n for n in numbers if n != signal.SIGHUP or signal.getsignal(n) is not signal.SIG_IGN]
        before = {number: signal.signal(number, handler) for number in taken}
        try:
            yield
        finally:
            for number, earlier in before.items():
                done = ends and _first.number is not None
                signal.signal(number, signal.SIG_IGN if done else earlier)


@contextmanager
def unwinding(*, ends: bool) -> Generator[None, None, None]:
    """Signals raise `Terminated` within, unless somebody else handles them; ends: as `handled` has it."""

    def stop(number: int, frame: FrameType | None) -> None:
        if note(number):
            raise Terminated(first(number))

    forget()
    usual = (signal.SIG_DFL, signal.default_int_handler)
    ours = (n for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) in usual)
    with handled(stop, *ours, ends=ends):
        yield


@contextmanager
def _ordered() -> Generator[None, None, None]:
    """Within, `_earliest` knows the order of signals, unless another library has use for that channel."""
    outer, (ours, theirs) = _first.order, os.pipe()
    for descriptor in (ours, theirs):
        os.set_blocking(descriptor, False)
    before = signal.set_wakeup_fd(theirs, warn_on_full_buffer=False)
    if before >= 0 and outer < 0:
        signal.set_wakeup_fd(before)
    else:
        _first.order = ours
    try:
        yield
    finally:
        if _first.order == ours:
            signal.set_wakeup_fd(before)
            _first.order = outer
        os.close(ours)
        os.close(theirs)


def _earliest(number: int) -> int:
    """Which of the signals that wait came first; `number` is the one that is handled now."""
    if _first.order < 0:
        return number
    with suppress(OSError):
        asking = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        return next((one for one in os.read(_first.order, 4096) if one in asking), number)
    return number


def _leave_terminal() -> None:
    """What is printed goes nowhere where it went to a terminal: that is gone, and each line would be an error."""
    for descriptor in (1, 2):
        with suppress(OSError):
            if stat.S_ISCHR(os.fstat(descriptor).st_mode):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, descriptor)
                os.close(nowhere)
