"""Read files that did not fit into the cache (`--cache`) again, in background threads, ahead of their use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import DataError
from unrolled.core.types import Array, Place
from unrolled.datasets.fingerprint import fingerprint

AT_ONCE = 2  # threads that read files

LoadFile = Callable[[Path, Place], Array]  # (a file, the place that names it) -> encoded x [T, ...]


class FilePrefetcher:
    """Loads the sequences that are not on disk, ahead of their use.

    starts: [sequences] position of the first step of each on disk; -1: not on disk.
    sources: for each sequence that is not on disk, its file (or folder of images) and the fingerprint.
    opening: reads a file and encodes it.
    Only the sequences of the last `expect` that were not taken yet are in memory.
    """

    def __init__(
        self, starts: NDArray[np.int64], sources: Mapping[int, tuple[Path, str]], opening: LoadFile
    ) -> None:
        self.starts = starts
        self._sources, self._opening = sources, opening
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._waiting: dict[int, Future[Array]] = {}

    def expect(self, wanted: Sequence[tuple[int, Place]]) -> None:
        """Start to load the sequences that will be taken soon, in this order.

        Drop all other waiting sequences.
        """
        numbers = {number for number, _ in wanted}
        for number in [number for number in self._waiting if number not in numbers]:
            self._waiting.pop(number).cancel()
        for number, place in wanted:
            if self.starts[number] < 0 and number not in self._waiting:
                self._waiting[number] = self._pool.submit(self._open, number, place)

    def take(self, number: int, place: Place, steps: int) -> Array:
        """Return x of a sequence, [steps, ...].

        Raises DataError if its file has changed since training began. Raises the errors of reading the file.
        """
        future = self._waiting.pop(number, None)
        x = self._open(number, place) if future is None else future.result()
        if len(x) != steps:
            what = f"has {len(x):,} steps, and had {steps:,} when training began"
            raise DataError(what, file=self._sources[number][0], expected="files that do not change")
        return x

    def _open(self, number: int, place: Place) -> Array:
        path, sha256 = self._sources[number]
        x = self._opening(path, place)
        if fingerprint([path]) != sha256:
            what = "has changed since training began"
            raise DataError(what, file=path, expected="files that do not change")
        return x
