"""Fingerprints of training data: SHA-256 of files and of sequences in memory.

Encoded data are used again only if they are of the same fingerprints (prepared_folder.py). A run resumes only if the
fingerprints of its data are the same (training/run_folder.py compares them).
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
    """SHA-256 over names and bytes of the files; folders by their files, sorted.

    Files in folders that are no data do not count (data/folder_files.py): they come and go without any change of the
    data. The same holds for `ignored`, which the reader does not read. Raises UsageError, StorageError.
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
    """Raise DataError where data in files are not what they were when they were read first.

    again: computes their fingerprint once more, which was `before`; None where they are in memory.
    """
    if again is not None and again() != before:
        what = "the data changed while they were read"
        raise DataError(
            what, expected="files that stay as they are", hint="the same again when nothing writes to them"
        )


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
