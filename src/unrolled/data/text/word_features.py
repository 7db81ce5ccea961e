"""Features of a word that also exist for unknown words: prefixes, suffixes, upper and lower case, shape.

A word becomes several features, each a row of the embedding, added up (as Bojanowski et al., arXiv 1607.04606v2, do
with all character n-grams). Features are learnt from the training part alone; one that is not known adds nothing.
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

PREFIXES, SUFFIXES = 4, 5  # letters, at most
WIDTH = 2 + PREFIXES + SUFFIXES  # features of a word, at most
FEWEST = 2  # distinct words that a feature must stand in to be kept
_SHAPES = ((re.compile(r"[^\W\d_]"), "x"), (re.compile(r"\d"), "0"))


@dataclass(frozen=True)
class Affixes:
    """The features known, most frequent first: `=word` (lower-cased), `^pre`, `fix$` and `~shape`."""

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.index) != len(self.names):
            raise DataError("the list of affixes is damaged", expected="each of them once")

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Feature -> its number."""
        return {name: number for number, name in enumerate(self.names)}

    def encode(self, words: Iterable[str]) -> NDArray[np.int32]:
        """[T, WIDTH] numbers of the features of each word, -1 where there is none."""
        rows = [[self.index[name] for name in features(word) if name in self.index] for word in words]
        found = np.full((len(rows), WIDTH), -1, dtype=np.int32)
        for row, numbers in zip(found, rows, strict=True):
            row[: len(numbers)] = numbers
        return found


def learn(counts: Mapping[str, int]) -> Affixes:
    """The features of the words counted: affixes and shapes of at least two words, words seen at least twice."""
    found: Counter[str] = Counter()
    for word, count in counts.items():
        for name in features(word):
            found[name] += count if name.startswith("=") else 1
    kept = sorted((-count, name) for name, count in found.items() if count >= FEWEST)
    return Affixes(tuple(name for _, name in kept))


def features(word: str) -> Iterator[str]:
    """The features of one word, known or not; an affix is shorter than its word."""
    lower = word.lower()
    yield f"={lower}"
    for n in range(1, min(PREFIXES, len(lower) - 1) + 1):
        yield f"^{lower[:n]}"
    for n in range(1, min(SUFFIXES, len(lower) - 1) + 1):
        yield f"{lower[-n:]}$"
    yield f"~{shape(word)}"


def shape(word: str) -> str:
    """The kinds of a word's characters, runs of more than two cut short: `McDonald` XxXxx, `B-52` X-00."""
    upper = "".join("X" if letter.isupper() else letter for letter in word[:32])
    letters = "".join(_kind(letter) for letter in upper)
    return re.sub(r"(.)\1{2,}", r"\1\1", letters)


def _kind(letter: str) -> str:
    if letter == "X":
        return letter
    return next((kind for pattern, kind in _SHAPES if pattern.match(letter)), letter)
