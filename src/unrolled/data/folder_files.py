"""List the data files of a folder.

Hidden files, leftover files of editors and file managers, and the run folders of this package are not data.
`is_model` recognises the model files of this package. Models and run folders can be in a data folder, because
`unrolled train language data --out data/m` writes them there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from unrolled.core.atomic_files import opening_error
from unrolled.core.tensor_file import begins_as_ours

RUN = ".run"  # suffix of the name of a run folder
# Names of hidden files, and of files that editors, file managers and unfinished downloads leave in folders.
LITTER = re.compile(
    r"\..*|.*~|~\$.*|#.*#|Thumbs\.db|ehthumbs\.db|desktop\.ini|Icon\r|__MACOSX|\$RECYCLE\.BIN|System Volume Information"
    r"|.*\.(swp|swo|tmp|crdownload)",
    re.IGNORECASE | re.DOTALL,
)


def entries(folder: Path) -> list[Path]:
    """Return the files and folders directly in a folder, sorted by name, without `LITTER` and run folders.

    Raises UsageError or StorageError if the folder cannot be read.
    """
    try:
        return sorted(
            child for child in folder.iterdir() if not (LITTER.fullmatch(child.name) or is_run_folder(child))
        )
    except OSError as error:
        raise opening_error(error, folder) from error


def files_below(folder: Path) -> list[Path]:
    """Return all regular files at any depth, sorted by path.

    `LITTER` files, and the contents of `LITTER` folders and run folders, are ignored. Links to folders are
    followed; each folder is visited once.
    """
    return sorted(_below(folder, {os.path.realpath(folder)}))


def _below(folder: Path, seen: set[str]) -> Iterator[Path]:
    for child in entries(folder):
        if child.is_file():
            yield child
        elif child.is_dir() and (real := os.path.realpath(child)) not in seen:
            seen.add(real)
            yield from _below(child, seen)


def is_run_folder(path: Path) -> bool:
    """Whether a path is the run folder of a training."""
    return path.suffix == RUN and (path / "lock").is_file() and path.is_dir()


def is_model(path: Path) -> bool:
    """Whether a file is a model that this package wrote."""
    try:
        with path.open("rb") as file:
            return begins_as_ours(file.read(64))
    except OSError:
        return False
