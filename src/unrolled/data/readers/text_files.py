"""Read plain text from files (also gzipped) and folders.

The encoding is UTF-8, UTF-16 or UTF-32 with a byte order mark, or a requested one. The line ends "\\n",
"\\r\\n" and "\\r" are converted to "\\n". At most about 2 MiB of a file are in memory: long documents are
yielded in pieces.
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
# Extensions of prose. If a folder has such files, only they are read.
PROSE = (".txt", ".text", ".md", ".markdown", ".rst", ".adoc", ".org", ".tex", ".srt", ".vtt")
PIECE = 1 << 20  # maximum characters of a piece of a document, and of a line if lines separate documents

_FOREIGN: Foreign = (  # other file types that users pass by mistake: first bytes, name, hint
    (b"%PDF-", "a PDF", "pdftotext FILE.pdf FILE.txt"),
    (
        b"PK\x03\x04",
        "a ZIP archive, or a DOCX, ODT or EPUB document",
        "saving it as plain text, or unpacking it",
    ),
    *PACKED,
    (b"\xd0\xcf\x11\xe0", "an old Office document", "saving it as plain text"),
    (b"{\\rtf", "an RTF document", "saving it as plain text"),
    (b"\x89PNG", "a PNG image", None),
    (b"\xff\xd8\xff", "a JPEG image", None),
    (b"\x7fELF", "a program", None),
    (b"RIFF", "a RIFF (WAV, AVI) file", None),
)


def read(paths: Sequence[Path], documents: str = "file", encoding: str | None = None) -> Iterator[Document]:
    """Yield the documents of files and folders, in the order of `paths`.

    Long documents are yielded in pieces.

    documents: `file` (each file is a document), `line` (each non-blank line) or `blank` (separated by blank
    lines).
    encoding: encoding of files without a byte order mark; None: UTF-8.

    A folder means its files with an extension of PROSE (`.gz` may follow) at any depth, sorted by path. If it
    has no such file, it means all its files that look like text. Empty files of a folder are skipped.

    Raises UsageError if a file does not exist or `documents` is unknown. Raises StorageError if a file cannot
    be read. Raises DataError for an empty file, no examples (only white space), bytes that are not text, NUL
    characters, or, with `line` and `blank`, a line longer than PIECE characters.
    """
    if documents not in _DOCUMENTS:
        expected, hint = " or ".join(_DOCUMENTS), suggest(documents, _DOCUMENTS)
        raise UsageError(f"unknown value {documents!r} for documents", expected=expected, hint=hint)
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
    """Replace each folder by its text files. Return all files in order, and the other files of the folders.

    The text files of a folder have one of `extensions` or of PROSE (`.gz` may follow). If there are none,
    they are all files that look like text. Raises the errors of `read`.
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
    """Return the text files of a folder, and its other files. Hidden and empty files are in neither list."""
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
    """Yield the text of a file in blocks, with line ends converted to "\\n"."""
    newlines = io.IncrementalNewlineDecoder(None, translate=True)
    for block in blocks(path, _FOREIGN, "plain text", encoding):
        yield newlines.decode(block)
    yield newlines.decode("", final=True)  # a "\\r" at the end of the file


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
    """Return where to end a piece of at most PIECE characters.

    It ends after the last line end in its second half. Without a line end there, it ends after the last white
    space in its second half, else after exactly PIECE characters.
    """
    for separators in ("\n", " \t\u3000"):
        cut = max(text.rfind(separator, PIECE // 2, PIECE) for separator in separators) + 1
        if cut:
            return cut
    return PIECE


def _lines(path: Path, blocks: Iterator[str]) -> Iterator[tuple[int, str]]:
    """Yield the lines with their numbers, without line ends.

    Raises DataError for a line over PIECE characters.
    """
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
        if size > PIECE:  # only now is it known that this piece is not the last
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
