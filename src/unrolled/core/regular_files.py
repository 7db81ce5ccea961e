"""Open only regular files. A pipe, a device or a socket could block forever, or have no end.

All files that a user names are opened or checked here.
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
    """Return the status of a regular file. This never blocks.

    folder: whether a folder is allowed too.
    Raises UsageError if the file does not exist or is a folder, a pipe, a device, a socket or a link to
    itself.
    Raises StorageError if there is no permission or the disk is broken.
    """
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        what = "no such file or folder" if folder else "there is no such file"
        raise UsageError(what, file=path, hint=_nearest(path)) from error
    except ValueError as error:  # a NUL character
        raise UsageError("there is no such file: its name has a NUL character", file=ascii(path)) from error
    except OSError as error:
        raise opening_error(error, path) from error
    if not (folder and stat.S_ISDIR(status.st_mode)):
        _refuse_irregular(path, status.st_mode)
    return status


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file to read bytes. Raises the errors of `require_regular`."""
    require_regular(path)  # before `open`, because opening a device can have an effect
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise opening_error(error, path) from error
    try:
        _refuse_irregular(path, os.fstat(descriptor).st_mode)  # the file may have been replaced meanwhile
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
    """Return the most similar name in the folder of a missing file, for a hint."""
    try:
        return suggest(path.name, [entry.name for entry in path.parent.iterdir()])
    except OSError:
        return None
