"""Fingerprints of training data: SHA-256 of files and of sequences in memory.

They decide two things:
- Encoded data is reused only if the fingerprints of its source are the same (prepared_folder.py).
- A run is resumed only if the fingerprints of its data are the same (training/run_folder.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence, Set
from pathlib import Path

import numpy as np

from unrolled.core.atomic_files import opening_error
from unrolled.core.errors import DataError
from unrolled.core.regular_files import open_regular
from unrolled.core.types import Example
from unrolled.data.folder_files import files_below, is_model
from unrolled.data.media_fragment import whole_of


def fingerprint(paths: Sequence[Path], ignored: Iterable[Path] = ()) -> str:
    """Return the SHA-256 of the names and the bytes of the files. For a folder, it covers its files, sorted.

    Files in folders that are not data are ignored (data/folder_files.py): they can change without a change of
    the data. ignored: files in folders that the reader does not read.
    Raises UsageError or StorageError if a file cannot be read.
    """
    unread = set(ignored)
    digest = hashlib.sha256()
    for path in paths:
        folder = path.is_dir()
        for file in _files_of(path, unread) if folder else [path]:
            name = str(file.relative_to(path)) if folder else file.name
            digest.update(f"{name}\0".encode("utf-8", "surrogateescape"))
            try:
                with open_regular(whole_of(file)[0]) as stream:
                    digest.update(hashlib.file_digest(stream, "sha256").digest())
            except OSError as error:
                raise opening_error(error, file) from error
    return digest.hexdigest()


def _files_of(folder: Path, unread: Set[Path]) -> list[Path]:
    return [file for file in files_below(folder) if file not in unread and not is_model(file)]


def require_unchanged(again: Callable[[], str] | None, before: str) -> None:
    """Raise DataError if the files have changed since they were first read.

    again: computes the fingerprint of the files again; None for data in memory.
    before: the first fingerprint.
    """
    if again is not None and again() != before:
        what = "the data changed while it was read"
        raise DataError(
            what, expected="files that do not change", hint="again when no program writes to the files"
        )


def fingerprint_examples(examples: Iterable[Example]) -> str:
    """Return the SHA-256 of sequences in memory, their targets and their weights."""
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
