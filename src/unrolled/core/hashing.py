"""Random numbers and permutations as pure functions of a key (seed, epoch, index)."""

from __future__ import annotations

from math import isqrt

import numpy as np
from numpy.typing import NDArray

from unrolled.core.types import Integers

Int64 = NDArray[np.int64]
UInt64 = NDArray[np.uint64]


def splitmix64(values: UInt64) -> UInt64:
    """Apply the output function of SplitMix64 (Steele, Lea and Flood 2014) to each value of an array of any shape.

    It maps each 64-bit number to another one (a bijection).
    """
    z = values + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def hashed(key: tuple[int, ...], values: Integers) -> UInt64:
    """Return 64 pseudo-random bits for each value, a pure function of (key, value)."""
    state = np.zeros(1, dtype=np.uint64)
    for part in key:
        state = splitmix64(state ^ np.array([part & (2**64 - 1)], dtype=np.uint64))
    return splitmix64(state ^ splitmix64(np.atleast_1d(values).astype(np.uint64)))


def permuted(key: tuple[int, ...], n: int, positions: Integers) -> Int64:
    """Return the images of `positions` under a pseudo-random permutation of range(n), without storing it.

    A Feistel network with four rounds (Luby and Rackoff 1988) permutes pairs of numbers below ceil(sqrt(n)).
    It is repeated until the result is below n (Black and Rogaway 2002); one pass is nearly always enough.
    """
    side = np.uint64(isqrt(n - 1) + 1)
    turns = hashed(key, np.arange(4))
    values = np.asarray(positions).astype(np.uint64)
    outside = np.arange(len(values))
    while len(outside):
        left, right = np.divmod(values[outside], side)
        for turn in turns:
            left, right = right, (left + splitmix64(right ^ turn) % side) % side
        values[outside] = left * side + right
        outside = outside[values[outside] >= np.uint64(n)]
    return values.astype(np.int64)
