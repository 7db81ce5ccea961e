"""An answer has what the table of tasks names. README.md says:

* "a class, a rating (`--ordinal`) or numbers per text"
* "a tag per word, spans such as names"
* "a class, numbers with prediction intervals, a forecast (`--horizon`), a tag per step, a text"
* "the next step, and an anomaly score for each step"
* "the text with times and confidence, a class, a tag per 10 ms"
* "new tunes, and the surprise of each note of a tune"
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from support.combinations import MAKERS, Files
from support.paths import GOLDEN
from support.small_models import run
from unrolled.core.types import Tune
from unrolled.data.media.midi import read_midi

TINY = ("--hidden", 8, "--epochs", 1, "--threads", 1, "--seed", 3)


def trained(task: str, folder: Path, *more: object) -> tuple[Path, Files]:
    """A tiny model of a task, and its files."""
    files = MAKERS[task](folder)
    done = run("train", task, files.train, "--out", folder / "model", *TINY, *files.options, *more)
    assert done.code == 0, done.err
    return folder / "model", files


def answers(model: Path, files: Files, *more: object) -> list[dict[str, Any]]:
    """The records of `predict` to the files that are asked."""
    done = run("predict", model, files.asked, "--format", "jsonl", *more)
    assert done.code == 0, done.err
    records = [json.loads(line) for line in done.lines]
    assert len(records) == len(files.x)
    return records


@pytest.mark.parametrize("more", [(), ("--ordinal", "--classes", "hate,meh,like")])
def test_a_class_or_a_rating_with_its_probability(more: tuple[str, ...], tmp_path: Path):
    for record in answers(*trained("classify", tmp_path, *more)):
        probabilities = record["probabilities"]
        assert probabilities.keys() == {"hate", "meh", "like"}
        assert sum(probabilities.values()) == pytest.approx(1)
        assert record["probability"] == probabilities[record["label"]]
        assert more or record["probability"] == max(probabilities.values())


def test_a_tag_a_word_and_the_spans_that_tags_mark():
    lines = ["Ada went to Oslo", "Oslo", "went to", "Ada Ada to Oslo Ada went"]
    model, stdin = GOLDEN / "format1-tag.model", "".join(f"{line}\n" for line in lines).encode()
    records = [json.loads(line) for line in run("predict", model, "--format", "jsonl", stdin=stdin).lines]
    for line, record in zip(lines, records, strict=True):
        words, tags = record["tokens"], record["tags"]
        assert words == line.split() and len(tags) == len(words)
        starts = [number for number, tag in enumerate(tags) if tag.startswith("B-")]
        assert [span["start"] for span in record["spans"]] == starts
        for span in record["spans"]:
            begin, end = span["start"], span["end"]
            assert tags[begin:end] == [f"B-{span['type']}", *[f"I-{span['type']}"] * (end - begin - 1)]
            assert span["text"] == " ".join(words[begin:end])
    assert [span["text"] for span in records[0]["spans"]] == ["Ada", "Oslo"]


def test_forecasts_with_an_interval(tmp_path: Path):
    for record in answers(*trained("numbers:number", tmp_path, "--history", 8)):
        values, intervals = np.array(record["value"]).ravel(), np.array(record["interval"]).reshape(-1, 2)
        assert len(values) == 4  # two steps of two numbers
        assert (intervals[:, 0] < values).all() and (values < intervals[:, 1]).all()


def test_how_surprising_each_step_was_and_the_step_to_come(tmp_path: Path):
    model, files = trained("numbers:next", tmp_path)
    for x, record in zip(files.x, answers(model, files), strict=True):
        first, *others = record["surprise"]
        assert first is None and len(others) == len(np.asarray(x)) - 1
        assert record["highest"] == max(others) == record["surprise"][record["step"] - 1]
        assert len(record["next"]) == 2
        assert set(record.get("anomalies", [])) <= set(range(2, len(others) + 2))


def test_what_is_said_with_times_and_confidence_and_a_language_model(tmp_path: Path):
    model, files = trained("transcribe", tmp_path, "--epochs", 30, "--hidden", 24, "--no-bidirectional")
    said = tmp_path / "said.txt"
    said.write_text("abc\ncab\nbca\n" * 20)
    lm = tmp_path / "lm"
    assert run("train", "language", said, "--out", lm, *TINY, "--documents", "line").code == 0
    alone, together = answers(model, files), answers(model, files, "--lm", lm, "--lm-weight", 5)
    for x, record in zip(files.x, alone, strict=True):
        assert 0 <= record["confidence"] <= 1
        assert record["seconds"] == pytest.approx(soundfile.info(str(x)).duration, abs=0.02)
        assert " ".join(word["word"] for word in record["words"]) == record["text"]
        assert all(0 <= word["start"] < word["end"] <= record["seconds"] for word in record["words"])
    assert [one["text"] for one in alone] != [one["text"] for one in together]


def test_a_tag_for_every_ten_milliseconds(tmp_path: Path):
    model, files = trained("audio:tags", tmp_path)
    for x, record in zip(files.x, answers(model, files), strict=True):
        assert len(record["tags"]) == pytest.approx(100 * soundfile.info(str(x)).duration, abs=3)


def test_new_tunes_and_how_surprising_each_note_is(tmp_path: Path):
    model, files = trained("compose", tmp_path)
    for x, record in zip(files.x, answers(model, files), strict=True):
        assert isinstance(x, Tune) and len(record["notes"]) == len(x)
        total = sum(note["surprise"] for note in record["notes"]) + record["end"]
        assert total == pytest.approx(-record["log_probability"])
    done = run("sample", model, "--output", tmp_path / "tunes", "--count", 2, "--length", 4)
    assert done.code == 0, done.err
    written = sorted((tmp_path / "tunes").glob("*.mid"))
    assert len(written) == 2 and all(len(read_midi(path)) > 0 for path in written)
