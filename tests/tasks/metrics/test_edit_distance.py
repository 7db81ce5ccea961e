"""Edit distance and error rates: against jiwer, and against the definition computed by exhaustion."""

from __future__ import annotations

from functools import cache

import jiwer
from hypothesis import given
from hypothesis import strategies as st

from unrolled.tasks.metrics.edit_distance import Edits, character_errors, edits, total, word_errors

SHORT = st.text("abc", max_size=7)
TEXTS = st.lists(st.sampled_from(("a", "b", "the", "cat")), min_size=1, max_size=9).map(" ".join)


def distance(a: str, b: str) -> int:
    """By its definition."""

    @cache
    def between(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        through = between(i - 1, j - 1) + (a[i - 1] != b[j - 1])
        return min(through, between(i - 1, j) + 1, between(i, j - 1) + 1)

    return between(len(a), len(b))


@given(SHORT, SHORT)
def test_smallest_number_of_edits(truth: str, said: str) -> None:
    found = edits(truth, said)
    assert found.errors == distance(truth, said)
    assert found.truth == len(truth)
    assert found.deletions - found.insertions == len(truth) - len(said)
    assert min(found.substitutions, found.deletions, found.insertions) >= 0


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=5))
def test_rates_are_those_of_jiwer(pairs: list[tuple[str, str]]) -> None:
    truth, said = [a for a, _ in pairs], [b for _, b in pairs]
    assert abs(word_errors(pairs).rate - jiwer.wer(truth, said)) < 1e-12
    assert abs(character_errors(pairs).rate - jiwer.cer(truth, said)) < 1e-12


def test_of_equal_ways_that_with_substitutions_counts() -> None:
    assert edits("ab", "ba") == Edits(substitutions=2, truth=2)
    assert edits("abc", "c") == Edits(deletions=2, truth=3)
    assert edits("", "xy") == Edits(insertions=2) and edits("", "xy").rate == 2
    assert edits("", "") == Edits() and Edits().rate == 0


def test_any_tokens_and_many_pairs() -> None:
    pairs = [((1, 2, 3), (1, 3)), ((7,), (8,))]
    assert total(pairs) == Edits(substitutions=1, deletions=1, truth=4)
    assert total(pairs).rate == 0.5


def test_long_sequences_take_little_memory() -> None:
    truth = [i % 7 for i in range(3000)]
    assert edits(truth, truth[5:]).errors == 5
