"""Keep the examples of files while training prepares them, so that a file is parsed once and not for every pass."""

from __future__ import annotations

import pickle  # of our own examples, in a file without a name that no other process can write
import tempfile
import weakref
from bisect import bisect_right
from collections.abc import Callable, Iterator

import numpy as np

from unrolled.core.types import Example, Tune

IN_MEMORY = 1 << 25  # bytes; more go to a temporary file without a name, which ends with the process
CHUNK = 1 << 16  # characters, numbers or notes that are written together
TOGETHER = 256  # examples that are written together, at most


def read_once(read: Callable[[], Iterator[Example]]) -> Callable[[], Iterator[Example]]:
    """A function that gives the examples of `read` as often as it is called; `read` itself goes only as far as the
    longest pass. An error of `read` comes after the examples before it, and the next call reads anew.

    If the temporary folder is full, later passes read the files again.
    """
    return _Kept(read).examples


class _Kept:
    """Examples that were read. Those before number `starts[-1]` are in the file, in chunks; `last` has those after."""

    def __init__(self, read: Callable[[], Iterator[Example]]) -> None:
        self._read = read
        self.file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 (closed below)
        weakref.finalize(self, self.file.close)  # a pass that is under way keeps `self`
        self._full = False
        self._forget()

    def _forget(self) -> None:
        self._source: Iterator[Example] | None = None
        self._ended = False
        self._starts, self._offsets = (
            [0],
            [0],
        )  # of each chunk, and of the next: its first example, its first byte
        self._last: list[Example] = []
        self._size = 0  # of those in `last`

    def examples(self) -> Iterator[Example]:
        """All examples: first those that are kept, then the others as they are read."""
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
        """Keep one more example, or find that there are no more."""
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
