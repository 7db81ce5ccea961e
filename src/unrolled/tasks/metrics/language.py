"""Metrics of language models: perplexity, distance of distributions, and the longest copied passage."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unrolled.core.types import Array

UInt64 = NDArray[np.uint64]


def perplexity(nats: float) -> float:
    """Return exp(nats) of the mean nats per token. It is limited to exp(700), because exp(710) overflows.

    A perplexity of k corresponds to a choice among k equally probable tokens.
    """
    return math.exp(min(nats, 700.0))


def total_variation(p: Array, q: Array) -> float:
    """Return half the sum of |p - q| of two distributions [n]: 0 if they are equal, 1 if they are disjoint.

    Counts are normalised first.
    """
    p, q = np.asarray(p, dtype=np.float64), np.asarray(q, dtype=np.float64)
    return float(np.abs(p / p.sum() - q / q.sum()).sum() / 2)


@dataclass(frozen=True)
class Passage:
    """A copied passage: sample[start : start + length] equals text[place : place + length].

    All 0 if there is none.
    """

    length: int
    start: int
    place: int


_BLOCK = 1 << 18  # positions of the text that are hashed at once: 2 MB, which fit in the cache of a core
_FIRST = 32  # first length of the search in tokens; longer copies are rare
_ODD = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93))  # two arbitrary odd numbers
_FOLD = np.uint64(29)


def longest_copied(sample: Array, text: Array) -> Passage:
    """Return the longest passage of a sample [m] that occurs verbatim in a text [n].

    Both are ids or code points.
    The function uses binary search over the length. For each length it looks up the hashes of the passages of
    the text among the hashes of the sample, and compares matches token by token. It processes the text in
    blocks, so that a text that is mapped from disk is never in memory as a whole. If a block has
    no match of length k, it has no match of a greater length. It is then skipped for lengths above k.
    """
    sample = np.asarray(sample).astype(np.int64)
    best, impossible = Passage(0, 0, 0), min(len(sample), len(text)) + 1
    blocks = list(range(0, len(text), _BLOCK))
    while impossible - best.length > 1:
        k = (best.length + impossible) // 2
        k = min(k, max(_FIRST, 2 * best.length))
        found, kept = _probe(sample, text, k, blocks)
        if found is None:
            impossible = k
        else:
            best, blocks = found, kept
    return best


def _probe(
    sample: NDArray[np.int64], text: Array, k: int, blocks: list[int]
) -> tuple[Passage | None, list[int]]:
    """Return a common passage of k tokens (or None), and the blocks of the text where such passages may begin."""
    ours = _hashes(sample, k)
    known = np.unique(ours)
    table = np.zeros(
        1 << 16, dtype=np.bool_
    )  # by the first 16 bits of a hash; it excludes nearly all places fast
    table[known >> np.uint64(48)] = True
    found, kept = None, list[int]()
    for begin in blocks:
        part = np.asarray(text[begin : begin + _BLOCK + k - 1]).astype(np.int64)
        if len(part) < k:
            continue
        theirs = _hashes(part, k)
        places = np.flatnonzero(table[theirs >> np.uint64(48)])
        places = places[np.isin(theirs[places], known)]
        if len(places):
            kept.append(begin)
        if found is None:
            found = _verified(sample, part, k, ours, theirs, places)
            found = found and Passage(k, found.start, begin + found.place)
    return found, kept


def _verified(
    sample: NDArray[np.int64],
    part: NDArray[np.int64],
    k: int,
    ours: UInt64,
    theirs: UInt64,
    places: NDArray[np.int64],
) -> Passage | None:
    """Return the first of the places where all k tokens are equal, not only the hash.

    None if there is none.
    """
    for place in places.tolist():
        for start in np.flatnonzero(ours == theirs[place]).tolist():
            if np.array_equal(sample[start : start + k], part[place : place + k]):
                return Passage(k, start, place)
    return None


def _hashes(tokens: NDArray[np.int64], k: int) -> UInt64:
    """Return [len(tokens) - k + 1] the hash of each window of k tokens, computed by doubling the window."""
    values = tokens.astype(np.uint64) * _ODD[0]
    values ^= values >> _FOLD
    span = 1
    while span < k:
        ahead = min(span, k - span)
        values = values[:-ahead] * _ODD[1] + values[ahead:]
        values ^= values >> _FOLD
        values *= _ODD[0]
        span += ahead
    return values
