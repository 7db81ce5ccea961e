"""A model with a wide part: fitted, mixed, saved, resumed and used on each engine like any other model."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path

import numpy as np
import pytest

import unrolled
from support.small_models import run
from unrolled.core.config import Config
from unrolled.core.types import Place
from unrolled.datasets.example_store import EncodedExample, Examples, write_examples
from unrolled.inference.open_model import open_trained
from unrolled.models.wide.ngrams import ngrams
from unrolled.tasks.outputs.label import Label
from unrolled.training.wide import matrices
from unrolled.training.wide.build import Problem, fit_wide
from unrolled.training.wide.fit_linear import Choice, Targets, choose, fit_linear, learnable
from unrolled.training.wide.mixing import BEFORE, mixing_weights

TOPICS = {
    "card": ("card", "pin", "payment", "declined"),
    "loan": ("loan", "rate", "mortgage", "years"),
    "login": ("password", "login", "account", "locked"),
}
FILL = ("please", "my", "the", "is", "can", "you", "help", "today", "with", "it")
SHAPE = ("--hidden", "4", "--epochs", "2", "--threads", "1")


def rows(count: int, seed: int) -> list[tuple[str, str]]:
    """Return texts of six general words and one word of the topic."""
    rng = random.Random(seed)
    found = list[tuple[str, str]]()
    for _ in range(count):
        topic = rng.choice(list(TOPICS))
        words = [*rng.choices(FILL, k=6), rng.choice(TOPICS[topic])]
        rng.shuffle(words)
        found.append((" ".join(words), topic))
    return found


def table(path: Path, count: int, seed: int) -> Path:
    """A table of texts and topics."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows(count, seed)])
    return path


def examples(folder: Path, texts: list[tuple[str, str]]) -> Examples:
    """An encoded data set with the features of the wide part."""
    names = sorted(TOPICS)
    return write_examples(
        folder,
        (
            EncodedExample(
                np.zeros(1, np.int32), np.array(names.index(y)), Place(Path("f"), 1), features=ngrams(x)
            )
            for x, y in texts
        ),
        targets="one",
    )


def accuracy(model: Path, data: Path, *options: str) -> float:
    """The accuracy that `evaluate` prints."""
    done = run("evaluate", model, data, "--json", *options)
    assert done.code == 0, done.err
    return float(json.loads(done.out)["accuracy"])


def test_two_epochs_of_a_tiny_network_are_as_good_as_the_wide_part(tmp_path: Path):
    data, test = table(tmp_path / "train.csv", 400, 1), table(tmp_path / "test.csv", 200, 2)
    for name, flag in (("wide", "--wide"), ("alone", "--no-wide")):
        assert run("train", "classify", data, "--out", tmp_path / name, flag, *SHAPE).code == 0
    assert accuracy(tmp_path / "wide", test) >= 0.99 > 0.6 > accuracy(tmp_path / "alone", test)
    assert accuracy(tmp_path / "wide", test, "--engine", "torch") >= 0.99
    assert "wide" not in open_trained(tmp_path / "alone").file.learnt


def test_training_shows_the_baseline_and_compares_with_it(tmp_path: Path):
    done = run("train", "classify", table(tmp_path / "t.csv", 400, 1), "--out", tmp_path / "m", *SHAPE)
    assert "wide part: a linear model of" in done.err
    assert "baseline: the wide part alone has accuracy 1.000 on the validation set" in done.err
    assert "model 1.000, baseline 1.000 (the wide part alone), network alone" in done.err


def test_engines_and_batches_give_the_same_answers(tmp_path: Path):
    run("train", "classify", table(tmp_path / "t.csv", 300, 1), "--out", tmp_path / "m", *SHAPE)
    texts = [text for text, _ in rows(40, 5)]
    found = [
        unrolled.load(tmp_path / "m", engine=engine).predict_proba(texts) for engine in ("numpy", "torch")
    ]
    np.testing.assert_allclose(found[0], found[1], rtol=0, atol=1e-5)
    alone = [unrolled.load(tmp_path / "m").predict_proba([text])[0] for text in texts]
    np.testing.assert_array_equal(found[0], alone)
    tokens = unrolled.load(tmp_path / "m").predict_proba([text.split() for text in texts])
    np.testing.assert_allclose(tokens, found[0], rtol=0, atol=1e-6)


def test_a_resumed_training_writes_the_same_bytes(tmp_path: Path):
    data = table(tmp_path / "t.csv", 300, 1)
    for name in ("a", "b"):
        assert run("train", "classify", data, "--out", tmp_path / name, *SHAPE).code == 0
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    (tmp_path / "a").unlink()
    assert run("train", "classify", data, "--out", tmp_path / "a", "--resume", *SHAPE).code == 0
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    done = run("train", "classify", data, "--out", tmp_path / "a", "--resume", *SHAPE)
    assert "is finished already" in done.err


def test_the_answer_after_each_step_ends_with_the_answer(tmp_path: Path):
    options = ("--no-bidirectional", "--pooling", "last")
    run("train", "classify", table(tmp_path / "t.csv", 300, 1), "--out", tmp_path / "m", *SHAPE, *options)
    line = "please help my loan today"
    done = run("predict", tmp_path / "m", "--format", "jsonl", stdin=f"{line}\n".encode())
    record = json.loads(done.out)
    assert record["steps"][-1] == record["label"] == "loan"
    assert len(record["steps"]) == 5


def test_numbers_of_a_text_also_have_a_wide_part(tmp_path: Path):
    value = {"card": 10.0, "loan": 20.0, "login": 30.0}
    for name, seed in (("train", 1), ("test", 2)):
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            made = [(text, value[topic]) for text, topic in rows(400, seed)]
            csv.writer(file).writerows([("text", "price"), *made])
    columns = ("--columns", "x=text,y=price")
    train, test = tmp_path / "train.csv", tmp_path / "test.csv"
    run("train", "tokens:number", train, *columns, "--out", tmp_path / "m", *SHAPE)
    done = run("evaluate", tmp_path / "m", test, "--json")
    assert json.loads(done.out)["mae"] < 1.0  # the mean is wrong by 6.7


def test_a_task_without_features_has_no_wide_part(tmp_path: Path):
    np.savez(tmp_path / "t.npz", x=np.zeros((9, 5, 1)), y=np.zeros((9, 5)))
    done = run("train", "numbers:tags", tmp_path / "t.npz", "--out", tmp_path / "m", "--wide")
    assert done.code == 2
    assert "numbers:tags does not support 'wide'" in done.err


def test_a_class_without_training_rows_is_never_preferred(tmp_path: Path):
    part = examples(tmp_path / "e", [row for row in rows(200, 1) if row[1] != "loan"])
    y, features = np.asarray(part.y), part.all_features()
    for method in ("linear SVM", "logistic regression"):
        linear = fit_linear(features, Targets(y, 3), Choice(method, 1.0, 1.0))
        assert linear is not None
        assert (linear.scores(features).argmax(1) != sorted(TOPICS).index("loan")).all()


@pytest.mark.parametrize("count", [1, 5])
def test_too_few_sequences_have_no_wide_part(count: int, tmp_path: Path):
    part, asked = examples(tmp_path / "e", rows(count, 1)), Label(tuple(sorted(TOPICS)))
    assert fit_wide(Problem(part, None, asked, Config("classify"), refit=False)) is None


def test_one_class_cannot_be_fitted():
    assert not learnable(Targets(np.zeros(50, np.int64), 3))
    assert learnable(Targets(np.arange(50) % 2, 3))


def test_pruning_keeps_the_largest_weights(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(matrices, "MOST_WEIGHTS", 10)
    monkeypatch.setattr(matrices, "MOST_KEPT", 4)
    weights = np.random.default_rng(0).normal(size=(3, 50))
    pruned = matrices.prune(weights)
    kept = pruned != 0
    assert kept.sum() <= 10
    assert kept.any(0).sum() <= 4
    assert (pruned[kept] == weights[kept]).all()


def test_weights_in_eight_bits_lose_no_accuracy(tmp_path: Path):
    part = examples(tmp_path / "e", rows(400, 1))
    features, y = part.all_features(), np.asarray(part.y)
    chosen = choose(features, Targets(y, 3))
    linear = fit_linear(features, Targets(y, 3), chosen)
    assert (linear.scores(features).argmax(1) == y).mean() > 0.99
    assert linear.tensors()["values"].dtype == np.int8


def test_large_sets_are_fitted_to_evenly_spread_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from unrolled.training.wide import fit_linear as module

    part = examples(tmp_path / "e", rows(400, 1))
    features = part.all_features()
    monkeypatch.setattr(module, "MOST_FITTED", sum(map(len, features)) * 3 / 4)
    few = fit_linear(features, Targets(np.asarray(part.y), 3), Choice("linear SVM", 1.0, 1.0))
    monkeypatch.undo()
    some = np.linspace(0, 399, 100).astype(np.int64)
    same = fit_linear(
        [features[i] for i in some], Targets(np.asarray(part.y)[some], 3), Choice("linear SVM", 1.0, 1.0)
    )
    np.testing.assert_array_equal(few.scores(features), same.scores(features))


def test_the_weights_follow_the_better_part():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 500)
    good = np.log(np.where(np.eye(3)[y] > 0, 0.8, 0.1))
    bad = rng.normal(size=(500, 3))
    assert mixing_weights(good, bad, y)[0] > 5 * mixing_weights(good, bad, y)[1]
    assert mixing_weights(bad, good, y)[1] > 5 * mixing_weights(bad, good, y)[0]


def test_few_validation_sequences_change_the_weights_little():
    y = np.array([0, 1])
    good = np.log(np.where(np.eye(3)[y] > 0, 0.8, 0.1))
    np.testing.assert_allclose(mixing_weights(-good, good, y), BEFORE, atol=0.35)


def test_series_are_classified_by_their_statistics(tmp_path: Path):
    """The class is the frequency of a noisy sine with a random phase: two epochs of the network do not learn it."""
    rng = np.random.default_rng(0)
    for name, count in (("train", 90), ("test", 60)):
        y = rng.integers(0, 3, count)
        x = np.sin(np.arange(60) * (0.3 + 0.3 * y[:, None]) + rng.uniform(0, 6, (count, 1)))
        x = (x + rng.normal(0, 0.5, x.shape))[..., None].astype(np.float32)
        np.savez(tmp_path / f"{name}.npz", x=x, y=np.array(["slow", "middle", "fast"])[y])
    data, test = tmp_path / "train.npz", tmp_path / "test.npz"
    for name, flag in (("wide", "--wide"), ("alone", "--no-wide")):
        assert run("train", "numbers:label", data, "--out", tmp_path / name, flag, *SHAPE).code == 0
    assert accuracy(tmp_path / "wide", test) > 0.9 > 0.7 > accuracy(tmp_path / "alone", test)
    assert accuracy(tmp_path / "wide", test, "--engine", "torch") == accuracy(tmp_path / "wide", test)


def test_a_model_that_answers_after_each_step_has_no_wide_part(tmp_path: Path):
    np.savez(tmp_path / "t.npz", x=np.random.default_rng(0).normal(size=(20, 9, 1)), y=np.arange(20) % 2)
    options = ("--no-bidirectional", "--pooling", "last", *SHAPE)
    assert run("train", "numbers:label", tmp_path / "t.npz", "--out", tmp_path / "m", *options).code == 0
    assert "wide" not in open_trained(tmp_path / "m").file.learnt
    done = run("train", "numbers:label", tmp_path / "t.npz", "--out", tmp_path / "n", "--wide", *options)
    assert done.code == 2
    assert "the wide part of a series reads the whole series" in done.err
