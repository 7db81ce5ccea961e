"""Errors with a one-line message and an exit code.

The message has the form `FILE:LINE: what is wrong; expected ...; try ...`.

The exit codes of the command line are:
- 2: bad input or usage.
- 3: reading or writing failed, or no space.
- 4: a number is not finite.
- 5: some items failed and are listed.
- 130: interrupted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from unrolled.core.terminal import escaped


class UnrolledError(Exception):
    """Base class of the errors of this package.

    what: what is wrong.
    file, line: where it is wrong.
    expected: what was expected.
    hint: the text after "try" in the message.
    """

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
    """The input is bad: the content of a file, such as a row of a table, a model or a recording."""


class UsageError(UnrolledError):
    """The request is bad: an unknown option, an impossible combination, a file that exists already."""


class MissingExtra(UnrolledError):
    """An optional package is not installed.

    The message has the command `pip install ...` that installs it.
    """


class StorageError(UnrolledError):
    """Reading or writing failed: no space, no permission, a broken disk. Existing files are intact."""

    exit_code = 3


class NonFiniteError(UnrolledError):
    """A number, such as a loss or a gradient, is NaN or infinite. Weights on disk are always finite."""

    exit_code = 4


class ItemsFailed(UnrolledError):
    """Some items failed and are listed. The other items have their answers."""

    exit_code = 5


class Interrupted(UnrolledError):
    """Ctrl-C or SIGTERM. The best weights so far are saved, and the message says how to resume."""

    exit_code = 130


@contextmanager
def need(extra: str, package: str) -> Iterator[None]:
    """Raise MissingExtra, with the install command, if an import in the `with` block fails.

    extra: name of the extra of unrolled. package: name of the package, for the message.
    If a module of unrolled itself is missing, the ImportError is raised unchanged.
    """
    try:
        yield
    except ImportError as error:
        if (error.name or "").startswith("unrolled"):
            raise
        raise MissingExtra(f"{package} is not installed", hint=f"pip install 'unrolled[{extra}]'") from error


def suggest(word: str, known: Iterable[str]) -> str | None:
    """Return the most similar of the `known` words, in quotes, for a hint; None if no word is similar."""
    import difflib  # imported here to keep the start of every command fast

    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"'{near[0]}'" if near else None
