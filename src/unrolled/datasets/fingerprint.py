"""Fingerprints of training data: SHA-256 of files and of sequences in memory.

Encoded data is used again only if its key is the same (`is_prepared`). A run resumes only if the fingerprints of its
data are the same (`training/run_folder.py` compares them).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unrolled.core.atomic_files import opening_error
from unrolled.core.types import Example
from unrolled.core.version import __version__


def key_of(data: str, valid: str | None, config: Any) -> dict[str, Any]:
    """What must be the same for encoded data to be used again, as JSON: the files' fingerprints, the configuration, and
    the release, since another one may encode otherwise."""
    return json.loads(json.dumps({"release": __version__, "data": data, "valid": valid, "config": config}))


def is_prepared(index: Path, key: dict[str, Any]) -> bool:
    """Whether data with this key stand where `index` says so."""
    try:
        return json.loads(index.read_text(encoding="utf-8"))["key"] == key
    except (OSError, ValueError, KeyError, TypeError):
        return False


def fingerprint(paths: Sequence[Path]) -> str:
    """SHA-256 over names and bytes of the files; folders by their files, sorted."""
    digest = hashlib.sha256()
    for path in paths:
        files = sorted(child for child in path.rglob("*") if child.is_file()) if path.is_dir() else [path]
        for file in files:
            digest.update(
                f"{file.relative_to(path) if path.is_dir() else file.name}\0".encode(
                    "utf-8", "surrogateescape"
                )
            )
            try:
                with file.open("rb") as stream:
                    digest.update(hashlib.file_digest(stream, "sha256").digest())
            except OSError as error:
                raise opening_error(error, file) from error
    return digest.hexdigest()


def fingerprint_examples(examples: Iterable[Example]) -> str:
    """SHA-256 over sequences in memory and their targets."""
    digest = hashlib.sha256()
    for example in examples:
        x = example.x
        if isinstance(x, np.ndarray):
            digest.update(f"{x.dtype} {x.shape}".encode() + np.ascontiguousarray(x).tobytes())
        listed = None if isinstance(x, np.ndarray) else np.asarray(x).tolist()
        digest.update(repr((listed, example.y)).encode("utf-8", "surrogatepass"))
        if example.weight != 1.0:
            digest.update(f" weight {example.weight!r}".encode())
    return digest.hexdigest()
