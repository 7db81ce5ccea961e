"""Find files whose names are written in another Unicode form (NFC, NFD); list unused files and extensions."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from unrolled.core.types import Place
from unrolled.data.folder_files import is_model
from unrolled.data.read_request import ReadRequest

_SHOWN = 3  # maximum names in a message


def find_file(path: Path) -> Path:
    """Return the existing file or folder of this name in Unicode form NFC or NFD, else `path` itself.

    macOS writes an accent as a separate character (NFD). Other systems usually do not (NFC).
    """
    if path.exists() or "\0" in str(path):
        return path
    forms = (path.parent / unicodedata.normalize(form, path.name) for form in ("NFC", "NFD"))
    whole = (Path(unicodedata.normalize(form, str(path))) for form in ("NFC", "NFD"))
    return next((other for other in (*forms, *whole) if other.exists()), path)


def tell_not_used(folder: Path, files: Iterable[Path], wanted: ReadRequest) -> None:
    """Report the unused files of a folder to `wanted.noted` in one message. Model files are not reported."""
    names = [file.relative_to(folder).as_posix() for file in files if not is_model(file)]
    if names and wanted.noted is not None:
        shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
        count = f"{len(names):,} files are not used" if len(names) > 1 else "1 file is not used"
        wanted.noted(Place(folder, 1), f"{count}: {shown}")


def extensions_there(files: Sequence[Path]) -> str:
    """Return the number of files per extension as text for an error, such as `20 .m4a, 1 .txt`."""
    counts = Counter(file.suffix.lower() or "without an extension" for file in files)
    return ", ".join(f"{count:,} {name}" for name, count in counts.most_common(_SHOWN)) or "no files"
