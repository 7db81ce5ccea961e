"""The lock of a run folder: one trainer at a time, and nobody waits for one that is dead.

The system releases the lock (flock) at any death. The lock file says who holds it, for messages.
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
ATTEMPTS = 100  # to lock the file that has the name; each other one was removed between opening and locking


@contextlib.contextmanager
def locked(folder: Path, marks: Sequence[str]) -> Generator[dict[str, object] | None, None, None]:
    """Hold the folder's lock; the folder is made where there is none. Yields who held it before and was killed.

    marks: names of files of which one at least is in a run folder; a folder with other things in it is left alone.
    Raises UsageError (another trainer, another folder), StorageError (the disk refuses).
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
        with contextlib.suppress(OSError):  # a full disk does not keep a run from ending
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _take(folder: Path, marks: Sequence[str]) -> int:
    """Open and lock the file that bears the name: one that was removed or replaced meanwhile guards nothing."""
    path = folder / LOCK
    for _ in range(ATTEMPTS):
        folder.mkdir(exist_ok=True)
        ours = any(os.path.lexists(folder / name) for name in (LOCK, *marks))
        if not ours and any(folder.iterdir()):
            raise UsageError("is not a run folder and not empty", file=folder, hint="another --out")
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
            descriptor = os.open(path, flags, 0o644)
        except FileNotFoundError:  # the folder was removed meanwhile
            continue
        except OSError as error:
            if path.is_symlink() or path.is_dir():
                raise UsageError("is no lock of ours", file=path, expected="a regular file") from error
            raise
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise UsageError("is no lock of ours", file=path, expected="a regular file")
            _lock(descriptor, folder)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), os.lstat(path)):
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    raise StorageError("its lock is removed again and again", file=folder, hint="another --out")


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = _holder(descriptor) or {}
        who = f"process {holder.get('pid', '(unknown)')} on {holder.get('host', '(unknown host)')}"
        what = f"another trainer is at work here: {who}, since {holder.get('since', '(unknown)')}"
        raise UsageError(what, file=folder, hint="waiting until it ends, or another --out") from error
    except OSError as error:
        what = f"cannot be locked: {error.strerror or error}"
        raise StorageError(what, file=folder, hint="a folder on a local disk") from error


def _holder(descriptor: int) -> dict[str, object] | None:
    try:
        holder = tensor_file.parse(os.pread(descriptor, 4096, 0))
    except ValueError:  # empty: released in good order, or being written
        return None
    return holder if type(holder) is dict else None
