"""Replace rare tokens by `<UNK>` at random during training, so that a model learns to handle unknown words.

A token is rare if the training text has it once. Each time it is read, it is replaced with probability 1/2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unrolled.core.hashing import hashed
from unrolled.core.types import Array
from unrolled.data.text.vocabulary import SPECIAL, UNK, Vocabulary

RARE_COUNT = 1  # a token with this count in the training text is rare
_COIN = np.uint64(1)  # the lowest bit of a hash: 1 with probability 1/2


def rare_tokens(vocabulary: Vocabulary) -> NDArray[np.bool_]:
    """Return a mask [len(vocabulary)]: True for rare tokens. `<UNK>` and `<EOS>` are False."""
    return np.array([False] * len(SPECIAL) + [n == RARE_COUNT for n in vocabulary.counts], dtype=np.bool_)


def replace_rare(
    ids: Array, rare: NDArray[np.bool_], key: tuple[int, ...], positions: NDArray[np.int64]
) -> None:
    """Replace rare ids by `<UNK>` with probability 1/2, in place. Negative ids (padding) stay.

    ids: any shape.  rare: [n], from `rare_tokens`.  positions: one number per id, same shape as ids.
    The choice is a function of (key, position), so it can be repeated.
    """
    found = np.nonzero((ids >= 0) & rare[np.maximum(ids, 0)])
    replaced = (hashed(key, positions[found]) & _COIN) == _COIN
    ids[found] = np.where(replaced, UNK, ids[found])
