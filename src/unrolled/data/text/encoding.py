"""Decode text files block by block: encodings, gzip, damaged files. All readers of text use this module.

A byte order mark determines the encoding (UTF-8, UTF-16, UTF-32). Without one it is the requested encoding,
else UTF-8. Files whose names end in .gz are gzipped.
"""

from __future__ import annotations

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from unrolled.core.atomic_files import storage_error
from unrolled.core.errors import DataError, UsageError, suggest
from unrolled.core.regular_files import require_regular

BLOCK = 1 << 20  # bytes read at once

Foreign = Sequence[tuple[bytes, str, str | None]]  # other file types: first bytes, name, hint

_MARKS = (  # a UTF-32 mark can begin like a UTF-16 mark, so UTF-32 comes first
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
MARKS = tuple(mark for mark, _ in _MARKS)
PACKED: Foreign = (
    (b"\x1f\x8b", "a gzip file", "renaming it to FILE.gz"),
    (b"BZh", "a bzip2 file", "bunzip2 FILE"),
    (b"\xfd7zXZ\0", "an xz file", "unxz FILE"),
    (b"\x28\xb5\x2f\xfd", "a zstd file", "unzstd FILE"),
)


def opened(path: Path) -> io.BufferedIOBase:
    """Open a file to read its bytes, decompressed if it is gzipped.

    Raises UsageError if it does not exist or is not a regular file.
    """
    require_regular(path)
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")


def find_encoding(head: bytes) -> tuple[str, int]:
    """Return the encoding of the byte order mark and the mark's length. Without a mark return UTF-8 and 0."""
    return next(((name, len(mark)) for mark, name in _MARKS if head.startswith(mark)), ("utf-8", 0))


def check_encoding(name: str) -> None:
    """Raise UsageError if Python has no text encoding of this name."""
    try:
        "a".encode(name)
        codecs.getincrementaldecoder(name)
    except (LookupError, UnicodeError, ValueError) as error:
        known = ("utf-8", "utf-16", "cp1252", "latin-1", "cp1251", "shift_jis", "gb18030", "euc_kr", "big5")
        raise UsageError(
            f"unknown encoding {name!r}", expected=", ".join(known) + " ...", hint=suggest(name, known)
        ) from error


def blocks(path: Path, foreign: Foreign, expected: str, given: str | None = None) -> Iterator[str]:
    """Yield the text of a file in blocks. Invalid bytes are errors; line ends are kept.

    The text before an invalid byte is yielded before the error is raised, so that an error in an earlier line
    is reported first.

    foreign: first bytes of other file types, which are rejected.
    expected: what the file should be, for the message about another file type.
    given: encoding of a file without a byte order mark; None: UTF-8.

    Raises DataError for bytes that are not text (with their offset), NUL characters, damaged gzip data,
    another file type or an empty file. Raises StorageError if the file cannot be read.
    """
    try:
        with opened(path) as file:
            head = file.read(BLOCK)
            for magic, name, hint in foreign:
                if head.startswith(magic):
                    raise DataError(f"this is {name}", file=path, expected=expected, hint=hint)
            encoding, mark = find_encoding(head)
            encoding = given if given and not mark else encoding
            if len(head) == mark:
                raise DataError("empty file", file=path, expected="text")
            yield from _decode(path, encoding, mark, head[mark:], lambda: file.read(BLOCK))
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"damaged gzip file: {error}", file=path, expected="a complete .gz file") from error
    except OSError as error:
        raise storage_error(error, path) from error


def _decode(path: Path, encoding: str, offset: int, block: bytes, more: Callable[[], bytes]) -> Iterator[str]:
    """Decode `block` and the blocks from `more`. offset: byte of the file at which `block` begins."""
    decoder = codecs.getincrementaldecoder(encoding)()
    newlines = io.IncrementalNewlineDecoder(None, translate=True)  # only to count them
    line = 1
    while True:
        pending = len(decoder.getstate()[0])
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            before = error.object[: error.start].decode(encoding, "replace")
            if before and "\0" not in before:
                yield before
            line += newlines.decode(before).count("\n")
            raise _not_text(path, line, offset - pending + error.start, error, encoding) from error
        if "\0" in text:
            line += newlines.decode(text[: text.index("\0")]).count("\n")
            hint = "--encoding utf-16-le if it is UTF-16 without a byte order mark"
            raise DataError("NUL character", file=path, line=line, expected="text in UTF-8", hint=hint)
        line += newlines.decode(text).count("\n")
        if text:
            yield text
        if not block:
            return
        offset += len(block)
        block = more()


def _not_text(path: Path, line: int, byte: int, error: UnicodeDecodeError, encoding: str) -> DataError:
    if error.reason in ("unexpected end of data", "truncated data"):
        what = f"file ends inside a character at byte {byte:,}"
        return DataError(what, file=path, line=line, expected=encoding.upper())
    what = f"byte 0x{error.object[error.start]:02x} at offset {byte:,} is not {encoding.upper()}"
    if encoding != "utf-8":
        return DataError(
            what, file=path, line=line, expected=f"text in {encoding}", hint="another --encoding"
        )
    likely = plausible_encoding(error.object[max(0, error.start - BLOCK) : error.start + BLOCK])
    hint = f"--encoding {likely or 'NAME: cp1251, shift_jis, gb18030, euc_kr ...'}"
    return DataError(what, file=path, line=line, expected="text in UTF-8", hint=hint)


def plausible_encoding(data: bytes) -> str | None:
    """Guess the encoding of bytes that are not UTF-8. Return None if no guess is plausible.

    NUL bytes indicate UTF-16. Otherwise the guess is cp1252 (Western Europe) if the decoded text looks like
    words: in Western languages most non-ASCII letters are next to ASCII letters. If a text in another script
    is decoded as cp1252, whole words consist of non-ASCII letters.
    """
    if b"\0" in data:
        even, odd = data[::2].count(0), data[1::2].count(0)
        likely = "utf-16-le" if odd > even else "utf-16-be"
        return likely if max(even, odd) > len(data) / 6 and min(even, odd) < max(even, odd) / 10 else None
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        return None
    strange = whole = 0
    for word in re.findall(r"[^\W\d_]*[^\W\d_\x00-\x7f][^\W\d_]*", text):
        letters = sum(not letter.isascii() for letter in word)
        strange += letters if letters == len(word) > 1 else 0
        whole += letters
    return "cp1252" if strange <= 0.3 * whole else None


def wrong_encoding(path: Path) -> str | None:
    """Guess the encoding of a text file that has no byte order mark and is not UTF-8.

    Return None if it is UTF-8, if no guess is plausible, or if it cannot be read (the reader reports that).
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with opened(path) as file:
            head = block = file.read(BLOCK)
            if find_encoding(head)[1]:
                return None
            while True:
                try:
                    if "\0" in decoder.decode(block, final=not block):
                        return plausible_encoding(head[: len(head) // 4 * 4])
                except UnicodeDecodeError:
                    return plausible_encoding(block)
                if not block:
                    return None
                block = file.read(BLOCK)
    except (OSError, EOFError, zlib.error):
        return None
