"""Composer, Recognizer and Transcriber: estimators of files."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unrolled
from clips import write_actions
from support.small_tunes import tune, write_tunes

SMALL: dict[str, Any] = {"hidden": 8, "epochs": 1, "threads": 1}


def test_a_composer_learns_tunes_of_genres_and_writes_new_ones(tmp_path: Path):
    tunes = [tune(genre, seed) for seed in range(4) for genre in ("march", "waltz")]
    genres = ["march", "waltz"] * 4
    weights = [1.0, 0.5] * 4
    composer = unrolled.Composer(**SMALL).fit(
        tunes, genres, sample_weight=weights, validation_data=(tunes[:2], None)
    )
    assert all(np.isfinite(one["validation_loss"]) for one in composer.history_)
    scored = composer.score_samples(tunes[:2])
    assert composer.score(tunes[:2]) == pytest.approx(
        sum(one["log_probability"] for one in scored) / sum(one["events"] for one in scored)
    )
    again = pickle.loads(pickle.dumps(composer))
    assert again.sample() == composer.sample() and again.score(tunes) == composer.score(tunes)
    files = sorted(write_tunes(tmp_path / "tunes", 2).rglob("*.mid"))
    assert unrolled.Composer(**SMALL).fit(np.array([str(file) for file in files])).sample()
    for x, y, told in (
        (str(files[0]), None, "X is one str; expected a list of tunes"),
        ([3], None, "X:1: a int; expected a path or a Tune"),
        (tunes, ["march"], "X has 8 tunes and y has 1 items"),
        (tunes, [3] * 8, "y:1: a int; expected a text, or None"),
    ):
        with pytest.raises(ValueError, match=told):
            unrolled.Composer(**SMALL).fit(x, y)


def test_a_recognizer_takes_paths_and_pictures(tmp_path: Path):
    write_actions(tmp_path, 4, 1, ("open", "close"))
    files = sorted(tmp_path.rglob("*.mp4"))
    labels = [file.parent.name for file in files]
    given = {"frame_size": 16, "front_size": 8, **SMALL}
    learner = unrolled.Recognizer(**given, class_weight="balanced").fit(files, labels)
    assert learner.classes_.tolist() == ["close", "open"]
    found = learner.predict_proba([str(file) for file in files])
    np.testing.assert_allclose(found.sum(axis=1), 1)
    np.testing.assert_array_equal(copy.deepcopy(learner).predict_proba(files), found)
    pictures = np.zeros((2, 5, 16, 16), np.uint8)
    assert learner.predict(pictures).shape == (2,)
    assert all(len(steps) == 5 for steps in learner.decisions(list(pictures)))
    with pytest.raises(ValueError, match=r"X is one .*Path; expected a list of clips"):
        learner.predict(files[0])
    with pytest.raises(ValueError, match="y:1: missing"):
        unrolled.Recognizer(**given).fit(files, [None] * len(files))


def test_a_transcriber_names_what_it_cannot_take():
    with pytest.raises(ValueError, match="X is one str; expected a list of recordings"):
        unrolled.Transcriber(**SMALL).fit("a.wav", ["a"])
    with pytest.raises(ValueError, match="y:1: missing; expected a text"):
        unrolled.Transcriber(**SMALL).fit(["a.wav"], [None])
    with pytest.raises(ValueError, match="no such file"):
        unrolled.Transcriber(**SMALL).fit(["a.wav"], ["a"])
