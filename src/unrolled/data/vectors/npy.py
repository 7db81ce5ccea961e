"""Word vectors as a NumPy array (.npy), with a list of words beside it: `NAME.npy` and `NAME.txt`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tokenize import TokenError

import numpy as np

from unrolled.core.atomic_files import opening_error
from unrolled.core.errors import DataError, UsageError
from unrolled.core.regular_files import require_regular
from unrolled.data.vectors.vector_format import (
    WORD_LIST,
    Wanted,
    WordRow,
    as_row,
    lines,
    require_width,
)

EXTENSION = ".npy"
LISTS = (".txt", ".words", ".vocab")  # extensions of the list of words
EXPECTED = "an array [words, width] of floating-point numbers"


def matches(path: Path) -> bool:
    """Whether the name is that of a NumPy array."""
    return path.suffix.lower() == EXTENSION


def files(path: Path) -> tuple[Path, ...]:
    """Return the array and the list of words. Raises UsageError if one of them does not exist."""
    require_regular(path)
    beside = next((one for one in map(path.with_suffix, LISTS) if one.exists()), None)
    if beside is None:
        names = " or ".join(path.with_suffix(ending).name for ending in LISTS)
        what = f"there is no list of words beside it ({names})"
        raise UsageError(what, file=path, expected=WORD_LIST)
    require_regular(beside)
    return path, beside


def read(path: Path, wanted: Wanted) -> Iterator[WordRow]:
    """Yield the wanted words and their vectors. The array is mapped, not read as a whole."""
    array, beside = path, files(path)[1]
    try:
        # Mapped, because a file of vectors may be larger than the memory. A pickle could run code, so it is refused.
        table = np.load(array, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise opening_error(error, array) from error
    except (ValueError, EOFError, OverflowError, SyntaxError, MemoryError, TokenError) as error:
        what = f"not a readable NumPy array: {error}"
        raise DataError(what[:200], file=array, expected=EXPECTED) from error
    if not isinstance(table, np.ndarray) or table.ndim != 2 or table.dtype.kind != "f":
        found = f"{table.dtype} {list(table.shape)}" if isinstance(table, np.ndarray) else "an archive"
        raise DataError(f"the file has {found}", file=array, expected=EXPECTED)
    require_width(table.shape[1], array)
    number = 0
    for number, word in enumerate(lines(beside, WORD_LIST), 1):
        if number > len(table):
            raise _unequal(beside, number, len(table))
        if word and wanted(word):
            yield word, as_row(word, np.array(table[number - 1], np.float64), array)
    if number != len(table):
        raise _unequal(beside, number, len(table))


def _unequal(beside: Path, words: int, rows: int) -> DataError:
    what = f"the list has {words:,} words or more, but the array has {rows:,} rows"
    what = what if words > rows else f"the list has {words:,} words, but the array has {rows:,} rows"
    return DataError(what, file=beside, line=words, expected="one word for each row")
