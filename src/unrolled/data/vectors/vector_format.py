"""`VectorFormat` describes a file format of word vectors. The modules of this folder are written with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import DataError
from unrolled.data.text.encoding import PACKED, blocks

WIDEST = 4096  # maximum width of a vector; a larger number in a file is wrong
LONGEST_LINE = 1 << 17  # maximum characters of a line: `WIDEST` numbers of 32 characters
LARGEST = 1e6  # maximum absolute value of a number; the numbers of word vectors are below 100
WORD_LIST = "a list of words: text in UTF-8, one word per line"

F32 = NDArray[np.float32]
Wanted = Callable[[str], bool]
WordRow = tuple[str, F32]


@dataclass(frozen=True)
class VectorFormat:
    """A file format of word vectors.

    matches: whether a path has this format. It looks only at the name.
    files: returns the files that `read` reads. Raises UsageError if one of them does not exist.
    read: yields the words for which `wanted` is true, with their vectors [width], in the order of the file.
    `wanted` is called once for each word of the file. Vectors that are not wanted are not converted to
    numbers. Raises DataError for wrong content.
    """

    matches: Callable[[Path], bool]
    files: Callable[[Path], tuple[Path, ...]]
    read: Callable[[Path, Wanted], Iterator[WordRow]]


def lines(path: Path, expected: str) -> Iterator[str]:
    """Yield the lines of a text file, without line ends. The file may be gzipped.

    expected: the content of the file, for messages. Raises DataError for a line that is too long, and for
    bytes that are not UTF-8.
    """
    rest, number = "", 0
    try:
        for block in blocks(path, PACKED, expected):
            *whole, rest = (rest + block).split("\n")
            for line in whole:
                yield line.rstrip("\r")
            number += len(whole)
            if len(rest) > LONGEST_LINE:
                what = f"a line of more than {LONGEST_LINE:,} characters"
                raise DataError(what, file=path, line=number + 1, expected=expected)
    except DataError as error:
        raise DataError(error.what, file=path, line=error.line, expected=expected) from error
    if rest:
        yield rest.rstrip("\r")


def as_row(word: str, numbers: NDArray[np.floating], path: Path, line: int | None = None) -> F32:
    """Return the vector of a word as float32. Raises DataError if a number is not finite or too large."""
    fits = np.abs(numbers) <= LARGEST  # false for NaN
    if not fits.all():
        wrong = float(numbers[~fits][0])
        what = f"the vector of {word!r:.80} has the number {wrong:g}"
        raise DataError(
            what, file=path, line=line, expected=f"numbers from -{LARGEST:,.0f} to {LARGEST:,.0f}"
        )
    return numbers.astype(np.float32)


def require_width(width: int, path: Path, line: int | None = None) -> int:
    """Return the width of the vectors. Raises DataError if it is not allowed."""
    if not 1 <= width <= WIDEST:
        what = f"vectors of {width:,} numbers"
        raise DataError(what, file=path, line=line, expected=f"1 to {WIDEST:,} numbers")
    return width
