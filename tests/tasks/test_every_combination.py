"""Every combination of an input and an output, through every command and through Python.

Each task of `tasks/presets.py` is checked, trained, evaluated and asked. Its model is opened in Python, saved again and
asked again. A second model that reads forward answers a stream as it answers the whole. A task without a maker of data
in `support/combinations.py` fails.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pytest

import unrolled
from support.combinations import MAKERS, Files
from support.small_models import Done, run
from support.tolerances import FLOAT32
from support.tones import RATE
from unrolled.core.errors import UsageError
from unrolled.core.types import Answer, Array, Example, Place
from unrolled.inference import predictor, streaming_audio, streaming_numbers
from unrolled.inference.open_model import Predictor, open_language_model, open_trained
from unrolled.inference.scoring import predict
from unrolled.models import model_file
from unrolled.models.engines import Engine
from unrolled.tasks.inputs import input_of
from unrolled.tasks.presets import COMBINATIONS, TASKS, Preset, find

EVERY = {**TASKS, **COMBINATIONS}
TINY = ("--hidden", 8, "--epochs", 1, "--threads", 1, "--seed", 3)


# By the output: how a network is trained that answers at every step from what it has read so far.
FORWARD: dict[str, tuple[object, ...]] = {
    "label": ("--no-bidirectional", "--pooling", "last"),
    "number": ("--no-bidirectional", "--pooling", "last"),
    "tags": ("--no-bidirectional", "--no-crf"),
    "ctc": ("--no-bidirectional",),
    "sequence": ("--no-bidirectional",),
    "next": (),
}
# By the output: the field of a record that the estimator's `predict` returns.
FIELDS = {"label": "label", "number": "value", "tags": "tags", "ctc": "text", "sequence": "text"}


def test_every_combination_has_a_maker_of_data():
    assert MAKERS.keys() == EVERY.keys()


@pytest.mark.parametrize("task", EVERY)
def test_a_combination_goes_through_every_command_and_python(task: str, tmp_path: Path):
    files, preset = MAKERS[task](tmp_path), find(task)
    report = json.loads(well("check", task, files.train, *files.options, "--json").out)
    assert report["task"] == task and report["fatal"] is None
    model = train(task, files, tmp_path / "model")
    figures = json.loads(well("evaluate", model, files.train, "--json").out)
    assert figures and all(np.isfinite(one) for one in figures.values() if isinstance(one, float)), figures
    records = answers_of(model, files)
    assert len(records) == len(files.x)
    assert python_answers(preset, model, files) == records
    again = saved_again(preset, model, files, records)
    assert again.read_bytes() == model.read_bytes()
    assert answers_of(again, files) == records


@pytest.mark.parametrize("task", EVERY)
def test_a_combination_that_reads_forward_answers_a_stream_as_the_whole(task: str, tmp_path: Path):
    files, preset = MAKERS[task](tmp_path), find(task)
    path = train(task, files, tmp_path / "model", *FORWARD[preset.output])
    if preset.stream:
        language_model = open_language_model(path)
        ids = [language_model.reading.encode(str(x)) for x in files.x]
        compare_chunks(language_model.engine, [one.astype(np.int64) for one in ids], 1)
        return
    model = open_trained(path)
    kind = input_of(task)
    examples = [Example(x, None, Place(Path("x"), n)) for n, x in enumerate(files.x, 1)]
    loaded = examples if kind.load_file is None else [kind.load_file(model.input, one) for one in examples]
    encoded = [model.input.encode(one.x, one.place) for one in loaded]
    stride = 1 if model.spec.steps(2) == 2 else 2
    compare_chunks(model.stepwise or model.engine, encoded, stride)
    if preset.input in STREAMS:
        for example in examples:
            STREAMS[preset.input](model, example)


def well(*arguments: object) -> Done:
    """A command that ends well."""
    done = run(*arguments)
    assert done.code == 0 and "Traceback" not in done.err, done.err
    return done


def train(task: str, files: Files, out: Path, *more: object) -> Path:
    """A tiny model."""
    well("train", task, files.train, "--out", out, *TINY, *files.options, *more)
    return out


def answers_of(model: Path, files: Files) -> list[dict[str, object]]:
    """The records of `predict`, without what only a file has. Each line of `--format text` has one too."""
    found = well("predict", model, files.asked, "--format", "jsonl").lines
    shown = well("predict", model, files.asked).lines
    assert len(shown) == len(found)
    return [
        {key: value for key, value in json.loads(line).items() if key not in ("id", "file", "times")}
        for line in found
    ]


def as_read(record: object) -> dict[str, object]:
    """A record as JSON has it."""
    return cast(dict[str, object], json.loads(json.dumps(record)))


def python_answers(preset: Preset, path: Path, files: Files) -> list[dict[str, object]]:
    """The records of the opened model for the sequences in Python."""
    if preset.stream:
        model = open_language_model(path)
        return [as_read(dict(predict(model.engine, model.reading, str(x), 5).record)) for x in files.x]
    trained = open_trained(path)
    examples = [Example(x, None, Place(Path("x"), n)) for n, x in enumerate(files.x, 1)]
    return [as_read(dict(predictor.answer(trained, one, 5).record)) for one in examples]


def saved_again(preset: Preset, path: Path, files: Files, records: list[dict[str, object]]) -> Path:
    """The file that the estimator of a model writes; of a model without one, `model_file` writes it."""
    again = path.with_name("again")
    try:
        estimator = unrolled.load(path)
    except UsageError as error:
        assert "there is no estimator for" in str(error) and preset.output == "next"
        model_file.save(again, model_file.load(path))
        return again
    if isinstance(estimator, unrolled.LanguageModel):
        shown = well("predict", path, files.asked).lines
        assert [one.replace("\n", "\\n") for one in estimator.predict(files.x)] == shown
    elif isinstance(estimator, unrolled.Composer):
        assert [as_read(one) for one in estimator.score_samples(files.x)] == records
    else:
        found = estimator.predict(files.x)
        told = [one.tolist() if isinstance(one, np.ndarray) else one for one in found]
        assert told == [record[FIELDS[preset.output]] for record in records]
    estimator.save(again)
    return again


def compare_chunks(engine: Engine, encoded: list[Array], stride: int) -> None:
    """The answers to chunks, and to single steps where a step is answered by one, are those to the whole."""
    for x in encoded:
        whole = engine.run(x[None])[0][0]
        for size in (stride, 4 * stride):
            parts, state = list[Array](), engine.start(1)
            for begin in range(0, len(x), size):
                part, state = engine.run(x[None, begin : begin + size], None, state)
                parts.append(part[0])
            assert np.abs(np.concatenate(parts) - whole).max() <= FLOAT32["forward"] * 10
        if stride == 1:
            compare_steps(engine, x, whole)


def compare_steps(engine: Engine, x: Array, whole: Array) -> None:
    """Single steps answer as the whole sequence does."""
    state = engine.start(1)
    for t in range(len(x)):
        answers, _, state = engine.step(state, x[t : t + 1])
        assert np.abs(answers[0] - whole[t]).max() <= FLOAT32["forward"] * 10


def stream_numbers(model: Predictor, example: Example) -> None:
    """A series in chunks is answered step by step, as the whole is. A model that writes texts refuses to stream."""
    x = np.asarray(example.x)
    if model.decoder is not None:
        with pytest.raises(UsageError, match="reads the whole series before it writes a text"):
            streaming_numbers.begin(model)
        return
    whole = predictor.answer(model, example, 1)
    stream, told = streaming_numbers.begin(model), list[Answer]()
    for begin in range(0, len(x), 3):
        some, stream = streaming_numbers.read(model, stream, x[begin : begin + 3])
        told += some
    assert [one.record["step"] for one in told] == list(range(1, len(x) + 1))
    if "tags" in whole.record:
        assert [one.text for one in told] == whole.record["tags"]
    elif "surprise" in whole.record:
        first, *surprises = [one.record["surprise"] for one in told]
        assert first is None and whole.record["surprise"][0] is None
        assert surprises == pytest.approx(whole.record["surprise"][1:], rel=1e-4, abs=1e-5)
    else:
        assert told[-1].text == whole.text and [one.text for one in told] == whole.record["steps"]


def stream_sounds(model: Predictor, example: Example) -> None:
    """A recording in chunks is answered as the whole is."""
    import soundfile

    samples, rate = soundfile.read(example.x, dtype="float32")
    assert rate == RATE
    chunks = [samples[begin : begin + 500] for begin in range(0, len(samples), 500)]
    whole = predictor.answer(model, example, 5)
    if "tags" in whole.record:
        stream_state, parts = streaming_audio.begin(model, rate), list[Array]()
        for number, chunk in enumerate(chunks, 1):
            answers, stream_state = streaming_audio.process_chunk(
                model, stream_state, chunk, last=number == len(chunks)
            )
            parts.append(answers)
        load = input_of(model.file.task).load_file
        assert load is not None
        expected = predictor.forward(model, load(model.input, example).x)
        assert np.abs(np.concatenate(parts) - expected).max() <= 100 * FLOAT32["forward"]
        return
    stream = streaming_audio.classify if "label" in whole.record else streaming_audio.transcribe
    *_, last = cast(Iterator[Answer], stream(model, chunks, rate))
    assert last.record["final"] and last.text == whole.text


STREAMS = {"numbers": stream_numbers, "audio": stream_sounds}
