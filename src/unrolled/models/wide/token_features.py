"""Features of each token of a sentence as hashes: the features of the wide part of a tagger.

They are the features that users of CRFsuite write: the word, its affixes and its shape, and those of its neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from unrolled.core.types import Array
from unrolled.data.text.word_features import shape

WIDTH = 32  # maximum number of features of a token; missing ones are NONE
NONE = 0
AFFIX = 4  # maximum number of letters of a prefix or suffix
NEAR = (-2, -1, 1, 2)  # positions of neighbours


def token_features(words: Sequence[str]) -> NDArray[np.uint32]:
    """Return the hashes of the features of all tokens, [T * WIDTH]: WIDTH for each token, in order."""
    lowers, shapes = [word.lower() for word in words], [shape(word) for word in words]
    found = np.full((len(words), WIDTH), NONE, np.uint32)
    for t, word in enumerate(words):
        names = [*_own(word, lowers[t], shapes[t]), *_around(t, lowers, shapes)]
        found[t, : len(names)] = [crc32(name.encode("utf-8", "surrogatepass")) or 1 for name in names]
    return found.reshape(-1)  # [T * WIDTH]


def by_token(features: Array) -> Array:
    """Return the features of all tokens as one row per token, [T, WIDTH]. features: [T * WIDTH]."""
    return features.reshape(-1, WIDTH)


def _own(word: str, lower: str, kind: str) -> list[str]:
    """Return the features of a word itself: at most 12."""
    names = ["b", f"w={word}", f"l={lower}", f"s={kind}"]
    for n in range(1, min(AFFIX, len(lower)) + 1):
        names += [f"p={lower[:n]}", f"e={lower[-n:]}"]
    return names


def _around(t: int, lowers: Sequence[str], shapes: Sequence[str]) -> list[str]:
    """Return the features of the neighbours of token t: at most 14."""
    names: list[str] = []
    for step in NEAR:
        at = t + step
        if 0 <= at < len(lowers):
            names += [f"{step}l={lowers[at]}", f"{step}s={shapes[at]}"]
            if abs(step) == 1:
                names += [f"{step}ll={lowers[at]} {lowers[t]}", f"{step}ss={shapes[at]} {shapes[t]}"]
        elif abs(step) == 1:
            names.append(f"{step}none")
    return names
