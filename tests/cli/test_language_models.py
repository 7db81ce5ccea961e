"""What people do with a language model: score, reorder, predict, sample, evaluate, on small trained models."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from support.small_models import FIRST, TRAIN, refused, run, small
from unrolled.analysis import evaluate
from unrolled.core.types import ZERO_INPUT_ID
from unrolled.data.text.vocabulary import EOS, UNK
from unrolled.inference.open_model import Model, open_language_model
from unrolled.inference.scoring import predict, score, walk
from unrolled.models import native
from unrolled.tasks.metrics.language import total_variation
from unrolled.tasks.outputs.next_token import closing, visible

RELATIVE = 1e-5  # sums of float32 log-probabilities, taken in another order
UNITS = ("word", "white", "char")


@pytest.fixture(scope="module")
def models() -> dict[str, Model]:
    return {unit: open_language_model(getattr(small(), unit)) for unit in UNITS}


def records(*arguments: object, stdin: str = "") -> list[dict[str, Any]]:
    done = run(*arguments, "--format", "jsonl", stdin=stdin.encode())
    assert done.code == 0, done.err
    return [json.loads(line) for line in done.lines]


@pytest.mark.parametrize("unit", UNITS)
def test_one_answer_a_line_in_order(unit: str):
    lines = ["the cat sat .", "", "zebra", "   ", "a dog ran .", "the cat sat ."]
    model, stdin = getattr(small(), unit), "\n".join(lines)  # no line end after the last
    done = run("score", model, stdin=stdin.encode())
    answers = done.out.split("\n")
    assert len(answers) == len(lines) + 1 and answers.pop() == ""
    assert [bool(answer) for answer in answers] == [bool(line.strip()) for line in lines]
    assert [answer.split("\t")[4] for answer in answers if answer] == [line for line in lines if line.strip()]
    assert answers[0] == answers[5]
    assert "each line is scored from the zero state" in done.err and f"--unit {unit}\n" in done.err
    found = records("score", model, stdin=stdin)
    assert [record["text"] for record in found] == lines
    assert [record["log_probability"] is None for record in found] == [not line.strip() for line in lines]
    assert found[0] == found[5]
    for text in lines[:1] + lines[4:]:
        one = records("score", model, stdin=text)[0]
        assert one == found[lines.index(text)]
    guesses = run("predict", model, stdin=stdin.encode()).out.split("\n")[:-1]
    assert [bool(guess) for guess in guesses] == [bool(line.strip()) for line in lines]


def test_a_score_is_the_sum_of_its_tokens_and_says_what_was_unknown(models: dict[str, Model]):
    (record,) = records("score", small().word, "--tokens", stdin="the zebra sat .")
    scores = record["token_scores"]
    assert [entry["token"] for entry in scores] == ["the", "<UNK>", "sat", ".", "<EOS>"]
    assert [entry["unknown"] for entry in scores] == [False, True, False, False, False]
    total = sum(entry["log_probability"] for entry in scores)
    assert record["log_probability"] == pytest.approx(total, rel=1e-12)
    assert record["perplexity"] == pytest.approx(math.exp(-total / 5), rel=1e-12)
    assert record["bits_per_character"] == pytest.approx(-total / math.log(2) / 16, rel=1e-12)
    assert (record["tokens"], record["unknown"]) == (5, 1)
    text = run("score", small().word, "--tokens", stdin=b"the zebra sat .").out
    assert text.split("\t")[:4] == [
        f"{record[key]:.4f}" for key in ("log_probability", "perplexity", "bits_per_character")
    ] + ["1"]
    assert text.endswith("".join(f" {e['token']}/{e['log_probability']:.3f}" for e in scores)[1:] + "\n")
    assert closing(models["char"].reading)[1] == "a newline"
    assert "\\n/" in run("score", small().char, "--tokens", stdin=b"a cat").out


def test_a_literal_unk_is_an_ordinary_token(tmp_path: Path):
    (record,) = records("score", small().white, "--tokens", stdin="the <UNK> <EOS> .")
    assert [entry["unknown"] for entry in record["token_scores"]] == [False, True, True, False, False]
    text = tmp_path / "text.txt"
    text.write_text("the <UNK> is a <EOS> word\n" * 30)
    out, sizes = tmp_path / "model", ("--unit", "white", "--hidden", 8, "--epochs", 1)
    assert run("train", "language", text, "--out", out, *sizes, *TRAIN).code == 0
    reading = open_language_model(out).reading
    assert (reading.encode("<UNK> <EOS>") >= 2).all()
    (record,) = records("score", out, "--tokens", stdin="the <UNK>")
    assert [entry["unknown"] for entry in record["token_scores"]] == [False, False, False]


def test_ids_pass_through_json_lines():
    given = [{"id": 7, "text": "the cat sat ."}, {"text": "a"}, {"id": {"a": [1]}, "text": ""}]
    stdin = "\n".join(map(json.dumps, given)) + "\nthe dog\n"
    for verb in ("score", "predict"):
        found = records(verb, small().word, stdin=stdin)
        assert [record.get("id", "none") for record in found] == [7, "none", {"a": [1]}, "none"]
    nbest = records("score", small().word, "--nbest", stdin="\n".join(map(json.dumps, given[:2])))
    assert {record.get("id") for record in nbest} == {7, None}


@pytest.mark.parametrize(
    "line", ['{"id": 1}', '{"text": 5}', "{", '{"text": "a"} x', '{"a":' * 100_000, '{"text": 1' + "0" * 9999]
)
def test_bad_json_lines_are_named(line: str):
    done = run("score", small().word, "--format", "jsonl", stdin=b"fine\n" + line.encode())
    assert done.code == 2 and done.out.count("\n") == 1
    assert done.err.endswith('error: stdin:2: not a JSON line; expected {"id": ..., "text": "..."}\n')


def test_what_is_no_unicode_comes_back_escaped():
    (record,) = records("score", small().char, stdin='{"text": "\\ud800 cat"}')
    assert record["text"] == "\ud800 cat" and record["unknown"] == 1


def test_lines_that_are_no_utf8_are_named():
    for verb in ("score", "predict"):
        done = run(verb, small().word, stdin=b"\xef\xbb\xbfthe cat\nna\xefve\n")
        assert done.code == 2 and done.out.count("\n") == 1
        assert "error: stdin:2: byte 3 of the line is not UTF-8; try --encoding cp1252\n" in done.err
    bom, plain = (
        run("score", small().char, stdin=mark + b"the cat\r\n").out for mark in (b"\xef\xbb\xbf", b"")
    )
    assert bom == plain


@settings(max_examples=8)
@given(
    st.lists(
        st.sampled_from(["the cat", "a", "my cow ran . the dog", "é\u200d", "x" * 30]), min_size=1, max_size=4
    )
)
def test_the_same_line_has_the_same_bits_anywhere(lines: list[str]):
    alone = {line: run("score", small().char, "--format", "jsonl", stdin=line.encode()).out for line in lines}
    together = run("score", small().char, "--format", "jsonl", stdin="\n".join(lines).encode()).out
    assert together == "".join(alone[line] for line in lines)


@pytest.mark.parametrize("unit", UNITS)
def test_both_engines_say_the_same(unit: str, models: dict[str, Model]):
    torch_model = open_language_model(getattr(small(), unit), "torch")
    for text in ("the cat sat .", "zebra zebra", "a " * 300):
        ours, theirs = (score(m.engine, m.reading, text) for m in (models[unit], torch_model))
        assert ours.tokens == theirs.tokens
        np.testing.assert_allclose(ours.log_probabilities, theirs.log_probabilities, rtol=1e-4, atol=1e-5)


def test_the_future_never_changes_a_score(models: dict[str, Model]):
    for model in models.values():
        head = score(model.engine, model.reading, "the cat sat . my").log_probabilities[:-1]
        longer = score(model.engine, model.reading, "the cat sat . my" + " dog" * 200).log_probabilities
        np.testing.assert_allclose(longer[: len(head)], head, rtol=1e-5, atol=1e-6)


def test_nbest_lists_are_reordered_and_the_truth_counted():
    lists = "# comment\na\t0\tcat the sat .\na\t1\tthe cat sat .\nb\t0\ta dog ran .\nb\t1\tran dog . a\n"
    done = run("score", small().word, "--nbest", stdin=lists.encode())
    assert [line.split("\t")[1:] for line in done.lines] == [
        ["a", "the cat sat ."],
        ["a", "cat the sat ."],
        ["b", "a dog ran ."],
        ["b", "ran dog . a"],
    ]
    assert done.err.endswith("2 lists reordered; the true hypothesis is first in 1 of 2 (50.00%)\n")
    values = [float(line.split("\t")[0]) for line in done.lines]
    alone = float(run("score", small().word, stdin=b"the cat sat .").out.split("\t")[0])
    assert values[0] == alone and values[0] > values[1] and values[2] > values[3]
    blocks = run("score", small().word, "--nbest", stdin=b"cat the sat .\nthe cat sat .\n\nx\n")
    assert [line.split("\t")[2] for line in blocks.lines] == ["the cat sat .", "cat the sat .", "x"]
    assert blocks.err.endswith("2 lists reordered\n")
    wrong = run("score", small().word, "--nbest", stdin=b"a\tyes\tthe cat\n")
    assert wrong.code == 2 and "error: stdin:1: the second column is 'yes'; expected 0 or 1" in wrong.err


def test_prediction_is_the_most_probable_token(models: dict[str, Model]):
    (record,) = records("predict", small().word, "--top", "99", stdin="the cat sat")
    probabilities = [entry["probability"] for entry in record["next"]]
    assert len(probabilities) == len(models["word"].reading.vocabulary)
    assert probabilities == sorted(probabilities, reverse=True)
    assert sum(probabilities) == pytest.approx(1, abs=1e-5)
    for top in (1, 5):
        assert run("predict", small().word, "--top", top, stdin=b"the cat sat").out == ".\n"
        # <EOS> is the most probable now, and is no word that anybody meant: the answer is the next best.
        ended = records("predict", small().word, "--top", top, stdin="the cat sat .")[0]["next"]
        assert ended[0]["token"] == "<EOS>" and len(ended) == top
        assert run("predict", small().word, "--top", top, stdin=b"the cat sat .").out.strip()
    answer = predict(models["char"].engine, models["char"].reading, "the cat sat .", 1)
    assert answer.text == visible(answer.record["next"][0]["token"])
    assert [visible(token) for token in ("a", "\n", " ", "e\u0301", "\u200b")] == [
        "a",
        "\\n",
        "␣",
        "e\u0301",
        "\\u200b",
    ]


def test_samples_are_a_function_of_the_seed_and_take_the_prompt():
    ask = ("sample", small().word, "--count", 3, "--length", 9)
    assert run(*ask, "--seed", 5) == run(*ask, "--seed", 5)
    assert run(*ask, "--seed", 5) != run(*ask, "--seed", 6)
    assert run(*ask[:2], "--length", 9, "--seed", 5).lines == run(*ask, "--seed", 5).lines[:1]
    for line in run(*ask, "--prompt", "the zebra").lines:
        assert line.startswith("the zebra ")  # as it was given, and not the <UNK> that the model was fed
    (first, *_) = records("sample", small().char, "--prompt", "my cow", "--length", 12)
    assert first["prompt"] == "my cow" and first["text"].startswith("my cow") and len(first["text"]) == 18
    told = refused(run("sample", small().word, "--prompt", "zebra quagga"))
    assert told == "the model knows no token of the prompt; try words of the training text"


@pytest.mark.parametrize(
    "option",
    [("--temperature", -1), ("--temperature", "nan"), ("--top-k", 0), ("--top-p", 1.5), ("--length", 0),
     ("--count", 0), ("--seed", -1)],
)  # fmt: skip
def test_senseless_wishes_are_refused(option: tuple[str, object]):
    assert "expected" in refused(run("sample", small().word, *option))


def test_temperature_zero_takes_the_most_probable(models: dict[str, Model]):
    engine, reading = models["char"].engine, models["char"].reading
    x, state, expected = ZERO_INPUT_ID, engine.start(1), []
    for _ in range(20):
        log_probs, _, state = engine.step(state, np.array([x]))
        log_probs[0, UNK] = -np.inf
        x = int(log_probs[0].argmax())
        if x == EOS:
            break
        expected.append(x)
    (record,) = records("sample", small().char, "--temperature", 0, "--length", 20, "--seed", 9)
    assert record["text"] == reading.text(expected)


def test_unknown_is_written_only_when_asked_for():
    ask = ("sample", small().word, "--temperature", 50, "--length", 60, "--count", 20)
    assert "<UNK>" not in run(*ask).out
    assert "<UNK>" in run(*ask, "--unknown").out


def test_the_first_unit_guesses_how_lines_begin(models: dict[str, Model]):
    model = models["word"]
    log_probs, _, _ = model.engine.step(model.engine.start(1), np.array([ZERO_INPUT_ID]))
    counts = Counter(line.split()[0] for line in small().text.read_text().splitlines())
    counted = np.zeros(model.engine.n_y)
    for word, count in counts.items():
        counted[model.reading.encode(word)[0]] = count
    assert set(counts) == set(FIRST)
    assert total_variation(np.exp(log_probs[0]), counted) < 0.05


@pytest.mark.parametrize("engine", ["numpy", "torch"])
@pytest.mark.parametrize("unit", ["word", "white"])
def test_evaluate_is_the_sum_of_scores_where_lines_are_documents(unit: str, engine: str, tmp_path: Path):
    text = tmp_path / "lines.txt"
    long = " ".join(random.Random(1).choices(["the", "cat", "zebra", "."], k=2500))
    text.write_text("the cat sat .\n\n" + long + "\n  \na zebra ran .\n" + "my dog\n" * 20)
    scored = [r for r in records("score", getattr(small(), unit), text, "--engine", "torch") if r["tokens"]]
    done = run("evaluate", getattr(small(), unit), text, "--json", "--engine", engine)
    metrics = json.loads(done.out)
    assert metrics["tokens"] == sum(r["tokens"] for r in scored)
    assert metrics["loss"] * metrics["tokens"] == pytest.approx(
        -sum(r["log_probability"] for r in scored), rel=RELATIVE
    )
    unknown = sum(r["unknown"] for r in scored)
    assert metrics["unknown"] == pytest.approx(unknown / metrics["tokens"], abs=1e-12)
    assert metrics["characters"] == sum(len(r["text"]) + 1 for r in scored)
    assert metrics["perplexity"] == pytest.approx(math.exp(metrics["loss"]))
    assert metrics["bits_per_character"] == pytest.approx(metrics["nats_per_character"] / math.log(2))


def test_evaluate_carries_the_state_through_a_file(models: dict[str, Model]):
    model, text = models["char"], small().few.read_text()
    ids = np.append(model.reading.encode(text), EOS)
    nats = -sum(part.sum() for part in walk(model.engine, ids))
    for engine in ("numpy", "torch"):
        metrics = json.loads(run("evaluate", small().char, small().few, "--json", "--engine", engine).out)
        assert metrics["loss"] * metrics["tokens"] == pytest.approx(nats, rel=RELATIVE)
        assert metrics["tokens"] == metrics["characters"] == len(ids)
    table = run("evaluate", small().char, small().few).out
    assert f"loss                {metrics['loss']:.4f}\n" in table and 0 < metrics["accuracy"] < 1


@pytest.mark.skipif(not native.libraries(), reason="no compiler was at hand")
def test_weights_of_eight_bits_lose_next_to_nothing():
    for model in (small().char, small().word):
        exact, rounded = (
            json.loads(run("evaluate", model, small().few, "--json", "--engine", engine).out)
            for engine in ("numpy", "int8")
        )
        assert rounded["tokens"] == exact["tokens"]
        assert 0 < abs(rounded["loss"] - exact["loss"]) <= 0.01


def test_lanes_are_nearly_the_same(tmp_path: Path):
    text = tmp_path / "long.txt"
    text.write_text(small().text.read_text()[:12_000])
    exact, lanes = (
        evaluate.evaluate(evaluate.Measurement(small().char, (text,), n, "torch")) for n in (1, 4)
    )
    assert lanes["tokens"] == exact["tokens"] == 12_001
    assert lanes["loss"] == pytest.approx(exact["loss"], rel=0.01)


VARIANTS: list[tuple[object, ...]] = [
    *(("--cell", cell) for cell in ("lstm", "gru", "gru-simple", "rnn")),
    ("--cell", "rnn", "--activation", "relu", "--lr", 0.1),
    ("--embedding", 0),
    ("--unit", "char", "--embedding", 0, "--documents", "blank"),
    ("--softmax", "adaptive"),
    ("--layers", 2, "--embedding", 6, "--tie", "--dropout", 0.2, "--variational", "--weight-dropout", 0.2),
    ("--cell", "gru", "--layers", 2, "--zoneout", 0.2),
    ("--optimizer", "adamw", "--schedule", "onecycle", "--average", 0.9, "--label-smoothing", 0.1),
    ("--optimizer", "sgd", "--momentum", 0.9, "--schedule", "plateau", "--lr", 0.5, "--clip", 0),
]


@pytest.fixture(scope="module")
def varied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A text of more than a hundred words, for the adaptive softmax."""
    chance = random.Random(2)
    text = tmp_path_factory.mktemp("varied") / "text.txt"
    words = [f"w{number}" for number in range(120)]
    text.write_text("\n".join(" ".join(chance.choices(words[:10] + words, k=6)) for _ in range(250)) + "\n")
    yield text


@pytest.mark.parametrize("options", VARIANTS, ids=lambda options: " ".join(map(str, options)))
def test_every_variant_trains_scores_and_samples(options: tuple[object, ...], varied: Path, tmp_path: Path):
    out = tmp_path / "model"
    sizes = ("--unit", "word", "--hidden", 12, "--epochs", 2, "--batch-size", 16)
    done = run("train", "language", varied, "--out", out, *sizes, *options, *TRAIN)
    assert done.code == 0, done.err
    metrics = [
        json.loads(line) for line in (tmp_path / "model.run" / "metrics.jsonl").read_text().splitlines()
    ]
    model, theirs = open_language_model(out), open_language_model(out, "torch")
    assert metrics[-1]["loss"] < metrics[0]["loss"]
    ours, others = (score(m.engine, m.reading, "w1 w2 zebra w119") for m in (model, theirs))
    np.testing.assert_allclose(ours.log_probabilities, others.log_probabilities, rtol=1e-4, atol=1e-5)
    log_probs, _ = model.engine.run(np.array([[ZERO_INPUT_ID, 3, UNK]]))
    np.testing.assert_allclose(np.exp(log_probs.astype(np.float64)).sum(axis=2), 1, atol=1e-5)
    assert run("sample", out, "--length", 5).code == 0
    assert torch.get_num_threads() == 1


def test_valid_and_test_files_and_a_dry_run(tmp_path: Path):
    out = tmp_path / "model"
    ask = ("train", "language", small().few, "--unit", "word", "--hidden", 8, "--epochs", 1, *TRAIN)
    done = run(*ask, "--valid", small().few, "--test", small().few, small().few, "--out", out)
    assert done.code == 0 and "100 held out for validation" in done.err
    assert "tokens              200\n" in done.out
    before = out.read_bytes()
    dry = run(*ask, "--dry-run", "--out", tmp_path / "dry")
    assert dry.code == 0 and [line.split()[0] for line in dry.lines] == ["parameters", "memory", "time"]
    assert not list(tmp_path.glob("dry*"))
    assert "exists already" in refused(run(*ask, "--out", out))
    again = run(*ask, "--valid", small().few, "--out", out, "--resume")
    assert again.code == 0 and "is finished already; not changed" in again.err and out.read_bytes() == before
    other = run(*ask, "--valid", small().few, "--out", out, "--resume", "--lr", 0.1)
    assert other.code == 2 and "configuration.training.lr" in other.err and out.read_bytes() == before
    forced = run(*ask, "--valid", small().few, "--out", out, "--force", "--epochs", 2)
    assert forced.code == 0 and out.read_bytes() != before
    fresh = run(*ask, "--out", tmp_path / "fresh", "--resume")
    assert fresh.code == 0 and "nothing to resume; starting from the beginning" in fresh.err
