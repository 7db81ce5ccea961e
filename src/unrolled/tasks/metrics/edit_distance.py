"""Edit distance and error rates: of words (WER), characters (CER), or any tokens.

The smallest number of substitutions, deletions and insertions that turn what was said into what is true (Levenshtein,
Soviet Physics Doklady 10, 1966), by rows of the usual table (Wagner and Fischer, Journal of the ACM 21, 1974).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_EDIT = (
    1 << 32
)  # one edit; what is below counts insertions, so that of equal ways that with the fewest is taken


@dataclass(frozen=True)
class Edits:
    """How many edits lie between what is true and what was said. truth: how many tokens the true sequences have.

    Of equally short ways that with the most substitutions counts.
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
        """The edit distance."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors for each true token; above 1 where too much is said. Of nothing true: the number of errors."""
        return self.errors / max(1, self.truth)


def edits(truth: Sequence[Hashable], said: Sequence[Hashable]) -> Edits:
    """The edits from `said` to `truth`, two sequences of anything that compares; memory grows with their sum only."""
    t, s = _numbered(truth, said)
    row = np.arange(len(s) + 1, dtype=np.int64) * (_EDIT + 1)  # nothing of the truth: all said is inserted
    inserted = row.copy()
    for token in t:
        through = row[:-1] + np.where(s == token, 0, _EDIT)  # the same, or a substitution
        row = row + _EDIT  # a deletion
        np.minimum(row[1:], through, out=row[1:])
        # An insertion goes along the row: the smallest of all that stand before, less what lies between.
        row = np.minimum.accumulate(row - inserted) + inserted
    errors, insertions = divmod(int(row[-1]), _EDIT)
    deletions = insertions + len(t) - len(s)
    return Edits(errors - deletions - insertions, deletions, insertions, len(t))


def total(pairs: Iterable[tuple[Sequence[Hashable], Sequence[Hashable]]]) -> Edits:
    """The edits of many (truth, said) together; their `rate` is the corpus's, in which long sequences weigh more."""
    return sum((edits(truth, said) for truth, said in pairs), Edits())


def word_errors(pairs: Iterable[tuple[str, str]]) -> Edits:
    """Of the words between white space, of (truth, said) texts; its `rate` is the WER."""
    return total((truth.split(), said.split()) for truth, said in pairs)


def character_errors(pairs: Iterable[tuple[str, str]]) -> Edits:
    """Of the characters (code points), of (truth, said) texts; its `rate` is the CER."""
    return total(pairs)


def _numbered(truth: Sequence[Hashable], said: Sequence[Hashable]) -> tuple[list[int], NDArray[np.int64]]:
    """Both with equal numbers for equal tokens."""
    numbers: dict[Hashable, int] = {}
    first = [numbers.setdefault(token, len(numbers)) for token in truth]
    return first, np.array([numbers.setdefault(token, len(numbers)) for token in said], dtype=np.int64)
