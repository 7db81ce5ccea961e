"""Features of words that also exist for unknown words: prefixes, suffixes, upper and lower case, shape.

A word has several features. Each is a row of the embedding, and the rows are summed (Bojanowski et al., arXiv
1607.04606v2, do this with all character n-grams). The known features come from the training set only; an
unknown feature adds nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import DataError

PREFIXES, SUFFIXES = 4, 5  # maximum letters of a prefix and of a suffix
WIDTH = 2 + PREFIXES + SUFFIXES  # maximum features of a word
FEWEST = 2  # minimum number of distinct words with an affix or a shape, and minimum count of a word
_SHAPES = ((re.compile(r"[^\W\d_]"), "x"), (re.compile(r"\d"), "0"))


@dataclass(frozen=True)
class Affixes:
    """The known features, most frequent first: `=word` (lower case), `^prefix`, `suffix$` and `~shape`.

    Raises DataError if a feature is repeated.
    """

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.index) != len(self.names):
            raise DataError("the list of affixes is damaged", expected="each affix once")

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Feature -> its index."""
        return {name: number for number, name in enumerate(self.names)}

    def encode(self, words: Iterable[str]) -> NDArray[np.int32]:
        """Return the indices of each word's known features, [T, WIDTH], padded with -1."""
        rows = [[self.index[name] for name in features(word) if name in self.index] for word in words]
        found = np.full((len(rows), WIDTH), -1, dtype=np.int32)
        for row, numbers in zip(found, rows, strict=True):
            row[: len(numbers)] = numbers
        return found


def learn(counts: Mapping[str, int]) -> Affixes:
    """Return the features to keep: affixes and shapes of at least 2 words, words with count 2 or more."""
    found: Counter[str] = Counter()
    for word, count in counts.items():
        for name in features(word):
            found[name] += count if name.startswith("=") else 1
    kept = sorted((-count, name) for name, count in found.items() if count >= FEWEST)
    return Affixes(tuple(name for _, name in kept))


def features(word: str) -> Iterator[str]:
    """Yield all features of a word, known or unknown. An affix is shorter than the word."""
    lower = word.lower()
    yield f"={lower}"
    for n in range(1, min(PREFIXES, len(lower) - 1) + 1):
        yield f"^{lower[:n]}"
    for n in range(1, min(SUFFIXES, len(lower) - 1) + 1):
        yield f"{lower[-n:]}$"
    yield f"~{shape(word)}"


def shape(word: str) -> str:
    """Return the character kinds of a word, with runs shortened to two: `McDonald` XxXxx, `B-52` X-00."""
    upper = "".join("X" if letter.isupper() else letter for letter in word[:32])
    letters = "".join(_kind(letter) for letter in upper)
    return re.sub(r"(.)\1{2,}", r"\1\1", letters)


def _kind(letter: str) -> str:
    if letter == "X":
        return letter
    return next((kind for pattern, kind in _SHAPES if pattern.match(letter)), letter)
