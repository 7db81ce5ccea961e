"""Word vectors as text (also gzipped): each line is a word and its numbers.

GloVe writes such files. The files of word2vec and fastText (.vec) have one more line at the top: the number
of words, and the width of the vectors.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from unrolled.core.errors import DataError
from unrolled.core.regular_files import require_regular
from unrolled.data.vectors.vector_format import F32, Wanted, WordRow, as_row, lines, require_width

EXPECTED = "word vectors as text in UTF-8: on each line a word and its numbers"


def files(path: Path) -> tuple[Path, ...]:
    """Return the file. Raises UsageError if it does not exist."""
    require_regular(path)
    return (path,)


def read(path: Path, wanted: Wanted) -> Iterator[WordRow]:
    """Yield the wanted words and their vectors. See `VectorFormat`."""
    told: int | None = None  # number of words, if the file has a line at the top
    width, number = 0, 0
    for number, line in enumerate(lines(path, EXPECTED), 1):
        line = line.rstrip(" \t")
        line = line.replace("\t", " ") if "\t" in line else line
        if number == 1:
            head = line.split(" ")
            if len(head) == 2 and all(part.isdecimal() and len(part) < 16 for part in head):
                told, width = int(head[0]), require_width(int(head[1]), path, 1)
                continue
            if len(head) > 1:
                width = require_width(len(head) - 1, path, 1)
                _row(head[0], head[1:], width, path, 1)  # the first line shows whether these are vectors
        if not width or line.count(" ") != width:
            word = _word_with_spaces(line, width, path, number)
        else:
            word = line[: line.index(" ")]
        if word and wanted(word):
            yield word, _row(word, line[len(word) :].split(), width, path, number)
    found = number - (told is not None)
    if told is not None and found < told:
        what = f"the file has {found:,} words, but its first line says {told:,}"
        raise DataError(
            what, file=path, line=number, expected="a complete file", hint="another copy of the file"
        )
    if not found:
        raise DataError("no words", file=path, expected=EXPECTED)


def _word_with_spaces(line: str, width: int, path: Path, number: int) -> str:
    """Return the word of a line with more than `width` spaces: a few words of GloVe contain spaces.

    Raises DataError if the line has too few or too many numbers.
    """
    fields = line.rsplit(" ", width) if width else [line]
    word = fields[0] if len(fields) == width + 1 > 1 else ""
    if not word or _is_number(word.rpartition(" ")[2]):
        count = sum(map(_is_number, line.split(" ")[1:]))
        what = f"{count:,} numbers after the word {line.partition(' ')[0]!r:.80}"
        expected = f"{width:,} numbers, as in the first line" if width else EXPECTED
        raise DataError(what, file=path, line=number, expected=expected)
    return word


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _row(word: str, fields: list[str], width: int, path: Path, number: int) -> F32:
    """Return the numbers of a line. Raises DataError if one of them is not a number."""
    try:
        row = np.array(fields, dtype=np.float64)
    except ValueError as error:
        wrong = next((field for field in fields if not _is_number(field)), "")
        what = f"{wrong!r:.40} in the vector of {word!r:.80} is not a number"
        raise DataError(what, file=path, line=number, expected=f"{width:,} numbers") from error
    if len(row) != width:
        raise DataError(
            f"{len(row):,} numbers after the word {word!r:.80}",
            file=path,
            line=number,
            expected=f"{width:,} numbers",
        )
    return as_row(word, row, path, number)
