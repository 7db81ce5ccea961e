"""Errors for Python users: messages name Python arguments instead of command-line flags."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from unrolled.core.config import options
from unrolled.core.errors import DataError, UnrolledError, UsageError

# Flags that apply only to files: sequences in memory have no columns, no run folder and no output file.
# A hint with such a flag is dropped.
FILES_ONLY = (
    "--columns",
    "--skip-bad",
    "--resume",
    "--valid",
    "--out",
    "--encoding",
    "--quoting",
    "--format",
)
ORDER = "classes=[worst, ..., best]"


class InvalidArgument(UsageError, ValueError):
    """A UsageError of an estimator. It is also a ValueError, as Python users expect."""


class InvalidData(DataError, ValueError):
    """A DataError of an estimator. It is also a ValueError."""


@contextmanager
def arguments_named() -> Iterator[None]:
    """Wrap a public method: replace flags by argument names in messages of UnrolledError.

    UsageError and DataError are raised again as subclasses of ValueError.
    """
    try:
        yield
    except UnrolledError as error:
        hint, expected = error.hint, error.expected
        error.what = in_python(error.what)
        error.expected = None if expected is None else in_python(expected)
        useless = hint is None or any(flag in hint for flag in FILES_ONLY)
        error.hint = None if hint is None or useless else in_python(hint)
        error.args = (str(error),)
        kind = (
            InvalidArgument
            if type(error) is UsageError
            else InvalidData
            if type(error) is DataError
            else None
        )
        if kind is None:
            raise
        told = kind(error.what, file=error.file, line=error.line, expected=error.expected, hint=error.hint)
        raise told.with_traceback(error.__traceback__) from error.__cause__


def in_python(text: str) -> str:
    """Replace flags in a message by arguments, such as `--hidden 8` by hidden=8 and `--no-crf` by crf=False."""
    text = text.replace("--classes WORST,...,BEST", ORDER)
    text = re.sub(r"--set (?:\w+\.)?(\w+)=(\w+)", lambda m: f"{m[1]}={m[2].capitalize()}", text)
    text = text.replace("--force", "force=True")
    return re.sub(r"--([a-z][a-z-]*)(?: ([\w.]+))?", _argument, text)


def _argument(found: re.Match[str]) -> str:
    name, value = found[1].replace("-", "_"), found[2]
    after = "" if value is None else f" {value}"
    known = options()
    if name.startswith("no_") and name.removeprefix("no_") in known:
        return f"{name.removeprefix('no_')}=False{after}"
    if value is None:
        return name
    choices = known[name].choices if name in known else ("numpy", "int8", "torch")
    if re.fullmatch(r"-?\d[\d.]*", value):
        return f"{name}={value}"
    return f"{name}='{value}'" if choices and value in choices else f"{name}{after}"
