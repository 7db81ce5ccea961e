"""scikit-learn: its own checks of estimators, and its tools over ragged sequences."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import unrolled
from support.paths import ROOT
from support.sklearn_checks import DATALESS, OTHERS
from unrolled.core.errors import UsageError

SMALL: dict[str, Any] = {"hidden": 8, "epochs": 2, "threads": 1}
TEXTS = ["good and warm", "so good", "cold and bad", "a bad one", "it was good", "bad it was"] * 6
LABELS = ["yes", "yes", "no", "no", "yes", "no"] * 6

# The checks that do not apply to sequences, with the reason; docs/reference/estimators.md has the same table.
NOT_FOR_SEQUENCES = {
    "check_n_features_in": "rows are series of any length: there is no fixed number of features",
    "check_n_features_in_after_fitting": "rows are series of any length: there is no fixed number of features",
    "check_sample_weight_equivalence_on_dense_data": "examples are drawn in random batches: a weight of 2 and two "
    "copies have the same expected loss, and not the same bits",
}
SKIPPED = {"check_array_api_input"}  # needs SCIPY_ARRAY_API, which is off


@pytest.fixture(scope="module")
def outcomes() -> list[dict[str, str]]:
    done = subprocess.run(
        [sys.executable, "-m", "support.sklearn_checks"],
        capture_output=True,
        text=True,
        timeout=900,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])},
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("name", ["Classifier", "Regressor"])
def test_every_check_that_applies_to_sequences_passes(name: str, outcomes: list[dict[str, str]]):
    own = [one for one in outcomes if one["estimator"] == name]
    assert len(own) > 45
    failed = {one["check"]: one["error"] for one in own if one["status"] == "failed"}
    assert set(failed) == set(NOT_FOR_SEQUENCES), failed
    assert {one["check"] for one in own if one["status"] == "skipped"} == SKIPPED


@pytest.mark.parametrize("name", OTHERS)
def test_the_checks_without_data_pass_for_every_estimator(name: str, outcomes: list[dict[str, str]]):
    own = {one["check"]: one for one in outcomes if one["estimator"] == name}
    assert set(own) == set(DATALESS)
    assert {check: one["error"] for check, one in own.items() if one["status"] != "passed"} == {}


def test_the_table_in_the_docs_has_the_same_checks():
    page = (ROOT / "docs" / "reference" / "estimators.md").read_text(encoding="utf-8")
    for check in NOT_FOR_SEQUENCES:
        assert f"`{check}`" in page


@pytest.fixture(scope="module")
def classifier() -> unrolled.Classifier:
    return unrolled.Classifier(**SMALL).fit(TEXTS, LABELS)


def test_two_processes_and_returned_estimators():
    found = cross_validate(
        unrolled.Classifier(**SMALL),
        TEXTS,
        LABELS,
        cv=2,
        n_jobs=2,
        return_estimator=True,
        error_score="raise",
    )
    assert np.isfinite(found["test_score"]).all()
    for estimator in found["estimator"]:
        assert estimator.predict(TEXTS[:2]).shape == (2,)


def test_an_error_comes_back_from_another_process():
    with pytest.raises(ValueError, match=r"X:1: missing \(None\)"):
        joblib.Parallel(n_jobs=2)(
            joblib.delayed(unrolled.Classifier(**SMALL).fit)([None, "a"], ["x", "y"]) for _ in range(2)
        )


def test_scores_and_losses_are_scikit_learns(classifier: unrolled.Classifier):
    found = classifier.predict_proba(TEXTS)
    assert classifier.classes_.tolist() == ["no", "yes"]
    truth = np.array(LABELS)
    own = -np.log(found[np.arange(len(truth)), (truth == "yes").astype(int)]).mean()
    assert log_loss(LABELS, found) == pytest.approx(own)
    assert classifier.score(TEXTS, LABELS) == accuracy_score(LABELS, classifier.predict(TEXTS))
    np.testing.assert_allclose(np.exp(classifier.predict_log_proba(TEXTS)), found)


def test_searches_pipelines_and_clones():
    learner = unrolled.Classifier(**SMALL)
    assert (
        is_classifier(learner) and is_regressor(unrolled.Regressor()) and not is_classifier(unrolled.Tagger())
    )
    assert clone(learner).get_params() == learner.get_params()
    search = GridSearchCV(learner, {"hidden": [4, 8], "cell": ["gru", "lstm"]}, cv=2, error_score="raise")
    search.fit(np.array(TEXTS), pd.Series(LABELS))
    assert search.best_params_["hidden"] in (4, 8) and np.isfinite(search.best_score_)
    lower = make_pipeline(FunctionTransformer(lambda x: [one.lower() for one in x]), learner)
    assert lower.fit(TEXTS, LABELS).predict(["GOOD"]).shape == (1,)
    series = [np.random.default_rng(seed).normal(size=(3 + seed % 5, 2)) for seed in range(40)]
    asked = [one.mean() for one in series]
    assert np.isfinite(cross_val_score(unrolled.Regressor(**SMALL), series, asked, cv=2)).all()


def test_weights_reach_the_training_through_cross_validation():
    weights = np.where(np.array(LABELS) == "yes", 5.0, 1.0)
    found = cross_validate(
        unrolled.Classifier(**SMALL),
        TEXTS,
        LABELS,
        cv=2,
        params={"sample_weight": weights},
        return_estimator=True,
        error_score="raise",
    )
    plain = cross_validate(unrolled.Classifier(**SMALL), TEXTS, LABELS, cv=2, return_estimator=True)
    for one, other in zip(found["estimator"], plain["estimator"], strict=True):
        assert one.predict_proba(TEXTS)[:, 1].mean() > other.predict_proba(TEXTS)[:, 1].mean()


@pytest.mark.parametrize("name", [*OTHERS, "Classifier", "Regressor"])
def test_what_is_not_fitted_says_so(name: str):
    estimator = getattr(unrolled, name)()
    for method in ("predict", "predict_proba", "predict_nbest", "score_samples", "sample"):
        call = getattr(estimator, method, None)
        if call is not None:
            with pytest.raises(NotFittedError, match=f"this {name} is not fitted yet") as found:
                call() if method == "sample" else call(["a"])
            assert isinstance(found.value, UsageError) and isinstance(found.value, ValueError)
    with pytest.raises(NotFittedError):
        estimator.save("nowhere")
