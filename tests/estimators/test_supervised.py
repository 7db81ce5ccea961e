"""Classifier, Regressor and Tagger: scikit-learn's conventions on ragged lists, and the same model after a file."""

from __future__ import annotations

import copy
import inspect
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unrolled
from support.small_tasks import kinds, review, sentence
from unrolled.core.errors import DataError, UsageError
from unrolled.estimators import Classifier, Regressor, Tagger

TINY: dict[str, Any] = {"hidden": 12, "epochs": 6, "threads": 1, "batch_size": 8}


def reviews(count: int, seed: int = 0) -> tuple[list[str], list[int]]:
    chance = random.Random(seed)
    pairs = [review(chance) for _ in range(count)]
    return [text for text, _ in pairs], [stars for _, stars in pairs]


def tagged(count: int, seed: int = 0) -> tuple[list[list[str]], list[list[str]]]:
    chance = random.Random(seed)
    found = [sentence(chance) for _ in range(count)]
    return [[w for w, _ in one] for one in found], [[t for _, t in one] for one in found]


def waves(count: int, seed: int = 0) -> tuple[list[np.ndarray], list[float]]:
    """Series of 3 to 20 steps of two numbers; asked: the sum of the first one's mean and the second's last."""
    chance = np.random.default_rng(seed)
    x = [chance.normal(size=(chance.integers(3, 20), 2)) + chance.normal() for _ in range(count)]
    return x, [float(one[:, 0].mean() + one[-1, 1]) for one in x]


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier(**TINY).fit(*reviews(200))


@pytest.mark.parametrize("kind", [Classifier, Regressor, Tagger])
def test_parameters_round_trip(kind: type[Any]):
    learner = kind(hidden=7, clip=0.5)
    assert set(learner.get_params()) == set(inspect.signature(kind).parameters)
    made = kind(**copy.deepcopy(learner.get_params()))
    assert made.get_params() == learner.get_params()
    assert learner.set_params(hidden=9, lr=0.1) is learner and (learner.hidden, learner.lr) == (9, 0.1)
    with pytest.raises(UsageError, match="no parameter 'hiden'; try 'hidden'"):
        learner.set_params(hiden=3)
    with pytest.raises(
        UsageError, match=rf"this {kind.__name__} is not fitted yet; try \.fit\(\.\.\.\) first"
    ):
        learner.predict(["x"])


def test_classes_keep_their_type_and_probabilities_their_order(classifier: Classifier):
    x, y = reviews(60, seed=1)
    assert classifier.classes_.tolist() == [0, 1, 2]
    found, p = classifier.predict(x), classifier.predict_proba(x)
    assert found.dtype.kind == "i" and p.shape == (60, 3)
    assert np.allclose(p.sum(axis=1), 1) and np.array_equal(found, p.argmax(axis=1))
    assert classifier.score(x, y) == np.mean(found == np.array(y)) > np.bincount(y).max() / 60 + 0.05


def test_fit_is_repeatable_and_changes_no_parameter(classifier: Classifier):
    before = classifier.get_params()
    again = Classifier(**TINY).fit(*reviews(200))
    x, _ = reviews(10, seed=1)
    assert (
        np.array_equal(again.predict_proba(x), classifier.predict_proba(x)) and again.get_params() == before
    )
    other = Classifier(**TINY, seed=1).fit(*reviews(200))
    assert not np.array_equal(other.predict_proba(x), classifier.predict_proba(x))


def test_a_regressor_of_ragged_series():
    learner = Regressor(**{**TINY, "epochs": 30}).fit(*waves(240))
    x, y = waves(60, seed=1)
    assert learner.predict(x).shape == (60,)
    assert learner.score(x, y) > 0.5
    pairs = Regressor(**TINY).fit(x, [(one, -one) for one in y])
    assert pairs.predict(x).shape == (60, 2)


def test_a_tagger_of_token_lists():
    learner = Tagger(**{**TINY, "epochs": 10}).fit(*tagged(200))
    x, y = tagged(40, seed=1)
    found = learner.predict(x)
    assert [len(tags) for tags in found] == [len(words) for words in x]
    assert learner.score(x, y) > 0.5  # span F1
    assert learner.predict([" ".join(words) for words in x]) == found


@pytest.mark.parametrize(
    ("name", "kind"), [("label", Classifier), ("number", Regressor), ("names", Tagger), ("waves", Classifier)]
)
def test_load_opens_each_kind_fitted_as_it_was_trained(name: str, kind: type[Any], tmp_path: Path):
    learner = unrolled.load(kinds()[name].model)
    assert (
        type(learner) is kind and learner.get_params()["hidden"] == 16 and learner.get_params()["seed"] == 3
    )
    x = [np.zeros((4, 2)), np.ones((2, 2))] if name == "waves" else ["mister anna came", "good soup"]
    learner.save(tmp_path / "copy")
    again = unrolled.load(tmp_path / "copy")
    found, other = learner.predict(x), again.predict(x)
    assert np.array_equal(found, other) if name != "names" else found == other
    with pytest.raises(UsageError, match="exists already"):
        learner.save(tmp_path / "copy")


def test_what_has_no_estimator_says_so():
    with pytest.raises(UsageError, match="no estimator for numbers:next; try unrolled predict MODEL FILE"):
        unrolled.load(kinds()["log"].model)


@pytest.mark.parametrize(
    ("x", "y", "told"),
    [
        ([], [], "a list of sequences and one y for each"),
        (["a", "b"], ["x"], "a list of sequences and one y for each"),
        ("a text", ["x"] * 6, "X is one str; expected a list of sequences"),
        (["a", "b", "c"], ["x", "x", "x"], "one class"),
    ],
)
def test_unusable_lists_are_refused(x: Any, y: Any, told: str):
    with pytest.raises((UsageError, DataError), match=told):
        Classifier(**TINY).fit(x, y)


def test_ragged_widths_and_what_is_not_finite_are_named():
    with pytest.raises(DataError, match="X:2: 3 numbers per step"):
        Classifier(**TINY).fit([np.zeros((4, 2)), np.zeros((4, 3))], ["a", "b"])
    with pytest.raises(UsageError, match="X:2: step 1, number 1 is NaN; expected a finite number"):
        Classifier(**TINY).fit([np.zeros((4, 2)), np.full((4, 2), np.nan)], ["a", "b"])
    with pytest.raises(DataError, match="X:1: 2 tags for 3 steps"):
        Tagger(**TINY).fit([["a", "b", "c"], ["d", "e"]], [["O", "X"], ["O", "X"]])
