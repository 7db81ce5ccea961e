"""Read folders of texts: one folder per class with one text per file, or one `.txt` file per class with one text per
line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from unrolled.core.errors import DataError, UsageError
from unrolled.core.types import Example, Place
from unrolled.data import folder_files
from unrolled.data.fields import whole_number
from unrolled.data.read_request import ReadRequest, bad_row_handler
from unrolled.data.records import bare_lines, no_examples

TARGETS = ("label", None)  # that a folder of texts can have


def read(paths: Sequence[Path], wanted: ReadRequest) -> Iterator[Example]:
    """The examples of folders; the class of each is the name of its folder, or its file's without `.txt`.

    Folders and files in the order of their names; hidden ones and blank lines are passed over, and so are files that
    belong to no class, which `wanted.noted` is told. Raises UsageError where
    anything else is asked for than the class of a text, DataError where a folder holds neither or nothing in them, and
    what reading a text raises; up to `skip_bad` texts of which that is a DataError are left out.
    """
    if not wanted.content.words:
        raise UsageError("a folder holds texts, not numbers", expected="a table, .ts or .npz")
    if wanted.target not in TARGETS:
        raise UsageError(
            f"a folder tells the class of a text, not {wanted.target}", expected="a table or CoNLL"
        )
    if wanted.x or wanted.y or wanted.id or wanted.by:
        raise UsageError("a folder of texts has no columns", expected="no --columns")
    bad = bad_row_handler(wanted)
    found = False
    for path in paths:
        entries = folder_files.entries(path)
        folders = [child for child in entries if child.is_dir()]
        lists = [child for child in entries if child.suffix.lower() == ".txt" and child.is_file()]
        if not folders and not lists:
            expected = "a folder for each class, or a .txt file for each"
            raise DataError("no texts", file=path, expected=expected)
        texts = [(child, whole_number(folder.name)) for folder in folders for child in _below(folder)]
        used = set[Path]() if texts else set(lists)
        for child in entries:
            if child.is_file() and child not in used and wanted.noted is not None:
                kind = "a file beside the folders of the classes" if texts else "no .txt file"
                wanted.noted(Place(child, 1), f"{kind}, passed over")
        for child, name in texts or [(child, whole_number(child.stem)) for child in lists]:
            try:
                for example in _texts(child, name, wanted.files.encoding, whole=bool(texts)):
                    found = True
                    yield example
            except DataError as error:
                at = error.line or 1
                bad(DataError(error.what, file=child, line=at, expected=error.expected, hint=error.hint))
    if not found:
        raise no_examples(paths, "not one text", "a text in each file, or in each line of them")


def _below(folder: Path) -> Iterator[Path]:
    """The files of a class, those of folders in it too."""
    for child in folder_files.entries(folder):
        if child.is_dir():
            yield from _below(child)
        elif child.is_file():
            yield child


def _texts(path: Path, name: str, encoding: str | None, *, whole: bool) -> Iterator[Example]:
    """The text of a file, or a text a line."""
    if whole:
        yield Example("\n".join(line for _, line in bare_lines(path, encoding)), name, Place(path, 1))
        return
    for number, line in bare_lines(path, encoding):
        if line.strip():
            yield Example(line, name, Place(path, number))
