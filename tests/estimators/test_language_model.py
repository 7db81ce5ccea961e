"""LanguageModel: scikit-learn's conventions, and that what it saves and loads is the same model."""

from __future__ import annotations

import copy
import inspect
from pathlib import Path

import numpy as np
import pytest

import unrolled
from support.small_models import run, sentences, small
from unrolled.core.errors import DataError, UsageError
from unrolled.estimators import LanguageModel, load

TINY = {"unit": "word", "hidden": 8, "epochs": 1, "batch_size": 8, "threads": 1}


@pytest.fixture(scope="module")
def fitted() -> LanguageModel:
    return LanguageModel(**TINY).fit(sentences(120))  # type: ignore[arg-type] (values of several types)


def clone(estimator: LanguageModel) -> LanguageModel:
    """What sklearn.base.clone does, its check that the constructor keeps what it is given among it."""
    params = {name: copy.deepcopy(value) for name, value in estimator.get_params(deep=False).items()}
    made = type(estimator)(**params)
    assert all(made.get_params(deep=False)[name] is value for name, value in params.items())
    return made


def test_parameters_round_trip_and_clones_are_unfitted(fitted: LanguageModel):
    estimator = LanguageModel(hidden=7, clip=0.5)
    assert clone(estimator).get_params() == estimator.get_params()
    assert set(estimator.get_params()) == set(inspect.signature(LanguageModel).parameters)
    assert estimator.set_params(hidden=9, lr=0.1) is estimator
    assert (estimator.hidden, estimator.lr) == (9, 0.1)
    with pytest.raises(UsageError, match="no parameter 'hiden'; try 'hidden'"):
        estimator.set_params(hiden=3)
    with pytest.raises(UsageError, match=r"not fitted yet; try \.fit\(\.\.\.\) first"):
        clone(fitted).predict(["the"])
    assert fitted.get_params() == clone(fitted).get_params() | TINY


def test_fit_is_repeatable_and_changes_no_parameter(fitted: LanguageModel):
    texts, before = sentences(120), fitted.get_params()
    again = clone(fitted).fit(texts)
    assert again.get_params() == before
    for one, other in zip(fitted.score_samples(texts[:5]), again.score_samples(texts[:5]), strict=True):
        np.testing.assert_array_equal(one.log_probabilities, other.log_probabilities)
    other = clone(fitted).set_params(seed=1).fit(texts)
    assert other.score(texts[:5]) != fitted.score(texts[:5])


def test_scores_predictions_and_samples(fitted: LanguageModel):
    texts = sentences(6, seed=9)
    scored = fitted.score_samples(texts)
    tokens = sum(len(one.tokens) for one in scored)
    assert fitted.score(texts) == pytest.approx(sum(one.log_probability for one in scored) / tokens)
    assert all(one.tokens[-1] == "<EOS>" for one in scored)
    assert len(fitted.predict([*texts, ""])) == 7
    assert fitted.sample("the", count=2, seed=4) == fitted.sample("the", count=2, seed=4)
    assert all(text.startswith("the") for text in fitted.sample("the", count=3, temperature=0.5))


def test_texts_of_several_lines_end_in_eos_too():
    texts = ["a rose\nis a rose", "is\na rose"] * 20
    for unit in ("char", "word"):
        model = LanguageModel(**TINY | {"unit": unit}).fit(texts)  # type: ignore[arg-type] (as above)
        (scored,) = model.score_samples(texts[:1])
        assert scored.tokens[-1] == "<EOS>" and ("\n" in scored.tokens) == (unit == "char")


def test_save_and_load_are_the_same_model(fitted: LanguageModel, tmp_path: Path):
    path = tmp_path / "model"
    fitted.save(path)
    with pytest.raises(UsageError, match="exists already"):
        fitted.save(path)
    loaded = unrolled.load(path)
    texts = sentences(5, seed=3)
    for one, other in zip(fitted.score_samples(texts), loaded.score_samples(texts), strict=True):
        np.testing.assert_array_equal(one.log_probabilities, other.log_probabilities)
    assert loaded.sample(seed=2) == fitted.sample(seed=2)
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == path.read_bytes()
    line = run("score", path, stdin=texts[0].encode()).out
    assert line.startswith(f"{fitted.score_samples(texts)[0].log_probability:.4f}\t")
    assert load(path, "torch").score(texts) == pytest.approx(fitted.score(texts), rel=1e-5)


def test_a_loaded_model_knows_how_it_was_trained():
    loaded = load(small().word)
    assert (loaded.unit, loaded.hidden, loaded.epochs) == ("word", 24, 4)
    params = clone(loaded).get_params()
    assert params["cell"] == "lstm" and params["clip"] == 1.0 and params["first"] == 8.0


@pytest.mark.parametrize("texts", ["one text", [], [" ", "\n"]])
def test_unusable_texts_are_refused(texts: list[str]):
    with pytest.raises((UsageError, DataError), match=r"expected a list of texts|no examples|empty"):
        LanguageModel(**TINY).fit(texts)  # type: ignore[arg-type] (as above)


def test_unknown_engines_are_refused():
    with pytest.raises(UsageError, match="unknown engine 'tourch'; expected numpy, int8, torch; try 'torch'"):
        load(small().word, "tourch")


def test_validation_texts_and_the_history_of_the_losses():
    texts = sentences(60)
    model = LanguageModel(**TINY | {"epochs": 3}).fit(texts, validation_data=sentences(20, seed=7))  # type: ignore[arg-type] (as above)
    steps = [one["step"] for one in model.history_]
    assert steps == sorted(steps) and len(steps) >= 3
    assert all(np.isfinite([one["train_loss"], one["validation_loss"]]).all() for one in model.history_)
    best = model.model_.file.notes["validation_loss"]
    assert best == min(one["validation_loss"] for one in model.history_)
