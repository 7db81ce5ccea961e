"""Detect whether a file has changed since a result about it was cached in memory."""

from __future__ import annotations

import hashlib
from pathlib import Path

from unrolled.core.atomic_files import opening_error

HEAD, TAIL = 1 << 16, 1 << 12  # bytes at the start and at the end of a file that enter the digest

State = tuple[int, int, bytes]


def state_of(path: Path) -> State:
    """Return the size of a file, its modification time, and a digest of its first and last bytes.

    The digest is needed because a clock with few ticks per second cannot distinguish two quick changes.
    Raises UsageError or StorageError if the file cannot be read.
    """
    try:
        stat = path.stat()
        with path.open("rb") as file:
            head = file.read(HEAD)
            file.seek(max(0, stat.st_size - TAIL))
            return stat.st_size, stat.st_mtime_ns, hashlib.blake2b(head + file.read(TAIL)).digest()
    except OSError as error:
        raise opening_error(error, path) from error
