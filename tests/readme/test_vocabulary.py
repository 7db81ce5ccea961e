"""The vocabulary: the most frequent words, `<UNK>` for all others, `<EOS>` for the end. README.md says:

* "number of unknown tokens"
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import unrolled
from support.small_models import run
from support.training_runs import SMALL

TRAIN = (*SMALL, "--unit", "white", "--epochs", 1)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`a` stands in every line, `b` in most, `c` and `d` in a few."""
    path = tmp_path_factory.mktemp("text") / "t.txt"
    path.write_text("a b\na b c\na d\na b\n" * 20)
    return path


@pytest.fixture(scope="module")
def model(text: Path) -> Path:
    """A model that knows two words, of one-hot vectors."""
    out = text.with_name("m")
    words = ("train", "language", text, "--out", out, *TRAIN, "--vocab-size", 2, "--embedding", 0)
    done = run(*words)
    assert done.code == 0, done.err
    return out


def test_ten_thousand_words_are_kept_by_default(text: Path):
    report = json.loads(run("check", "language", text, "--unit", "white", "--json").out)
    assert report["vocab_size"] == 10_000


def test_the_most_frequent_words_are_kept_and_others_are_unk(model: Path):
    (record,) = map(
        json.loads, run("score", model, "--tokens", "--format", "jsonl", stdin=b"a b c zebra\n").lines
    )
    scores = record["token_scores"]
    assert [one["token"] for one in scores] == ["a", "b", "<UNK>", "<UNK>", "<EOS>"]
    assert [one["unknown"] for one in scores] == [False, False, True, True, False]
    assert record["unknown"] == 2


def test_unk_and_eos_are_learnt(model: Path, text: Path):
    (record,) = map(json.loads, run("predict", model, "--format", "jsonl", "--top", 9, stdin=b"a b\n").lines)
    probabilities = {one["token"]: one["probability"] for one in record["next"]}
    assert probabilities.keys() == {"<UNK>", "<EOS>", "a", "b"}
    assert sum(probabilities.values()) == pytest.approx(1)
    figures = json.loads(run("evaluate", model, text, "--json").out)
    assert figures["unknown"] == pytest.approx(40 / 260)  # of 180 words and 80 ends 40 are `c` or `d`


def test_one_hot_vectors_have_no_embedding(model: Path, text: Path, tmp_path: Path):
    assert run("train", "language", text, "--out", tmp_path / "m", *TRAIN, "--embedding", 3).code == 0
    names = [
        {name.partition(".")[0] for name in unrolled.load(path).model_.file.tensors}
        for path in (model, tmp_path / "m")
    ]
    assert "embedding" not in names[0] and "embedding" in names[1]
