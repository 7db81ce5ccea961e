"""Output kinds of labelled data: what is learnt, the answers that follow from it, metrics by hand, JSON and back."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unrolled.core.config import DataConfig, ModelConfig
from unrolled.core.errors import DataError, UsageError
from unrolled.core.types import Example, Place
from unrolled.tasks.outputs import OUTPUTS, Output


def learn(kind: str, *ys: Any, data: DataConfig | None = None, model: ModelConfig | None = None) -> Output:
    examples = [Example("x", y, Place(Path("data.csv"), line)) for line, y in enumerate(ys, 2)]
    return OUTPUTS[kind].learn(examples, data or DataConfig(), model or ModelConfig())


def again(kind: str, output: Output) -> Output:
    return OUTPUTS[kind].restore(json.loads(json.dumps(output.to_json(), allow_nan=False)))


def logs(*rows: list[float]) -> np.ndarray:
    return np.log(np.array(rows))


# --- label


def test_classes_stand_in_the_order_of_their_numbers_of_the_alphabet_or_as_told():
    assert learn("label", "10", "9", "x", "2").to_json()["classes"] == ["2", "9", "10", "x"]
    told = learn("label", "bad", "good", data=DataConfig(classes="poor, bad,good"))
    assert told.to_json()["classes"] == ["poor", "bad", "good"]
    assert again("label", told) == told


@pytest.mark.parametrize(
    ("ys", "data", "model", "told"),
    [
        (["a", "a"], {}, {}, "data.csv: only one class, 'a', in 2 examples; expected two classes or more"),
        ([], {}, {}, "no labels"),
        (["a", "b"], {"classes": "a,c"}, {}, "data.csv:3: class 'b' is not among --classes; expected a, c"),
        (["a", "b"], {"classes": "a,a"}, {}, "--classes a,a; expected two classes or more, each once"),
        (["1", "2", "x"], {}, {"ordinal": True}, "data.csv:4: 'x' is not a number, but other ratings are"),
        (["low", "high"], {}, {"ordinal": True}, "the order of the ratings is not known; try --classes"),
    ],
)
def test_labels_that_cannot_be_learnt_are_named(ys: list[str], data: Any, model: Any, told: str):
    with pytest.raises((DataError, UsageError)) as error:
        learn("label", *ys, data=DataConfig(**data), model=ModelConfig(**model))
    assert str(error.value).startswith(told)


def test_an_answer_has_the_class_and_as_many_probabilities_as_asked_for():
    output = learn("label", "a", "b", "c")
    answer = output.to_answer(logs([0.2, 0.7, 0.1]), [], 2, {})
    assert answer.text == "b" and answer.record["probability"] == pytest.approx(0.7)
    assert list(answer.record["probabilities"]) == ["b", "a"]


def test_a_rating_answers_with_the_middle_which_is_least_far_off():
    output = learn("label", "1", "2", "3", model=ModelConfig(ordinal=True))
    assert output.to_answer(logs([0.4, 0.15, 0.45]), [], 3, {}).text == "2"
    y = [np.array(0), np.array(2)]
    metrics = output.figures(y, [logs([0.8, 0.1, 0.1]), logs([0.4, 0.15, 0.45])], {})
    assert metrics["accuracy"] == 0.5 and metrics["mae"] == 0.5
    assert metrics["loss"] == pytest.approx(-(math.log(0.8) + math.log(0.45)) / 2)


def test_a_temperature_makes_sure_answers_as_sure_as_they_may_be():
    chance = np.random.default_rng(0)
    output = learn("label", "a", "b")
    y = [np.array(int(right)) for right in chance.random(400) < 0.8]  # eight in ten are class 1 ...
    answers = [logs([0.01, 0.99])] * 400  # ... which is said to be all but certain
    settled = output.calibrate(y, answers, {})
    share = settled.to_answer(answers[0], [], 2, {}).record["probability"]
    assert share == pytest.approx(float(np.mean(y)), abs=0.01)
    assert settled.figures(y, answers, {})["loss"] < output.figures(y, answers, {})["loss"]
    assert settled.to_answer(answers[0], [], 2, {}).text == output.to_answer(answers[0], [], 2, {}).text


# --- number


def test_numbers_come_back_in_their_own_units_with_an_interval():
    output = learn("number", (10.0,), (20.0,), (30.0,))
    encoded = output.encode((20.0,), 1)
    assert encoded.tolist() == [0.0]
    deviation = float(np.std([10, 20, 30]))
    chance = np.random.default_rng(0)
    y = [np.array([0.0])] * 200
    answers = [np.array([[off]]) for off in chance.normal(size=200) / deviation]
    settled = again("number", output.calibrate(y, answers, {}))
    record = settled.to_answer(np.array([[1.0]]), [], 1, {}).record
    assert record["value"] == pytest.approx(20 + deviation)
    low, high = record["interval"]
    assert high - low == pytest.approx(2 * 1.645, rel=0.15)  # nine in ten of a normal distribution
    metrics = settled.figures(y, answers, {})
    assert metrics["coverage"] == pytest.approx(0.9, abs=0.02)


def test_large_numbers_are_written_with_the_digits_that_differ():
    ys = [38_012_345.0 + 10 * (i % 7) for i in range(200)]
    output = learn("number", *((y,) for y in ys))
    answers = [output.to_answer(output.encode((y,), 1)[None], [], 1, {}) for y in ys]
    assert [float(answer.text) for answer in answers] == [pytest.approx(y, abs=0.1) for y in ys]
    settled = output.calibrate(
        [output.encode((y,), 1) for y in ys], [output.encode((y + 4,), 1)[None] for y in ys], {}
    )
    assert float(settled.to_answer(output.encode((ys[0],), 1)[None], [], 1, {}).text) == pytest.approx(
        ys[0], abs=0.02
    )


@pytest.mark.parametrize(
    ("ys", "told"),
    [
        ([(1.0,), (1.0, 2.0)], "data.csv:3: y has 2 numbers; expected 1"),
        ([(1.0,), (math.nan,)], "data.csv:3: "),
        ([(1.0,), (1.0,)], "y is always the same number"),
        ([], "no examples"),
    ],
)
def test_numbers_that_cannot_be_learnt_are_named(ys: list[Any], told: str):
    with pytest.raises(DataError) as error:
        learn("number", *ys)
    assert told in str(error.value)


# --- tags


BIO = (("O", "B-PER", "I-PER"), ("B-PER", "O", "O"))


def test_tags_are_known_by_their_scheme_and_spans_come_out():
    output = learn("tags", *BIO, model=ModelConfig(crf=False))
    assert output.to_json()["scheme"] == "bio" and output.to_json()["classes"][0] == "O"
    o, b, i = (output.to_json()["classes"].index(tag) for tag in ("O", "B-PER", "I-PER"))
    rows = np.full((3, 3), 0.1)
    for step, tag in enumerate((b, i, o)):
        rows[step, tag] = 0.8
    answer = output.to_answer(np.log(rows), ["Ada", "Byron", "wrote"], 1, {})
    assert answer.text == "B-PER I-PER O"
    assert answer.record["spans"] == [{"type": "PER", "start": 0, "end": 2, "text": "Ada Byron"}]
    y = [output.encode(("B-PER", "I-PER", "O"), 3), output.encode(("B-PER", "I-PER", "I-PER"), 3)]
    metrics = output.figures(y, [np.log(rows)] * 2, {})
    assert metrics["accuracy"] == pytest.approx(5 / 6) and metrics["span_f1"] == 0.5


def test_a_tag_that_training_did_not_know_asks_nothing_of_training_and_counts_as_wrong():
    output = learn("tags", *BIO, model=ModelConfig(crf=False))
    assert output.encode(("B-LOC", "O", None), 3).tolist() == [-1, 0, -1]
    meeting = OUTPUTS["tags"].meeting
    assert meeting is not None
    measuring = meeting(output, [("B-LOC", "I-LOC", "O")])
    y = measuring.encode(("B-LOC", "I-LOC"), 2)
    metrics = measuring.figures([y], [logs([0.2, 0.3, 0.5], [0.1, 0.8, 0.1])], {})
    assert (metrics["accuracy"], metrics["span_recall"], metrics["unseen"]) == (0, 0, 1)
    assert metrics["loss"] is None and metrics["span_f1_by_type"] == {"LOC": 0, "PER": 0}


def test_as_many_tags_as_steps():
    output = learn("tags", *BIO)
    with pytest.raises(DataError, match=r"data\.csv:9: 2 tags for 3 steps; expected one tag per step"):
        output.encode(("O", "O"), 3, Place(Path("data.csv"), 9))
    with pytest.raises(DataError, match="only one tag, 'O'"):
        learn("tags", ("O", "O"))
    with pytest.raises(DataError, match="no tags"):
        learn("tags", ())


# --- all


LEARNT: dict[str, Output] = {
    "label": learn("label", "a", "b"),
    "number": learn("number", (1.0, 2.0), (3.0, 5.0)),
    "tags": learn("tags", *BIO),
}


@pytest.mark.parametrize("kind", LEARNT)
def test_json_there_and_back_and_every_change_of_shape_is_refused(kind: str):
    output = LEARNT[kind]
    assert again(kind, output) == output
    good = output.to_json()
    for name in good:
        for value in (None, [], 3, "x", {"a": 1}, [None]):
            if value != good[name] and (name, value) not in (("half_width", []), ("temperature", 3)):
                with pytest.raises(DataError):
                    OUTPUTS[kind].restore({**good, name: value})
    for damaged in ({}, {**good, "more": 1}):
        with pytest.raises(DataError):
            OUTPUTS[kind].restore(damaged)


@pytest.mark.parametrize("kind", LEARNT)
def test_a_blank_line_gets_a_blank_answer_in_every_form(kind: str):
    blank = LEARNT[kind].blank()
    assert blank.text == ""
    json.dumps(blank.record, allow_nan=False)
