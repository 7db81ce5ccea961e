"""The vocabulary: the most frequent tokens of a text, `<UNK>` for all others and `<EOS>` at the end of a document."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import DataError

KEYS = {"tokens", "counts"}  # of a vocabulary as JSON
UNK, EOS = 0, 1
SPECIAL = ("<UNK>", "<EOS>")


@dataclass(frozen=True)
class Vocabulary:
    """Tokens and their counts in the training text, most frequent first; token i has the id i + 2.

    Ids 0 and 1 are `<UNK>` and `<EOS>`; the same letters found in a text are an ordinary token with an id of its own.
    Raises DataError where tokens are not distinct, valid Unicode or not as many as the counts.
    """

    tokens: tuple[str, ...]
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.tokens) != len(self.counts):
            raise DataError(f"vocabulary has {len(self.tokens)} tokens and {len(self.counts)} counts")
        if len(self.index) != len(self.tokens):
            double = next(token for token, n in Counter(self.tokens).items() if n > 1)
            raise DataError(f"vocabulary has the token {double!r} twice")
        for token in self.tokens:
            if not token:
                raise DataError("vocabulary has an empty token")
            if not token.isascii() and any("\ud800" <= letter <= "\udfff" for letter in token):
                raise DataError(f"vocabulary has the token {token!a}", expected="valid Unicode text")

    def __len__(self) -> int:
        return len(SPECIAL) + len(self.tokens)

    @cached_property
    def index(self) -> dict[str, int]:
        """Token -> id, the special ones not among them."""
        return {token: number for number, token in enumerate(self.tokens, len(SPECIAL))}

    def encode(self, tokens: Iterable[str]) -> NDArray[np.int32]:
        """The ids of the tokens, [T] int32; `<UNK>` for what is not in the vocabulary."""
        return np.fromiter(map(self.index.get, tokens, itertools.repeat(UNK)), dtype=np.int32)

    def name(self, number: int) -> str:
        """The token with this id; raises IndexError beyond the vocabulary."""
        if not 0 <= number < len(self):
            raise IndexError(f"id {number} in a vocabulary of {len(self)}")
        return SPECIAL[number] if self.is_special(number) else self.tokens[number - len(SPECIAL)]

    def is_special(self, number: int) -> bool:
        """Whether the id is `<UNK>` or `<EOS>` and not a token that only looks like it."""
        return number < len(SPECIAL)

    def to_json(self) -> dict[str, object]:
        """What `from_json` reads."""
        return {"tokens": list(self.tokens), "counts": list(self.counts)}

    @staticmethod
    def from_json(value: object) -> Vocabulary:
        """A vocabulary from what `to_json` gave; raises DataError that says what is wrong with it."""
        if not isinstance(value, dict) or set(value) != KEYS:
            raise DataError("vocabulary is damaged", expected="an object with tokens and counts")
        tokens, counts = value["tokens"], value["counts"]
        if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
            raise DataError("vocabulary is damaged", expected="a list of texts in tokens")
        if not isinstance(counts, list) or not all(type(count) is int and count >= 0 for count in counts):
            raise DataError("vocabulary is damaged", expected="a list of whole numbers >= 0 in counts")
        return Vocabulary(tuple(tokens), tuple(counts))
