"""A folder of encoded data with a seal: a file with a key and the SHA-256 of every data file.

Encoded data is reused only if the key is the same and no byte has changed since it was written. Otherwise it
is encoded again from its source, so nothing is lost.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from unrolled.core.atomic_files import storage_error, write_atomically
from unrolled.core.values.json_values import as_object
from unrolled.core.version import __version__

SEAL = "prepared.json"
VECTORS = "vectors"
PARTS = ("train", "valid", VECTORS)  # the folders of encoded data next to the seal


@dataclass(frozen=True)
class Sealed:
    """The content of a seal.

    content: the JSON that `make` returned.
    damaged: whether encoded data existed but had changed, so that it was encoded again.
    """

    content: dict[str, object]
    damaged: bool


def key_of(data: str, valid: str | None, config: object) -> dict[str, object]:
    """Return the key as JSON. Encoded data is reused only if its key is the same.

    The key contains the fingerprints of the files, the configuration and the release: another release may
    encode differently.
    """
    return json.loads(json.dumps({"release": __version__, "data": data, "valid": valid, "config": config}))


def reuse_or_make(folder: Path, key: dict[str, object], make: Callable[[], dict[str, object]]) -> Sealed:
    """Reuse the data in `folder`. If it is damaged or has another key, call `make`, which writes it again.

    make: writes the data into the folders `PARTS` of `folder`, and returns JSON for the seal.
    Raises StorageError if the folder cannot be read or written. Raises the errors of `make`.
    """
    before = _read(folder / SEAL)
    same = before is not None and before["key"] == key
    try:
        if before is not None and same and before["files"] == _digests(folder):
            return Sealed(as_object(before["content"]), damaged=False)
        damaged = same or (before is None and (folder / SEAL).exists())
        # First, so that a killed process leaves no folder that looks complete.
        (folder / SEAL).unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        content = json.loads(json.dumps(make()))
        record: dict[str, object] = {"key": key, "content": content, "files": _digests(folder)}
    except OSError as error:
        raise storage_error(error, folder) from error
    write_atomically(folder / SEAL, json.dumps({**record, "sha256": _digest(record)}).encode())
    return Sealed(content, damaged)


def _read(path: Path) -> dict[str, object] | None:
    """Return the content of a seal file; None if the file is missing or damaged."""
    try:
        record = json.loads(path.read_bytes())
        told = record.pop("sha256")
        return record if _digest(record) == told and record.keys() == {"key", "content", "files"} else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _digests(folder: Path) -> dict[str, str]:
    """Return path in the folder -> SHA-256, for every file of the parts."""
    found: dict[str, str] = {}
    for path in sorted(path for part in PARTS for path in (folder / part).glob("*") if path.is_file()):
        with path.open("rb") as stream:
            found[path.relative_to(folder).as_posix()] = hashlib.file_digest(stream, "sha256").hexdigest()
    return found


def _digest(record: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
