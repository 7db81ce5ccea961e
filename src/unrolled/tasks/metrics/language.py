"""Metrics of language models: perplexity, first words, and how much of a sample is copied."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unrolled.core.types import Array

UInt64 = NDArray[np.uint64]


def perplexity(nats: float) -> float:
    """exp of the mean nats a token: as unsure as among so many equal choices; at most exp(700), which is a number."""
    return math.exp(min(nats, 700.0))


def total_variation(p: Array, q: Array) -> float:
    """Half the sum of |p - q|: 0 for equal, 1 for disjoint distributions [n]. Counts are normalised first."""
    p, q = np.asarray(p, dtype=np.float64), np.asarray(q, dtype=np.float64)
    return float(np.abs(p / p.sum() - q / q.sum()).sum() / 2)


@dataclass(frozen=True)
class Passage:
    """sample[start : start + length] stands verbatim at text[place : place + length]; all 0 if nothing is shared."""

    length: int
    start: int
    place: int


_BLOCK = 1 << 18  # positions of the text hashed at once: 2 MB, which stays in a core's cache
_FIRST = 32  # tokens; few samples share longer passages with a text by chance
_ODD = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93))  # any odd numbers without a pattern
_FOLD = np.uint64(29)


def longest_copied(sample: Array, text: Array) -> Passage:
    """The longest passage of a sample [m] that stands verbatim in a text [n]; both are ids or code points.

    Binary search over its length: for each, the hashes of the text's passages are looked up among the sample's,
    block by block, so that a text mapped from disk never stands in memory, and then compared token by token.
    A block without a passage of some length has no longer one and is not looked at again.
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
    """A passage of k tokens that both have, and the blocks of the text in which such ones seem to begin."""
    ours = _hashes(sample, k)
    known = np.unique(ours)
    table = np.zeros(
        1 << 16, dtype=np.bool_
    )  # by the first 16 bits: nearly all places are dismissed by one look
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
    """The first of the places where not only the hash but each of the k tokens is the same."""
    for place in places.tolist():
        for start in np.flatnonzero(ours == theirs[place]).tolist():
            if np.array_equal(sample[start : start + k], part[place : place + k]):
                return Passage(k, start, place)
    return None


def _hashes(tokens: NDArray[np.int64], k: int) -> UInt64:
    """[len(tokens) - k + 1] a hash of each k tokens that follow each other, by doubling."""
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
