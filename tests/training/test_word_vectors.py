"""`--vectors`: words that the training set does not have are known, and a changed file of vectors is refused."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import unrolled
from support.small_models import refused, run
from unrolled.core.errors import DataError
from unrolled.data.text.pretrained import choose
from unrolled.inference.open_model import open_trained
from unrolled.models import model_file
from unrolled.models.tensor_shapes import VECTORS

FAST = ("--threads", "1", "--epochs", "12", "--hidden", "16", "--embedding", "8", "--hold-out", "0")
ANIMALS = ("cat", "dog", "cow", "hen", "pig", "fox")
STONES = ("jade", "opal", "onyx", "ruby", "flint", "agate")
UNSEEN = {"Weasel": "animal", "garnet": "stone", "otters": "animal", "QUARTZ": "stone"}


def write_vectors(path: Path, sign: int = 1) -> Path:
    """Animals and stones have opposite vectors, with a little noise; other words have small vectors."""
    chance = random.Random(4)
    rows = []
    for word in (*ANIMALS, *STONES, "weasel", "otters", "garnet", "quartz", "the", "a"):
        animal, stone = word in (*ANIMALS, "weasel", "otters"), word in (*STONES, "garnet", "quartz")
        noise = [chance.gauss(sign * (animal - stone), 0.1) for _ in range(6)]
        rows.append(f"{word} " + " ".join(f"{number:.4f}" for number in noise))
    path.write_text("\n".join(rows) + "\n")
    return path


def write_table(path: Path) -> Path:
    rows = [f"{first} {word},{kind}" for kind, words in (("animal", ANIMALS), ("stone", STONES)) for word in words
            for first in ("the", "a", "one")]  # fmt: skip
    random.Random(1).shuffle(rows)
    path.write_text("text,label\n" + "\n".join(rows * 3) + "\n")
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vectors")
    data, vectors = write_table(folder / "t.csv"), write_vectors(folder / "v.txt")
    done = run("train", "classify", data, "--vectors", vectors, "--no-wide", "--out", folder / "m", *FAST)
    assert done.code == 0, done.err
    assert "14 of 15 have a pretrained vector" in done.err
    assert "18 pretrained vectors of 6" in done.err
    return folder


def answers(model: Path, lines: list[str]) -> list[str]:
    done = run("predict", model, "--format", "jsonl", stdin="\n".join(lines).encode())
    assert done.code == 0, done.err
    return [json.loads(line) for line in done.lines]


def test_unseen_words_are_known(trained: Path):
    found = answers(trained / "m", [f"the {word}" for word in UNSEEN])
    assert [one["label"] for one in found] == list(UNSEEN.values())
    assert all(one["unknown"] == 0 for one in found)
    (other,) = answers(trained / "m", ["the blancmange"])
    assert other["unknown"] == 1


def test_the_model_has_the_vectors_unchanged(trained: Path):
    file, words = model_file.load(trained / "m"), open_trained(trained / "m").input.to_json()["vectors"]
    given = choose(trained / "v.txt", [], 100)
    assert isinstance(words, list) and tuple(words) == given.words
    np.testing.assert_array_equal(file.tensors[VECTORS], given.values)


def test_the_extra_words_are_an_option(trained: Path, tmp_path: Path):
    asked = (
        "train",
        "classify",
        trained / "t.csv",
        "--vectors",
        trained / "v.txt",
        "--vectors-extra",
        0,
        *FAST,
    )
    assert run(*asked, "--out", tmp_path / "m", "--epochs", 1).code == 0
    assert "weasel" not in open_trained(tmp_path / "m").input.to_json()["vectors"]  # pyright: ignore[reportOperatorIssue]


def test_the_same_command_gives_the_same_file(trained: Path, tmp_path: Path):
    asked = ("train", "classify", trained / "t.csv", "--vectors", trained / "v.txt", "--no-wide", *FAST)
    assert run(*asked, "--out", tmp_path / "m").code == 0
    one, other = (model_file.load(folder / "m") for folder in (trained, tmp_path))
    assert all(np.array_equal(one.tensors[name], other.tensors[name]) for name in one.tensors)


def test_a_finished_run_is_not_changed_and_a_changed_file_is_refused(trained: Path, tmp_path: Path):
    vectors = write_vectors(tmp_path / "v.txt")
    asked = ("train", "classify", trained / "t.csv", "--vectors", vectors, "--out", tmp_path / "m", *FAST)
    asked = (*asked, "--epochs", "2")
    assert run(*asked).code == 0
    again = run(*asked, "--resume")
    assert again.code == 0 and "is finished already; not changed" in again.err
    write_vectors(vectors, sign=-1)
    assert "vectors" in refused(run(*asked, "--resume"))


def test_tags_numbers_and_affixes(trained: Path, tmp_path: Path):
    rows = [
        f"the\tO\n{word}\tB-{kind}\n" for kind, words in (("AN", ANIMALS), ("ST", STONES)) for word in words
    ]
    (tmp_path / "t.conll").write_text("\n".join(rows * 6))
    common = ("--vectors", trained / "v.txt", *FAST)
    assert run("train", "tag", tmp_path / "t.conll", "--out", tmp_path / "m", *common).code == 0
    found = run("predict", tmp_path / "m", stdin=b"the weasel\nthe quartz\n").lines
    assert "AN" in found[0] and "ST" in found[1]
    table = (
        "text,rating\n"
        + "".join(f"the {word},{1 if word in ANIMALS else 9}\n" for word in (*ANIMALS, *STONES)) * 6
    )
    (tmp_path / "n.csv").write_text(table)
    done = run("train", "tokens:number", tmp_path / "n.csv", "--out", tmp_path / "n", *common, "--affixes")
    assert done.code == 0, done.err
    values = [float(line) for line in run("predict", tmp_path / "n", stdin=b"the weasel\nthe quartz\n").lines]
    assert values[0] < 5 < values[1]


REFUSED = {
    "no such file": (("classify", "--vectors", "{0}/none.txt"), "none.txt: no such file or folder"),
    "one-hot": (("classify", "--vectors", "{0}/v.txt", "--embedding", "0"), "--vectors needs an embedding"),
    "subwords": (("classify", "--vectors", "{0}/v.txt", "--unit", "subword"), "vectors are for words"),
    "another task": (("language", "--vectors", "{0}/v.txt"), "language does not support 'vectors'"),
    "translation": (("translate", "--vectors", "{0}/v.txt"), "translate does not support 'vectors'"),
    "no vectors": (("classify", "--vectors", "{0}/t.csv"), "t.csv:1:"),
}


@pytest.mark.parametrize(("asked", "told"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(trained: Path, tmp_path: Path, asked: tuple[str, ...], told: str):
    task, *options = (one.format(trained) for one in asked)
    line = refused(run("train", task, trained / "t.csv", *options, "--out", tmp_path / "m", "--epochs", 1))
    assert told in line
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("words", [["the"], ["the", "the"], "the", None, [1]])
def test_a_model_whose_words_do_not_fit_is_refused(trained: Path, tmp_path: Path, words: object):
    file = model_file.load(trained / "m")
    given = file.learnt["input"]
    assert isinstance(given, dict)
    model_file.save(
        tmp_path / "m", replace(file, learnt={**file.learnt, "input": {**given, "vectors": words}})
    )
    with pytest.raises(DataError):
        open_trained(tmp_path / "m")


def test_from_python(trained: Path):
    rows = [line.split(",") for line in (trained / "t.csv").read_text().splitlines()[1:]]
    options = {"epochs": 12, "hidden": 16, "embedding": 8, "hold_out": 0.0, "threads": 1, "wide": False}
    model = unrolled.Classifier(vectors=str(trained / "v.txt"), **options)
    model.fit([text for text, _ in rows], [label for _, label in rows])
    assert model.predict([f"the {word}" for word in UNSEEN]).tolist() == list(UNSEEN.values())


def test_check_reports_the_coverage(trained: Path):
    asked = ("check", "classify", trained / "t.csv", "--vectors", trained / "v.txt")
    assert "93.3% of the distinct words and 83.3% of all words have a pretrained vector" in run(*asked).out
    told = json.loads(run(*asked, "--json").out)["words"]["vectors"]
    assert told == {"types": pytest.approx(14 / 15), "tokens": pytest.approx(5 / 6)}
    assert json.loads(run(*asked[:3], "--json").out)["words"]["vectors"] is None
