"""Handle the signals that stop a command: Ctrl-C (SIGINT), SIGTERM, and SIGHUP from a closed terminal.

The first signal decides the exit code: 128 + its number. Other signals within `QUICKLY` seconds are ignored,
because a shell, a terminal or a service manager often sends two. A later signal stops the command at once.
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

QUICKLY = 2.0  # seconds after the first signal in which other signals are ignored


class Terminated(KeyboardInterrupt):
    """Raised for a signal. Like Ctrl-C, it unwinds the stack, so that temporary files are removed."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__()


class _First:
    """The first signal since `forget`.

    at: when it arrived, from time.monotonic().
    order: a descriptor from which the numbers of signals are read in the order of their arrival; -1: none. It
        is needed because Python calls the handlers of several pending signals in the order of their numbers.
    """

    number: int | None = None
    at = 0.0
    order = -1


_first = _First()


def forget() -> None:
    """Forget the first signal: the next signal is the first one."""
    _first.number = None


def note(number: int) -> bool:
    """Record a signal.

    Return True if it is the first one, or if it arrives more than `QUICKLY` seconds later.
    """
    if number == signal.SIGHUP:
        _leave_terminal()
    if _first.number is None:
        _first.number, _first.at = _earliest(number), time.monotonic()
        return True
    return time.monotonic() - _first.at > QUICKLY


def first(number: int) -> int:
    """Return the number of the first signal; `number` if there was none."""
    return number if _first.number is None else _first.number


@contextmanager
def handled(
    handler: Callable[[int, FrameType | None], None], *numbers: int, ends: bool = False
) -> Generator[None, None, None]:
    """Call `handler` for these signals in the `with` block. Outside the main thread, this does nothing.

    A SIGHUP that is ignored, for example by nohup, stays ignored.
    ends: whether the process ends soon after the block. If a signal arrived, later signals are then ignored,
        so that the first one decides the exit code.
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
    """Raise `Terminated` for a signal in the `with` block, unless the signal has another handler.

    ends: see `handled`.
    """

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
    """Record the order of signals for `_earliest` in the `with` block.

    This uses Python's wakeup descriptor for signals. If another library uses it, the order is not recorded.
    """
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
    """Return the number of the pending signal that arrived first. number: the signal being handled."""
    if _first.order < 0:
        return number
    with suppress(OSError):
        asking = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        return next((one for one in os.read(_first.order, 4096) if one in asking), number)
    return number


def _leave_terminal() -> None:
    """Discard the output to a terminal. The terminal is closed, so every line would be an error."""
    for descriptor in (1, 2):
        with suppress(OSError):
            if stat.S_ISCHR(os.fstat(descriptor).st_mode):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, descriptor)
                os.close(nowhere)
