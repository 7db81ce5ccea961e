"""Write files so that a crash, a kill or a full disk never loses the previous content.

A file is written to a temporary sibling, synced, renamed over the old one, and its folder is synced
(the order SQLite and LevelDB use). The writer holds a lock on its temporary, so `sweep` knows those of killed
processes from those being written, whatever process number or host wrote them. POSIX only (flock, folder sync).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Callable, Generator
from pathlib import Path

from unrolled.core.errors import StorageError, UnrolledError, UsageError

TEMPORARY = ".unrolled-tmp-"
WRITE_AT_MOST = 1 << 28  # bytes a system call: Linux cuts at 2 GiB, a signal is answered in between


def write_atomically(path: Path, *pieces: bytes | memoryview, mode: int = 0o644) -> None:
    """Replace `path` by the `pieces`, one after the other, as a whole or not at all; durable when this returns.

    A symbolic link stays and its target is replaced; the permissions of the file that was there are kept, a
    new one gets `mode` less the umask. Raises StorageError (the old file intact, the temporary removed) where
    the disk refuses, UsageError where `path` is no regular file.
    """
    views = [memoryview(piece).cast("B") for piece in pieces]
    with atomic_writer(path, mode=mode, needed=sum(map(len, views))) as write:
        for view in views:
            write(view)


@contextlib.contextmanager
def atomic_writer(
    path: Path, *, mode: int = 0o644, needed: int = 0
) -> Generator[Callable[[bytes | memoryview], None], None, None]:
    """A function that appends to what becomes `path` when the block ends well; after an error nothing is left.

    Like `write_atomically`, for what is made piece by piece; needed: bytes to come, for messages.
    """
    path = Path(os.path.realpath(path))
    with _told(path, needed):
        if path.exists() and not path.is_file():
            raise UsageError("is not a regular file", file=path, hint="another name")
    written = 0

    def write(data: bytes | memoryview) -> None:
        nonlocal written
        written += len(data)
        with _told(path, max(needed, written)):
            write_all(descriptor, memoryview(data))

    # A name before a file: a signal may come as soon as there is one.
    temporary, descriptor = _temporary(path.parent), -1
    try:
        with _told(path, needed):
            while (descriptor := _create(temporary, mode)) < 0:
                temporary = _temporary(path.parent)
        yield write
        with _told(path, written):
            with contextlib.suppress(FileNotFoundError):
                os.fchmod(descriptor, stat.S_IMODE(path.stat().st_mode))
            sync(descriptor)
            os.replace(temporary, path)
    finally:
        # The descriptor holds the lock that keeps `sweep` away, so it is closed last.
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108 - one of the system calls, like os.replace
        if descriptor >= 0:
            os.close(descriptor)
    try:
        sync_folder(path.parent)
    except OSError as error:
        what = f"is written, but its folder could not be synced: {error.strerror or error}"
        raise StorageError(what, file=path, hint="checking the disk, then the same again") from error


def storage_error(error: OSError, path: Path, needed: int | None = None) -> StorageError:
    """An OSError as one of ours: `needed` bytes could not be written, or (None) something else failed."""
    if needed is None:
        return StorageError(f"{error.strerror or error}", file=path)
    if not path.parent.exists():
        return StorageError(
            "cannot write: its folder does not exist", file=path, hint=f"mkdir -p {path.parent}"
        )
    what = f"cannot write: {error.strerror or error} ({needed:,} bytes needed"
    with contextlib.suppress(OSError):
        what += f", {shutil.disk_usage(path.parent).free:,} free"
    return StorageError(
        f"{what}); what was there before is intact", file=path, hint="another folder with --out"
    )


def opening_error(error: OSError, path: Path) -> UnrolledError:
    """Why `path` cannot be read: a wrong name is the user's (exit 2), the rest is the disk's (exit 3)."""
    match error:
        case FileNotFoundError() | NotADirectoryError():
            return UsageError("there is no such file", file=path)
        case IsADirectoryError():
            return UsageError("is a folder", file=path, expected="a file")
        case _:
            return StorageError(f"cannot read: {error.strerror or error}", file=path)


def refuse_to_overwrite(path: Path, *, force: bool) -> None:
    """Raise UsageError where `path` exists and `force` is off: nothing is overwritten unasked."""
    if path.exists() and not force:
        raise UsageError("exists already", file=path, hint="another name, or --force to replace it")


def sweep(folder: Path) -> None:
    """Remove the temporaries that killed processes left in `folder`; those being written stay."""
    for stale in folder.glob(f"{TEMPORARY}*"):
        # Locked by its writer, gone meanwhile, not ours to remove, or no lock to be had here: it stays.
        with contextlib.suppress(OSError):
            descriptor = os.open(stale, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                stale.unlink()
            finally:
                os.close(descriptor)


def write_all(descriptor: int, data: memoryview) -> None:
    """Write all of `data` (bytes), however few of them the system takes at a time."""
    while data:
        data = data[os.write(descriptor, data[:WRITE_AT_MOST]) :]


def sync(descriptor: int) -> None:
    """Force what was written to `descriptor` onto the medium."""
    if sys.platform == "darwin":
        # fsync leaves the data in the drive's cache there
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    else:
        os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable: files created, renamed and removed."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # file systems that cannot sync a folder (CIFS) say so like this
            raise
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _told(path: Path, needed: int) -> Generator[None, None, None]:
    """An OSError within becomes the StorageError of `path`."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, path, needed) from error


def _temporary(folder: Path) -> Path:
    return folder / f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(8)}"


def _create(temporary: Path, mode: int) -> int:
    """A new file, open and locked; -1 where a sweep came between the two."""
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
    with contextlib.suppress(OSError):  # no locks on this file system: `sweep` then leaves it alone
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    if os.fstat(descriptor).st_nlink:
        return descriptor
    os.close(descriptor)
    return -1
