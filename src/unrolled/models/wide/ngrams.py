"""N-grams of a text as 31-bit hashes: 1-2 words, and 2-5 characters within a word.

Hashes need no vocabulary in the model file. Equal n-grams always have equal hashes, on every machine. Different n-grams
have the same hash in about one of 100,000 cases per 20,000 n-grams, which costs no measurable accuracy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

TOKEN = re.compile(r"\w+|[^\w\s]")  # punctuation is included, because "!" is informative in a review
WORDS = (1, 2)  # number of words of a word n-gram
CHARACTERS = (
    2,
    3,
    4,
    5,
)  # number of characters of a character n-gram; a space marks the start and the end of a word
OF_WORDS = np.uint32(1 << 31)  # this bit is set in the hashes of word n-grams
# Constants of a hash modulo 2^64. The factor is odd, so it has an inverse.
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_INVERSE = np.uint64(pow(0x9E3779B97F4A7C15, -1, 2**64))
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))  # of splitmix64


def ngrams(text: str) -> NDArray[np.uint32]:
    """Return the hashes of all distinct n-grams of a text, sorted. Letter case is ignored."""
    words = TOKEN.findall(text.lower())
    if not words:
        return np.zeros(0, np.uint32)
    codes = np.frombuffer((" " + " ".join(words) + " ").encode("utf-32-le", "surrogatepass"), "<u4").astype(
        np.uint64
    )
    spaces = codes == ord(" ")
    # A word n-gram is hashed from the hashes of its words, and the hash of a word from its characters.
    hashed = _words(codes, np.flatnonzero(spaces))
    found = [_finished(_joined(hashed, count), count) | OF_WORDS for count in WORDS]
    found += [_finished(part, count) & ~OF_WORDS for count, part in _characters(codes, spaces)]
    return np.unique(np.concatenate(found))


def _words(codes: NDArray[np.uint64], spaces: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return [words] the hash of each word. spaces: the positions of the spaces around the words.

    The hash of a word is the sum of code * factor^k over its characters k = 0, 1, ... It is a difference of two sums
    over the whole text, divided by the power at which the word begins.
    """
    powers, inverse = _powers(_FACTOR, len(codes)), _powers(_INVERSE, len(codes))
    sums = np.cumsum(codes * powers)  # modulo 2^64
    return (sums[spaces[1:] - 1] - sums[spaces[:-1]]) * inverse[spaces[:-1] + 1]


def _powers(base: np.uint64, count: int) -> NDArray[np.uint64]:
    """Return [count] base^0, base^1, ... modulo 2^64."""
    factors = np.full(count, base)
    factors[:1] = 1
    return np.multiply.accumulate(factors)


def _joined(parts: NDArray[np.uint64], count: int) -> NDArray[np.uint64]:
    """Return the hash of each run of `count` parts. There are len(parts) - count + 1 of them."""
    runs = max(0, len(parts) - count + 1)
    total = np.zeros(runs, np.uint64)
    for k in range(count):
        total = total * _FACTOR + parts[k : k + runs]
    return total


def _characters(
    codes: NDArray[np.uint64], spaces: NDArray[np.bool_]
) -> Iterator[tuple[int, NDArray[np.uint64]]]:
    """Yield the number of characters and the hashes of the character n-grams that lie within one word."""
    inner = np.cumsum(spaces)  # number of spaces up to a position
    for count in CHARACTERS:
        runs = max(0, len(codes) - count + 1)
        # A space is allowed at the first and at the last position only.
        within = inner[count - 2 : count - 2 + runs] == inner[:runs]
        yield count, _joined(codes, count)[within]


def _finished(hashes: NDArray[np.uint64], count: int) -> NDArray[np.uint32]:
    """Mix the bits of hashes and return 32 of them. count: distinguishes n-grams of different lengths."""
    mixed = hashes + np.uint64(count)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _MIX[0]
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _MIX[1]
    return (mixed >> np.uint64(32)).astype(np.uint32)
