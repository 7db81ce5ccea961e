"""Hashes and permutations: the published function, a bijection, uniform enough, one stream per key."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from unrolled.core.hashing import hashed, permuted, splitmix64


def test_splitmix64_is_the_published_one():
    # The first outputs of the reference implementation for the seeds 0 and 1234567.
    found = splitmix64(np.array([0, 1234567], dtype=np.uint64)).tolist()
    assert found == [0xE220A8397B1DCDAF, 6457827717110365317]


@given(st.integers(1, 3000), st.integers(0, 2**62), st.integers(-5, 2**40))
def test_permuted_is_a_permutation(n, seed, epoch):
    found = permuted((seed, epoch), n, np.arange(n))
    assert np.array_equal(np.sort(found), np.arange(n))
    assert found[-1:] == permuted((seed, epoch), n, np.array([n - 1]))


def test_permuted_is_uniform_enough():
    counts = np.zeros((24, 24))
    for seed in range(1500):
        counts[np.arange(24), permuted((seed,), 24, np.arange(24))] += 1
    expected = 1500 / 24
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert chi_square < 23 * 23 + 6 * np.sqrt(2 * 23 * 23)


def test_hashes_of_different_keys_and_values_differ():
    keys = [(0, 0), (0, 1), (1, 0), (0,), (0, 0, 0)]
    found = np.concatenate([hashed(key, np.arange(-1, 100)) for key in keys])
    assert len(np.unique(found)) == len(found)
