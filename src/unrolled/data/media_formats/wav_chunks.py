"""Find the format and the samples in the chunks of a WAV file.

libsndfile stops at unknown metadata, and it does not compare the length in a header with the length of the
file. So this module reads the chunks and passes only the format and the samples to libsndfile.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from unrolled.core.errors import DataError

FORMS: dict[bytes, Literal["little", "big"]] = {
    b"RIFF": "little",
    b"RIFX": "big",
    b"RF64": "little",
    b"BW64": "little",
}
_WHOLE = "a complete WAV file"
_UNKNOWN = 0xFFFFFFFF  # an unknown size; in RF64: the size is in the chunk ds64
_MOST_FORMAT = 1 << 16  # maximum bytes of a `fmt ` or `fact` chunk
_MOST_CHUNKS = 10_000
# Names of chunks that programs write. They show whether a chunk of odd length is followed by a pad byte.
_KNOWN = frozenset(
    b"fmt ,data,fact,LIST,ds64,bext,iXML,axml,JUNK,junk,PAD ,FLLR,cue ,smpl,inst,PEAK,id3 ,ID3 ,cart,DISP,"
    b"chna,umid,minf,elm1,regn,afsp,slnt,plst,labl,note,_PMX,levl,link,acid,strc,LGWV,SAUR,ResU,wavl".split(
        b","
    )
)


@dataclass(frozen=True)
class Layout:
    """The parts of a WAV file.

    order: byte order.  fmt, fact: contents of these chunks; fact is empty if there is no such chunk.
    begin, size: position and size of the samples, in bytes.
    """

    order: Literal["little", "big"]
    fmt: bytes
    fact: bytes
    begin: int
    size: int

    @property
    def channels(self) -> int:
        """The number of channels in the format chunk."""
        return int.from_bytes(self.fmt[2:4], self.order)

    @property
    def rate(self) -> int:
        """The sample rate in the format chunk, in Hz."""
        return int.from_bytes(self.fmt[4:8], self.order)


def find_layout(file: BinaryIO, size: int, path: Path) -> Layout:
    """Find the parts of a WAV file. size: bytes of the file.

    Raises DataError if a chunk is missing or truncated, or if the file has fewer samples than the header
    claims.
    """
    file.seek(0)
    head = file.read(12)
    order = FORMS[head[:4]]
    at, fmt, fact, long_size = 12, b"", b"", 0
    for _ in range(_MOST_CHUNKS):
        if at + 8 > size:
            break
        file.seek(at)
        name, length = file.read(4), int.from_bytes(file.read(4), order)
        if name[:1] == b"\0":  # padding between chunks
            at = _next_byte(file, at, size)
            continue
        if name == b"fmt ":
            fmt = _format(file.read(min(length, _MOST_FORMAT)), length, path)
        elif name == b"fact":
            fact = file.read(min(length, _MOST_FORMAT))
        elif name == b"ds64":
            long_size = int.from_bytes(file.read(16)[8:], order)
        elif name == b"data":
            if not fmt:
                raise DataError("damaged: data chunk before the format chunk", file=path, expected=_WHOLE)
            claimed = long_size if long_size and length == _UNKNOWN else length
            riff = int.from_bytes(head[4:8], order)
            following = file.read(4)
            if not claimed and len(following) == 4 and following not in _KNOWN:
                claimed = _UNKNOWN  # samples follow, not another chunk
            return Layout(order, fmt, fact, at + 8, _samples(claimed, riff, at + 8, size, path))
        at = _next_chunk(file, at + 8 + length, length)
    raise DataError("damaged: no data chunk", file=path, expected=_WHOLE)


def _format(body: bytes, length: int, path: Path) -> bytes:
    if length < 16 or len(body) < 16:
        raise DataError("damaged: format chunk is truncated", file=path, expected=_WHOLE)
    return body


def _samples(claimed: int, riff: int, begin: int, size: int, path: Path) -> int:
    """Return the number of bytes of samples.

    A program that writes to a pipe does not know this number. It writes 0xFFFFFFFF, or 0 in a file whose
    header claims that the file ends there. In these cases all following bytes are samples.

    Raises DataError if the file has fewer bytes than claimed.
    """
    there = size - begin
    if claimed == _UNKNOWN or (not claimed and riff + 8 <= begin) or (not claimed and riff == _UNKNOWN):
        return there
    if claimed > there:
        raise DataError(
            f"truncated: claims {claimed:,} bytes of samples, has {there:,}",
            file=path,
            expected="a complete file",
            hint="copying it again, or, if a program wrote it to a pipe, ffmpeg -i OLD.wav NEW.wav",
        )
    return claimed


def _next_byte(file: BinaryIO, at: int, size: int) -> int:
    """Return the position of the next byte that is not zero; `size` if there is none within 1 MiB."""
    file.seek(at)
    block = file.read(1 << 20)
    rest = block.lstrip(b"\0")
    return at + len(block) - len(rest) if rest else size


def _next_chunk(file: BinaryIO, end: int, length: int) -> int:
    """Return the position of the next chunk.

    A pad byte follows a chunk of odd length, but some programs omit it.
    """
    if not length % 2:
        return end
    file.seek(end)
    following = file.read(5)
    return end if following[:4] in _KNOWN and following[1:] not in _KNOWN else end + 1


class Samples(io.RawIOBase):
    """A file object: a WAV file with only format and samples, read from another WAV file."""

    def __init__(self, file: BinaryIO, layout: Layout) -> None:
        super().__init__()
        form = next(name for name, order in FORMS.items() if order == layout.order)
        chunks = _chunk(b"fmt ", layout.fmt, layout.order)
        if layout.fact:
            chunks += _chunk(b"fact", layout.fact, layout.order)
        size = min(layout.size, _UNKNOWN - len(chunks) - 20)
        head = form + (len(chunks) + 12 + size).to_bytes(4, layout.order) + b"WAVE" + chunks
        self._head = head + b"data" + size.to_bytes(4, layout.order)
        self._file, self._begin, self._size, self._at = file, layout.begin, size, 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the current position."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set and return the position."""
        whole = len(self._head) + self._size
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: whole}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: object) -> int:
        """Read bytes into a buffer. Return how many bytes were read."""
        view = memoryview(buffer).cast("B")  # pyright: ignore[reportArgumentType] (typeshed names it Buffer)
        if self._at < len(self._head):
            part = self._head[self._at : self._at + len(view)]
        else:
            done = self._at - len(self._head)
            self._file.seek(self._begin + done)
            part = self._file.read(max(0, min(len(view), self._size - done)))
        view[: len(part)] = part
        self._at += len(part)
        return len(part)


def _chunk(name: bytes, body: bytes, order: Literal["little", "big"]) -> bytes:
    return name + len(body).to_bytes(4, order) + body + b"\0" * (len(body) % 2)
