"""Detect whether a file has changed since a result about it was kept in memory."""

from __future__ import annotations

import hashlib
from pathlib import Path

from unrolled.core.atomic_files import opening_error

HEAD, TAIL = 1 << 16, 1 << 12  # bytes looked at

State = tuple[int, int, bytes]


def state_of(path: Path) -> State:
    """Size, time of the last change, and a digest of the beginning and the end of a file: a clock of few ticks a second
    does not tell two changes apart. Raises UsageError or StorageError if it cannot be read."""
    try:
        stat = path.stat()
        with path.open("rb") as file:
            head = file.read(HEAD)
            file.seek(max(0, stat.st_size - TAIL))
            return stat.st_size, stat.st_mtime_ns, hashlib.blake2b(head + file.read(TAIL)).digest()
    except OSError as error:
        raise opening_error(error, path) from error
