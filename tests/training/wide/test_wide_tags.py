"""A tagger with a wide part: as good as CRFsuite after two epochs, on each engine and in each batch."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np

import unrolled
from support.small_models import run
from unrolled.inference.open_model import open_trained

SHAPE = ("--hidden", "4", "--epochs", "2", "--threads", "1")
NAMES = ("anna", "boris", "clara", "dmitri", "elena")
OTHER = ("the", "cat", "sees", "house", "of", "and", "reads", "for")


def write(path: Path, count: int, seed: int) -> Path:
    """Sentences in which a name after `mister` is a person, and any other name is none."""
    rng = random.Random(seed)
    blocks = list[str]()
    for _ in range(count):
        rows = [(word, "O") for word in rng.choices((*OTHER, *NAMES), k=rng.randint(1, 5))]
        rows += [("mister", "O"), (rng.choice(NAMES), "B-PER")] * rng.randint(0, 1)
        blocks.append("".join(f"{word} {tag}\n" for word, tag in rows))
    path.write_text("\n".join(blocks))
    return path


def figures(model: Path, data: Path, *options: str) -> dict[str, float]:
    """The metrics that `evaluate` prints."""
    done = run("evaluate", model, data, "--json", *options)
    assert done.code == 0, done.err
    return json.loads(done.out)


def test_two_epochs_of_a_tiny_network_tag_as_well_as_the_wide_part(tmp_path: Path):
    data, test = write(tmp_path / "train.conll", 300, 1), write(tmp_path / "test.conll", 100, 2)
    done = run("train", "tag", data, "--out", tmp_path / "wide", *SHAPE)
    assert "wide part: a CRF of" in done.err
    assert "span F1 on the validation set: model 1.000, baseline 1.000" in done.err
    run("train", "tag", data, "--out", tmp_path / "alone", "--no-wide", *SHAPE)
    found = figures(tmp_path / "wide", test)
    assert found["span_f1"] > 0.99 > 0.5 > figures(tmp_path / "alone", test)["span_f1"]
    torch = figures(tmp_path / "wide", test, "--engine", "torch")
    assert torch["span_f1"] == found["span_f1"]
    assert abs(torch["loss"] - found["loss"]) < 1e-5


def test_answers_do_not_depend_on_the_batch_and_copies_answer_alike(tmp_path: Path):
    run("train", "tag", write(tmp_path / "t.conll", 250, 1), "--out", tmp_path / "m", *SHAPE)
    tagger = unrolled.load(tmp_path / "m")
    sentences = [["the", "mister", "anna"], ["anna"], ["reads", "for", "mister", "boris"], []]
    found = tagger.predict(sentences)
    assert [list(one) for one in found] == [["O", "O", "B-PER"], ["O"], ["O", "O", "O", "B-PER"], []]
    assert [list(tagger.predict([one])[0]) for one in sentences] == [list(one) for one in found]


def test_a_resumed_training_writes_the_same_bytes(tmp_path: Path):
    data = write(tmp_path / "t.conll", 250, 1)
    for name in ("a", "b"):
        assert run("train", "tag", data, "--out", tmp_path / name, *SHAPE).code == 0
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert "is finished already" in run("train", "tag", data, "--out", tmp_path / "a", "--resume", *SHAPE).err


def test_a_small_set_without_validation_has_the_usual_weights(tmp_path: Path):
    run("train", "tag", write(tmp_path / "t.conll", 30, 1), "--out", tmp_path / "m", *SHAPE)
    model = open_trained(tmp_path / "m")
    assert model.wide is not None
    assert (model.wide.part.network, model.wide.part.wide) == (0.6, 0.6)
    assert np.isfinite(model.weights["crf.T"]).all()


def test_a_tagger_without_a_crf_has_no_wide_part(tmp_path: Path):
    data = write(tmp_path / "t.conll", 30, 1)
    assert run("train", "tag", data, "--out", tmp_path / "m", "--no-crf", *SHAPE).code == 0
    assert open_trained(tmp_path / "m").wide is None
    done = run("train", "tag", data, "--out", tmp_path / "n", "--no-crf", "--wide", *SHAPE)
    assert done.code == 2
    assert "the wide part of a tagger needs the CRF" in done.err
