"""Input kinds of labelled data: what is learnt against the same by hand, how x is encoded, JSON there and back."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from unrolled.core.config import DataConfig
from unrolled.core.errors import DataError
from unrolled.core.types import Example, Place
from unrolled.tasks.inputs import INPUTS, Input

WORDS = DataConfig(unit="word")


def examples(*xs: Any) -> list[Example]:
    made = (np.array(x, dtype=np.float64) if isinstance(x, list) else x for x in xs)
    return [Example(x, None, Place(Path("data.csv"), line)) for line, x in enumerate(made, 2)]


def learn(kind: str, config: DataConfig, *xs: Any) -> Input:
    return INPUTS[kind].learn(examples(*xs), config)[0]


def again(kind: str, given: Input) -> Input:
    return INPUTS[kind].restore(json.loads(json.dumps(given.to_json(), allow_nan=False)))


@given(
    st.lists(
        st.integers(1, 5).flatmap(
            lambda n: arrays(np.float64, (n, 2), elements=st.floats(-1e3, 1e3, width=32))
        ),
        min_size=1,
        max_size=5,
    )
)
def test_numbers_are_standardised_by_all_steps_of_all_sequences(xs: list[np.ndarray]):
    learnt, whole = learn("numbers", DataConfig(), *xs), np.concatenate(xs)
    mean, deviation = whole.mean(axis=0), whole.std(axis=0)
    for x in xs:
        found = learnt.encode(x)
        for column in range(2):
            if deviation[column] > 1e-9 * max(1.0, abs(mean[column])):
                expected = (x[:, column] - mean[column]) / deviation[column]
                assert np.allclose(found[:, column], expected, rtol=1e-4, atol=1e-4)
    assert again("numbers", learnt) == learnt


def test_a_number_that_never_changes_is_zero_and_the_far_away_stays_finite():
    learnt = learn("numbers", DataConfig(), [[0.1, 5.0]] * 3, [[0.1, 7.0]])
    assert np.allclose(learnt.encode([[0.1, 5.5]]), 0, atol=1e-12)
    assert np.isfinite(learnt.encode([[1e300, -1e300]])).all()
    assert learnt.encode(np.zeros((0, 2))).shape == (0, 2)


@given(
    st.lists(
        st.integers(1, 6).flatmap(
            lambda n: arrays(np.float64, (n, 2), elements=st.floats(-1e3, 1e3, width=32) | st.just(math.nan))
        ),
        min_size=1,
        max_size=5,
    ).filter(lambda xs: not np.isnan(np.concatenate(xs)).all())
)
def test_missing_numbers_are_left_out_of_the_mean_and_take_the_last_one(xs: list[np.ndarray]):
    learnt, words = INPUTS["numbers"].learn(examples(*xs), DataConfig())
    whole = np.concatenate(xs)
    known = [column[~np.isnan(column)] for column in whole.T]
    mean = np.array([column.mean() if len(column) else 0.0 for column in known])
    assert (f"{np.isnan(whole).sum():,} of {whole.size:,} missing" in words) == bool(np.isnan(whole).any())
    for x in xs:
        expected = x.copy()
        for t, column in np.argwhere(
            np.isnan(x)
        ):  # from the first step on, so that gaps of any length are filled
            expected[t, column] = expected[t - 1, column] if t else mean[column]
        np.testing.assert_allclose(learnt.encode(x), learnt.encode(expected), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("xs", "told"),
    [
        ([[[1.0], [math.inf]]], "data.csv:2: a number that is not finite"),
        ([[[math.nan]]], "no examples: not one step with numbers"),
        ([[[1.0]], [[1.0, 2.0]]], "data.csv:3: 2 numbers per step; expected 1, as in the first"),
        ([[[1e200], [-1e200]]], "data.csv:2: numbers too large to be squared"),
        ([np.zeros((0, 1))], "no examples: not one step with numbers"),
    ],
)
def test_numbers_that_cannot_be_learnt_are_named(xs: list[Any], told: str):
    with pytest.raises(DataError) as error:
        learn("numbers", DataConfig(), *xs)
    assert str(error.value).startswith(told)


@pytest.mark.parametrize(
    ("x", "told"),
    [
        ([[1.0]], "1 numbers per step; expected 2, as in training"),
        ([[1.0, math.inf]], "step 1, number 2 is inf"),
        ([1.0, 2.0], "no numbers per step"),
    ],
)
def test_numbers_that_do_not_fit_are_named(x: Any, told: str):
    with pytest.raises(DataError) as error:
        learn("numbers", DataConfig(), [[0.0, 1.0], [1.0, 0.0]]).encode(x, Place(Path("new.csv"), 9))
    assert str(error.value).startswith(f"new.csv:9: {told}")


def test_a_text_is_split_by_its_unit_and_a_list_of_tokens_never():
    learnt = learn("tokens", WORDS, "Good soup, good soup!", "bad soup")
    assert learnt.steps("Good, soup") == ["Good", ",", "soup"]
    assert learnt.steps(("Good,", "soup")) == ["Good,", "soup"]
    assert learnt.unknown("soup stew", learnt.encode("soup stew")) == 1
    assert learnt.encode("soup stew soup").tolist()[0] == learnt.encode("soup").tolist()[0]
    assert again("tokens", learnt) == learnt


def test_lower_case_is_for_reading_alone():
    learnt = learn("tokens", DataConfig(unit="word", lower=True), "Good GOOD good")
    assert learnt.steps("GOOD") == ["GOOD"] and learnt.unknown("gOOd", learnt.encode("gOOd")) == 0


def test_affixes_tell_of_words_that_nobody_has_seen():
    config = DataConfig(unit="white", affixes=True)
    learnt = learn("tokens", config, *(["walked talked jumped walking talking jumping"] * 3))
    assert learnt.multi_hot
    known, unseen = learnt.encode(("hopped",)), learnt.encode(("hopping",))
    assert known.shape == unseen.shape and known[0, 0] == unseen[0, 0]  # both are <UNK> ...
    assert set(known[0].tolist()) != set(unseen[0].tolist())  # ... and end differently
    assert again("tokens", learnt).encode(("hopped",)).tolist() == known.tolist()


def test_words_seen_once_teach_what_unknown_means():
    learnt = learn("tokens", WORDS, "soup soup stew", "soup")
    rare = {word: bool(learnt.unk_candidates[learnt.encode(word)[0]]) for word in ("soup", "stew")}
    assert rare == {"soup": False, "stew": True}


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("value", [{}, {"mean": [1.0]}, {"reading": {}}, {"mean": "1", "deviation": [1.0]}])
def test_what_is_damaged_is_refused(kind: str, value: dict[str, Any]):
    with pytest.raises(
        (DataError, KeyError, TypeError, AttributeError)
    ):  # `labelled.restore` makes one of all
        INPUTS[kind].restore(value)


@pytest.mark.parametrize("unit", ["word", "white", "char", "subword"])
def test_texts_of_a_subclass_of_str_are_texts(unit: str):
    class Mine(str):
        """Not exactly a `str`."""

    texts = ["a good day", "one more day", "good"] * 4
    read = {
        kind: [Example(kind(text), "yes", Place(Path("X"), 1)) for text in texts]
        for kind in (str, np.str_, Mine)
    }
    config = DataConfig(unit=unit, affixes=unit != "subword")
    plain, about = INPUTS["tokens"].learn(iter(read[str]), config)
    for kind in (np.str_, Mine):
        other, words = INPUTS["tokens"].learn(iter(read[kind]), config)
        assert other.to_json() == plain.to_json() and words == about
        ids = plain.encode("a good zebra")
        np.testing.assert_array_equal(plain.encode(kind("a good zebra")), ids)
        assert plain.unknown(kind("a good zebra"), ids) == plain.unknown("a good zebra", ids)
        assert plain.steps(kind("a good day")) == plain.steps("a good day")
