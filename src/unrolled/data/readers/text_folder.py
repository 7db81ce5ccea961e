"""Read folders of texts in one of two layouts.

- One folder per class, with one text per file.
- One `.txt` file per class, with one text per line.
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

TARGETS = ("label", None)  # supported targets


def read(paths: Sequence[Path], wanted: ReadRequest) -> Iterator[Example]:
    """Yield the texts of folders.

    The class of a text is the name of its folder, or of its file without `.txt`.

    Folders and files are read in the order of their names. Hidden files and blank lines are ignored. Files
    that belong to no class are ignored and reported to `wanted.noted`. Up to `skip_bad` texts that raise
    DataError are skipped.

    Raises UsageError if the request is for anything else than the class of a text. Raises DataError if a
    folder has neither folders nor .txt files, or if they contain no texts. Raises the errors of reading a
    text.
    """
    if not wanted.content.words:
        raise UsageError("a folder of texts has no numbers", expected="a table, .ts or .npz")
    if wanted.target not in TARGETS:
        raise UsageError(
            f"a folder of texts has only classes, no {wanted.target}", expected="a table or CoNLL"
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
            expected = "one folder per class, or one .txt file per class"
            raise DataError("no texts", file=path, expected=expected)
        texts = [(child, whole_number(folder.name)) for folder in folders for child in _below(folder)]
        used = set[Path]() if texts else set(lists)
        for child in entries:
            if child.is_file() and child not in used and wanted.noted is not None:
                kind = "a file next to the folders of the classes" if texts else "not a .txt file"
                wanted.noted(Place(child, 1), f"{kind}, ignored")
        for child, name in texts or [(child, whole_number(child.stem)) for child in lists]:
            try:
                for example in _texts(child, name, wanted.files.encoding, whole=bool(texts)):
                    found = True
                    yield example
            except DataError as error:
                at = error.line or 1
                bad(DataError(error.what, file=child, line=at, expected=error.expected, hint=error.hint))
    if not found:
        raise no_examples(paths, "no texts", "a text in each file, or on each line of the files")


def _below(folder: Path) -> Iterator[Path]:
    """Yield the files of a class, including files in its subfolders."""
    for child in folder_files.entries(folder):
        if child.is_dir():
            yield from _below(child)
        elif child.is_file():
            yield child


def _texts(path: Path, name: str, encoding: str | None, *, whole: bool) -> Iterator[Example]:
    """Yield the text of a file (`whole`), or one text per line."""
    if whole:
        yield Example("\n".join(line for _, line in bare_lines(path, encoding)), name, Place(path, 1))
        return
    for number, line in bare_lines(path, encoding):
        if line.strip():
            yield Example(line, name, Place(path, number))
