"""The lock of a run folder: only one process trains in it at a time.

The operating system releases the lock (flock) when the process ends in any way, so no process waits for a
dead one. The lock file contains the owner of the lock, for messages.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
import time
from collections.abc import Generator, Sequence
from pathlib import Path

from unrolled.core import tensor_file
from unrolled.core.atomic_files import storage_error, sync_folder
from unrolled.core.errors import StorageError, UsageError
from unrolled.core.tensor_file import canonical

LOCK = "lock"
ATTEMPTS = 100  # attempts to lock; an attempt fails if the file is removed between opening and locking


@contextlib.contextmanager
def locked(folder: Path, marks: Sequence[str]) -> Generator[dict[str, object] | None, None, None]:
    """Inside this context, this process holds the lock of the folder.

    The folder is created if it does not exist. Yields the previous owner of the lock if it was killed, else
    None.

    marks: file names. A run folder contains at least one of these files. A folder with only other files is
    refused.

    Raises UsageError (another training is running here, or this is not a run folder), StorageError
    (input/output error).
    """
    path = folder / LOCK
    try:
        descriptor = _take(folder, marks)
    except OSError as error:
        raise storage_error(error, folder, 0) from error
    try:
        left_by = _holder(descriptor)
        me = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        }
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, canonical(me).encode(), 0)
            sync_folder(folder.parent)
        except OSError as error:
            raise storage_error(error, path, 0) from error
        yield left_by
        with contextlib.suppress(OSError):  # a full disk must not prevent the end of a run
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _take(folder: Path, marks: Sequence[str]) -> int:
    """Open and lock the lock file, and return its descriptor.

    If the file was removed or replaced between opening and locking, the lock protects nothing. Then the
    function tries again.
    """
    path = folder / LOCK
    for _ in range(ATTEMPTS):
        folder.mkdir(exist_ok=True)
        ours = any(os.path.lexists(folder / name) for name in (LOCK, *marks))
        if not ours and any(folder.iterdir()):
            raise UsageError("is not empty and not a run folder", file=folder, hint="another --out")
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
            descriptor = os.open(path, flags, 0o644)
        except FileNotFoundError:  # the folder was removed by another process
            continue
        except OSError as error:
            if path.is_symlink() or path.is_dir():
                raise UsageError("is not a lock file", file=path, expected="a regular file") from error
            raise
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise UsageError("is not a lock file", file=path, expected="a regular file")
            _lock(descriptor, folder)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), os.lstat(path)):
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    raise StorageError("another process keeps removing the lock file", file=folder, hint="another --out")


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = _holder(descriptor) or {}
        who = f"process {holder.get('pid', '(unknown)')} on {holder.get('host', '(unknown host)')}"
        what = f"another training is running here: {who}, since {holder.get('since', '(unknown)')}"
        raise UsageError(what, file=folder, hint="waiting until it ends, or another --out") from error
    except OSError as error:
        what = f"cannot be locked: {error.strerror or error}"
        raise StorageError(what, file=folder, hint="a folder on a local disk") from error


def _holder(descriptor: int) -> dict[str, object] | None:
    try:
        holder = tensor_file.parse(os.pread(descriptor, 4096, 0))
    except (
        ValueError
    ):  # empty: the lock was released normally, or another process is just writing its owner record
        return None
    return holder if type(holder) is dict else None
