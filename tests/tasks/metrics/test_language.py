"""Metrics of language models against definitions, and copied passages against exhaustive search."""

from __future__ import annotations

import math
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled.tasks.metrics import language
from unrolled.tasks.metrics.language import longest_copied, perplexity, total_variation


def test_perplexity_of_a_fair_coin_and_at_the_edges():
    assert perplexity(math.log(2)) == pytest.approx(2)
    assert perplexity(0.0) == 1
    assert perplexity(1e6) == math.exp(700)


def test_total_variation():
    assert total_variation(np.array([1, 0]), np.array([0, 5])) == 1
    assert total_variation(np.array([2, 2]), np.array([0.5, 0.5])) == 0
    assert total_variation(np.array([3, 1]), np.array([1, 1])) == pytest.approx(0.25)


def longest_by_search(sample: list[int], text: list[int]) -> int:
    return max(
        (k for k in range(1, len(sample) + 1) for i in range(len(sample) - k + 1)
         if any(text[j : j + k] == sample[i : i + k] for j in range(len(text) - k + 1))),
        default=0,
    )  # fmt: skip


IDS = st.lists(st.integers(0, 2), max_size=25)


@settings(max_examples=200)
@given(IDS, st.lists(st.integers(0, 2), max_size=60), st.integers(1, 20), st.integers(1, 8))
def test_the_longest_passage_is_that_of_exhaustive_search(sample, text, block, first):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(language, "_BLOCK", block)
        patch.setattr(language, "_FIRST", first)
        found = longest_copied(np.array(sample, dtype=np.int64), np.array(text, dtype=np.uint8))
    assert found.length == longest_by_search(sample, text)
    assert sample[found.start :][: found.length] == text[found.place :][: found.length]


def test_equal_hashes_are_not_believed(monkeypatch):
    monkeypatch.setattr(language, "_hashes", lambda tokens, k: np.zeros(len(tokens) - k + 1, dtype=np.uint64))
    found = longest_copied(np.array([1, 2, 3, 9]), np.array([7, 1, 2, 3, 4]))
    assert (found.length, found.start, found.place) == (3, 0, 1)
    assert longest_copied(np.array([5]), np.array([6])).length == 0


def test_ten_megabytes_in_seconds_and_little_memory():
    rng = np.random.default_rng(0)
    text = rng.choice(np.arange(30, dtype=np.uint8), size=10_000_000, p=np.arange(1, 31) / 465)
    sample = np.concatenate([rng.integers(0, 30, 500), text[7_000_000:7_000_123], rng.integers(0, 30, 500)])
    tracemalloc.start()
    try:
        begun = time.perf_counter()
        found = longest_copied(sample, text)
        seconds, peak = time.perf_counter() - begun, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert 123 <= found.length <= 130
    assert found.place <= 7_000_000 < found.place + found.length
    assert peak < 32 << 20
    assert seconds < 20
