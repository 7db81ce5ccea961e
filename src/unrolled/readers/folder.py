"""A folder of texts: a folder for each class with a text a file, or a `.txt` file for each class with a text a line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ..columns import Wanted
from ..errors import DataError, UsageError
from ..files import opening_error
from ..rows import bare_lines
from ..types import Example, Place


def read(paths: Sequence[Path], wanted: Wanted) -> Iterator[Example]:
    """The examples of folders; the class of each is the name of its folder, or its file's without `.txt`.

    Folders and files in the order of their names. Raises UsageError where x is to be numbers, DataError where a folder
    holds neither, and what reading a text raises.
    """
    if wanted.kind != "text":
        raise UsageError("a folder holds texts, not numbers", expected="a table, .ts or .npz")
    for path in paths:
        try:
            entries = sorted(child for child in path.iterdir() if not child.name.startswith("."))
        except OSError as error:
            raise opening_error(error, path) from error
        classes = [child for child in entries if child.is_dir()]
        if classes:
            yield from _files(classes)
            continue
        lists = [child for child in entries if child.suffix == ".txt"]
        if not lists:
            raise DataError(
                "no texts", file=path, expected="a folder for each class, or a .txt file for each"
            )
        for child in lists:
            for number, line in bare_lines(child):
                if line.strip():
                    yield Example(line, child.stem, Place(child, number))


def _files(classes: Sequence[Path]) -> Iterator[Example]:
    """A text a file, of each class's folder."""
    for folder in classes:
        for child in sorted(folder.rglob("*")):
            if child.is_file() and not child.name.startswith("."):
                text = "\n".join(line for _, line in bare_lines(child))
                yield Example(text, folder.name, Place(child, 1))
