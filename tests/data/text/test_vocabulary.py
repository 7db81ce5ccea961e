"""The vocabulary: exact counts, deterministic ties, specials that a text cannot fake, runs on disk."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unrolled.core.errors import DataError, UnrolledError, UsageError
from unrolled.data.text.token_counter import TokenCounter
from unrolled.data.text.vocabulary import EOS, UNK, Vocabulary

TOKENS = st.text(min_size=1, max_size=3).filter(lambda s: not any("\ud800" <= c <= "\udfff" for c in s))


@given(
    st.lists(st.lists(TOKENS | st.sampled_from(["\\", "\n", "\\n", "a b", " "]), max_size=20), max_size=8),
    st.integers(1, 30),
    st.integers(0, 20),
)
def test_counts_are_exact_and_ties_by_code_point_with_and_without_runs(parts, size, limit):
    counts = Counter(token for part in parts for token in part)
    expected = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    with tempfile.TemporaryDirectory() as folder, TokenCounter(limit, Path(folder)) as counter:
        for part in parts:
            counter.add(part)
        vocabulary, coverage = counter.vocabulary(size)
        if len(counts) > limit:
            assert list(Path(folder).iterdir()), "nothing was spilled"
        counter.close()
        assert not list(Path(folder).iterdir())
    assert list(zip(vocabulary.tokens, vocabulary.counts, strict=True)) == expected[:size]
    assert (coverage.types, coverage.tokens) == (len(counts), counts.total())
    assert (coverage.kept, coverage.known) == (len(expected[:size]), sum(n for _, n in expected[:size]))
    assert coverage.unknown == pytest.approx(1 - coverage.known / coverage.tokens if coverage.tokens else 0)


def test_many_runs_are_merged_in_rounds(tmp_path):
    with TokenCounter(2, tmp_path) as counter:
        for i in range(300):
            counter.add([f"a{i}", "b", f"c{i % 7}"])
        assert len(list(next(tmp_path.iterdir()).iterdir())) < 64
        vocabulary, coverage = counter.vocabulary(3)
    assert vocabulary.tokens == ("b", "c0", "c1")
    assert vocabulary.counts == (300, 43, 43)
    assert (coverage.types, coverage.tokens) == (308, 900)


def test_a_literal_unk_is_an_ordinary_token():
    vocabulary = Vocabulary(("<UNK>", "<EOS>", "a"), (3, 2, 1))
    assert vocabulary.encode(["<UNK>", "zebra", "<EOS>", "a"]).tolist() == [2, UNK, 3, 4]
    assert vocabulary.encode([]).dtype == np.int32
    assert [vocabulary.name(i) for i in range(5)] == ["<UNK>", "<EOS>", "<UNK>", "<EOS>", "a"]
    assert [vocabulary.is_special(i) for i in range(5)] == [True, True, False, False, False]
    assert (len(vocabulary), UNK, EOS) == (5, 0, 1)
    for number in (-1, 5):
        with pytest.raises(IndexError, match=f"id {number} in a vocabulary of 5"):
            vocabulary.name(number)


@given(st.dictionaries(TOKENS, st.integers(0, 10**9), max_size=20))
def test_json_keeps_everything(counts):
    vocabulary = Vocabulary(tuple(counts), tuple(counts.values()))
    text = json.dumps(vocabulary.to_json(), ensure_ascii=False).encode()
    assert Vocabulary.from_json(json.loads(text)) == vocabulary


@pytest.mark.parametrize(
    "value",
    [None, [], {}, {"tokens": ["a"]}, {"tokens": "a", "counts": [1]}, {"tokens": ["a"], "counts": [True]},
     {"tokens": ["a"], "counts": [-1]}, {"tokens": ["a"], "counts": [1.0]}, {"tokens": [1], "counts": [1]},
     {"tokens": ["a", "a"], "counts": [1, 1]}, {"tokens": ["a"], "counts": []}, {"tokens": [""], "counts": [1]},
     {"tokens": ["\ud800"], "counts": [1]}, {"tokens": ["a\udfffb"], "counts": [1]},
     {"tokens": ["a", 1], "counts": [1, 1]}, {"tokens": ["a", "b"], "counts": [1, -1]},
     {"tokens": [], "counts": [], "more": 1}],
)  # fmt: skip
def test_damaged_json_is_refused(value):
    with pytest.raises(DataError, match="vocabulary"):
        Vocabulary.from_json(value)


def test_the_token_that_stands_there_twice_is_named():
    with pytest.raises(DataError, match="the token 'b' twice"):
        Vocabulary(("a", "b", "b"), (3, 2, 1))


def test_bad_requests(tmp_path):
    with TokenCounter() as counter, pytest.raises(UsageError):
        counter.vocabulary(0)
    with TokenCounter(1, tmp_path / "absent") as counter, pytest.raises(UnrolledError) as caught:
        counter.add(["a", "b"])
    assert caught.value.exit_code == 3
