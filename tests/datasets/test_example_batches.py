"""Batches of whole sequences: each once, by a pure function of (seed, epoch, index), with little padding."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled.core.types import Batch, Targets
from unrolled.data.text.vocabulary import UNK
from unrolled.datasets.example_batches import ExampleEpoch, batches_by_length, collate
from unrolled.datasets.example_store import Examples

NONE = np.zeros(0, np.bool_)


def ids(lengths: list[int], *, targets: Targets = "one", width: int = 0, seed: int = 0) -> Examples:
    """Sequences of ids 1 to 9, several a step where there is a width; y is the sequence's number, or one a step, or
    one at every other step."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    steps, count = int(offsets[-1]), len(lengths)
    shape = (steps, width) if width else (steps,)
    x = np.random.default_rng(seed).integers(1, 10, shape).astype(np.int32)
    y_offsets = np.concatenate([[0], np.cumsum([length // 2 for length in lengths])]).astype(np.int64)
    y = np.arange({"one": count, "each": steps, "own": int(y_offsets[-1])}[targets])
    lines = np.arange(count, dtype=np.int32)
    return Examples(x, y, targets, offsets, y_offsets, lines, (("a.csv", 0),), np.arange(count))


def same(one: Batch, two: Batch) -> bool:
    parts = ("x", "y", "lengths", "carry", "places")
    return all(np.array_equal(getattr(one, part), getattr(two, part)) for part in parts)


@settings(max_examples=50)
@given(
    lengths=st.lists(st.integers(0, 30), min_size=1, max_size=60),
    size=st.integers(1, 9),
    seed=st.integers(0, 2**31 - 1),
    epoch=st.integers(0, 1000),
    targets=st.sampled_from(["one", "each", "own"]),
)
def test_every_sequence_once_an_epoch(lengths: list[int], size: int, seed: int, epoch: int, targets: Targets):
    examples = ids(lengths, targets=targets)
    batches = list(ExampleEpoch(examples, size, seed, epoch, NONE))
    assert sorted(np.concatenate([batch.places for batch in batches]).tolist()) == list(range(len(lengths)))
    assert max(len(batch.x) for batch in batches) <= size
    for batch in batches:
        assert batch.x.shape[1] == max(1, batch.lengths.max()) and not batch.carry.any()
        for row, number in enumerate(batch.places.tolist()):
            x, y = examples.row(number)
            length = lengths[number]
            assert batch.lengths[row] == length == len(x)
            assert batch.x[row, :length].tolist() == x.tolist() and (batch.x[row, length:] == -1).all()
            if targets == "one":
                assert batch.y[row] == number
            else:
                assert len(y) == (length if targets == "each" else length // 2)
                assert batch.y[row, : len(y)].tolist() == y.tolist() and (batch.y[row, len(y) :] == -1).all()


@settings(max_examples=20)
@given(st.integers(1, 50), st.integers(1, 7), st.integers(0, 2**31 - 1), st.randoms(use_true_random=False))
def test_a_batch_is_a_pure_function_of_seed_epoch_and_index(count, size, seed, chance):
    lengths = [chance.randrange(1, 9) for _ in range(count)]
    rare = np.array([False] * 5 + [True] * 5)
    forward = list(ExampleEpoch(ids(lengths), size, seed, 3, rare))
    other = ExampleEpoch(ids(lengths), size, seed, 3, rare)
    order = list(range(len(other)))
    chance.shuffle(order)
    for index in [*order, *order[:2]]:
        assert same(other[index], forward[index])
        assert same(other[index - len(other)], forward[index])
    assert all(same(a, b) for a, b in zip(other[1:], forward[1:], strict=True))
    with pytest.raises(IndexError):
        other[len(other)]


def test_epochs_and_seeds_differ():
    lengths = np.random.default_rng(0).integers(1, 20, 200).tolist()

    def order(seed: int, epoch: int) -> list[int]:
        batches = ExampleEpoch(ids(lengths), 8, seed, epoch, NONE)
        return np.concatenate([batch.places for batch in batches]).tolist()

    orders = {tuple(order(seed, epoch)) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9
    partners = [
        {frozenset(b.places.tolist()) for b in ExampleEpoch(ids(lengths), 8, 0, e, NONE)} for e in (0, 1)
    ]
    assert len(partners[0] & partners[1]) < 5  # who stands beside whom changes as well


def test_little_is_padding():
    lengths = np.random.default_rng(0).lognormal(3, 1, 3_000).astype(int) + 1
    examples, true = ids(lengths.tolist()), int(lengths.sum())
    sorted_ = sum(batch.x.size for batch in ExampleEpoch(examples, 16, 0, 0, NONE))
    unsorted = sum(16 * lengths[start : start + 16].max() for start in range(0, 3_000, 16))
    assert sorted_ < 1.1 * true < 2 * true < unsorted


def test_little_of_y_is_padding_where_many_x_are_of_one_length():
    chance = np.random.default_rng(0)
    examples = ids([6] * 2_000, targets="own")
    y_offsets = np.concatenate([[0], np.cumsum(chance.integers(1, 30, 2_000))])
    examples = replace(examples, y=np.zeros(y_offsets[-1], np.int64), y_offsets=y_offsets)
    padded = sum(batch.y.size for batch in ExampleEpoch(examples.select(np.arange(2_000)), 16, 0, 0, NONE))
    assert padded < 1.1 * y_offsets[-1]


@pytest.mark.parametrize("width", [0, 3])
def test_rare_words_are_hidden_half_of_the_time_and_others_never(width: int):
    lengths = np.random.default_rng(1).integers(0, 12, 100).tolist()
    examples = ids(lengths, targets="each", width=width)
    before = examples.x.copy()
    rare = np.array([False, False, True, False, True, False, False, False, False, True])
    seen = hidden = 0
    for epoch in range(6):
        plain = ExampleEpoch(examples, 7, 5, epoch, NONE)
        for batch, true in zip(ExampleEpoch(examples, 7, 5, epoch, rare), plain, strict=True):
            assert np.array_equal(batch.y, true.y) and np.array_equal(batch.places, true.places)
            if width:  # a word's affixes stay
                assert np.array_equal(batch.x[:, :, 1:], true.x[:, :, 1:])
            words, own = (each.x.reshape(*each.x.shape[:2], -1)[:, :, 0] for each in (batch, true))
            may = (own >= 0) & rare[np.maximum(own, 0)]
            assert np.array_equal(words[~may], own[~may])
            assert np.isin(words[may], [UNK, *np.flatnonzero(rare)]).all()
            assert ((words == own) | (words == UNK))[may].all()
            seen, hidden = seen + may.sum(), hidden + (words[may] == UNK).sum()
    assert seen > 800 and abs(hidden / seen - 0.5) < 4 * 0.5 / seen**0.5
    assert np.array_equal(examples.x, before)


def test_which_are_hidden_changes_from_epoch_to_epoch():
    examples, rare = ids([50]), np.array([False] + [True] * 9)
    shown = [ExampleEpoch(examples, 1, 0, epoch, rare)[0].x[0] == UNK for epoch in range(8)]
    assert len({tuple(row.tolist()) for row in shown}) == 8


def test_in_order_covers_all_by_length():
    lengths = np.random.default_rng(2).integers(0, 40, 53).tolist()
    examples = ids(lengths)
    found = list(batches_by_length(examples, 8))
    numbers = np.concatenate([rows for _, rows in found])
    assert sorted(numbers.tolist()) == list(range(53))
    assert (np.diff(np.array(lengths)[numbers]) >= 0).all()
    for batch, rows in found:
        assert np.array_equal(batch.places, rows) and batch.y.tolist() == rows.tolist()
    first = np.concatenate([rows for _, rows in batches_by_length(examples, 8, 10)])
    assert first.tolist() == numbers[:10].tolist()


def test_a_batch_of_one_and_of_more_than_there_are():
    examples = ids([3, 0, 5])
    ones = list(ExampleEpoch(examples, 1, 0, 0, NONE))
    assert [batch.x.shape for batch in ones] == [(1, max(1, int(batch.lengths[0]))) for batch in ones]
    (whole,) = ExampleEpoch(examples, 100, 0, 0, NONE)
    assert whole.x.shape == (3, 5) and sorted(whole.lengths.tolist()) == [0, 3, 5]


def test_numbers_are_padded_with_zeros_and_views_are_batched():
    x = np.arange(12, dtype=np.float32).reshape(6, 2)
    offsets, y = np.array([0, 1, 4, 6]), np.array([[0.5], [1.5], [2.5]])
    lines = np.array([2, 3, 4], dtype=np.int32)
    examples = Examples(
        x, y, "one", offsets, np.zeros(0, np.int64), lines, (("a", 0), ("b", 2)), np.arange(3)
    )
    view = examples.select(np.array([2, 0]))
    batch = collate(view, np.array([0, 1]))
    assert batch.x.dtype == np.float32 and batch.y.dtype == np.float64
    assert batch.x.tolist() == [[[8, 9], [10, 11]], [[0, 1], [0, 0]]]
    assert batch.y.tolist() == [[2.5], [0.5]] and batch.lengths.tolist() == [2, 1]
    assert str(view.place(int(batch.places[0]))) == f"{Path('b')}:4"


def test_weights_of_a_view_are_one_on_average_and_follow_their_rows():
    own = np.array([0.5, 1.0, 4.0, 2.0, 0.25, 3.0])
    examples = replace(ids([3, 5, 2, 8, 1, 4]), all_weights=own)
    part = examples.select(np.array([5, 0, 2, 3]))
    expected = own[[5, 0, 2, 3]] / own[[5, 0, 2, 3]].mean()
    assert part.weights is not None
    np.testing.assert_allclose(part.weights, expected, rtol=1e-6)
    seen: dict[int, float] = {}
    for batch in ExampleEpoch(part, 2, 0, 0, NONE):
        assert batch.weights is not None and batch.weights.dtype == np.float32
        seen |= dict(zip(batch.places.tolist(), batch.weights.tolist(), strict=True))
    np.testing.assert_allclose([seen[number] for number in range(4)], expected, rtol=1e-6)
    assert all(batch.weights is None for batch in ExampleEpoch(ids([3, 5]), 2, 0, 0, NONE))
    assert all(batch.weights is None for batch, _ in batches_by_length(part, 2))  # validation is not weighted
