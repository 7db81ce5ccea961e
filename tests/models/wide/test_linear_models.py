"""The linear models of the wide part equal a plain matrix product, and damaged arrays are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from unrolled.core.errors import DataError
from unrolled.core.types import Array
from unrolled.models.model_file import ModelFile
from unrolled.models.wide import dense_linear, sparse_linear
from unrolled.models.wide.dense_linear import COSINES, DenseLinear
from unrolled.models.wide.ngrams import OF_WORDS, ngrams
from unrolled.models.wide.sparse_linear import SparseLinear
from unrolled.models.wide.wide_part import WidePart, from_file, network_tensors, to_file

TEXTS = ("the cat sat", "a dog", "", "the dog ran far away", "xyzzy")
N_Y = 3


def sparse(seed: int = 0) -> SparseLinear:
    """A model of every second n-gram of TEXTS, with random weights."""
    rng = np.random.default_rng(seed)
    keys = np.unique(np.concatenate([ngrams(text) for text in TEXTS[:-1]]))[::2]
    table = np.where(rng.random((len(keys), N_Y)) < 0.5, rng.integers(-127, 128, (len(keys), N_Y)), 0)
    columns, outputs = np.nonzero(table)
    return SparseLinear(
        keys,
        rng.uniform(1, 5, len(keys)).astype(np.float16),
        np.bincount(columns, minlength=len(keys)).astype(np.uint16),
        outputs.astype(np.uint16),
        table[columns, outputs].astype(np.int8),
        rng.uniform(0.01, 0.1, N_Y).astype(np.float32),
        rng.normal(size=N_Y).astype(np.float32),
    )


def reference(linear: SparseLinear, text: str) -> list[float]:
    """The scores of one text, n-gram by n-gram."""
    place, weights = 0, dict[int, dict[int, float]]()
    for key, count in zip(linear.keys.tolist(), linear.counts.tolist(), strict=True):
        own = range(place, place + count)
        weights[key] = {int(linear.outputs[i]): float(linear.values[i]) for i in own}
        place += count
    idf = dict(zip(linear.keys.tolist(), linear.idf.astype(float).tolist(), strict=True))
    scores = [float(value) for value in linear.intercept]
    known = [key for key in ngrams(text).tolist() if key in idf]
    for group in (True, False):
        own = [key for key in known if (key >= OF_WORDS) == group]
        norm = sum(idf[key] ** 2 for key in own) ** 0.5
        for key in own:
            for output, weight in weights[key].items():
                scores[output] += idf[key] / norm * weight * float(linear.scales[output])
    return scores


@pytest.mark.parametrize("seed", range(3))
def test_scores_equal_the_sum_over_the_ngrams(seed: int):
    linear = sparse(seed)
    found = linear.scores([ngrams(text) for text in TEXTS])
    np.testing.assert_allclose(found, [reference(linear, text) for text in TEXTS], rtol=0, atol=1e-9)


def test_scores_of_a_text_do_not_depend_on_the_other_texts():
    linear = sparse()
    alone = [linear.scores([ngrams(text)])[0] for text in TEXTS]
    np.testing.assert_array_equal(linear.scores([ngrams(text) for text in TEXTS]), alone)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("keys", np.zeros(0, np.uint32)),
        ("keys", np.array([3, 2, 1], np.uint32)),
        ("idf", np.zeros(4, np.float16)),
        ("counts", np.array([60_000], np.uint16)),
        ("outputs", np.full(7, 9, np.uint16)),
        ("values", np.zeros(7, np.int16)),
        ("scales", np.zeros((3, 1), np.float32)),
        ("intercept", np.zeros(4, np.float32)),
    ],
)
def test_damaged_arrays_are_refused(name: str, value: Array):
    tensors = sparse().tensors()
    wanted = tensors[name].shape
    value = np.resize(value, wanted) if value.ndim == 1 and len(value) not in (0, 3, 4) else value
    with pytest.raises(DataError, match="wide part"):
        sparse_linear.from_tensors({**tensors, name: value}, N_Y)


def test_missing_and_unknown_arrays_are_refused():
    tensors = sparse().tensors()
    for wrong in ({**tensors, "more": tensors["keys"]}, {k: v for k, v in tensors.items() if k != "keys"}):
        with pytest.raises(DataError, match="wide part"):
            sparse_linear.from_tensors(wrong, N_Y)


def dense() -> DenseLinear:
    """A model of four features with random weights."""
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(N_Y, 4 + COSINES))
    parts = (rng.normal(size=4), rng.uniform(1, 2, 4), weights, rng.normal(size=N_Y))
    return DenseLinear(*(part.astype(np.float32) for part in parts))


def test_dense_scores_equal_the_product():
    linear, x = dense(), np.random.default_rng(2).normal(size=(5, 4)).astype(np.float32)
    read = dense_linear.columns(list(x), linear.mean, linear.deviation)
    np.testing.assert_allclose(read[:, :4], (x - linear.mean) / linear.deviation / 2, rtol=0, atol=1e-6)
    expected = read @ linear.weights.T + linear.intercept
    np.testing.assert_allclose(linear.scores(list(x)), expected, rtol=0, atol=1e-5)


def test_products_of_cosines_approximate_the_gaussian_kernel():
    rows = np.random.default_rng(2).normal(size=(20, 9)).astype(np.float32)
    read = dense_linear.columns(list(rows), np.zeros(9), np.ones(9))[:, 9:]
    distances = np.square(rows[:, None] - rows[None]).sum(2) / 9
    assert np.abs(read @ read.T - np.exp(-distances)).max() < 0.2  # the error is about 1 / sqrt(COSINES)


def test_damaged_dense_arrays_are_refused():
    tensors = dense().tensors()
    for wrong in (
        {**tensors, "mean": np.zeros(3, np.float32)},
        {**tensors, "deviation": np.zeros(4, np.float32)},
        {**tensors, "weights": np.zeros((N_Y, 4))},
        {},
    ):
        with pytest.raises(DataError, match="wide part"):
            dense_linear.from_tensors(wrong, N_Y)


@pytest.mark.parametrize("linear", [sparse(), dense()], ids=["sparse", "dense"])
def test_a_wide_part_is_read_as_it_was_written(linear: SparseLinear | DenseLinear):
    document, tensors = to_file(WidePart(linear, 0.25, 0.75, True))
    again = from_file(document, {**tensors, "head.b_y": np.zeros(3, np.float32)}, N_Y, True)
    assert (again.network, again.wide, again.log_probs) == (0.25, 0.75, True)
    for name, array in linear.tensors().items():
        np.testing.assert_array_equal(again.linear.tensors()[name], array)


@pytest.mark.parametrize(
    "document",
    [
        None,
        {},
        {"kind": "other", "network": 1, "wide": 1},
        {"kind": "dense", "network": "1", "wide": 1},
        {"kind": "dense", "network": float("inf"), "wide": 1},
        {"kind": "dense", "network": 1, "wide": 1, "more": 1},
    ],
)
def test_damaged_documents_are_refused(document: object):
    with pytest.raises(DataError, match="wide part"):
        from_file(document, to_file(WidePart(dense(), 1, 1, True))[1], N_Y, True)


def test_the_answers_are_added_and_normalised():
    part = WidePart(dense(), 0.5, 2.0, True)
    x, network = np.ones((2, 4), np.float32), np.log(np.array([[0.2, 0.3, 0.5], [0.1, 0.1, 0.8]]))
    found = part.add(network, list(x))
    np.testing.assert_allclose(np.exp(found).sum(1), 1, rtol=0, atol=1e-6)
    total = 0.5 * network + 2.0 * part.linear.scores(list(x))
    np.testing.assert_allclose(np.diff(found, axis=1), np.diff(total, axis=1), rtol=0, atol=1e-5)
    np.testing.assert_allclose(replace(part, log_probs=False).add(network, list(x)), total, rtol=0, atol=1e-5)


def test_only_a_file_with_a_wide_part_has_its_tensors():
    tensors = {"head.b_y": np.zeros(3, np.float32), "wide.mean": np.zeros(4, np.float32)}
    with_part = ModelFile("classify", {}, {"wide": {}}, {}, {}, tensors)
    assert list(network_tensors(with_part)) == ["head.b_y"]
    assert list(network_tensors(replace(with_part, learnt={}))) == list(tensors)  # refused later as unknown
