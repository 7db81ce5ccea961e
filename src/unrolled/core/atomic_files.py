"""Write files atomically: a crash, a killed process or a full disk never loses the previous content.

The order is that of SQLite and LevelDB:
1. Write a temporary file in the same folder, and sync it.
2. Rename it over the old file.
3. Sync the folder.

The writer has a lock on its temporary file. So `sweep` can distinguish the files of killed processes from
files that are still being written. The first write into a folder sweeps it. POSIX only (flock, folder sync).
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

TEMPORARY = ".unrolled-tmp-"  # prefix of the names of temporary files and folders
_SWEPT: set[Path] = set()  # folders that this process has already swept
# Maximum bytes per system call. Linux writes at most 2 GiB per call, and signals are handled between the
# calls.
WRITE_AT_MOST = 1 << 28


def write_atomically(path: Path, *pieces: bytes | memoryview, mode: int = 0o644) -> None:
    """Replace the content of `path` by the `pieces`, one after the other.

    The new content is durable on return.
    - If `path` is a symbolic link, its target is replaced.
    - A replaced file keeps its permissions and its group. The temporary file has them from the beginning.
    - A new file gets `mode` without the bits of the umask.

    Raises StorageError if the file cannot be written. The old file then stays; the temporary file is removed.
    Raises UsageError if `path` is not a regular file.
    """
    views = [memoryview(piece).cast("B") for piece in pieces]
    with atomic_writer(path, mode=mode, needed=sum(map(len, views))) as write:
        for view in views:
            write(view)


@contextlib.contextmanager
def atomic_writer(
    path: Path, *, mode: int = 0o644, needed: int = 0
) -> Generator[Callable[[bytes | memoryview], None], None, None]:
    """Return a function that appends bytes to the new content of `path`, for a `with` block.

    At the end of the block, the new content replaces the old content, as in `write_atomically`. After an
    error in the block, the old content stays and the temporary file is removed.
    needed: number of bytes to come, for messages.
    """
    path = Path(os.path.realpath(path))
    with _told(path, needed):
        before = _status(path)
    if before is not None and not stat.S_ISREG(before.st_mode):
        raise UsageError("is not a regular file", file=path, hint="another name")
    if path.parent not in _SWEPT:
        sweep(path.parent)
        _SWEPT.add(path.parent)
    written = 0

    def write(data: bytes | memoryview) -> None:
        nonlocal written
        written += len(data)
        with _told(path, max(needed, written)):
            write_all(descriptor, memoryview(data))

    # The name is stored before the file exists, so that a signal at any time leads to its removal.
    temporary, descriptor = _temporary(path.parent), -1
    try:
        with _told(path, needed):
            while (descriptor := _create(temporary, mode if before is None else 0o600)) < 0:
                temporary = _temporary(path.parent)
            if before is not None:
                _take_permissions(descriptor, before)
        yield write
        with _told(path, written):
            now = _status(path)
            if now is not None and (before is None or now.st_mode != before.st_mode):
                _take_permissions(descriptor, now)
            sync(descriptor)
            os.replace(temporary, path)
    finally:
        # The descriptor has the lock against `sweep`, so it is closed last.
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108 - one of the system calls, like os.replace
        if descriptor >= 0:
            os.close(descriptor)
    try:
        sync_folder(path.parent)
    except OSError as error:
        what = f"is written, but its folder could not be synced: {error.strerror or error}"
        raise StorageError(what, file=path, hint="checking the disk, then the command again") from error


def storage_error(error: OSError, path: Path, needed: int | None = None) -> StorageError:
    """Return the StorageError for an OSError.

    needed: number of bytes that could not be written; None: another operation failed.
    """
    if needed is None:
        return StorageError(f"{error.strerror or error}", file=path)
    if not path.parent.exists():
        return StorageError(
            "cannot write: its folder does not exist", file=path, hint=f"mkdir -p {path.parent}"
        )
    what = f"cannot write: {error.strerror or error} ({needed:,} bytes needed"
    with contextlib.suppress(OSError):
        what += f", {shutil.disk_usage(path.parent).free:,} free"
    return StorageError(f"{what}); existing files are intact", file=path, hint="another folder with --out")


def opening_error(error: OSError, path: Path) -> UnrolledError:
    """Return the error for a `path` that cannot be read.

    It is a UsageError (exit code 2) for a wrong name, and a StorageError (exit code 3) for anything else.
    """
    if error.errno == errno.ELOOP:
        what = "is a symbolic link that leads back to itself"
        return UsageError(what, file=path, expected="a file", hint="removing the link")
    if error.errno == errno.ENAMETOOLONG:
        return UsageError("there is no such file: the name is too long", file=path)
    match error:
        case FileNotFoundError() | NotADirectoryError():
            return UsageError("there is no such file", file=path)
        case IsADirectoryError():
            return UsageError("is a folder", file=path, expected="a file")
        case _:
            return StorageError(f"cannot read: {error.strerror or error}", file=path)


def refuse_to_overwrite(path: Path, *, force: bool) -> None:
    """Raise UsageError if `path` exists and `force` is False."""
    if path.exists() and not force:
        raise UsageError("exists already", file=path, hint="another name, or --force to replace it")


def sweep(folder: Path) -> None:
    """Remove the temporary files and folders that killed processes of this user left in `folder`.

    Files that are still being written are locked and are not removed.
    """
    for stale in folder.glob(f"{TEMPORARY}*"):
        # Ignore a file that is locked by its writer, removed meanwhile, not permitted, or that cannot be
        # locked.
        with contextlib.suppress(OSError):
            descriptor = _open_stale(stale)
            try:
                status = os.fstat(descriptor)
                if status.st_uid != os.geteuid():
                    continue
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if stat.S_ISDIR(status.st_mode):
                    shutil.rmtree(stale, ignore_errors=True)
                else:
                    stale.unlink()
            finally:
                os.close(descriptor)


@contextlib.contextmanager
def temporary_folder(parent: Path | None = None) -> Generator[Path, None, None]:
    """Create an empty folder that only this user can read, for a `with` block.

    It is removed at the end of the block.
    parent: the folder in which it is created; None: the system's folder for temporary files. Temporary
        folders that killed processes left there are removed first.
    Raises StorageError if the folder cannot be created.
    """
    import tempfile  # imported here to keep the start of every command fast

    home = Path(tempfile.gettempdir()) if parent is None else parent
    sweep(home)
    folder, descriptor = _temporary(home), -1
    try:
        try:
            while (descriptor := _create_folder(folder)) < 0:
                folder = _temporary(home)
        except OSError as error:
            what = f"cannot create a temporary folder: {error.strerror or error}"
            raise StorageError(what, file=home, hint="TMPDIR=FOLDER before the command") from error
        yield folder
    finally:
        # The descriptor has the lock against `sweep`, so it is closed last.
        shutil.rmtree(folder, ignore_errors=True)
        if descriptor >= 0:
            os.close(descriptor)


def write_all(descriptor: int, data: memoryview) -> None:
    """Write all of `data`. One system call may write only a part of it."""
    while data:
        data = data[os.write(descriptor, data[:WRITE_AT_MOST]) :]


def sync(descriptor: int) -> None:
    """Force the data written to `descriptor` onto the medium."""
    if sys.platform == "darwin":
        # On macOS, fsync leaves the data in the cache of the drive.
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    else:
        os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Make changes of the names in `folder` durable: created, renamed and removed files."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # the error of file systems that cannot sync a folder (CIFS)
            raise
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _told(path: Path, needed: int) -> Generator[None, None, None]:
    """Convert an OSError in the `with` block to the StorageError of `path`."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, path, needed) from error


def _temporary(folder: Path) -> Path:
    return folder / f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(8)}"


def _create(temporary: Path, mode: int) -> int:
    """Create, open and lock a file.

    Return its descriptor; -1 if a sweep removed the file before it was locked.
    """
    return _locked(temporary, os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode))


def _create_folder(folder: Path) -> int:
    """Create, open and lock a folder.

    Return its descriptor; -1 if a sweep removed it before it was locked.
    """
    folder.mkdir(mode=0o700)
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return -1
    return _locked(folder, descriptor)


def _locked(path: Path, descriptor: int) -> int:
    """Lock `descriptor` and return it. If `path` was removed meanwhile, close it and return -1."""
    with contextlib.suppress(OSError):  # a file system without locks; there, `sweep` removes nothing
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    now = _status(path)
    if now is not None and os.path.samestat(now, os.fstat(descriptor)):
        return descriptor
    os.close(descriptor)
    return -1


def _open_stale(path: Path) -> int:
    """Open a file or folder to lock it. Links are not followed, and a pipe does not block.

    The file is opened for writing if possible, because some file systems need this for a lock.
    """
    flags = os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        return os.open(path, os.O_RDWR | flags)
    except (IsADirectoryError, PermissionError):
        return os.open(path, os.O_RDONLY | flags)


def _status(path: Path) -> os.stat_result | None:
    """Return the status of a file; None if it does not exist."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _take_permissions(descriptor: int, of: os.stat_result) -> None:
    """Set the owner, the group and the mode of a new file to those of another file, as far as permitted."""
    if (os.geteuid(), os.getegid()) != (of.st_uid, of.st_gid):
        with contextlib.suppress(PermissionError):
            os.fchown(descriptor, of.st_uid if os.geteuid() == 0 else -1, of.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(of.st_mode))
