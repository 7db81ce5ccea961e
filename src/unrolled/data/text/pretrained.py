"""Pretrained word vectors: choose the words of a file to keep, and find the vector of a word.

The vectors of the words of the training set are kept, and those of the most frequent other words of the file.
So words that the training set does not have are known too. If a word has no vector, other spellings are tried.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import DataError
from unrolled.data.vectors import format_of

CLIP = 64.0  # maximum absolute value of a scaled number; the largest of real vectors are about 10
_DIGIT = re.compile(r"\d")
DIGITS = ("0", "#")  # characters that replace the digits of a word in some files


@dataclass(frozen=True, eq=False)
class PretrainedWords:
    """Words with pretrained vectors.

    words: row i of the vectors is that of word i.
    values: [words, width] the vectors. None in a model that was read from a file: its network has them.

    Raises DataError if a word is repeated.
    """

    words: tuple[str, ...]
    values: NDArray[np.float16] | None = None

    def __post_init__(self) -> None:
        if len(self.index) != len(self.words):
            raise DataError("the list of words with vectors is damaged", expected="each word once")

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Word -> its row."""
        return {word: number for number, word in enumerate(self.words)}

    def row(self, word: str) -> int:
        """Return the row of the first spelling of a word that has a vector; -1 if none has."""
        return next((self.index[form] for form in spellings(word) if form in self.index), -1)

    def encode(self, words: Iterable[str]) -> NDArray[np.int32]:
        """Return the row of each word, [T]; -1 for a word without a vector."""
        return np.fromiter(map(self.row, words), dtype=np.int32)


def spellings(word: str) -> Iterator[str]:
    """Yield the spellings of a word in the order in which they are tried.

    They are the word itself, in lower case, and with a capital first letter. Then come the word and its lower
    case with all digits replaced by 0 or by #.
    """
    lower = word.lower()
    yield word
    yield lower
    yield lower[:1].upper() + lower[1:]
    if _DIGIT.search(word):
        for digit in DIGITS:
            yield _DIGIT.sub(digit, word)
            yield _DIGIT.sub(digit, lower)


def choose(path: Path, words: Iterable[str], extra: int) -> PretrainedWords:
    """Return the vectors of `words`, and those of the first `extra` other words of the file. One pass.

    Files of word vectors begin with the most frequent word. All spellings of `words` that the file has are
    kept. If a word occurs twice in the file, its first vector is kept.

    The vectors are divided by the root mean square of all kept numbers, so that they have the same size as the
    initial values of an embedding. Raises DataError if the file is wrong or none of its words is kept.
    """
    known = {form for word in words for form in spellings(word)}
    kept, left = dict[str, NDArray[np.float32]](), extra

    def wanted(word: str) -> bool:
        nonlocal left
        if word in kept or not (word in known or left > 0):
            return False
        left -= word not in known
        return True

    for word, row in format_of(path).read(path, wanted):
        kept[word] = row
    if not kept:
        raise DataError(
            "none of its words occurs in the training set", file=path, expected="other word vectors"
        )
    table = np.stack(list(kept.values()))
    size = float(np.sqrt(np.mean(np.square(table, dtype=np.float64))))
    if not size:
        raise DataError("all vectors are zero", file=path, expected="word vectors")
    return PretrainedWords(tuple(kept), np.clip(table / size, -CLIP, CLIP).astype(np.float16))
