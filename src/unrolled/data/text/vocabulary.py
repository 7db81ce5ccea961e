"""The vocabulary: the most frequent tokens, `<UNK>` for all others, and `<EOS>` for the end of a document."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import DataError

KEYS = {"tokens", "counts"}  # keys of a vocabulary in JSON
UNK, EOS = 0, 1
SPECIAL = ("<UNK>", "<EOS>")


@dataclass(frozen=True)
class Vocabulary:
    """Tokens and their counts in the training text, most frequent first. Token i has the id i + 2.

    Ids 0 and 1 are `<UNK>` and `<EOS>`. If a text contains the characters `<UNK>`, they are an ordinary token
    with a separate id.

    Raises DataError if tokens are repeated, empty or invalid Unicode, or if there is not one count per token.
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
        """Token -> id, without the special tokens."""
        return {token: number for number, token in enumerate(self.tokens, len(SPECIAL))}

    def encode(self, tokens: Iterable[str]) -> NDArray[np.int32]:
        """Return the ids of tokens, [T] int32. Tokens that are not in the vocabulary become `<UNK>`."""
        return np.fromiter(map(self.index.get, tokens, itertools.repeat(UNK)), dtype=np.int32)

    def name(self, number: int) -> str:
        """Return the token with this id. Raises IndexError if there is none."""
        if not 0 <= number < len(self):
            raise IndexError(f"id {number} in a vocabulary of {len(self)}")
        return SPECIAL[number] if self.is_special(number) else self.tokens[number - len(SPECIAL)]

    def is_special(self, number: int) -> bool:
        """Whether an id is the special `<UNK>` or `<EOS>`, not an ordinary token with the same characters."""
        return number < len(SPECIAL)

    def to_json(self) -> dict[str, object]:
        """Return the vocabulary as a JSON value for `from_json`."""
        return {"tokens": list(self.tokens), "counts": list(self.counts)}

    @staticmethod
    def from_json(value: object) -> Vocabulary:
        """Create a vocabulary from a JSON value of `to_json`.

        Raises DataError with the reason if it is invalid.
        """
        if not isinstance(value, dict) or set(value) != KEYS:
            raise DataError("vocabulary is damaged", expected="an object with tokens and counts")
        tokens, counts = value["tokens"], value["counts"]
        if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
            raise DataError("vocabulary is damaged", expected="a list of texts in tokens")
        if not isinstance(counts, list) or not all(type(count) is int and count >= 0 for count in counts):
            raise DataError("vocabulary is damaged", expected="a list of whole numbers >= 0 in counts")
        return Vocabulary(tuple(tokens), tuple(counts))
