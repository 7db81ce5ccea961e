"""Bytes of a text file to characters, block by block: encodings, gzip, damage.

What all readers of text share. UTF-8, or UTF-16 and UTF-32 with a byte order mark; gzipped where the name ends in .gz.
"""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from unrolled.core.atomic_files import storage_error
from unrolled.core.errors import DataError
from unrolled.core.regular_files import require_regular

BLOCK = 1 << 20  # bytes read at once

Foreign = Sequence[tuple[bytes, str, str | None]]  # other files' first bytes, their name, and what to do

_MARKS = (  # the UTF-32 marks begin like UTF-16's and come first
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
PACKED: Foreign = (
    (b"\x1f\x8b", "a gzip file", "renaming it to FILE.gz"),
    (b"BZh", "a bzip2 file", "bunzip2 FILE"),
    (b"\xfd7zXZ\0", "an xz file", "unxz FILE"),
    (b"\x28\xb5\x2f\xfd", "a zstd file", "unzstd FILE"),
)


def opened(path: Path) -> io.BufferedIOBase:
    """The file for reading its bytes, unpacked where it is gzipped. Raises UsageError where it is no regular file."""
    require_regular(path)
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")


def find_encoding(head: bytes) -> tuple[str, int]:
    """The encoding that a byte order mark at the beginning tells, and the length of the mark; without one UTF-8, 0."""
    return next(((name, len(mark)) for mark, name in _MARKS if head.startswith(mark)), ("utf-8", 0))


def blocks(path: Path, foreign: Foreign, expected: str) -> Iterator[str]:
    """The text of a file in blocks, decoded strictly, line ends as they are.

    foreign: what the file must not begin with; expected: what it should be, for that message. Raises DataError (bytes
    that are not text with their offset, NUL characters, damaged gzip, nothing), StorageError where the disk refuses.
    """
    try:
        with opened(path) as file:
            head = file.read(BLOCK)
            for magic, name, hint in foreign:
                if head.startswith(magic):
                    raise DataError(f"this is {name}", file=path, expected=expected, hint=hint)
            encoding, mark = find_encoding(head)
            if len(head) == mark:
                raise DataError("empty file", file=path, expected="text")
            yield from _decode(path, encoding, mark, head[mark:], lambda: file.read(BLOCK))
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"damaged gzip file: {error}", file=path, expected="a whole .gz file") from error
    except OSError as error:
        raise storage_error(error, path) from error


def _decode(path: Path, encoding: str, offset: int, block: bytes, more: Callable[[], bytes]) -> Iterator[str]:
    """Decode block after block; offset: byte of the file at which `block` begins."""
    decoder = codecs.getincrementaldecoder(encoding)()
    newlines = io.IncrementalNewlineDecoder(None, translate=True)  # only to count them
    line = 1
    while True:
        pending = len(decoder.getstate()[0])
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            line += newlines.decode(error.object[: error.start].decode(encoding, "replace")).count("\n")
            raise _not_text(path, line, offset - pending + error.start, error) from error
        if "\0" in text:
            line += newlines.decode(text[: text.index("\0")]).count("\n")
            hint = "iconv -f UTF-16 -t UTF-8 if it is UTF-16 without a byte order mark"
            raise DataError("NUL character", file=path, line=line, expected="text in UTF-8", hint=hint)
        line += newlines.decode(text).count("\n")
        if text:
            yield text
        if not block:
            return
        offset += len(block)
        block = more()


def _not_text(path: Path, line: int, byte: int, error: UnicodeDecodeError) -> DataError:
    encoding = error.encoding.upper()
    if error.reason in ("unexpected end of data", "truncated data"):
        what = f"file ends inside a character at byte {byte:,}"
        return DataError(what, file=path, line=line, expected=encoding)
    what = f"byte 0x{error.object[error.start]:02x} at offset {byte:,} is not {encoding}"
    hint = f"iconv -f WINDOWS-1252 -t UTF-8 {path.name}" if encoding == "UTF-8" else "saving it as UTF-8"
    return DataError(what, file=path, line=line, expected="text in UTF-8", hint=hint)
