"""A recording in chunks of any size, type and number of channels is answered as the whole is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from support.small_sounds import POOLINGS, small
from support.tolerances import TOLERANCES
from support.tones import sound
from unrolled.core.errors import DataError, UsageError
from unrolled.core.types import Example, Place
from unrolled.inference import predictor, streaming_audio
from unrolled.inference.open_model import open_trained
from unrolled.models.engines.numpy_engine import NumpyEngine
from unrolled.models.initial_weights import initialise
from unrolled.models.network_spec import Classes
from unrolled.tasks.outputs.label import Label

CLOSE = TOLERANCES["float32"]["padding"]


def split(samples: np.ndarray, size: int) -> list[np.ndarray]:
    return [samples[begin : begin + size] for begin in range(0, len(samples), size)]


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("size", [37, 400, 100_000])
def test_classes_of_chunks_are_those_of_the_whole(pooling: str, size: int):
    model = open_trained(small().folder / pooling)
    samples = sound("bca", 5)
    whole = predictor.answer(model, Example(samples, None, Place(small().label, 1)), 5)
    *some, last = streaming_audio.classify(model, split(samples, size))
    assert last.record["final"] and last.text == whole.text
    assert last.record["probability"] == pytest.approx(whole.record["probability"], abs=50 * CLOSE)
    assert last.record["seconds"] == pytest.approx(0.01 * (1 + (len(samples) - 200) // 80))
    assert not any(answer.record["final"] for answer in some)


def test_many_classes_have_an_adaptive_softmax_in_chunks_too():
    model = open_trained(small().folder / "mean")
    spec = replace(model.spec, head=Classes(120, "adaptive", pooling="mean"))
    tensors = initialise(spec, 0)
    many = replace(
        model,
        file=replace(model.file, tensors=tensors),
        spec=spec,
        output=Label(tuple(f"c{number}" for number in range(120))),
        engine=NumpyEngine(spec, tensors),
    )
    samples = sound("bca", 5)
    whole = predictor.answer(many, Example(samples, None, Place(small().label, 1)), 120)
    *_, last = streaming_audio.classify(many, split(samples, 400))
    assert last.text == whole.text
    assert last.record["probability"] == pytest.approx(whole.record["probability"], abs=50 * CLOSE)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_the_answer_after_a_chunk_is_that_of_what_was_heard(pooling: str):
    model = open_trained(small().folder / pooling)
    samples = sound("abc", 6)
    even = 200 + 80 * 13  # samples of 14 frames, which make 7 steps
    first = next(iter(streaming_audio.classify(model, [samples[:even]])))
    whole = predictor.answer(model, Example(samples[:even], None, Place(small().label, 1)), 5)
    assert first.text == whole.text
    assert first.record["probability"] == pytest.approx(whole.record["probability"], abs=50 * CLOSE)


@pytest.mark.parametrize("kind", ["int16", "stereo", "both"])
def test_chunks_are_scaled_and_mixed(kind: str):
    model = open_trained(small().causal)
    samples = sound("cab", 3)
    whole = np.round(samples * 32768).astype(np.int16)
    given = whole if kind == "int16" else np.stack([samples, samples], axis=1)
    given = np.stack([whole, whole], axis=1) if kind == "both" else given
    *_, expected = streaming_audio.transcribe(model, split(samples, 333))
    *_, found = streaming_audio.transcribe(model, split(given, 333))
    assert found.text == expected.text == "cab"
    assert found.record["confidence"] == pytest.approx(expected.record["confidence"], abs=0.02)
    scale = samples * 32768
    with pytest.raises(DataError, match="but full scale is 1"):
        list(streaming_audio.transcribe(model, split(scale, 333)))


def test_words_have_the_same_times_in_chunks():
    model = open_trained(small().causal)
    samples = np.concatenate([np.zeros(4000, np.float32), sound("cab", 3), np.zeros(3000, np.float32)])
    samples += 0.003 * np.random.default_rng(0).standard_normal(len(samples)).astype(np.float32)
    whole = predictor.answer(model, Example(samples, None, Place(small().label, 1)), 1).record
    *_, last = streaming_audio.transcribe(model, split(samples, 1000))
    assert [word["start"] for word in last.record["words"]] == [word["start"] for word in whole["words"]]


def test_models_that_cannot_stream_say_so():
    for path in (small().label, small().both):
        model = open_trained(small().folder / "label" if path == small().label else path)
        with pytest.raises(UsageError, match="needs the whole recording before it answers"):
            streaming_audio.begin(model)
    with pytest.raises(UsageError, match="expected a model of audio:label"):
        list(streaming_audio.classify(open_trained(small().causal), []))
