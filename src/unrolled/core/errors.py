"""Errors with an exit code, and what was expected and what to try in the message.

Each error is one line for people, `FILE:LINE: what is wrong; expected ...; try ...`, and carries the exit code
of the command line: 2 bad input or usage, 3 input/output or space, 4 numbers went non-finite, 5 some items
failed and are listed, 130 interrupted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from unrolled.core.terminal import escaped


class UnrolledError(Exception):
    """An error of ours. `what` is wrong at `file`:`line`; `expected` and `hint` (after "try") are optional."""

    exit_code = 2

    def __init__(
        self,
        what: str,
        *,
        file: object = None,
        line: int | None = None,
        expected: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.what, self.file, self.line = what, file, line
        self.expected, self.hint = expected, hint
        super().__init__(str(self))

    def __str__(self) -> str:
        line = "" if self.line is None else f"{self.line}:"
        place = f"{self.file}:{line} " if self.file is not None else f"line {line} " if line else ""
        expected = "" if self.expected is None else f"; expected {self.expected}"
        hint = "" if self.hint is None else f"; try {self.hint}"
        return escaped(" ".join(f"{place}{self.what}{expected}{hint}".splitlines()))


class DataError(UnrolledError):
    """The input is bad: a file's content, a row, a model file, a MIDI or WAV file."""


class UsageError(UnrolledError):
    """The request is bad: an unknown option or key, a combination that makes no sense, a file in the way."""


class MissingExtra(UnrolledError):
    """A part that is installed apart is needed: the message names the `pip install unrolled[...]` line."""


class StorageError(UnrolledError):
    """Reading or writing failed: space, permission, a broken disk. What was there before is intact."""

    exit_code = 3


class NonFiniteError(UnrolledError):
    """A loss or a gradient is not finite; the weights on disk are."""

    exit_code = 4


class ItemsFailed(UnrolledError):
    """Some items failed and are listed; the others have their answers."""

    exit_code = 5


class Interrupted(UnrolledError):
    """Ctrl-C or SIGTERM: the best so far is saved and the message says how to resume."""

    exit_code = 130


@contextmanager
def need(extra: str, package: str) -> Iterator[None]:
    """Around imports of what stands on a package: raises MissingExtra, with the line that installs it, where they fail.

    A module of our own that is missing is no matter of what is installed, and stays what it is.
    """
    try:
        yield
    except ImportError as error:
        if (error.name or "").startswith("unrolled"):
            raise
        raise MissingExtra(f"{package} is not installed", hint=f"pip install 'unrolled[{extra}]'") from error


def suggest(word: str, known: Iterable[str]) -> str | None:
    """The nearest of the `known` words, quoted for a hint, or None where nothing is near."""
    import difflib  # only an error needs it, and every start would pay for it

    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"'{near[0]}'" if near else None
