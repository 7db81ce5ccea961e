"""The constructor's arguments: the options of the command line, checked at `fit`, shown by `repr`, named by errors."""

from __future__ import annotations

import copy
import io
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest

import unrolled
from support.paths import ROOT
from support.small_models import small
from support.small_tasks import kinds
from unrolled.core.config import options
from unrolled.core.errors import DataError, UsageError
from unrolled.estimators.errors import arguments_named, in_python
from unrolled.estimators.options import checked

ALL = (
    "Classifier",
    "Composer",
    "LanguageModel",
    "Recognizer",
    "Regressor",
    "Tagger",
    "Transcriber",
    "Translator",
)
OWN = {"verbose", "class_weight", "classes"}  # arguments that are no options, or are written in another way
SMALL: dict[str, Any] = {"hidden": 8, "epochs": 2, "threads": 1}
TEXTS, LABELS = ["good and warm", "bad and cold"] * 10, ["yes", "no"] * 10


@pytest.mark.parametrize("name", ALL)
def test_every_argument_is_an_option_with_its_default(name: str):
    known = options()
    for field in fields(getattr(unrolled, name)):
        if field.name in OWN or (name, field.name) == ("LanguageModel", "unit"):
            continue
        assert field.default == known[field.name].default, field.name


@pytest.mark.parametrize("name", ALL)
def test_repr_shows_what_was_changed(name: str):
    kind = getattr(unrolled, name)
    assert repr(kind()) == f"{name}()"
    assert repr(kind(hidden=8, cell="gru", lr=0.5)) == f"{name}(cell='gru', hidden=8, lr=0.5)"
    # `repr` promises an expression that makes the estimator again, so it is evaluated.
    assert eval(repr(kind(epochs=3)), {name: kind}).get_params() == kind(epochs=3).get_params()


def test_repr_shows_lists_and_weights():
    shown = repr(unrolled.Classifier(classes=["no", "yes"], class_weight={"no": 2.0}))
    assert shown == "Classifier(classes=['no', 'yes'], class_weight={'no': 2.0})"


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"hidden": "8"}, "hidden='8'; expected a whole number"),
    ({"hidden": 8.5}, "hidden=8.5; expected a whole number"),
    ({"hidden": True}, "hidden=True; expected a whole number"),
    ({"hidden": 0}, "hidden = 0; expected a whole number from 1 to 65536"),
    ({"dropout": 1.5}, "dropout = 1.5; expected a number from 0 to 0.95"),
    ({"lr": "fast"}, "lr='fast'; expected a number"),
    ({"lr": float("nan")}, "lr = nan"),
    ({"lower": "yes"}, "lower='yes'; expected True or False"),
    ({"lower": None}, "lower=None; expected True or False"),
    ({"cell": 3}, "cell=3; expected a text"),
    ({"cell": "lstn"}, "unknown cell 'lstn'; expected rnn, gru.*; try 'lstm'"),
    ({"seed": -1}, "seed = -1"),
    ({"verbose": "no"}, "verbose='no'; expected 0 or 1"),
    ({"deterministic": True, "minutes": 1.0}, "a budget of minutes: measured times vary; try epochs$"),
]


@pytest.mark.parametrize(("given", "told"), WRONG)
def test_wrong_arguments_are_named_at_fit(given: dict[str, Any], told: str):
    with pytest.raises(ValueError, match=told) as found, arguments_named():
        estimator = unrolled.Classifier()
        vars(estimator).update(given)  # as set_params and the constructor do, which check nothing
        estimator.fit(TEXTS, LABELS)
    assert isinstance(found.value, UsageError) and "--" not in str(found.value)


def test_the_constructor_checks_nothing_and_numpys_numbers_are_numbers():
    script = (
        "import unrolled\n"
        "c = unrolled.Classifier(hidden='8', cell=3, classes=object())\n"
        "print(c.set_params(hidden=None).get_params()['hidden'])\n"
        "try: unrolled.Classifier(hidden='8').fit(['a'], ['b'])\n"
        "except ValueError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    assert done.stdout.splitlines() == ["None", "hidden='8'; expected a whole number"], done.stderr
    given = {"hidden": np.int64(8), "lr": np.float32(0.5), "lower": np.bool_(True), "cell": np.str_("gru")}
    found = checked(given)
    assert found == {"hidden": 8, "lr": 0.5, "lower": True, "cell": "gru"}
    assert [type(value) for value in found.values()] == [int, float, bool, str]


def test_classes_in_their_order():
    texts, y = ["bad", "fine", "good"] * 12, [0, 1, 2] * 12
    learner = unrolled.Classifier(**SMALL, classes=[2, 1, 0], ordinal=True).fit(texts, y)
    assert learner.model_.output.to_json()["classes"] == ["2", "1", "0"] and learner.classes_.tolist() == [
        0,
        1,
        2,
    ]
    assert unrolled.Classifier(**SMALL, classes="0,1,2").fit(texts, y).classes_.tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="'2' is not among classes"):
        unrolled.Classifier(**SMALL, classes=[0, 1]).fit(texts, y)
    with pytest.raises(
        ValueError, match=r"order of the ratings is not known; try classes=\[worst, \.\.\., best\]"
    ):
        unrolled.Classifier(**SMALL, ordinal=True).fit(texts, ["low", "mid", "high"] * 12)
    with pytest.raises(ValueError, match="a name in classes contains a comma"):
        unrolled.Classifier(**SMALL, classes=["a,b", "c"]).fit(TEXTS, LABELS)


@pytest.mark.parametrize(
    ("text", "python"),
    [
        ("--softmax exact", "softmax='exact'"),
        ("--no-bidirectional", "bidirectional=False"),
        ("a smaller --batch-size, --window or --hidden", "a smaller batch_size, window or hidden"),
        ("--unit word, white or char", "unit='word', white or char"),
        ("--unit for both", "unit for both"),
        ("--set model.tie=false", "tie=False"),
        ("--neighbours 0", "neighbours=0"),
        ("another name, or --force to replace it", "another name, or force=True to replace it"),
        ("a smaller --lr, or --clip 0.25 (with --force)", "a smaller lr, or clip=0.25 (with force=True)"),
        ("--engine numpy", "engine='numpy'"),
        ("no flag - here -- at all", "no flag - here -- at all"),
    ],
)
def test_flags_become_arguments(text: str, python: str):
    assert in_python(text) == python


def test_hints_about_files_are_left_out_in_python():
    with pytest.raises(DataError) as found:
        unrolled.Tagger(**SMALL).fit([["a", "b"]] * 4, [["O", "O"]] * 4)
    assert str(found.value) == "only one tag, 'O'; expected two tags or more"


CALLS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "label": ("numpy", lambda e: e.predict_proba(["mister anna came", "good soup"])),
    "number": ("numpy", lambda e: e.predict(["mister anna came", "good soup"])),
    "names": ("torch", lambda e: e.predict_proba([["mister", "anna", "came"]])),
    "waves": ("torch", lambda e: e.predict_proba([np.zeros((4, 2)), np.ones((2, 2))])),
}


def copies(estimator: Any) -> list[Any]:
    """The estimator as pickle, joblib and copy hand it back."""
    file = io.BytesIO()
    joblib.dump(estimator, file)
    file.seek(0)
    dumped = [
        pickle.loads(pickle.dumps(estimator, protocol)) for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)
    ]
    return [*dumped, joblib.load(file), copy.deepcopy(estimator), copy.copy(estimator)]


@pytest.mark.parametrize("name", list(CALLS))
def test_copies_answer_alike(name: str):
    engine, call = CALLS[name]
    for estimator in (unrolled.load(kinds()[name].model), unrolled.load(kinds()[name].model, engine)):
        for made in copies(estimator):
            assert repr(made) == repr(estimator) and vars(made).keys() == vars(estimator).keys()
            np.testing.assert_array_equal(call(made), call(estimator))


@pytest.mark.parametrize("engine", ["numpy", "int8", "torch"])
def test_copies_of_language_models_and_translators(engine: str, tmp_path: Path):
    model = unrolled.load(small().word, engine)
    translator = unrolled.Translator(**SMALL, unit="char").fit(TEXTS, LABELS)
    translator.save(tmp_path / "model")
    again = unrolled.load(tmp_path / "model", engine)
    for made in copies(model):
        assert made.sample("the", count=2) == model.sample("the", count=2)
        assert made.score(["the dog"]) == model.score(["the dog"])
    for made in copies(again):
        assert made.predict_nbest(TEXTS[:2], n=2) == again.predict_nbest(TEXTS[:2], n=2)


def test_a_copy_saves_the_same_file(tmp_path: Path):
    model = unrolled.load(small().word)
    model.save(tmp_path / "one")
    copies(model)[0].save(tmp_path / "other")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes() == small().word.read_bytes()


def test_the_best_texts_of_a_translator():
    translator = unrolled.Translator(**SMALL, unit="char").fit(TEXTS, LABELS)
    several = translator.predict_nbest(TEXTS[:2], n=3)
    assert [len(one) for one in several] == [3, 3]
    for texts in several:
        assert [one["score"] for one in texts] == sorted((one["score"] for one in texts), reverse=True)
        assert all(one["log_probability"] < 0 for one in texts)
    assert [one[0]["text"] for one in translator.predict_nbest(TEXTS[:2], n=1)] == translator.predict(
        TEXTS[:2]
    )
    (more,) = translator.predict_nbest(TEXTS[:1], n=5, beam=2)  # more answers than the beam keeps open
    assert 2 <= len({one["text"] for one in more}) == len(more) <= 5


def test_validation_data_choose_the_weights(tmp_path: Path):
    learner = unrolled.Classifier(**SMALL | {"epochs": 4}).fit(
        TEXTS, LABELS, validation_data=(TEXTS[:4], LABELS[:4])
    )
    best = max(learner.history_, key=lambda one: (one["validation_accuracy"], -one["validation_loss"]))
    assert best["validation_loss"] == learner.model_.file.notes["validation_loss"]
    assert learner.score(TEXTS[:4], LABELS[:4]) == best["validation_accuracy"]
    assert [one["step"] for one in learner.history_] == sorted(one["step"] for one in learner.history_)
    plain = unrolled.Classifier(**SMALL).fit(TEXTS, LABELS)
    assert all("validation_loss" not in one and one["train_loss"] > 0 for one in plain.history_)
    for given in ("ab", TEXTS, (TEXTS,)):
        with pytest.raises(ValueError, match="validation_data is not a pair"):
            unrolled.Classifier(**SMALL).fit(TEXTS, LABELS, validation_data=given)
    with pytest.raises(ValueError, match="validation_data y:1: missing"):
        unrolled.Classifier(**SMALL).fit(TEXTS, LABELS, validation_data=(["a"], [None]))


def test_verbose_prints_progress_to_stderr(capsys: pytest.CaptureFixture[str]):
    unrolled.Classifier(**SMALL).fit(TEXTS, LABELS)
    assert capsys.readouterr() == ("", "")
    unrolled.Classifier(**SMALL, verbose=1).fit(TEXTS, LABELS)
    out, err = capsys.readouterr()
    assert out == "" and "20 sequences" in err and "train" in err


def test_ctrl_c_keeps_the_best_so_far_and_is_no_ordinary_exception(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def press() -> None:
        while not any(path.stat().st_size for path in tmp_path.glob("*/model.run/metrics.jsonl")):
            pass
        os.kill(os.getpid(), signal.SIGINT)

    learner = unrolled.Classifier(**SMALL | {"epochs": 100_000})
    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        learner.fit(TEXTS, LABELS, validation_data=(TEXTS, LABELS))
    thread.join()
    assert learner.predict(TEXTS[:2]).shape == (2,) and learner.history_
    assert list(tmp_path.iterdir()) == []  # nothing temporary is left
