"""Edit distance and error rates of words (WER), characters (CER) or any tokens.

The edit distance is the smallest number of substitutions, deletions and insertions that lead from one
sequence to the other (Levenshtein, Soviet Physics Doklady 10, 1966). It is computed by dynamic programming,
row by row (Wagner and Fischer, Journal of the ACM 21, 1974).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# The cost of one edit. The lower 32 bits count insertions, so the fewest insertions win a tie.
_EDIT = 1 << 32


@dataclass(frozen=True)
class Edits:
    """The numbers of edits between a true sequence and an answer.

    truth: number of tokens in the true sequence.
    If several alignments have the same number of edits, the one with the most substitutions counts.
    """

    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0
    truth: int = 0

    def __add__(self, other: Edits) -> Edits:
        return Edits(
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
            self.truth + other.truth,
        )

    @property
    def errors(self) -> int:
        """The edit distance: all edits."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors per true token. It can exceed 1 if there are insertions.

        If there are no true tokens, it is the number of errors.
        """
        return self.errors / max(1, self.truth)


def edits(truth: Sequence[Hashable], said: Sequence[Hashable]) -> Edits:
    """Return the edits between two sequences of hashable tokens.

    Memory is proportional to the sum of the lengths.
    """
    t, s = _numbered(truth, said)
    row = np.arange(len(s) + 1, dtype=np.int64) * (_EDIT + 1)  # for an empty truth: all of `said` is inserted
    inserted = row.copy()
    for token in t:
        through = row[:-1] + np.where(s == token, 0, _EDIT)  # a match or a substitution
        row = row + _EDIT  # a deletion
        np.minimum(row[1:], through, out=row[1:])
        # An entry may also be an earlier entry plus insertions. So take the minimum over all earlier entries.
        row = np.minimum.accumulate(row - inserted) + inserted
    errors, insertions = divmod(int(row[-1]), _EDIT)
    deletions = insertions + len(t) - len(s)
    return Edits(errors - deletions - insertions, deletions, insertions, len(t))


def total(pairs: Iterable[tuple[Sequence[Hashable], Sequence[Hashable]]]) -> Edits:
    """Return the sum of the edits of many (truth, said) pairs.

    Its `rate` is the error rate of the corpus, in which long sequences have more weight.
    """
    return sum((edits(truth, said) for truth, said in pairs), Edits())


def word_errors(pairs: Iterable[tuple[str, str]]) -> Edits:
    """Return the edits of words, separated by white space, of (truth, said) texts. Its `rate` is the WER."""
    return total((truth.split(), said.split()) for truth, said in pairs)


def character_errors(pairs: Iterable[tuple[str, str]]) -> Edits:
    """Return the edits of characters (code points) of (truth, said) texts. Its `rate` is the CER."""
    return total(pairs)


def _numbered(truth: Sequence[Hashable], said: Sequence[Hashable]) -> tuple[list[int], NDArray[np.int64]]:
    """Replace the tokens of both sequences by numbers. Equal tokens get equal numbers."""
    numbers: dict[Hashable, int] = {}
    first = [numbers.setdefault(token, len(numbers)) for token in truth]
    return first, np.array([numbers.setdefault(token, len(numbers)) for token in said], dtype=np.int64)
