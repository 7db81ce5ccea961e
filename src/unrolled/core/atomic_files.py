"""Write files so that a crash, a kill or a full disk never loses the previous content.

A file is written to a temporary sibling, synced, renamed over the old one, and its folder is synced
(the order SQLite and LevelDB use). The writer holds a lock on its temporary file. So `sweep` can tell the files of
killed processes from those that are being written. The first write into a folder sweeps it. POSIX only (flock,
folder sync).
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

TEMPORARY = ".unrolled-tmp-"  # how the names of temporary files and folders begin
_SWEPT: set[Path] = set()  # folders in which this process has removed what others left
WRITE_AT_MOST = 1 << 28  # bytes a system call: Linux cuts at 2 GiB, a signal is answered in between


def write_atomically(path: Path, *pieces: bytes | memoryview, mode: int = 0o644) -> None:
    """Replace `path` by the `pieces`, one after the other, as a whole or not at all; durable when this returns.

    A symbolic link stays and its target is replaced. A replaced file keeps its permissions and its group, and the
    temporary file has them from the beginning. A new file gets `mode` less the umask. Raises StorageError (the old
    file intact, the temporary removed) where the disk refuses, UsageError where `path` is no regular file.
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

    # A name before a file: a signal may come as soon as there is one.
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
    """Raise UsageError where `path` exists and `force` is off: nothing is overwritten unasked."""
    if path.exists() and not force:
        raise UsageError("exists already", file=path, hint="another name, or --force to replace it")


def sweep(folder: Path) -> None:
    """Remove the temporary files and folders that killed processes of this user left in `folder`.

    Those being written are locked and stay.
    """
    for stale in folder.glob(f"{TEMPORARY}*"):
        # Locked by its writer, gone meanwhile, not ours to remove, or no lock to be had here: it stays.
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
    """An empty folder that only this user can read; it is removed when the block ends.

    parent: where it stands; None: where the system has its temporary files. Folders that killed processes left
    there are removed first. Raises StorageError where the disk refuses.
    """
    import tempfile  # only this needs it, and every start would pay for it

    home = Path(tempfile.gettempdir()) if parent is None else parent
    sweep(home)
    folder, descriptor = _temporary(home), -1
    try:
        try:
            while (descriptor := _create_folder(folder)) < 0:
                folder = _temporary(home)
        except OSError as error:
            what = f"cannot hold temporary files: {error.strerror or error}"
            raise StorageError(what, file=home, hint="TMPDIR=FOLDER before the command") from error
        yield folder
    finally:
        # The descriptor holds the lock that keeps `sweep` away, so it is closed last.
        shutil.rmtree(folder, ignore_errors=True)
        if descriptor >= 0:
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
    return _locked(temporary, os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode))


def _create_folder(folder: Path) -> int:
    """A new folder, open and locked; -1 where a sweep came between the two."""
    folder.mkdir(mode=0o700)
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return -1
    return _locked(folder, descriptor)


def _locked(path: Path, descriptor: int) -> int:
    """The descriptor of `path` with a lock on it; -1, and closed, where `path` was removed meanwhile."""
    with contextlib.suppress(OSError):  # no locks on this file system: `sweep` then leaves it alone
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    now = _status(path)
    if now is not None and os.path.samestat(now, os.fstat(descriptor)):
        return descriptor
    os.close(descriptor)
    return -1


def _open_stale(path: Path) -> int:
    """Open for a lock, which some file systems give only to who may write; a link or a pipe is not followed."""
    flags = os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        return os.open(path, os.O_RDWR | flags)
    except (IsADirectoryError, PermissionError):
        return os.open(path, os.O_RDONLY | flags)


def _status(path: Path) -> os.stat_result | None:
    """What the system says of a file; None where there is none."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _take_permissions(descriptor: int, of: os.stat_result) -> None:
    """Give a new file the owner, the group and the mode of another one, as far as this user may."""
    if (os.geteuid(), os.getegid()) != (of.st_uid, of.st_gid):
        with contextlib.suppress(PermissionError):
            os.fchown(descriptor, of.st_uid if os.geteuid() == 0 else -1, of.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(of.st_mode))
