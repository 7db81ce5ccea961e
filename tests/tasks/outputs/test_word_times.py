"""Words are told when they are heard, though the network answers too early, too late, or for too long."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.small_sounds import small
from support.tones import HERTZ, RATE
from unrolled.core.types import Example, Place, Timeline
from unrolled.data.features import log_mel, loudness
from unrolled.inference import predictor
from unrolled.inference.open_model import open_trained
from unrolled.models.decoding.ctc import CtcBeamOptions
from unrolled.tasks.outputs.ctc import Transcript

LETTERS = (" ", "a", "b", "c")
OUTPUT = Transcript(LETTERS, stride=2, search=CtcBeamOptions(8))
Times = list[tuple[float, float]]


def recording(
    words: list[str], gaps: list[float], noise: float, seed: int
) -> tuple[np.ndarray, Times, list[float]]:
    """Words of tones with pauses before, between and behind them: samples, when each word is heard, and the middle of
    each letter and of each space."""
    rng = np.random.default_rng(seed)
    parts, times, middles, at = [np.zeros(round(gaps[0] * RATE))], Times(), list[float](), gaps[0]
    for word, gap in zip(words, gaps[1:], strict=False):
        begin = at
        for letter in word:
            length = rng.uniform(0.08, 0.13)
            count = round(length * RATE)
            ramp = np.minimum(1, np.minimum(np.arange(count), np.arange(count)[::-1]) / 80)
            parts.append(0.3 * ramp * np.sin(2 * np.pi * HERTZ[letter] * np.arange(count) / RATE))
            middles.append(at + length / 2)
            at += length
        times.append((begin, at))
        parts.append(np.zeros(round(gap * RATE)))
        middles.append(at + gap / 2)
        at += gap
    samples = np.concatenate(parts)
    return (samples + noise * rng.standard_normal(len(samples))).astype(np.float32), times, middles[:-1]


def network(text: str, middles: list[float], steps: int, shift: float, spread: bool) -> np.ndarray:
    """[steps, classes] log-probabilities of a network that names each letter for one step, `shift` seconds late.

    spread: it holds the first letter from the beginning on, and the last until the end.
    """
    p = np.full((steps, len(LETTERS) + 1), 1e-4)
    p[:, 0] = 1
    places = [min(steps - 1, max(0, round((middle + shift) / 0.02))) for middle in middles]
    for letter, place in zip(text, places, strict=True):
        p[place, 0], p[place, LETTERS.index(letter) + 1] = 0.05, 1
    if spread:
        p[: places[0], LETTERS.index(text[0]) + 1] = 1e4
        p[places[-1] + 1 :, LETTERS.index(text[-1]) + 1] = 1e4
    return np.log(p / p.sum(axis=1, keepdims=True))


def told(
    samples: np.ndarray, text: str, middles: list[float], shift: float, spread: bool, heard: bool
) -> Times:
    frames = log_mel.log_mel(log_mel.Mel(RATE, 20), samples)
    answer = network(text, middles, -(-len(frames) // 2), shift, spread)
    when = Timeline(log_mel.HOP, len(samples) / RATE, loudness.of_frames(frames) if heard else None)
    words = OUTPUT.to_answer(answer, when, 1, {}).record["words"]
    assert " ".join(word["word"] for word in words) == text
    return [(word["start"], word["end"]) for word in words]


@pytest.mark.property
@settings(max_examples=40, deadline=None)
@given(
    words=st.lists(st.sampled_from(["ab", "cab", "acb", "bac", "baca", "cb"]), min_size=1, max_size=5),
    seed=st.integers(0, 99),
    noise=st.sampled_from([0.0, 0.001, 0.01]),
    shift=st.sampled_from([-0.06, 0.0, 0.06]),
    spread=st.booleans(),
)
def test_times_are_those_of_what_is_heard(
    words: list[str], seed: int, noise: float, shift: float, spread: bool
):
    gaps = np.random.default_rng(seed).uniform(0.2, 0.7, len(words) + 1).tolist()
    samples, times, middles = recording(words, [*gaps[:-1], 0.65], noise, seed)
    found = told(samples, " ".join(words), middles, shift, spread, heard=True)
    np.testing.assert_allclose(found, times, atol=0.03)


def test_the_simulated_network_alone_is_wrong_at_both_ends():
    samples, times, middles = recording(["ab", "cab"], [0.5, 0.3, 0.65], 0.001, 1)
    found = told(samples, "ab cab", middles, 0.0, spread=True, heard=False)
    assert found[0][0] == 0.0 and found[-1][1] > times[-1][1] + 0.6


def test_words_without_a_pause_meet_where_it_is_quietest():
    samples, times, middles = recording(["ab", "ca"], [0.4, 0.0, 0.5], 0.001, 2)
    found = told(samples, "ab ca", middles, 0.0, spread=False, heard=True)
    assert found[0][1] == found[1][0] and abs(found[0][1] - times[0][1]) < 0.08


def test_a_recording_without_silence_or_without_sound_has_the_times_of_the_steps():
    for samples in (np.zeros(4000, np.float32), np.full(4000, 0.1, np.float32)):
        found = told(samples, "ab", [0.1, 0.2], 0.0, spread=False, heard=True)
        assert found == told(samples, "ab", [0.1, 0.2], 0.0, spread=False, heard=False)


def test_a_trained_model_tells_words_within_80_ms():
    model, errors = open_trained(small().causal), list[float]()
    for seed in range(20):
        samples, times, _ = recording(["cab"], [0.5 + seed / 40, 0.65], 0.003, seed)
        record = predictor.answer(model, Example(samples, None, Place(small().label, 1)), 1).record
        if len(record["words"]) == 1:
            errors += [record["words"][0]["start"] - times[0][0], record["words"][0]["end"] - times[0][1]]
    assert len(errors) > 10 and np.median(np.abs(errors)) < 0.08, errors
