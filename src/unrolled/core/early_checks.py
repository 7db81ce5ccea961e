"""Reject wrong input and output paths before any data is read and before NumPy or torch is imported."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from unrolled.core.atomic_files import opening_error, refuse_to_overwrite
from unrolled.core.errors import DataError, UsageError, suggest


def run_folder_of(model: Path) -> Path:
    """Return the path of the run folder of a model file."""
    return model.with_name(f"{model.name}.run")


def check_inputs(paths: Iterable[Path], expected: str) -> None:
    """Check that each path is a folder, or a regular file that is not empty.

    expected: the expected content of a file, for messages.
    Raises UsageError for a wrong path, DataError for an empty file, StorageError if a path cannot be read.
    """
    for path in paths:
        try:
            size = path.stat().st_size
        except FileNotFoundError as error:
            beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
            raise UsageError("no such file or folder", file=path, hint=suggest(path.name, beside)) from error
        except OSError as error:
            raise opening_error(error, path) from error
        if path.is_dir():
            continue
        if not path.is_file():
            # Data is read more than once, and a pipe would be empty the second time.
            raise UsageError("not a regular file", file=path, hint="writing the data to a file first")
        if not size:
            raise DataError("empty file", file=path, expected=expected)


def check_output(model: Path, *, resume: bool, force: bool) -> None:
    """Check that a model can be written to this path, and that its run folder can be created or resumed.

    Raises UsageError if not.
    """
    if model.is_dir():
        raise UsageError("is a folder", file=model, expected="the name of a file for the model")
    if not model.parent.is_dir():
        raise UsageError("there is no such folder", file=model.parent, hint=f"mkdir -p {model.parent}")
    folder = run_folder_of(model)
    run = (folder / "config.json").exists()
    if run and not resume and not force:
        there = model if model.exists() else folder
        what = "exists already, with its run folder" if model.exists() else "holds a run already"
        raise UsageError(
            what, file=there, hint="--resume to continue it, or --force to start from the beginning"
        )
    if model.exists() and not force and not (resume and folder.exists()):
        hint = (
            f"another name, or --force to replace it; there is no {folder.name} that --resume could continue"
        )
        raise UsageError("exists already", file=model, hint=hint)
    if folder.exists() and not folder.is_dir():
        raise UsageError("is not a run folder", file=folder, hint="another --out")


def check_new_file(path: Path, *, force: bool) -> None:
    """Check that a file can be written to this path. Raises UsageError if not.

    force: whether an existing file may be replaced.
    """
    if path.is_dir():
        raise UsageError("is a folder", file=path, expected="the name of a file")
    if not path.parent.is_dir():
        raise UsageError("there is no such folder", file=path.parent, hint=f"mkdir -p {path.parent}")
    refuse_to_overwrite(path, force=force)
