"""A model of clips answers after every frame. README.md says:

* "a class after every frame, a tag per frame, the text of the line"

tests/tasks/test_every_combination.py checks the chunks and steps of every other network that reads forward.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from support.small_models import run
from unrolled import Recognizer, load

SIZE = 8


def clip(seed: int, pictures: int) -> np.ndarray:
    """A light square that moves to the right, or to the left where the seed is odd, [pictures, 16, 16] bytes."""
    rng = np.random.default_rng(seed)
    shown = rng.integers(0, 30, (pictures, 16, 16), np.uint8)
    for t in range(pictures):
        at = t if seed % 2 == 0 else pictures - 1 - t
        shown[t, 5:10, at : at + 4] = 220
    return shown


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that is saved by its estimator."""
    path = tmp_path_factory.mktemp("clips") / "m"
    X, y = [clip(seed, 8) for seed in range(12)], ["right", "left"] * 6
    Recognizer(frame_size=SIZE, hidden=8, epochs=2, threads=1, seed=3).fit(X, y).save(path)
    return path


def test_there_is_an_answer_after_every_picture(model: Path):
    recognizer, X = load(model), [clip(seed, 5 + seed) for seed in range(4)]
    assert isinstance(recognizer, Recognizer)
    decisions = recognizer.decisions(X)
    assert [len(one) for one in decisions] == [len(one) for one in X]
    assert [one[-1] for one in decisions] == list(recognizer.predict(X))


def test_later_pictures_change_no_answer(model: Path):
    recognizer, x = load(model), clip(4, 10)
    assert isinstance(recognizer, Recognizer)
    (whole,) = recognizer.decisions([x])
    begun = [x[:t] for t in range(1, len(x) + 1)]
    assert recognizer.decisions(begun) == [whole[:t] for t in range(1, len(x) + 1)]
    assert list(recognizer.predict(begun)) == whole


def test_the_command_tells_them_too(model: Path, tmp_path: Path):
    from PIL import Image

    folder, x = tmp_path / "clip", clip(4, 6)
    folder.mkdir()
    for number, picture in enumerate(x):
        Image.fromarray(picture).save(folder / f"{number:02}.png")
    listed = f"{folder}\n".encode()
    done = run("predict", model, "--format", "jsonl", stdin=listed)
    assert done.code == 0, done.err
    recognizer = load(model)
    assert isinstance(recognizer, Recognizer)
    assert json.loads(done.out)["steps"] == recognizer.decisions([x])[0]
