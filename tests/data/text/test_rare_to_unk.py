"""Rare tokens: which they are, how often they are replaced, and that nothing else is."""

from __future__ import annotations

import numpy as np

from unrolled.data.text.rare_to_unk import rare_tokens, replace_rare
from unrolled.data.text.vocabulary import UNK, Vocabulary


def test_a_token_that_was_seen_once_is_rare():
    vocabulary = Vocabulary(("the", "cat", "sat"), (5, 2, 1))
    assert rare_tokens(vocabulary).tolist() == [False, False, False, False, True]


def test_rare_ids_are_replaced_half_of_the_time_and_nothing_else_changes():
    rare = np.array([False, False, False, True])
    before = np.tile(np.array([3, 2, -1, 0]), (2500, 1))  # [2500, 4]
    positions = np.arange(before.size).reshape(before.shape)
    ids = before.copy()
    replace_rare(ids, rare, (1, 2), positions)
    assert np.array_equal(ids[:, 1:], before[:, 1:])
    assert set(ids[:, 0].tolist()) == {3, UNK}
    assert abs(float((ids[:, 0] == UNK).mean()) - 0.5) < 0.04  # four standard deviations
    again = before.copy()
    replace_rare(again, rare, (1, 2), positions)
    other = before.copy()
    replace_rare(other, rare, (1, 3), positions)
    assert np.array_equal(again, ids) and not np.array_equal(other, ids)
