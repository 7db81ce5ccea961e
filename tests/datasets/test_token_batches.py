"""Batches: every token once, state carried where it may be, order a pure function of (seed, epoch, index)."""

from __future__ import annotations

import itertools
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unrolled.core.types import IGNORE_INDEX, ZERO_INPUT_ID, Batch
from unrolled.data.text.vocabulary import UNK
from unrolled.datasets.token_batches import LONG, LanguageEpoch, evaluation_batches
from unrolled.datasets.token_store import Store


def store_of(lengths: list[int], line: int = 7) -> Store:
    """Documents of these lengths; the token at position p is p + 2, so that a batch can be read; lines of `line`."""
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    starts = [np.arange(low, high, line) for low, high in itertools.pairwise(offsets)]
    lines = np.concatenate([*starts, offsets[-1:]]).astype(np.int64)
    return Store(
        folder=Path(),
        ids=np.arange(2, offsets[-1] + 2, dtype=np.int32),
        begin=0,
        sha256="",
        files=(("f", 0),),
        all_offsets=offsets,
        all_lines=lines,
        all_numbers=np.arange(1, len(lines), dtype=np.int32),
        all_characters=lines * 5,
    )


def check_batch(
    store: Store, batch: Batch, before: Batch | None, rows: int, window: int, warm: int
) -> np.ndarray:
    """Check one step against the store and the step before; how often each token is a target in it."""
    seen = np.zeros(len(store), dtype=int)
    assert batch.x.shape == batch.y.shape == (rows, int(batch.lengths.max()))
    assert 1 <= batch.x.shape[1] <= window
    documents = store.offsets(0, store.documents)
    for row in range(rows):
        n, place = int(batch.lengths[row]), int(batch.places[row])
        assert (batch.x[row, n:] == ZERO_INPUT_ID).all()
        assert (batch.y[row, n:] == IGNORE_INDEX).all()
        if n == 0:
            assert not batch.carry[row]
            continue
        positions = np.arange(place, place + n)
        document = np.searchsorted(documents, positions, side="right")
        assert (document == document[0]).all(), "a row crosses documents"
        asked = batch.y[row, :n] != IGNORE_INDEX
        assert warm or asked.all()
        assert (batch.y[row, :n][asked] == positions[asked] + 2).all()
        assert (batch.x[row, 1:n] == positions[:-1] + 2).all()
        if batch.carry[row]:
            assert before is not None
            assert place == before.places[row] + before.lengths[row]
            assert before.lengths[row] == before.x.shape[1], "padding would have changed the carried state"
            assert place not in documents
            assert batch.x[row, 0] == place + 1
        else:
            assert batch.x[row, 0] == ZERO_INPUT_ID
        seen[positions[asked]] += 1
    return seen


LENGTHS = st.one_of(
    st.lists(st.integers(1, 12), min_size=1, max_size=60),
    st.lists(st.integers(1, 90), min_size=1, max_size=12),
    st.lists(st.sampled_from([1, 2, 3, 40, 300]), min_size=1, max_size=8),
    st.integers(1, 400).map(lambda n: [n]),
)
SHAPE = st.tuples(st.integers(1, 5), st.integers(1, 9))


@given(LENGTHS, SHAPE, st.integers(0, 2**31 - 1), st.integers(0, 5), st.integers(1, 60), st.data())
def test_every_token_is_a_target_once_and_state_is_carried_rightly(lengths, shape, seed, epoch, line, data):
    rows, window = shape
    store = store_of(lengths, line)
    if len(store) > 1 and data.draw(st.booleans()):  # a view that cuts documents
        start = data.draw(st.integers(0, len(store) - 1))
        view = store.slice(start, data.draw(st.integers(start + 1, len(store))))
        view.ids[:] = np.arange(2, len(view) + 2)
        store = view
    batches = LanguageEpoch(store, rows, window, seed, epoch, cold=0.0)
    seen, before = np.zeros(len(store), dtype=int), None
    for batch in batches:
        seen += check_batch(store, batch, before, rows, window, 0)
        before = batch
    assert (seen == 1).all()
    again = LanguageEpoch(store, rows, window, seed, epoch, cold=0.0)
    index = data.draw(st.integers(0, len(batches) - 1))
    for one, other in ((batches[index], again[index]), (batches[-1], again[len(again) - 1])):
        for name in ("x", "y", "lengths", "carry", "places"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    with pytest.raises(IndexError):
        batches[len(batches)]
    assert len(batches[1:]) == len(batches) - 1


@given(LENGTHS, SHAPE, st.integers(0, 6), st.integers(1, 60))
def test_evaluation_asks_every_token_once(lengths, shape, warm, line):
    rows, window = shape
    store = store_of(lengths, line)
    seen, before = np.zeros(len(store), dtype=int), None
    for batch in evaluation_batches(store, rows, window, warm):
        if rows == 1:  # exact: in order, nothing cut, nothing repeated
            assert (batch.y != IGNORE_INDEX).all()
            assert batch.places[0] == (0 if before is None else before.places[0] + before.lengths[0])
            assert batch.carry[0] == (batch.places[0] not in store.all_offsets)
        seen += check_batch(store, batch, before, rows, window, warm)
        before = batch
    assert (seen == 1).all()


def test_evaluation_warms_the_parts_of_a_long_document():
    store = store_of([10, 4000], line=9)
    cold = [
        (int(batch.places[row]), int((batch.y[row, : batch.lengths[row]] == IGNORE_INDEX).sum()))
        for batch in evaluation_batches(store, 4, 50, warm=20)
        for row in np.flatnonzero((batch.lengths > 0) & ~batch.carry)
    ]
    assert sorted(unasked for _, unasked in cold) == [0, 0, 20, 20, 20]
    first_asked = sorted(place + unasked for place, unasked in cold)
    assert first_asked[:2] == [0, 10]
    assert set(first_asked) <= set(store.all_lines.tolist())


def epoch_places(store: Store, epoch: int, **options: object) -> list[list[int]]:
    return [batch.places.tolist() for batch in LanguageEpoch(store, 4, 8, 3, epoch, **options)]


def test_order_differs_across_epochs_and_seeds():
    for store in (store_of([5] * 100), store_of([40] * 30), store_of([4000])):
        assert epoch_places(store, 0) == epoch_places(store, 0)
        assert epoch_places(store, 0) != epoch_places(store, 1)
        assert epoch_places(store, 0) != [b.places.tolist() for b in LanguageEpoch(store, 4, 8, 4, 0)]


def test_short_documents_of_a_step_are_alike_and_steps_are_shuffled():
    rng = np.random.default_rng(0)
    store = store_of(rng.integers(2, 100, 20_000).tolist())
    batches = list(LanguageEpoch(store, 32, 40, 0, 0))
    assert sum(int(b.lengths.sum()) for b in batches) > 0.95 * sum(b.y.size for b in batches)
    widths = np.array([b.y.shape[1] for b in batches], dtype=float)
    assert abs(np.corrcoef(widths[:-1], widths[1:])[0, 1]) < 0.5
    assert min(int((b.lengths > 0).sum()) for b in batches) >= 16


def test_one_long_document_fills_all_lanes_evenly():
    store = store_of([100_000], line=41)
    for epoch in range(5):
        batches = LanguageEpoch(store, 16, 50, 0, epoch, cold=0.0)
        tokens = [int(batch.lengths.sum()) for batch in batches]
        assert len(batches) <= 1.05 * 100_000 / (16 * 50)
        assert np.mean([n < 0.8 * 16 * 50 for n in tokens]) < 0.05
        starts = {int(p) for b in batches for p in b.places[~b.carry & (b.lengths > 0)]}
        assert starts <= set(store.all_lines.tolist()), "parts begin at line starts"


def test_a_long_document_among_short_ones_holds_nothing_up():
    store = store_of([6] * 5000 + [30_000 // 16])
    batches = list(LanguageEpoch(store, 16, 50, 0, 0, cold=0.0))
    assert len(batches) < 1.3 * 5000 / 16


def test_some_windows_of_long_pieces_start_cold():
    store = store_of([60_000], line=11)
    batches = list(LanguageEpoch(store, 4, 40, 0, 0, cold=0.1))
    seen, lines = np.zeros(len(store), dtype=int), set(store.all_lines.tolist())
    cold = warm = 0
    for number, batch in enumerate(batches):
        for row in np.flatnonzero(batch.lengths):
            seen[batch.places[row] + np.arange(batch.lengths[row])] += 1
            before = batches[number - 1]
            behind = batch.places[row] - (before.places[row] + before.lengths[row]) if number else 1 << 30
            if batch.carry[row]:
                assert behind == 0
                assert before.lengths[row] == before.x.shape[1], (
                    "padding would have changed the carried state"
                )
                warm += 1
            elif behind == 0 and batch.x[row, 0] != ZERO_INPUT_ID:
                assert before.lengths[row] < before.x.shape[1], "only behind a window that was moved"
                assert batch.x[row, 0] == before.y[row, before.lengths[row] - 1]
            elif 0 <= behind < 40:
                cold += 1
                assert batch.places[row] in lines
                assert batch.x[row, 0] == ZERO_INPUT_ID
    assert seen.max() == 1
    assert (seen == 0).mean() < 0.02
    assert 0.07 < cold / (cold + warm) < 0.13
    pieces_without = LanguageEpoch(store_of([LONG * 40] * 50), 4, 40, 0, 0, cold=1.0)
    assert sum(int((b.lengths > 0).sum()) for b in pieces_without) == LONG * 50
    assert sum(int(b.carry.sum()) for b in pieces_without) == (LONG - 1) * 50


def test_rare_tokens_become_unknown_half_of_the_time_wherever_they_show():
    store = store_of([30] * 400)
    rare = np.zeros(len(store) + 2, dtype=np.bool_)
    rare[2::3] = True
    shares = []
    for epoch in range(2):
        batches = list(LanguageEpoch(store, 8, 16, 0, epoch, cold=0.0, rare=rare))
        unknown = np.zeros(len(store), dtype=bool)
        for batch in batches:
            for row in np.flatnonzero(batch.lengths):
                n, place = int(batch.lengths[row]), int(batch.places[row])
                unknown[place : place + n] = batch.y[row, :n] == UNK
        for batch in batches:
            for row in np.flatnonzero(batch.lengths):
                n, place = int(batch.lengths[row]), int(batch.places[row])
                first = 1 - int(batch.carry[row])
                inputs = unknown[place + first - 1 : place + n - 1]
                assert ((batch.x[row, first:n] == UNK) == inputs).all()
        assert not unknown[~rare[2:]].any()
        shares.append(unknown[rare[2:]])
        assert 0.45 < shares[-1].mean() < 0.55
    assert 0.4 < (shares[0] == shares[1]).mean() < 0.6


def plan_cost(documents: int) -> tuple[float, float]:
    """Seconds and peak MiB of planning an epoch over so many documents of 3 tokens."""
    offsets = np.arange(documents + 1, dtype=np.int64) * 3
    store = Store(
        folder=Path(),
        ids=np.zeros(3 * documents, dtype=np.uint8),
        begin=0,
        sha256="",
        files=(("f", 0),),
        all_offsets=offsets,
        all_lines=offsets,
        all_numbers=np.zeros(1, dtype=np.int32),
        all_characters=offsets,
    )
    tracemalloc.start()
    try:
        begun = time.perf_counter()
        assert len(LanguageEpoch(store, 64, 32, 0, 0)) >= documents // 64
        return time.perf_counter() - begun, tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


def test_a_plan_takes_no_memory():
    _, small = plan_cost(64_000)
    seconds, large = plan_cost(640_000)
    assert large < small + 24  # one scan of a million offsets at a time
    assert seconds < 20


@pytest.mark.slow
def test_a_plan_for_six_million_documents():
    seconds, memory = plan_cost(6_000_000)
    assert seconds < 30
    assert memory < 40
