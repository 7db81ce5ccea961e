"""Encoded labelled sequences on disk: flat arrays with offsets, mapped into memory.

```
x            the steps of all cached sequences: ids [steps] or [steps, ids], or numbers [steps, n_x]
y            one per sequence: [sequences] or [sequences, n_y]; one per step: [steps] or [steps, n_y];
             y with a length of its own: all y, one after the other
offsets      int64 [sequences + 1]: sequence i has the steps offsets[i] to offsets[i + 1] of all steps
starts       int64 [sequences]: position of its first step in x; -1: not cached, its file is read each time
y_offsets    int64 [sequences + 1]: the same as offsets, for y with a length of its own
lines        int32 [sequences]: the line in its file where the sequence begins
weights      float64 [sequences]: its weight in training; not read if all are 1
features     the features of the wide part of all sequences, one after the other; only if the model has a wide part
features_offsets  int64 [sequences + 1]: the same as offsets, for features
index.json   shapes, types, files with their first sequences, files of the sequences not cached; written last
```
"""

from __future__ import annotations

import json
import math
import os
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from io import BufferedWriter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unrolled.core.atomic_files import storage_error, write_atomically
from unrolled.core.errors import DataError
from unrolled.core.types import Array, Place, Targets
from unrolled.datasets.fingerprint import fingerprint
from unrolled.datasets.prefetch import FilePrefetcher, LoadFile

_FORMAT = 6


@dataclass(frozen=True)
class EncodedExample:
    """One encoded sequence: x [T_x, ...], and y as the output encodes it.

    source: the file from which x can be read again.
    weight: the weight of the sequence in training.
    features: [F] the features of the wide part; None if the model has none.
    """

    x: Array
    y: Array
    place: Place
    source: Path | None = None
    weight: float = 1.0
    features: Array | None = None


@dataclass(frozen=True)
class Examples:
    """A data set of sequences, or a view of some of them.

    rows: [sequences] the numbers of the view's sequences in the whole data set.
    all_weights: [sequences of the whole data set] the weight of each in training; None: all are 1.
    flat_features, features_offsets: the features of the wide part; None if the model has none.
    """

    x: Array
    y: Array
    targets: Targets
    all_offsets: NDArray[np.int64]
    y_offsets: NDArray[np.int64]  # [sequences + 1] if y has a length of its own; else empty
    all_lines: NDArray[np.int32]
    files: tuple[tuple[str, int], ...]
    rows: NDArray[np.int64]
    recall: FilePrefetcher | None = None  # None if x of all sequences is on disk
    all_weights: NDArray[np.float64] | None = None
    flat_features: Array | None = None
    features_offsets: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """[sequences] the number of steps of each x."""
        return self.all_offsets[self.rows + 1] - self.all_offsets[self.rows]

    @property
    def y_lengths(self) -> NDArray[np.int64]:
        """[sequences] the number of steps of each y if y has a length of its own; else `lengths`."""
        if self.targets != "own":
            return self.lengths
        return self.y_offsets[self.rows + 1] - self.y_offsets[self.rows]

    @property
    def weights(self) -> NDArray[np.float32] | None:
        """[sequences] the weight of each in training, scaled to a mean of 1; None: all are 1."""
        if self.all_weights is None:
            return None
        own = self.all_weights[self.rows]
        return (own / own.mean()).astype(np.float32)

    def select(self, rows: NDArray[np.int64]) -> Examples:
        """Return a view of some sequences of this view. rows: their numbers in this view."""
        return replace(self, rows=self.rows[rows])

    def take(
        self, numbers: NDArray[np.int64], ahead: NDArray[np.int64] | None = None
    ) -> list[tuple[Array, Array]]:
        """Return x and y of some sequences.

        ahead: the numbers of these and the next sequences that will be read. Background threads read the
            files of those that are not on disk.
        """
        if self.recall is not None and ahead is not None:
            self.recall.expect([(int(self.rows[number]), self.place(number)) for number in ahead.tolist()])
        return [self.row(number) for number in numbers.tolist()]

    def row(self, number: int) -> tuple[Array, Array]:
        """Return x and y of one sequence."""
        at = int(self.rows[number])
        start, stop = self.all_offsets[at : at + 2].tolist()
        x = self.x[start:stop] if self.recall is None else self._recalled(self.recall, at, stop - start)
        return x, self.target(number)

    def features(self, number: int) -> Array:
        """Return the features of the wide part of one sequence."""
        assert self.flat_features is not None and self.features_offsets is not None
        at = int(self.rows[number])
        return self.flat_features[self.features_offsets[at] : self.features_offsets[at + 1]]

    def all_features(self) -> list[Array]:
        """Return the features of the wide part of all sequences of this view."""
        return [self.features(number) for number in range(len(self))]

    def target(self, number: int) -> Array:
        """Return y of one sequence. This opens no file."""
        at = int(self.rows[number])
        if self.targets == "one":
            return self.y[at, ...]  # an array of shape [], not a scalar
        offsets = self.y_offsets if self.targets == "own" else self.all_offsets
        return self.y[offsets[at] : offsets[at + 1]]

    def _recalled(self, recall: FilePrefetcher, at: int, steps: int) -> Array:
        start = int(recall.starts[at])
        return self.x[start : start + steps] if start >= 0 else recall.take(at, self._place(at), steps)

    def place(self, number: int) -> Place:
        """Return the file and line of a sequence of this view."""
        return self._place(int(self.rows[number]))

    def _place(self, at: int) -> Place:
        file = bisect_right(self.files, at, key=lambda entry: entry[1]) - 1
        return Place(Path(self.files[file][0]), int(self.all_lines[at]))


def write_examples(
    folder: Path,
    rows: Iterable[EncodedExample],
    *,
    targets: Targets,
    room: float = math.inf,
    opening: LoadFile | None = None,
) -> Examples:
    """Write sequences into a folder and open it. Memory use does not grow with the number of sequences.

    room: maximum number of bytes on disk for the x of files. Files that do not fit are read again by
        `opening`.
    Raises DataError if there are no sequences, StorageError if the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "index.json").unlink(missing_ok=True)
        with ExitStack() as stack:
            names = ("x", "y", "offsets", "starts", "lines", "weights", "features", "features_offsets")
            names += ("y_offsets",) if targets == "own" else ()
            out = {name: stack.enter_context((folder / name).open("wb")) for name in names}
            index = _write(out, rows, targets, room)
    except OSError as error:
        raise storage_error(error, folder) from error
    write_atomically(folder / "index.json", json.dumps({**index, "targets": targets}).encode())
    return open_examples(folder, opening)


def _write(
    out: Mapping[str, BufferedWriter], rows: Iterable[EncodedExample], targets: Targets, room: float
) -> dict[str, object]:
    files: list[tuple[str, int]] = []
    shapes: dict[str, object] = {}
    sources: dict[int, tuple[str, str]] = {}
    count = steps = asked = kept = taken = featured = 0
    weighted = False
    starts = [name for name in out if name.endswith("offsets")]
    for name in starts:
        out[name].write(np.zeros(1, np.int64).data)
    for row in rows:
        if not shapes:
            shapes = {
                "x": [row.x.dtype.str, list(row.x.shape[1:])],
                "y": [row.y.dtype.str, list(row.y.shape if targets == "one" else row.y.shape[1:])],
            }
            shapes |= {} if row.features is None else {"features": row.features.dtype.str}
        if not files or files[-1][0] != str(row.place.file):
            files.append((str(row.place.file), count))
        if row.source is not None and taken + row.x.nbytes > room:
            sources[count] = (str(row.source.resolve()), fingerprint([row.source]))
            out["starts"].write(np.array([-1], np.int64).data)
        else:
            out["x"].write(np.ascontiguousarray(row.x).data.cast("B") if row.x.size else b"")
            out["starts"].write(np.array([kept], np.int64).data)
            kept, taken = kept + len(row.x), taken + row.x.nbytes
        out["y"].write(np.ascontiguousarray(row.y).tobytes())
        out["lines"].write(np.array([row.place.line], np.int32).data)
        out["weights"].write(np.array([row.weight]).data)
        weighted = weighted or row.weight != 1.0
        count, steps = count + 1, steps + len(row.x)
        asked += len(row.y) if targets == "own" else 0
        if row.features is not None:
            out["features"].write(row.features.tobytes())
            featured += len(row.features)
        totals = {"offsets": steps, "y_offsets": asked, "features_offsets": featured}
        for name in starts:
            out[name].write(np.array([totals[name]], np.int64).data)
    if not count:
        raise DataError("no examples", expected="at least one sequence")
    for file in out.values():
        file.flush()
        os.fsync(file.fileno())
    sizes = {"sequences": count, "steps": steps, "kept": kept, "asked": asked, "weighted": weighted}
    sizes["featured"] = featured
    return {"format": _FORMAT, **sizes, "files": files, "sources": sources, **shapes}


def open_examples(folder: Path, opening: LoadFile | None = None) -> Examples:
    """Open the data set in a folder.

    opening: reads the files of sequences that are not on disk.
    Raises DataError if the data set is damaged, or if `opening` is needed but None.
    Raises StorageError if the folder cannot be read.
    """
    path = folder / "index.json"
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        count, steps, targets = index["sequences"], index["steps"], index["targets"]
        sizes: dict[Targets, int] = {"one": count, "each": steps, "own": index["asked"]}
        if index["format"] != _FORMAT:
            raise ValueError(f"format {index['format']}")
        (x_type, x_shape), (y_type, y_shape) = index["x"], index["y"]
        own, kind = targets == "own", index.get("features")
        featured = index["featured"]
        return Examples(
            x=_map(folder / "x", x_type, (index["kept"], *x_shape)),
            y=_map(folder / "y", y_type, (sizes[targets], *y_shape)),
            targets=targets,
            all_offsets=_offsets(folder / "offsets", count, steps),
            y_offsets=_offsets(folder / "y_offsets", count, sizes["own"]) if own else np.zeros(0, np.int64),
            all_lines=_map(folder / "lines", "<i4", (count,)),
            files=tuple((name, first) for name, first in index["files"]),
            rows=np.arange(count),
            recall=_recall(folder, count, index["sources"], opening),
            all_weights=_map(folder / "weights", "<f8", (count,)) if index.get("weighted") else None,
            flat_features=None if kind is None else _map(folder / "features", kind, (featured,)),
            features_offsets=_offsets(folder / "features_offsets", count, featured),
        )
    except OSError as error:
        raise storage_error(error, path) from error
    except (KeyError, TypeError, ValueError) as error:
        raise DataError("damaged data set", file=path, hint="removing this folder") from error


def _recall(
    folder: Path, count: int, named: Mapping[str, Sequence[str]], opening: LoadFile | None
) -> FilePrefetcher | None:
    """Return the prefetcher for the sequences that are not on disk; None if all are on disk.

    Raises ValueError if a sequence is not on disk and cannot be read from a file.
    """
    starts = _map(folder / "starts", "<i8", (count,))
    sources = {int(number): (Path(name), str(sha256)) for number, (name, sha256) in named.items()}
    if set(np.flatnonzero(starts < 0).tolist()) != set(sources):
        raise ValueError("sequences without a source")
    if not sources:
        return None
    if opening is None:
        raise ValueError("not all of it is on disk")
    return FilePrefetcher(starts, sources, opening)


def _offsets(path: Path, count: int, total: int) -> NDArray[np.int64]:
    """Return [count + 1] where the sequences begin.

    Raises ValueError if they do not rise from 0 to `total`.
    """
    offsets = _map(path, "<i8", (count + 1,))
    if offsets[0] != 0 or offsets[-1] != total or (np.diff(offsets) < 0).any():
        raise ValueError("offsets that decrease")
    return offsets


def _map(path: Path, kind: str, shape: tuple[int, ...]) -> Array:
    """Return a file as a read-only array. Raises ValueError if the file has another size."""
    dtype = np.dtype(kind)
    if path.stat().st_size != int(np.prod(shape)) * dtype.itemsize:
        raise ValueError(f"{path.name} has {path.stat().st_size} bytes")
    if not int(np.prod(shape)):
        return np.zeros(shape, dtype)  # an empty file cannot be mapped
    return np.memmap(path, dtype=dtype, mode="r", shape=shape)
