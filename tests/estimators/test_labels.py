"""Classes and tags keep their type and compare by value; blank sequences; weights; the model file keeps it all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score

import unrolled
from support.small_models import run
from support.small_tasks import kinds
from unrolled.core.errors import DataError
from unrolled.estimators.errors import arguments_named
from unrolled.estimators.labels import Classes, classes_of, equal, labels, name_of, type_of

SMALL: dict[str, Any] = {"hidden": 8, "epochs": 3, "threads": 1, "optimizer": "adamw", "lr": 0.03}
TEXTS = ["good and warm", "so good", "cold and bad", "a bad one"] * 8
FIRST = np.array([True, True, False, False] * 8)

ONE_TYPE = st.one_of(
    st.lists(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=5), min_size=2),
    st.lists(st.integers(-(2**40), 2**40), min_size=2),
    st.lists(st.integers(-(2**30), 2**30).map(float), min_size=2),
    st.lists(st.booleans(), min_size=2),
)


@given(ONE_TYPE)
def test_names_lead_back_to_the_values_in_the_order_of_unique(values: list[Any]):
    found = labels(values, "y")
    names = sorted({name_of(one) for one in found}, key=str.swapcase)  # in an order of the model's own
    if len(names) != len(set(values)):
        return  # texts that are the same after normalisation are none here
    known: Classes = classes_of(names, type_of(found[0]))
    np.testing.assert_array_equal(known.values, np.unique(np.array(values)))
    assert known.of([name_of(one) for one in found]).tolist() == list(values)
    assert known.names_of(values) == tuple(name_of(one) for one in found)


@given(st.lists(st.integers(0, 3), min_size=1), st.data())
def test_equality_is_that_of_accuracy_score(numbers: list[int], data: st.DataObject):
    others = data.draw(st.lists(st.integers(0, 3), min_size=len(numbers), max_size=len(numbers)))
    for kind in (int, float):
        for other in (int, float):
            truth, found = [kind(n) for n in numbers], [other(n) for n in others]
            share = np.mean([equal(a, b) for a, b in zip(truth, found, strict=True)])
            assert share == accuracy_score(truth, found)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [(1, "1", True), (1.0, "1", True), ("1.0", 1, True), (True, "True", True), (True, 1, True), (1, "x", False),
     ("1", "1.0", False), (2, True, False), ("", None, False), (None, 1, False), ("yes", np.str_("yes"), True)],
)  # fmt: skip
def test_classes_of_two_types(one: Any, other: Any, same: bool):
    assert equal(one, other) is same


@pytest.mark.parametrize(
    ("y", "told"),
    [
        (["a", None], r"y:2: missing: None; expected a class"),
        (["a", float("nan")], r"y:2: missing: Input y contains NaN"),
        ([1, pd.NA], "y:2: missing"),
        (["a", 1], "y:1 is a text and y:2 is a number; expected one type in y"),
        ([0.5, 1.0], "y:1: 0.5 is a continuous number.*try Regressor"),
        ([1.0, float("inf")], "y:2: .*infinity"),
        ([1, object()], "y:2: a object; expected a text, a whole number or a bool"),
        (["a", b"b"], "y:2: a bytes"),
        ("ab", "y is one str"),
        (None, "requires y to be passed, but the target y is None"),
        (["a"], r"X has 2 sequences and y has 1 items; expected a list of sequences and one y for each"),
        (pd.DataFrame({"a": ["x", "y"], "b": ["x", "y"]}), "y is a table of 2 columns"),
    ],
)
def test_what_is_no_class_is_rejected_by_name(y: Any, told: str):
    with pytest.raises(ValueError, match=told):
        unrolled.Classifier(**SMALL).fit(["good", "bad"], y)


@pytest.mark.parametrize("type_", [int, float, bool, np.int8, np.float32, np.bool_])
def test_classes_come_back_with_their_type(type_: Any, tmp_path: Path):
    y = [type_(one) for one in FIRST]
    learner = unrolled.Classifier(**SMALL).fit(TEXTS, y)
    assert (
        learner.classes_.tolist() == [False, True] and learner.classes_.dtype.kind == np.array(y).dtype.kind
    )
    found = learner.predict(TEXTS)
    assert found.dtype.kind == np.array(y).dtype.kind
    for other in (int, float, bool):  # scored by values of another type
        truth = [other(one) for one in FIRST]
        assert learner.score(TEXTS, truth) == accuracy_score(truth, found.astype(other)) > 0.9
    learner.save(tmp_path / "model")
    again = unrolled.load(tmp_path / "model")
    assert again.predict(TEXTS).tolist() == found.tolist()
    assert again.classes_.dtype.kind == learner.classes_.dtype.kind
    assert again.score(TEXTS, FIRST.tolist()) == learner.score(TEXTS, FIRST)
    np.testing.assert_array_equal(again.predict_proba(TEXTS), learner.predict_proba(TEXTS))


def test_many_classes_are_in_the_order_of_unique_and_not_of_the_model():
    names = ["10", "9", "b", "B", "é", "a"]
    y = [names[number % 6] for number in range(48)]
    learner = unrolled.Classifier(**SMALL).fit([f"text {name}" for name in y], y)
    assert learner.classes_.tolist() == np.unique(y).tolist() == ["10", "9", "B", "a", "b", "é"]
    p = learner.predict_proba(["text é"])[0]
    assert learner.predict(["text é"])[0] == learner.classes_[p.argmax()]


def test_the_model_of_a_table_has_texts_and_scores_numbers():
    learner = unrolled.load(kinds()["rating"].model)  # classes 0, 1 and 2 of a CSV file
    texts = ["good soup", "bad chair", "good bad"]
    found = learner.predict(texts)
    assert found.dtype.kind == "U" and learner.classes_.tolist() == ["0", "1", "2"]
    for truth in (found.astype(int), found.astype(float), found):
        assert learner.score(texts, truth) == 1.0
    assert learner.score(texts, (found.astype(int) + 1) % 3) == 0.0


def test_a_damaged_note_of_the_type_is_told():
    with pytest.raises(DataError, match="type of the classes in the model file is damaged"):
        classes_of(["a", "b"], "int")
    with pytest.raises(DataError, match="damaged"):
        classes_of(["1", "2"], ["int"])


def test_blank_sequences_get_the_answers_of_the_command_line(tmp_path: Path):
    blanks = ["good", "", "  ", "\t", "bad"]
    for y, nothing in ((np.where(FIRST, "yes", "no"), ""), (FIRST.astype(int), None)):
        learner = unrolled.Classifier(**SMALL).fit(TEXTS, y)
        found, p = learner.predict(blanks).tolist(), learner.predict_proba(blanks)
        assert found[1:4] == [nothing] * 3 and found[0] == learner.predict(["good"])[0]
        assert np.isnan(p[1:4]).all() and np.isfinite(p[[0, 4]]).all()
        learner.save(tmp_path / "model", force=True)
        lines = run("predict", tmp_path / "model", stdin="".join(f"{one}\n" for one in blanks).encode()).lines
        assert lines == ["" if one is None else str(one) for one in found]
        assert (
            learner.score(["", "good"], [y[0], y[0]]) == learner.score(["good"], [y[0]]) / 2
        )  # a blank is wrong
    tagger = unrolled.Tagger(**SMALL).fit([["a", "b"]] * 9, [["X", "Y"]] * 9)
    assert tagger.predict([["a"], [], " "])[1:] == [[], []]
    assert [one.shape for one in tagger.predict_proba([["a"], [], ""])] == [(1, 2), (0, 2), (0, 2)]
    regressor = unrolled.Regressor(**SMALL).fit(TEXTS, np.arange(32))
    assert np.isnan(regressor.predict(["good", ""])).tolist() == [False, True]
    with pytest.raises(ValueError, match="X:2: an empty sequence has no prediction"):
        regressor.score(["good", ""], [1, 2])
    translator = unrolled.Translator(**SMALL, unit="char").fit(TEXTS, TEXTS)
    assert translator.predict(["good", "", " "])[1:] == ["", ""]
    assert translator.predict_nbest(["good", ""], n=2)[1] == []
    series = unrolled.Classifier(**SMALL).fit([[float(one)] * 3 for one in FIRST], FIRST)
    assert series.predict([[1.0], []]).tolist()[1] is None
    assert series.predict([]).tolist() == [] and series.predict_proba([]).shape == (0, 2)


def test_tags_keep_their_type_and_have_probabilities_and_spans(tmp_path: Path):
    x = [["Ada", "sings"], ["a", "boat"], ["Bob", "Ray", "came"]] * 12
    for values in ((0, 1), (False, True), (0.0, 1.0), ("O", "N")):
        y = [[values[word[0].isupper()] for word in words] for words in x]
        learner = unrolled.Tagger(**SMALL).fit(x, y)
        assert learner.classes_.tolist() == sorted(values)
        learner.save(tmp_path / "model", force=True)
        for model in (learner, unrolled.load(tmp_path / "model")):
            found = model.predict(x[:3])
            assert [type(tag) for tag in found[0]] == [type(values[0])] * 2 and found == y[:3]
            for tags, p in zip(found, model.predict_proba(x[:3]), strict=True):
                np.testing.assert_allclose(p.sum(axis=1), 1)
                assert [model.classes_[i] for i in p.argmax(axis=1)] == tags
            assert model.score(x, y) == 1.0
        if values[0] == 0:
            assert learner.score(x, [[int(tag) for tag in tags] for tags in y]) == 1.0
        with pytest.raises(ValueError, match="tags of this model do not mark spans"):
            learner.predict_spans(x[:1])
    spans = unrolled.load(kinds()["names"].model).predict_spans([["mister", "anna", "came"], []])
    assert spans[1] == [] and [(one["type"], one["start"], one["end"], one["text"]) for one in spans[0]] == [
        ("PER", 1, 2, "anna")
    ]
    assert 0 < spans[0][0]["probability"] <= 1


def test_tags_of_two_types_are_rejected():
    with pytest.raises(ValueError, match=r"is a text and .* is a number"):
        unrolled.Tagger(**SMALL).fit([["a", "b"]], [["x", 1]])
    with pytest.raises(ValueError, match="y:1, step 2: missing"):
        unrolled.Tagger(**SMALL).fit([["a", "b"]], [["x", None]])
    assert unrolled.Tagger(**SMALL).fit([["a", "b"]] * 4, [[1, False]] * 4).classes_.tolist() == [0, 1]


def test_a_column_of_numbers_stays_a_column(tmp_path: Path):
    y = np.arange(32.0)
    shapes = {
        "[N]": y,
        "[N, 1]": y[:, None],
        "one column": pd.DataFrame({"y": y}),
        "[N, 2]": np.stack([y, -y], 1),
    }
    for name, asked in shapes.items():
        learner = unrolled.Regressor(**SMALL).fit(TEXTS, asked, validation_data=(TEXTS, asked))
        learner.save(tmp_path / "model", force=True)
        for model in (learner, unrolled.load(tmp_path / "model")):
            found = model.predict(TEXTS)
            assert found.shape == np.asarray(asked).shape, name
            assert np.isfinite(model.score(TEXTS, asked))
            ends = model.predict_interval(TEXTS)
            assert (
                ends.shape == (*found.shape, 2)
                and (ends[..., 0] <= found).all()
                and (found <= ends[..., 1]).all()
            )


def test_weighted_scores_are_scikit_learns():
    weights = np.random.default_rng(0).uniform(0.1, 3, 32)
    learner = unrolled.Classifier(**SMALL | {"epochs": 1}).fit(TEXTS, FIRST.astype(int))
    truth = np.roll(FIRST, 1).astype(int)
    own = accuracy_score(truth, learner.predict(TEXTS), sample_weight=weights)
    assert learner.score(TEXTS, truth, sample_weight=weights) == pytest.approx(own)
    from sklearn.metrics import r2_score

    regressor = unrolled.Regressor(**SMALL).fit(TEXTS, np.arange(32.0))
    own = r2_score(np.arange(32.0), regressor.predict(TEXTS), sample_weight=weights)
    assert regressor.score(TEXTS, np.arange(32.0), sample_weight=weights) == pytest.approx(own)


def test_weights_move_the_answer_and_their_scale_does_not():
    same, y = ["a text"] * 60, ["no", "yes"] * 30
    slow = {**SMALL, "epochs": 20, "dropout": 0.0, "wide": False}

    def share(**given: Any) -> float:
        learner = unrolled.Classifier(**slow, class_weight=given.pop("class_weight", None))
        return float(learner.fit(same, y, **given).predict_proba(["a text"])[0, 1])

    weights = np.tile([1.0, 4.0], 30)
    assert share() == pytest.approx(0.5, abs=0.1)
    weighted = share(sample_weight=weights)
    assert weighted == pytest.approx(0.8, abs=0.08)  # 4 of 5
    assert share(sample_weight=weights * 7) == pytest.approx(weighted, abs=1e-3)
    assert share(class_weight={"yes": 4.0}) == pytest.approx(weighted, abs=1e-6)
    rare = ["yes"] * 12 + ["no"] * 48
    balanced = unrolled.Classifier(**slow, class_weight="balanced").fit(same, rare)
    assert balanced.predict_proba(["a text"])[0, 1] == pytest.approx(0.5, abs=0.1)
    root = unrolled.Classifier(**slow, class_weight="root").fit(same, rare)
    assert 0.22 < root.predict_proba(["a text"])[0, 1] < 0.45  # between 1/5 and 1/2: sqrt(4) to 1


def test_a_weight_of_zero_leaves_a_sequence_out():
    weights = np.ones(32)
    weights[:4] = 0
    left_out = unrolled.Classifier(**SMALL).fit(TEXTS, FIRST, sample_weight=weights)
    without = unrolled.Classifier(**SMALL).fit(TEXTS[4:], FIRST[4:])
    np.testing.assert_array_equal(left_out.predict_proba(TEXTS), without.predict_proba(TEXTS))
    numbers = unrolled.Regressor(**SMALL).fit(TEXTS, np.arange(32), sample_weight=weights)
    np.testing.assert_array_equal(
        numbers.predict(TEXTS), unrolled.Regressor(**SMALL).fit(TEXTS[4:], np.arange(4, 32)).predict(TEXTS)
    )


@pytest.mark.parametrize(
    ("given_", "told"),
    [
        (
            {"sample_weight": [1.0] * 3},
            r"sample_weight has the shape \[3\] and the type float64; expected one number for each of the 32",
        ),
        ({"sample_weight": [-1.0] * 32}, "sample_weight has an invalid weight"),
        ({"sample_weight": [0.0] * 32}, "zero weights only"),
        ({"sample_weight": [float("nan")] * 32}, "invalid weight"),
        ({"sample_weight": ["a"] * 32}, "sample_weight"),
        ({"class_weight": "equal"}, "class_weight='equal'; expected None, 'balanced', 'root' or a dict"),
        (
            {"class_weight": {"maybe": 1}},
            "class_weight has a class that is not in y: 'maybe'; expected False, True",
        ),
        ({"class_weight": {True: -1}}, "class_weight="),
    ],
)
def test_weights_that_are_none_are_rejected(given_: dict[str, Any], told: str):
    weight = given_.pop("class_weight", None)
    with pytest.raises(ValueError, match=told), arguments_named():
        unrolled.Classifier(**SMALL, class_weight=weight).fit(TEXTS, FIRST, **given_)


@pytest.mark.parametrize(
    ("y", "other"), [([0, 1], ["True", "False"]), (["a", "b"], [1, 0]), ([True, False], ["x", "y"])]
)
def test_score_rejects_classes_of_which_none_is_known(y: list[Any], other: list[Any]):
    classifier = unrolled.Classifier(**SMALL).fit(TEXTS, (y * 16)[: len(TEXTS)])
    with pytest.raises(ValueError, match="y contains none of the classes of fit"):
        classifier.score(TEXTS[:2], other)


def test_texts_are_scored_as_the_model_writes_them():
    translator = unrolled.Translator(**SMALL, unit="char", lower=True).fit(TEXTS, TEXTS)
    shouted = [text.upper() for text in TEXTS]
    assert translator.score(TEXTS, shouted) == translator.score(TEXTS, TEXTS)
    with pytest.raises(ValueError, match="X has 32 sequences and y has 3 texts"):
        translator.score(TEXTS, TEXTS[:3])
