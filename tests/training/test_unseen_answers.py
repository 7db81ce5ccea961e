"""Validation sets with targets that are not in the training set are refused or reported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from support.networks import spec_of
from support.small_models import refused, run
from unrolled.core.config import DataConfig, ModelConfig, TrainConfig
from unrolled.core.types import Batch, Example, Place
from unrolled.nn.architectures import build
from unrolled.tasks.outputs import ctc
from unrolled.training.loop import Plan, TrainingData, begin, kept, train

FIXED = ("--threads", "1", "--epochs", "1", "--hidden", "8")


def write(path: Path, tags: list[str]) -> Path:
    """Sentences of three words, each with one of these tags in the middle."""
    path.write_text("".join(f"in\tO\nplace{i % 5}\t{tag}\nwas\tO\n\n" for i, tag in enumerate(tags)))
    return path


@pytest.mark.parametrize("crf", ["--crf", "--no-crf"])
def test_validation_in_which_no_tag_is_known(tmp_path: Path, crf: str):
    data = write(tmp_path / "train.conll", ["B-LOC", "O"] * 20)
    other = tmp_path / "valid.conll"
    other.write_text("a\tB-NEW\n\nb\tB-OTHER\n\n" * 5)
    told = refused(run("train", "tag", data, "--valid", other, "--out", tmp_path / "m", crf, *FIXED))
    assert told == (
        f"{other}:1: none of the 10 validation sequences can be used: the training set does not contain 'B-NEW', "
        "'B-OTHER'; expected targets that occur in the training set; try other files"
    )
    assert not (tmp_path / "m").exists()


def test_validation_that_is_known_in_part_is_told(tmp_path: Path):
    data = write(tmp_path / "train.conll", ["B-LOC", "O"] * 20)
    other = write(tmp_path / "valid.conll", ["B-NEW"] * 4 + ["B-LOC"] * 2)
    done = run("train", "tag", data, "--valid", other, "--out", tmp_path / "m", *FIXED)
    told = "the validation set has targets that are not in the training set ('B-NEW'): 4 of 6 sequences are not used"
    assert done.code == 0 and told in done.err.splitlines()
    metrics = run("evaluate", tmp_path / "m", other).lines
    assert any(line.split() == ["unseen", "0.2222"] for line in metrics)  # 4 of 18 steps


def test_translations_of_which_no_token_is_known(tmp_path: Path):
    rows = [("a b", "eins zwei"), ("b a", "zwei eins"), ("a a", "eins eins")]
    table = "source,target\n" + "".join(f"{x},{y}\n" for x, y in rows * 5)
    (tmp_path / "train.csv").write_text(table)
    (tmp_path / "valid.csv").write_text(table.replace("eins", "EINS").replace("zwei", "ZWEI"))
    asked = ("train", "translate", tmp_path / "train.csv", "--unit", "word", *FIXED, "--valid")
    told = refused(run(*asked, tmp_path / "valid.csv", "--out", tmp_path / "m"))
    assert told.startswith(f"{tmp_path / 'valid.csv'}:2: none of the 15 validation sequences can be used")
    assert "the training set does not contain 'EINS', 'ZWEI'" in told
    (tmp_path / "half.csv").write_text(table + "a b,EINS ZWEI\n" + "b b,zwei DREI\n")
    done = run(*asked, tmp_path / "half.csv", "--out", tmp_path / "m")
    told = (
        "the validation set has targets that are not in the training set ('EINS', 'ZWEI'): "
        "1 of 17 sequences are not used"
    )
    assert done.code == 0 and told in done.err.splitlines()


def test_transcripts_in_another_case_cannot_be_measured():
    said = [
        Example("x", text, Place(Path("t.csv"), i)) for i, text in enumerate(["go on", "stop it, now"], 2)
    ]
    output = ctc.learn_transcript(said, DataConfig(), ModelConfig())
    assert ctc.unseen_in(output, "STOP IT!") == ["S", "T", "O", "P", "I", "!"]
    measured = {
        text: ctc.can_measure(output, output.encode(text, 99)) for text in ("stop", "STOP IT", "Stop it", "")
    }
    assert measured == {"stop": True, "STOP IT": False, "Stop it": True, "": True}


def test_a_validation_of_nothing_keeps_the_last_weights_not_the_first():
    spec = spec_of(n_x=3, n_y=3, n_a=4, embedding=2)
    ids, lengths = np.array([[0, 1, 2]]), np.array([3])
    fresh, places = np.array([False]), np.array([0])
    asked, nothing = (Batch(ids, y, lengths, fresh, places) for y in (ids, np.full_like(ids, -1)))
    problem = TrainingData(lambda _: [asked], lambda _: [nothing], lambda _: Place(Path("t"), 1))
    config = TrainConfig(lr=3.0, dropout=0.0, input_dropout=0.0)
    progress = begin(build(spec, seed=0), config)
    seen: list[dict[str, float]] = []

    class Listener:
        def step(self, progress: object, loss: float, share: float) -> None: ...

        def validated(self, progress: object, metrics: object, share: float) -> None:
            seen.append(dict(metrics))  # pyright: ignore[reportArgumentType, reportCallIssue]

    train(problem, progress, Plan(None, 4, 4, 9, 1, "auto", 0.0), config, Listener())  # pyright: ignore[reportArgumentType]
    assert len(seen) == 4 and all("loss" not in metrics for metrics in seen)
    last = dict(progress.network.named_parameters())
    weights = kept(progress)
    assert weights.keys() == last.keys()
    assert all(torch.equal(weights[name], last[name]) for name in last)
    # the weights remembered are others, so the line above can fail
    assert any(not torch.equal(progress.best[name], last[name]) for name in last)


def test_validation_of_unknown_tokens_is_reported(tmp_path: Path):
    (tmp_path / "train.txt").write_text("the cat sat\nthe dog ran\n" * 20)
    (tmp_path / "valid.txt").write_text("eine katze lief\n" * 5)
    asked = (
        "train",
        "language",
        tmp_path / "train.txt",
        "--unit",
        "word",
        *FIXED,
        "--force",
        "--out",
        tmp_path / "m",
    )
    line = "100% of the tokens of the validation set are not in the vocabulary, so the validation loss means little"
    done = run(*asked, "--valid", tmp_path / "valid.txt")
    assert done.code == 0 and line in done.err.splitlines()
    assert "not in the vocabulary" not in run(*asked, "--valid", tmp_path / "train.txt").err


@pytest.mark.parametrize("affixes", ["--affixes", "--no-affixes"])
def test_validation_texts_of_unknown_words_are_reported(tmp_path: Path, affixes: str):
    (tmp_path / "train.csv").write_text("text,label\n" + "so good,yes\nso bad,no\n" * 10)
    (tmp_path / "valid.csv").write_text("text,label\n" + "SEHR GUT,yes\nso bad,no\nSEHR SCHLECHT,no\n" * 2)
    asked = ("train", "classify", tmp_path / "train.csv", affixes, *FIXED, "--force", "--out", tmp_path / "m")
    done = run(*asked, "--valid", tmp_path / "valid.csv")
    line = "67% of the tokens of the validation set are not in the vocabulary, so the validation loss means little"
    assert done.code == 0 and line in done.err.splitlines()
    assert "not in the vocabulary" not in run(*asked, "--valid", tmp_path / "train.csv").err
