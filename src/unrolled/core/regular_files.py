"""Open only regular files: a pipe, a device or a socket would make a program wait for ever, or read without end.

Every file that a user names is opened here or checked here first.
"""

from __future__ import annotations

import os
import stat
from io import BufferedReader
from pathlib import Path

from unrolled.core.atomic_files import opening_error
from unrolled.core.errors import UsageError, suggest

_KINDS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def require_regular(path: Path, *, folder: bool = False) -> os.stat_result:
    """What the system says of a file that is there and is a regular one, or a folder where `folder` allows it.

    Never waits. Raises UsageError (no such file, a folder, a pipe, a device, a socket, a link that leads back to
    itself), StorageError (no permission, a broken disk).
    """
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        what = "no such file or folder" if folder else "there is no such file"
        raise UsageError(what, file=path, hint=_nearest(path)) from error
    except ValueError as error:  # a NUL character
        raise UsageError("there is no such file: its name holds a NUL character", file=ascii(path)) from error
    except OSError as error:
        raise opening_error(error, path) from error
    if not (folder and stat.S_ISDIR(status.st_mode)):
        _refuse_irregular(path, status.st_mode)
    return status


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file for reading its bytes. Raises as `require_regular`."""
    require_regular(path)  # opening a device may already do something
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise opening_error(error, path) from error
    try:
        _refuse_irregular(path, os.fstat(descriptor).st_mode)  # it may have been replaced meanwhile
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _refuse_irregular(path: Path, mode: int) -> None:
    if stat.S_ISREG(mode):
        return
    if stat.S_ISDIR(mode):
        raise opening_error(IsADirectoryError(), path)
    kind = next((name for test, name in _KINDS if test(mode)), "something else")
    hint = "writing the data to a file first"
    raise UsageError(f"is {kind}, not a regular file", file=path, hint=hint)


def _nearest(path: Path) -> str | None:
    """The name beside a missing file that is most like its own, for a hint."""
    try:
        return suggest(path.name, [entry.name for entry in path.parent.iterdir()])
    except OSError:
        return None
