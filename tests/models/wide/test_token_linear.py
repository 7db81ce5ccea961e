"""The CRF features of tokens: hashed as the reference names them, and summed as a plain loop sums them."""

from __future__ import annotations

from zlib import crc32

import numpy as np
import pytest

from unrolled.core.errors import DataError
from unrolled.core.types import Array
from unrolled.models.wide import token_linear
from unrolled.models.wide.token_features import NONE, WIDTH, by_token, token_features
from unrolled.models.wide.token_linear import TokenLinear
from unrolled.models.wide.wide_part import WidePart, weights_with

SENTENCES = (("The", "Bank", "of", "B-52"), ("a",), (), ("x" * 40, "Iñaki", "\udc80"))
N_Y = 3


def model() -> TokenLinear:
    """A model of every second feature of SENTENCES, with random weights."""
    rng = np.random.default_rng(0)
    keys = np.unique(np.concatenate([token_features(words) for words in SENTENCES]))
    keys = keys[keys != NONE][::2]
    table = np.where(rng.random((len(keys), N_Y)) < 0.5, rng.normal(size=(len(keys), N_Y)), 0)
    columns, outputs = np.nonzero(table)
    return TokenLinear(
        keys,
        np.bincount(columns, minlength=len(keys)).astype(np.uint16),
        outputs.astype(np.uint16),
        table[columns, outputs].astype(np.float16),
        rng.normal(size=(N_Y, N_Y)).astype(np.float32),
    )


@pytest.mark.parametrize("words", SENTENCES)
def test_scores_equal_the_sum_over_the_features(words: tuple[str, ...]):
    linear, place = model(), 0
    table = dict[int, dict[int, float]]()
    for key, count in zip(linear.keys.tolist(), linear.counts.tolist(), strict=True):
        own = range(place, place + count)
        table[key] = {int(linear.outputs[i]): float(linear.values[i]) for i in own}
        place += count
    found = linear.scores([token_features(words)])
    assert found.shape == (len(words), N_Y)
    for t, row in enumerate(by_token(token_features(words)).tolist()):
        expected = [sum(table.get(key, {}).get(y, 0.0) for key in row) for y in range(N_Y)]
        np.testing.assert_allclose(found[t], expected, rtol=0, atol=1e-9)


def test_the_features_of_a_token_are_those_of_the_word_and_its_neighbours():
    rows = by_token(token_features(("The", "Bank", "of")))
    assert rows.shape == (3, WIDTH)
    for name in ("w=Bank", "l=bank", "p=ban", "e=nk", "-1l=the", "1l=of", "-1ll=the bank"):
        assert crc32(name.encode()) in rows[1]
    assert crc32(b"-1none") in rows[0] and crc32(b"1none") in rows[2]
    assert crc32(b"2l=of") in rows[0]


def test_hashes_never_change():
    # Model files contain these numbers.
    assert by_token(token_features(("a",)))[0, :3].tolist() == [1908338681, 4272078519, 4006736422]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("keys", np.zeros(0, np.uint32)),
        ("counts", np.full(3, 9, np.uint16)),
        ("outputs", np.zeros(3, np.int8)),
        ("values", np.zeros(0, np.float16)),
        ("transitions", np.zeros((2, 3), np.float32)),
    ],
)
def test_damaged_arrays_are_refused(name: str, value: Array):
    with pytest.raises(DataError, match="wide part"):
        token_linear.from_tensors({**model().tensors(), name: value}, N_Y)


def test_an_unknown_output_is_refused():
    tensors = model().tensors()
    with pytest.raises(DataError, match="wide part"):
        token_linear.from_tensors({**tensors, "outputs": tensors["outputs"] + np.uint16(N_Y)}, N_Y)


def test_transitions_are_added_to_those_of_the_network():
    part = WidePart(model(), 0.5, 2.0, False)
    tensors = {"crf.T": np.ones((N_Y, N_Y), np.float32), "crf.begin": np.ones(3), "crf.end": np.ones(3)}
    found = weights_with(part, tensors)
    np.testing.assert_allclose(found["crf.T"], 0.5 + 2.0 * model().transitions, atol=1e-6)
    np.testing.assert_allclose(found["crf.begin"], 0.5)
    assert weights_with(None, tensors) is tensors
