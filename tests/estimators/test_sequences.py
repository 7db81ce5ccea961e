"""What may be X: the same answers for lists, arrays, Series, one column and generators; anything else is rejected."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.exceptions import DataConversionWarning

import unrolled
from unrolled.core.errors import UsageError
from unrolled.estimators.errors import arguments_named
from unrolled.estimators.sequences import sequences, texts

SMALL: dict[str, Any] = {"hidden": 8, "epochs": 2, "threads": 1}
TEXTS = ["good and warm", "so good", "cold and bad", "a bad one"] * 8
LABELS = ["yes", "yes", "no", "no"] * 8


class Mine(str):
    """A text of another type."""

    def __str__(self) -> str:
        return "not this"


# Each makes from a list of texts what a user may hold them in.
CONTAINERS: dict[str, Callable[[list[str]], Any]] = {
    "a tuple": tuple,
    "a generator": lambda x: (one for one in x),
    "an iterator": iter,
    "an array of texts": np.array,
    "an array of objects": lambda x: np.array(x, object),
    "an array of one column": lambda x: np.array(x)[:, None],
    "NumPy's texts": lambda x: [np.str_(one) for one in x],
    "texts of a subclass": lambda x: [Mine(one) for one in x],
    "a Series": pd.Series,
    "a Series with an index of its own": lambda x: pd.Series(x, index=range(100, 100 + len(x))),
    "a categorical Series": lambda x: pd.Series(x, dtype="category"),
    "a Series of pandas' texts": lambda x: pd.Series(x, dtype="string"),
    "a DataFrame of one column": lambda x: pd.DataFrame({"text": x}),
    "a polars Series": pl.Series,
    "a polars DataFrame": lambda x: pl.DataFrame({"text": x}),
    "an Arrow array": pa.array,
    "an Arrow table": lambda x: pa.table({"text": x}),
}


@pytest.fixture(scope="module")
def classifier() -> unrolled.Classifier:
    return unrolled.Classifier(**SMALL).fit(TEXTS, LABELS)


@pytest.mark.parametrize("name", list(CONTAINERS))
def test_texts_are_texts_whatever_holds_them(name: str, classifier: unrolled.Classifier):
    held = CONTAINERS[name]
    labels = CONTAINERS[
        name.replace("an array of one column", "an array of texts")
    ]  # which y may not be unwarned
    assert sequences(held(TEXTS), "X") == (TEXTS, "tokens")
    assert all(type(one) is str for one in sequences(held(TEXTS), "X")[0])
    assert classifier.predict(held(TEXTS)).tolist() == classifier.predict(TEXTS).tolist()
    assert classifier.score(held(TEXTS), labels(LABELS)) == classifier.score(TEXTS, LABELS)
    again = unrolled.Classifier(**SMALL).fit(held(TEXTS), labels(LABELS))
    np.testing.assert_array_equal(again.predict_proba(TEXTS), classifier.predict_proba(TEXTS))


def test_a_column_of_classes_is_taken_with_the_warning_of_scikit_learn(classifier: unrolled.Classifier):
    with pytest.warns(DataConversionWarning, match="A column-vector y was passed"):
        score = classifier.score(TEXTS, np.array(LABELS)[:, None])
    assert score == classifier.score(TEXTS, LABELS)


def test_a_text_of_a_subclass_is_its_own_characters():
    assert texts([Mine("so good"), np.str_("x")], "X") == ["so good", "x"]
    model = unrolled.LanguageModel(hidden=4, epochs=1, threads=1)
    plain = model.fit(TEXTS).score(TEXTS)
    assert model.fit([Mine(one) for one in TEXTS]).score(np.array(TEXTS)) == plain


TOKENS = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=4), max_size=5
)
HOLDERS: dict[str, Callable[[list[str]], Any]] = {
    "list": list,
    "tuple": tuple,
    "array": lambda x: np.array(x, object),
    "subclass": lambda x: [Mine(one) for one in x],
    "series": lambda x: pd.Series(x, dtype=object),
    "polars": lambda x: pl.Series(x, dtype=pl.String),
    "generator": lambda x: (one for one in x),
}


@given(rows=st.lists(st.tuples(TOKENS, st.sampled_from(list(HOLDERS))), min_size=1, max_size=6))
def test_tokens_of_any_holder(rows: list[tuple[list[str], str]]):
    found, kind = sequences([HOLDERS[holder](tokens) for tokens, holder in rows], "X")
    empty = not any(tokens for tokens, _ in rows)
    assert kind == ("" if empty else "tokens")
    for one, (tokens, _) in zip(found, rows, strict=True):
        assert list(one) == tokens and all(type(token) is str for token in one)


@given(
    shapes=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 3)), min_size=1, max_size=5),
    holder=st.sampled_from(["list", "array", "float32", "object", "frame", "polars", "tensor"]),
    seed=st.integers(0, 99),
)
def test_numbers_of_any_holder(shapes: list[tuple[int, int]], holder: str, seed: int):
    chance = np.random.default_rng(seed)
    arrays = [np.round(chance.normal(size=shape), 2).astype(np.float32).astype(float) for shape in shapes]
    hold: Callable[[Any], Any] = {
        "list": lambda x: x.tolist(),
        "array": lambda x: x,
        "float32": lambda x: x.astype(np.float32),
        "object": lambda x: x.astype(object),
        "frame": pd.DataFrame,
        "polars": pl.DataFrame,
        "tensor": torch.tensor,
    }[holder]
    found, kind = sequences([hold(one) for one in arrays], "X")
    assert kind == "numbers"
    for one, array in zip(found, arrays, strict=True):
        np.testing.assert_array_equal(one, array)


def test_series_of_single_numbers_and_tables_of_rows():
    column = pd.Series([1.0, 2.0, 3.0], index=[7, 8, 9])
    for one in (column, [1, 2, 3], np.array([1, 2, 3]), (1.0, 2.0, 3.0), iter([1, 2, 3]), range(1, 4)):
        assert sequences([one], "X")[0][0].tolist() == [[1], [2], [3]]
    table = np.arange(6.0).reshape(2, 3)
    for rows in (table, table.tolist(), pd.DataFrame(table), pl.DataFrame(table), torch.tensor(table)):
        found, kind = sequences(rows, "X")
        assert kind == "numbers" and [one.tolist() for one in found] == table[:, :, None].tolist()
    assert sequences(table[:, :, None], "X")[0][1].shape == (3, 1)
    whole = sequences([np.array([1, 2], np.int16)], "X")[0][0]
    assert whole.dtype == np.int16  # the type of samples tells their scale


def some() -> Iterator[Any]:
    yield "a"
    yield None


@pytest.mark.parametrize(
    ("x", "told"),
    [
        ("one text", r"X is one str; expected a list of sequences; try \[X\]"),
        (b"bytes", "X is one bytes"),
        (Path("a.wav"), "X is one .*Path"),
        (None, "X is None"),
        (3, "X is a int"),
        ({"text": ["a"]}, "X is a dict"),
        ({"a", "b"}, "X is a set"),
        (np.array("a"), "X is a ndarray"),
        (["good", None], r"X:2: missing \(None\); expected a text, a list of tokens, or an array of numbers"),
        (["good", float("nan")], r"X:2: missing \(nan\)"),
        (pd.Series(["good", None]), r"X:2: missing"),
        (pd.Series(["good", pd.NA], dtype="string"), r"X:2: missing"),
        (pl.Series(["good", None]), r"X:2: missing"),
        (some(), r"X:2: missing"),
        (["good", b"bad"], r"X:2: a bytes object.*\.decode"),
        (["good", 3], "X:2: a single number"),
        ([1.0, 2.0], "X:1: a single number.*Reshape your data"),
        ([["a", None]], r"X:1: token 2 is missing \(None\)"),
        ([["a", 3]], "X:1: token 2 is a int"),
        ([[3, "a"]], "X:1: token 1 is a int"),
        (["a", [1.0, 2.0]], "X:2: numbers, but X:1 has tokens"),
        ([Path("a.wav"), "a"], "X:2: tokens, but X:1 has files"),
        ([[1.0, None]], r"X:1: step 2 is missing \(None\)"),
        ([[1.0, 2.0], [3.0, np.nan]], r"X:2: step 2.* missing"),
        ([np.array([[1.0, np.inf]])], "X:1: step 1, number 2 is inf; expected a finite number"),
        ([np.array([1.0, np.nan])], "X:1: step 2, number 1 is NaN"),
        ([[[1, 2], [3]]], "X:1: steps of different widths"),
        ([np.zeros((2, 2, 2))], r"X:1: an array of shape \[2, 2, 2\]"),
        ([np.array([1j])], "[Cc]omplex"),
        (np.array([[1j, 2]]), "Complex data not supported"),
        (np.array(["2020-01-01"], "datetime64[D]"), "values of type datetime64"),
        (np.ma.masked_array([[1.0, 2.0]], [[False, True]]), "masked values"),
        (sparse.csr_array(np.eye(2)), r"sparse data are not supported.*X\.toarray\(\)"),
        (np.zeros((3, 0)), r"0 feature\(s\) \(shape=\(3, 0\)\)"),
        (pd.DataFrame({"a": ["x"], "b": ["y"]}), r"X is a table of 2 columns: a, b; .*X\['a'\]"),
        ([{"a": 1}], "X:1: a dict"),
        ([object()], "X:1: a object"),
    ],
)
def test_what_is_no_sequence_is_rejected_by_name(x: Any, told: str):
    with pytest.raises(ValueError, match=told) as found, arguments_named():
        sequences(x, "X")
    assert isinstance(found.value, UsageError)


def test_every_method_rejects_alike(classifier: unrolled.Classifier):
    model = unrolled.LanguageModel(hidden=4, epochs=1, threads=1).fit(TEXTS)
    tagger = unrolled.Tagger(hidden=4, epochs=1, threads=1).fit([["a", "b"]] * 8, [["X", "Y"]] * 8)
    regressor = unrolled.Regressor(hidden=4, epochs=1, threads=1).fit(TEXTS, np.arange(32))
    translator = unrolled.Translator(hidden=4, epochs=1, threads=1, unit="char").fit(TEXTS, TEXTS)
    calls: list[Callable[[Any], Any]] = [
        classifier.predict,
        classifier.predict_proba,
        classifier.predict_log_proba,
        model.predict,
        model.score_samples,
        model.score,
        tagger.predict,
        tagger.predict_proba,
        tagger.predict_spans,
        regressor.predict,
        translator.predict,
        translator.predict_nbest,
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"X is one str; expected a list of"):
            call("a text")
        with pytest.raises(ValueError, match="X:2: "):
            call(["a text", None])
    with pytest.raises(ValueError, match="X has numbers, but this model reads texts"):
        classifier.predict([[1.0, 2.0]])
    series = unrolled.Classifier(**SMALL).fit(np.random.default_rng(0).normal(size=(24, 5)), ["a", "b"] * 12)
    with pytest.raises(ValueError, match="X has tokens, but this model reads numbers"):
        series.predict(["a text"])


def test_data_frames_are_their_arrays():
    frames = [
        pd.DataFrame(np.random.default_rng(seed).normal(size=(6, 2)), columns=["u", "v"])
        for seed in range(24)
    ]
    learner = unrolled.Classifier(**SMALL).fit(frames, ["a", "b"] * 12)
    same = unrolled.Classifier(**SMALL).fit([frame.to_numpy() for frame in frames], ["a", "b"] * 12)
    arrays = np.stack([frame.to_numpy() for frame in frames])  # [N, T, n_x]
    np.testing.assert_array_equal(learner.predict_proba(frames), same.predict_proba(arrays))
    single = unrolled.Classifier(**SMALL).fit([frame["u"].iloc[2:] for frame in frames], ["a", "b"] * 12)
    assert single.predict([frames[0]["u"]]).shape == (1,)


def test_a_no_break_space_stays_inside_its_token():
    """As in CoNLL files, and as on the command line: only spaces, tabs and line ends are between tokens."""
    rows = [["1\u00a0000", "cats\x0bx", "see"], ["a", "dog", "runs"]] * 8
    tags = [["NUM", "O", "O"], ["DET", "O", "O"]] * 8
    tagger = unrolled.Tagger(**SMALL).fit(rows, tags)
    assert [len(row) for row in tagger.predict(["1\u00a0000 cats\x0bx \t see"])] == [3]
    assert tagger.score([" ".join(row) for row in rows], [" ".join(row) for row in tags]) == tagger.score(
        rows, tags
    )
