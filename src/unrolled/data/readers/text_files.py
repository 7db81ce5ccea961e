"""Plain text: files and folders, in UTF-8, in UTF-16 or UTF-32 with a byte order mark, or in an encoding that is named;
gzipped too.

Line ends are "\\n", "\\r\\n" or "\\r" and come out as "\\n". At most about 2 MiB of a file stand in memory: long
documents are passed on in pieces.
"""

from __future__ import annotations

import codecs
import io
import stat
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from unrolled.core.errors import DataError, UsageError, suggest
from unrolled.core.regular_files import require_regular
from unrolled.core.types import Document, Place
from unrolled.data.folder_files import files_below
from unrolled.data.text.encoding import PACKED, Foreign, blocks, find_encoding, opened

EXTENSIONS = (".txt",)
# Files of a folder that hold text for people, whatever else is in it.
PROSE = (".txt", ".text", ".md", ".markdown", ".rst", ".adoc", ".org", ".tex", ".srt", ".vtt")
PIECE = 1 << 20  # characters of a piece of a long document, and of the longest line where lines matter

_FOREIGN: Foreign = (  # what people hand in by mistake: first bytes, name, what to do
    (b"%PDF-", "a PDF", "pdftotext FILE.pdf FILE.txt"),
    (
        b"PK\x03\x04",
        "a ZIP archive, or a DOCX, ODT or EPUB document",
        "saving it as plain text, or unpacking it",
    ),
    *PACKED,
    (b"\xd0\xcf\x11\xe0", "an old Office document", "saving it as plain text"),
    (b"{\\rtf", "an RTF document", "saving it as plain text"),
    (b"\x89PNG", "a PNG picture", None),
    (b"\xff\xd8\xff", "a JPEG picture", None),
    (b"\x7fELF", "a program", None),
    (b"RIFF", "a RIFF (WAV, AVI) file", None),
)


def read(paths: Sequence[Path], documents: str = "file", encoding: str | None = None) -> Iterator[Document]:
    """The documents of some files and folders, in the order given, pieces of long ones one after the other.

    documents: `file` (a whole file is one), `line` (each line that is not blank) or `blank` (separated by blank
    lines).  encoding: of files without a byte order mark.  A folder stands for its files with an ending of PROSE
    (`.gz` may follow) at any depth, sorted by path, or, without any, for all its files that look like text; empty ones
    are left out there.
    Raises UsageError (no such file, unknown `documents`), StorageError (the disk, permissions) and DataError: empty
    file, no examples (white space only), bytes that are not text, NUL characters, a line over PIECE characters
    where lines are documents.
    """
    if documents not in _DOCUMENTS:
        expected, hint = " or ".join(_DOCUMENTS), suggest(documents, _DOCUMENTS)
        raise UsageError(f"unknown way of cutting documents {documents!r}", expected=expected, hint=hint)
    found = False
    for path in expand(paths)[0]:
        for document in _DOCUMENTS[documents](path, _blocks(path, encoding)):
            found = found or bool(document.text.strip())
            yield document
    if not found:
        file = paths[0] if len(paths) == 1 else None
        raise DataError("no examples: only white space", file=file, expected="text")


def expand(
    paths: Sequence[Path], extensions: tuple[str, ...] = EXTENSIONS
) -> tuple[list[Path], tuple[Path, ...]]:
    """Files in order, each folder replaced by its texts: files with these extensions or an ending of PROSE (`.gz` may
    follow), or if there are none, all that look like text. Second, the other files of the folders. Raises as `read`.
    """
    files: list[Path] = []
    others: list[Path] = []
    for path in map(Path, paths):
        status = require_regular(path, folder=True)
        if stat.S_ISDIR(status.st_mode):
            texts, rest = _folder(path, extensions)
            files += texts
            others += rest
        elif status.st_size == 0:
            raise DataError("empty file", file=path, expected="text")
        else:
            files.append(path)
    return files, tuple(others)


def _folder(folder: Path, extensions: tuple[str, ...]) -> tuple[list[Path], list[Path]]:
    """The texts of a folder, and its other files; hidden and empty ones are neither."""
    visible = [path for path in files_below(folder) if path.stat().st_size]
    prose = (*extensions, *PROSE)
    texts = [path for path in visible if path.name.lower().removesuffix(".gz").endswith(prose)]
    texts = texts or [path for path in visible if _looks_like_text(path)]
    if not texts:
        raise DataError(
            "no text files in this folder",
            file=folder,
            expected=" or ".join(f"*{ending}" for ending in dict.fromkeys(prose)),
        )
    return texts, [path for path in visible if path not in set(texts)]


def _looks_like_text(path: Path) -> bool:
    try:
        with opened(path) as file:
            head = file.read(8192)
    except (OSError, EOFError, zlib.error):
        return False
    encoding, mark = find_encoding(head)
    try:
        return "\0" not in codecs.getincrementaldecoder(encoding)().decode(head[mark:])
    except UnicodeDecodeError:
        return False


def _blocks(path: Path, encoding: str | None) -> Iterator[str]:
    """The text of a file in blocks, line ends as "\\n"."""
    newlines = io.IncrementalNewlineDecoder(None, translate=True)
    for block in blocks(path, _FOREIGN, "plain text", encoding):
        yield newlines.decode(block)
    yield newlines.decode("", final=True)  # a "\\r" that nothing followed


def _whole_file(path: Path, blocks: Iterator[str]) -> Iterator[Document]:
    text, line, first = "", 1, True
    for block in blocks:
        text += block
        while len(text) > PIECE:
            cut = _cut(text)
            yield Document(text[:cut], Place(path, line), first, last=False)
            line += text.count("\n", 0, cut)
            text, first = text[cut:], False
    yield Document(text, Place(path, line), first, last=True)


def _cut(text: str) -> int:
    """Where a piece of at most PIECE characters ends: after a line end, else after white space, else anywhere."""
    for separators in ("\n", " \t\u3000"):
        cut = max(text.rfind(separator, PIECE // 2, PIECE) for separator in separators) + 1
        if cut:
            return cut
    return PIECE


def _lines(path: Path, blocks: Iterator[str]) -> Iterator[tuple[int, str]]:
    """Lines with their numbers, without their ends; raises DataError for one over PIECE characters."""
    number, rest = 0, ""
    for block in blocks:
        *lines, rest = (rest + block).split("\n")
        for line in lines:
            number += 1
            if len(line) > PIECE:
                raise _too_long(path, number)
            yield number, line
        if len(rest) > PIECE:
            raise _too_long(path, number + 1)
    if rest:
        yield number + 1, rest


def _too_long(path: Path, line: int) -> DataError:
    expected, hint = f"at most {PIECE:,} characters", "--documents file"
    return DataError("line too long", file=path, line=line, expected=expected, hint=hint)


def _each_line(path: Path, blocks: Iterator[str]) -> Iterator[Document]:
    for number, line in _lines(path, blocks):
        if line and not line.isspace():
            yield Document(line, Place(path, number))


def _between_blanks(path: Path, blocks: Iterator[str]) -> Iterator[Document]:
    held: list[str] = []
    start, size, first = 0, 0, True
    for number, line in _lines(path, blocks):
        if not line or line.isspace():
            if held:
                yield Document("\n".join(held), Place(path, start), first, last=True)
            held, size, first = [], 0, True
            continue
        if size > PIECE:  # passed on only now that more is known to follow
            yield Document("\n".join(held) + "\n", Place(path, start), first, last=False)
            held, size, first = [], 0, False
        if not held:
            start = number
        held.append(line)
        size += len(line) + 1
    if held:
        yield Document("\n".join(held), Place(path, start), first, last=True)


_DOCUMENTS: dict[str, Callable[[Path, Iterator[str]], Iterator[Document]]] = {
    "file": _whole_file,
    "line": _each_line,
    "blank": _between_blanks,
}
