"""A folder of encoded data with its seal: what was encoded, and the SHA-256 of every file in it.

Encoded data are used again only where the key is the same and every byte is as it was written. Otherwise they are
encoded anew: the source is the same, so nothing is lost.
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
PARTS = ("train", "valid")  # the folders of encoded data beside the seal


@dataclass(frozen=True)
class Sealed:
    """What the maker of a folder keeps beside its data; damaged: whether data were there that could not be used."""

    content: dict[str, object]
    damaged: bool


def key_of(data: str, valid: str | None, config: object) -> dict[str, object]:
    """What must be the same for encoded data to be used again, as JSON: the files' fingerprints, the configuration, and
    the release, since another one may encode otherwise."""
    return json.loads(json.dumps({"release": __version__, "data": data, "valid": valid, "config": config}))


def reuse_or_make(folder: Path, key: dict[str, object], make: Callable[[], dict[str, object]]) -> Sealed:
    """The data in `folder`; where they are damaged or others, those that `make` writes into its parts.

    `make` returns what is to be kept beside the data, as JSON. Raises StorageError where the disk refuses, and what
    `make` raises.
    """
    before = _read(folder / SEAL)
    same = before is not None and before["key"] == key
    try:
        if before is not None and same and before["files"] == _digests(folder):
            return Sealed(as_object(before["content"]), damaged=False)
        damaged = same or (before is None and (folder / SEAL).exists())
        (folder / SEAL).unlink(missing_ok=True)  # first, so that a kill leaves nothing that looks whole
        folder.mkdir(parents=True, exist_ok=True)
        content = json.loads(json.dumps(make()))
        record: dict[str, object] = {"key": key, "content": content, "files": _digests(folder)}
    except OSError as error:
        raise storage_error(error, folder) from error
    write_atomically(folder / SEAL, json.dumps({**record, "sha256": _digest(record)}).encode())
    return Sealed(content, damaged)


def _read(path: Path) -> dict[str, object] | None:
    """The seal, where it is as it was written."""
    try:
        record = json.loads(path.read_bytes())
        told = record.pop("sha256")
        return record if _digest(record) == told and record.keys() == {"key", "content", "files"} else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file in the parts, by its path in the folder."""
    found: dict[str, str] = {}
    for path in sorted(path for part in PARTS for path in (folder / part).glob("*") if path.is_file()):
        with path.open("rb") as stream:
            found[path.relative_to(folder).as_posix()] = hashlib.file_digest(stream, "sha256").hexdigest()
    return found


def _digest(record: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
