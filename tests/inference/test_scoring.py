"""Sampling and predicting with language models of random weights: what is written does not depend on training."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.networks import spec_of
from unrolled.data.text.tokenize import split, written
from unrolled.data.text.vocabulary import Vocabulary
from unrolled.inference.scoring import SampleOptions, predict, samples, score
from unrolled.models.engines.numpy_engine import NumpyEngine
from unrolled.models.initial_weights import initialise
from unrolled.tasks.inputs.tokens import Reading

TEXT = 'At 10:30 it costs 3.14, "the cat" (said) the dog; well-known cats cost 8,2.'


def model(unit: str) -> tuple[NumpyEngine, Reading]:
    """A language model over the tokens of TEXT."""
    tokens = tuple(dict.fromkeys(split(TEXT, unit)))
    reading = Reading(Vocabulary(tokens, (1,) * len(tokens)), unit, False, "line")
    spec = spec_of(n_x=len(reading.vocabulary), n_y=len(reading.vocabulary), n_a=8, embedding=4)
    return NumpyEngine(spec, initialise(spec, seed=1)), reading


MODELS = {unit: model(unit) for unit in ("word", "white", "char", written("word"))}
PROMPTS = st.text(alphabet=TEXT + " \t👍🏽👩\u200d💻", max_size=12).map(
    lambda end: "At 10:30 it costs 3.14 " + end
)


@settings(deadline=None)
@given(PROMPTS, st.sampled_from([*MODELS]))
def test_a_sample_begins_with_the_prompt_letter_for_letter(prompt, unit):
    engine, reading = MODELS[unit]
    for text in samples(engine, reading, SampleOptions(prompt, length=6, count=2)):
        assert text.startswith(prompt)
        assert not (text[len(prompt) :].startswith(" ") and prompt[-1:].isspace() and unit != "char")


def test_what_was_sampled_is_split_into_what_was_drawn():
    engine, reading = MODELS[written("word")]
    (text,) = samples(engine, reading, SampleOptions(length=40, seed=2))
    assert len(reading.split(text)) > 5
    assert set(reading.split(text)) <= set(reading.vocabulary.tokens)


@pytest.mark.parametrize("unit", [*MODELS])
def test_the_next_tokens_are_told_without_joiners_and_once(unit):
    engine, reading = MODELS[unit]
    entries = predict(engine, reading, "the cat", top=1000).record["next"]
    names = [entry["token"] for entry in entries]
    assert len(set(names)) == len(names) and not any("\uffed" in name for name in names)
    assert sum(entry["probability"] for entry in entries) == pytest.approx(1.0, abs=1e-5)
    assert [entry["probability"] for entry in entries] == sorted(
        (e["probability"] for e in entries), reverse=True
    )
    assert not any("\uffed" in name for name in score(engine, reading, "costs 3.14").tokens)
