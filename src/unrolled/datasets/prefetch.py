"""Decode files again that did not fit the cache (`--cache`): background threads do it before they are needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import DataError
from unrolled.core.types import Array, Place
from unrolled.datasets.fingerprint import fingerprint

AT_ONCE = 2  # files opened side by side

LoadFile = Callable[
    [Path, Place], Array
]  # a file, and where it was named: x [T, ...] as the network reads it


class FilePrefetcher:
    """starts: [sequences] where the steps of each begin on disk, -1 for those that are not there; sources: their files,
    or folders of pictures, each with its fingerprint.

    Memory holds what was expected last and not yet taken.
    """

    def __init__(
        self, starts: NDArray[np.int64], sources: Mapping[int, tuple[Path, str]], opening: LoadFile
    ) -> None:
        self.starts = starts
        self._sources, self._opening = sources, opening
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._waiting: dict[int, Future[Array]] = {}

    def expect(self, wanted: Sequence[tuple[int, Place]]) -> None:
        """Begin to open what will be taken soon, in this order; what is waiting and not among it is forgotten."""
        numbers = {number for number, _ in wanted}
        for number in [number for number in self._waiting if number not in numbers]:
            self._waiting.pop(number).cancel()
        for number, place in wanted:
            if self.starts[number] < 0 and number not in self._waiting:
                self._waiting[number] = self._pool.submit(self._open, number, place)

    def take(self, number: int, place: Place, steps: int) -> Array:
        """x of a sequence, [steps, ...]. Raises DataError where its file is not what it was, and what opening it
        raises."""
        future = self._waiting.pop(number, None)
        x = self._open(number, place) if future is None else future.result()
        if len(x) != steps:
            what = f"has {len(x):,} steps, and had {steps:,} when training began"
            raise DataError(what, file=self._sources[number][0], expected="files that stay as they are")
        return x

    def _open(self, number: int, place: Place) -> Array:
        path, sha256 = self._sources[number]
        x = self._opening(path, place)
        if fingerprint([path]) != sha256:
            what = "is not what it was when training began"
            raise DataError(what, file=path, expected="files that stay as they are")
        return x
