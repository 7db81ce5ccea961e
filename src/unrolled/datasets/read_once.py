"""Keep the examples of files while training prepares them. So each file is parsed once, not once per pass."""

from __future__ import annotations

import pickle  # only for our own examples, in an unnamed file that no other process can write
import tempfile
import weakref
from bisect import bisect_right
from collections.abc import Callable, Iterator

import numpy as np

from unrolled.core.types import Example, Tune

IN_MEMORY = 1 << 25  # bytes; more than this goes to an unnamed temporary file, which ends with the process
CHUNK = 1 << 16  # characters, numbers or notes of a chunk
TOGETHER = 256  # maximum number of examples of a chunk


def read_once(read: Callable[[], Iterator[Example]]) -> Callable[[], Iterator[Example]]:
    """Return a function that yields the examples of `read` and can be called any number of times.

    - `read` is advanced only as far as the longest pass so far.
    - An error of `read` is raised after the examples before it. The next call then reads from the beginning.
    - If the temporary folder is full, later passes read the files again.
    """
    return _Kept(read).examples


class _Kept:
    """The examples read so far.

    The first `_starts[-1]` are in the file, in chunks; `_last` has the others.
    """

    def __init__(self, read: Callable[[], Iterator[Example]]) -> None:
        self._read = read
        self.file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 (closed below)
        weakref.finalize(self, self.file.close)  # a running pass keeps a reference to `self`
        self._full = False
        self._forget()

    def _forget(self) -> None:
        self._source: Iterator[Example] | None = None
        self._ended = False
        # The first example and the first byte of each chunk, and of the next chunk.
        self._starts, self._offsets = [0], [0]
        self._last: list[Example] = []
        self._size = 0  # of the examples in `_last`

    def examples(self) -> Iterator[Example]:
        """Yield all examples: first the kept ones, then the others while they are read."""
        if self._full:
            yield from self._read()
            return
        at = 0
        while True:
            if at < self._starts[-1]:
                number = bisect_right(self._starts, at) - 1
                for example in self._chunk(number)[at - self._starts[number] :]:
                    at += 1
                    yield example
            elif at < self._starts[-1] + len(self._last):
                at += 1
                yield self._last[at - 1 - self._starts[-1]]
            elif self._ended:
                return
            elif self._full:
                yield from self._source or ()
                return
            else:
                self._read_one()

    def _read_one(self) -> None:
        """Read and keep one more example, or note that there are no more."""
        try:
            self._source = self._source or self._read()
            example = next(self._source, None)
        except BaseException:
            self._forget()
            raise
        if example is None:
            self._ended = True
            return
        self._last.append(example)
        self._size += _size(example)
        if self._size >= CHUNK or len(self._last) >= TOGETHER:
            self._write()

    def _write(self) -> None:
        packed = pickle.dumps(self._last, pickle.HIGHEST_PROTOCOL)
        try:
            self.file.seek(self._offsets[-1])
            self.file.write(packed)
        except OSError:  # no space
            self._full = True
            return
        self._starts.append(self._starts[-1] + len(self._last))
        self._offsets.append(self._offsets[-1] + len(packed))
        self._last, self._size = [], 0

    def _chunk(self, number: int) -> list[Example]:
        self.file.seek(self._offsets[number])
        return pickle.loads(self.file.read(self._offsets[number + 1] - self._offsets[number]))


def _size(example: Example) -> int:
    match example.x:
        case np.ndarray():
            return example.x.size
        case str() | tuple() | Tune():
            return len(example.x)
        case _:
            return 1
