"""A text as token ids on disk, with the ends of the documents, and the file and line of each token.

The arrays are flat files that are mapped into memory, so a data set may be larger than memory.
```
ids          all tokens: uint8, uint16 or int32, depending on the size of the vocabulary
offsets      int64 [documents + 1]: document i is ids[offsets[i] : offsets[i + 1]]
lines        int64 [lines + 1]: position of the first token of each source line with tokens; last, all tokens
numbers      int32 [lines]: the 1-based line numbers of these lines
characters   int64 [lines + 1]: number of characters before each of these lines; last, all characters
index.json   counts, dtype, files with the position of their first token, SHA-256; written last
```
"""

from __future__ import annotations

import hashlib
import json
import os
from bisect import bisect_right
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from unrolled.core.atomic_files import storage_error, write_atomically
from unrolled.core.errors import DataError
from unrolled.core.types import Array, Encoded, Place

_FORMAT = 1


@dataclass(frozen=True)
class Store:
    """A data set, or a view of a part of it: the tokens [begin, begin + tokens) of the whole.

    ids: [tokens] the tokens of the view.
    sha256: digest of the ids and the document ends.
    The methods take and return positions from the beginning of the view. The arrays after `files` have
    positions in the whole data set; use the methods instead.
    """

    folder: Path
    ids: Array
    begin: int
    sha256: str
    files: tuple[tuple[str, int], ...]  # (name, position of its first token)
    all_offsets: NDArray[np.int64]  # only of the documents that overlap the view
    all_lines: NDArray[np.int64]  # last, the number of tokens
    all_numbers: NDArray[np.int32]
    all_characters: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def documents(self) -> int:
        """Number of documents; documents that the view cuts are included."""
        return len(self.all_offsets) - 1

    def offsets(self, start: int, stop: int) -> NDArray[np.int64]:
        """Return where the documents from `start` to `stop` - 1 begin, and where the last one ends.

        The shape is [stop - start + 1].
        """
        return self.clip(self.all_offsets[start : stop + 1])

    def clip(self, absolute: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return positions in the whole data set as positions in the view.

        Positions outside move to its ends.
        """
        return np.clip(absolute - self.begin, 0, len(self.ids))

    def next_line(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the first line start at or after each position; the end of the view if none follows."""
        return self.clip(self.all_lines[np.searchsorted(self.all_lines, positions + self.begin)])

    def place(self, position: int) -> Place:
        """Return the file and line of the token at a position."""
        absolute = position + self.begin
        file = bisect_right(self.files, absolute, key=lambda entry: entry[1]) - 1
        return Place(Path(self.files[file][0]), int(self.all_numbers[self._line(absolute)]))

    @property
    def characters(self) -> int:
        """Number of characters of the text; each document end counts as one.

        The number is exact if the view begins and ends at line starts. In a line that is cut, it is estimated
        from the fraction of its tokens.
        """
        return self._characters_before(self.begin + len(self.ids)) - self._characters_before(self.begin)

    def _line(self, absolute: int) -> int:
        return int(np.searchsorted(self.all_lines[:-1], absolute, side="right")) - 1

    def _characters_before(self, absolute: int) -> int:
        if absolute == 0:  # blank lines at the beginning count too
            return 0
        line = self._line(absolute)
        (start, stop), (low, high) = (
            array[line : line + 2].tolist() for array in (self.all_lines, self.all_characters)
        )
        return low + (high - low) * (absolute - start) // (stop - start)

    def slice(self, start: int, stop: int) -> Store:
        """Return a view of the tokens [start, stop). Documents that cross its ends are cut.

        Raises DataError if the view is empty.
        """
        if not 0 <= start < stop <= len(self.ids):
            raise DataError(f"no tokens in the part {start:,} to {stop:,} of {len(self.ids):,}")
        begin, end = self.begin + start, self.begin + stop
        first = int(np.searchsorted(self.all_offsets, begin, side="right")) - 1
        last = int(np.searchsorted(self.all_offsets, end, side="left"))
        offsets = self.all_offsets[first : last + 1]
        return replace(self, ids=self.ids[start:stop], begin=begin, all_offsets=offsets)


def open_store(folder: Path) -> Store:
    """Open the data set in a folder. Raises DataError if it is damaged, StorageError if it cannot be read."""
    path = folder / "index.json"
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        if index["format"] != _FORMAT:
            raise DataError(f"data set of format {index['format']}", file=path, expected=f"format {_FORMAT}")
        tokens, documents, lines = index["tokens"], index["documents"], index["lines"]
        return Store(
            folder=folder,
            ids=_map(folder / "ids", np.dtype(index["dtype"]), tokens),
            begin=0,
            sha256=index["sha256"],
            files=tuple((name, position) for name, position in index["files"]),
            all_offsets=_map(folder / "offsets", np.dtype(np.int64), documents + 1),
            all_lines=_map(folder / "lines", np.dtype(np.int64), lines + 1),
            all_numbers=_map(folder / "numbers", np.dtype(np.int32), lines),
            all_characters=_map(folder / "characters", np.dtype(np.int64), lines + 1),
        )
    except OSError as error:
        raise storage_error(error, path) from error
    except (KeyError, TypeError, ValueError) as error:
        raise DataError("damaged data set", file=path, hint="removing this folder") from error


def write_store(folder: Path, encoded: Iterable[Encoded], vocabulary_size: int) -> Store:
    """Write encoded documents into a folder and open it.

    Memory use does not grow with the number of documents. The index is written last, and a folder without an
    index is not a data set. So a crash leaves no data set that looks complete. Raises DataError if there are
    no documents, StorageError if the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "index.json").unlink(missing_ok=True)
        with ExitStack() as files:
            writer = _Writer(folder, _dtype(vocabulary_size), files)
            for part in encoded:
                writer.add(part)
            index = writer.finish()
    except OSError as error:
        raise storage_error(error, folder) from error
    write_atomically(folder / "index.json", json.dumps(index).encode())
    return open_store(folder)


class _Writer:
    """The open files of a data set that is being written."""

    def __init__(self, folder: Path, dtype: np.dtype[np.generic], files: ExitStack) -> None:
        self._dtype = dtype
        # Two digests, so that the SHA-256 does not depend on how the documents were divided into parts.
        self._of_ids, self._of_ends = hashlib.sha256(dtype.str.encode()), hashlib.sha256()
        names = ("ids", "offsets", "lines", "numbers", "characters")
        self._out = {name: files.enter_context((folder / name).open("wb")) for name in names}
        self._tokens = self._documents = self._lines = self._characters = 0
        self._files: list[tuple[str, int]] = []
        self._put("offsets", [0], np.int64)

    def _put(self, name: str, values: ArrayLike, dtype: DTypeLike) -> memoryview:
        data = np.ascontiguousarray(values, dtype=dtype).data.cast("B")
        self._out[name].write(data)
        return data

    def add(self, part: Encoded) -> None:
        if not self._files or self._files[-1][0] != str(part.file):
            self._files.append((str(part.file), self._tokens))
        self._of_ids.update(self._put("ids", part.ids, self._dtype))
        self._of_ends.update(self._put("offsets", part.ends + self._tokens, np.int64))
        self._put("lines", part.lines + self._tokens, np.int64)
        self._put("numbers", part.numbers, np.int32)
        self._put("characters", part.characters + self._characters, np.int64)
        self._tokens += len(part.ids)
        self._documents += len(part.ends)
        self._lines += len(part.lines)
        self._characters += part.n_characters

    def finish(self) -> dict[str, object]:
        """Complete the arrays and sync the files, before the index is written.

        Return the content of the index.
        """
        if not self._documents:
            raise DataError("no examples", expected="at least one document")
        self._put("lines", [self._tokens], np.int64)
        self._put("characters", [self._characters], np.int64)
        for file in self._out.values():
            file.flush()
            os.fsync(file.fileno())
        return {
            "format": _FORMAT,
            "dtype": self._dtype.str,
            "tokens": self._tokens,
            "documents": self._documents,
            "lines": self._lines,
            "files": self._files,
            "sha256": hashlib.sha256(self._of_ids.digest() + self._of_ends.digest()).hexdigest(),
        }


def _dtype(vocabulary_size: int) -> np.dtype[np.generic]:
    small = next((kind for kind in ("<u1", "<u2") if vocabulary_size <= np.iinfo(kind).max + 1), "<i4")
    return np.dtype(small)


def _map(path: Path, dtype: np.dtype[np.generic], count: int) -> Array:
    """Return a file as a read-only array [count]. Raises ValueError if the file has another size."""
    if path.stat().st_size != count * dtype.itemsize:
        raise ValueError(f"{path.name} has {path.stat().st_size} bytes")
    return np.memmap(path, dtype=dtype, mode="r", shape=(count,))
