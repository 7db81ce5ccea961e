"""Sampling: the right distribution, NumPy's own draws, samples that do not depend on each other."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from unrolled.core.errors import NonFiniteError, UsageError
from unrolled.core.types import ZERO_INPUT_ID
from unrolled.models.decoding.sampling import (
    SamplingOptions,
    distribution,
    draw,
    stream,
    stream_all,
)

LOGITS = arrays(np.float32, st.integers(1, 40), elements=st.floats(-20, 20, width=32))


def softmax(logits: np.ndarray, temperature: float) -> np.ndarray:
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max())
    return powers / powers.sum()


@given(LOGITS, st.floats(0.1, 5))
def test_distribution_is_the_softmax(logits, temperature):
    p = distribution(logits, temperature)
    assert p.dtype == np.float64
    np.testing.assert_allclose(p, softmax(logits, temperature), rtol=1e-12)


@given(LOGITS, st.integers(1, 50))
def test_top_k_keeps_the_k_most_probable(logits, k):
    p = distribution(logits, 1.0, top_k=k)
    kept = sorted(range(len(logits)), key=lambda i: (-logits[i], i))[:k]
    expected = np.zeros(len(logits))
    expected[kept] = softmax(logits[kept], 1.0)
    np.testing.assert_allclose(p, expected, rtol=1e-12)


@given(LOGITS, st.floats(0.01, 0.999))
def test_top_p_keeps_the_fewest_that_reach_it(logits, top_p):
    full, p = softmax(logits, 1.0), distribution(logits, 1.0, top_p=top_p)
    kept = p > 0
    slack = 1e-9
    assert full[kept].sum() >= top_p - slack
    assert full[kept].sum() - full[kept].min() < top_p + slack, "one fewer would have reached it"
    assert full[kept].min() >= (full[~kept].max() if (~kept).any() else 0) - slack
    np.testing.assert_allclose(p[kept], full[kept] / full[kept].sum(), rtol=1e-9)


def test_edges():
    assert distribution(np.array([1.0, 3, 3]), 0.0).tolist() == [0, 1, 0]
    assert distribution(np.array([1.0, 3, 3]), 1e-320).tolist() == [0, 0.5, 0.5]
    assert distribution(np.array([-np.inf, 0]), 2.0).tolist() == [0, 1]
    assert distribution(np.array([0.0, 0, 0]), 1.0, top_k=2).tolist() == [0.5, 0.5, 0]
    assert distribution(np.array([0.0, 5, 0]), 1.0, top_p=1e-9).tolist() == [0, 1, 0]
    for broken in (np.nan, np.inf):
        with pytest.raises(NonFiniteError):
            distribution(np.array([0, broken]))
    with pytest.raises(UsageError, match="no token can be drawn"):
        distribution(np.array([-np.inf, -np.inf]))
    for wrong in (
        {"temperature": -1.0},
        {"temperature": np.nan},
        {"top_k": 0},
        {"top_p": 0.0},
        {"top_p": 1.5},
    ):
        with pytest.raises(UsageError):
            SamplingOptions(**wrong)


@given(LOGITS, st.integers(0, 2**32), st.integers(1, 30), st.floats(0.05, 1))
def test_draws_are_numpys_draw_for_draw(logits, seed, k, top_p):
    p = distribution(logits, 0.7, k, top_p)
    ours, theirs = np.random.default_rng(seed), np.random.default_rng(seed)
    assert [draw(p, ours) for _ in range(30)] == [int(theirs.choice(len(p), p=p)) for _ in range(30)]
    assert ours.bit_generator.state == theirs.bit_generator.state


def test_draws_follow_the_softmax_by_chi_square():
    logits = np.random.default_rng(1).normal(size=20)
    p, rng, n = softmax(logits, 1.0), np.random.default_rng(2), 30_000
    drawn = distribution(logits)
    counts = np.bincount([draw(drawn, rng) for _ in range(n)], minlength=20)
    chi_square = ((counts - n * p) ** 2 / (n * p)).sum()
    assert chi_square < 43.82, "one in a thousand with 19 degrees of freedom"
    assert ((counts - n / 20) ** 2 / (n / 20)).sum() > 500, "the test can tell another distribution"


class Echo:
    """An engine whose state is all it has read, so that a test sees what it was fed."""

    n_y = 6

    def __init__(self) -> None:
        self.steps = 0

    def start(self, rows: int) -> Any:
        return ((),) * rows

    def _log_probs(self, read: tuple[int, ...]) -> np.ndarray:
        seed = [number + 1 for number in read]
        logits = np.random.default_rng(seed).normal(size=self.n_y)
        return (logits - np.log(np.exp(logits).sum())).astype(np.float32)

    def run(self, x: np.ndarray, lengths: np.ndarray, state: Any = None) -> tuple[np.ndarray, Any]:
        assert x.shape[0] == 1
        assert lengths.tolist() == [x.shape[1]]
        reads = [state[0] + tuple(x[0, : i + 1].tolist()) for i in range(x.shape[1])]
        return np.stack([self._log_probs(read) for read in reads])[None], (reads[-1],)

    def step(self, state: Any, x: np.ndarray, k: int | None) -> tuple[np.ndarray, np.ndarray, Any]:
        assert k is None
        self.steps += 1
        reads = tuple((*read, int(i)) for read, i in zip(state, x, strict=True))
        return np.stack([self._log_probs(read) for read in reads]), np.zeros((1, 1), dtype=np.int64), reads


def by_hand(seed: int, number: int, prompt: list[int], length: int, settings: SamplingOptions) -> list[int]:
    """Sample `number` written out with NumPy's choice."""
    rng = np.random.default_rng(seed).spawn(number + 1)[number]
    engine, read, out = Echo(), (ZERO_INPUT_ID, *prompt), []
    while len(out) < length:
        logits = engine._log_probs(read).astype(np.float64)
        logits[list(settings.banned)] = -np.inf
        p = np.exp(logits) / np.exp(logits).sum()
        drawn = int(rng.choice(engine.n_y, p=p))
        if drawn == settings.stop:
            break
        out.append(drawn)
        read = (*read, drawn)
    return out


@pytest.mark.parametrize("prompt", [[], [3], list(range(6)) * 100])
def test_samples_are_the_lectures_loop(prompt):
    settings = SamplingOptions(banned=(0,), stop=1)
    streams = stream_all(Echo(), np.random.default_rng(7), prompt, 12, settings, 5)
    found = [list(one) for one in streams]
    assert found == [by_hand(7, i, prompt, 12, settings) for i in range(5)]
    assert len({len(sample) for sample in found}) > 1
    assert not any(np.isin(sample, (0, 1)).any() for sample in found)


def test_sample_i_does_not_depend_on_how_many_are_asked_for():
    many, few = (
        [list(one) for one in stream_all(Echo(), np.random.default_rng(3), [2], 9, SamplingOptions(), count)]
        for count in (6, 2)
    )
    assert few == many[:2]
    assert many[0] != many[1]
    streamed = stream_all(Echo(), np.random.default_rng(3), [2], 9, SamplingOptions(), 6)
    assert [list(ids) for ids in reversed(list(streamed))] == many[::-1]


def test_ids_come_as_they_are_drawn():
    engine = Echo()
    ids = stream(engine, np.random.default_rng(0), [1], 1000, SamplingOptions())
    first = list(itertools.islice(ids, 5))
    assert (len(first), engine.steps) == (5, 4)
    assert list(stream(Echo(), np.random.default_rng(0), [1], 0, SamplingOptions())) == []


def test_temperature_zero_takes_the_most_probable():
    engine, read = Echo(), (ZERO_INPUT_ID, 4)
    expected = []
    for _ in range(8):
        expected.append(int(np.argmax(engine._log_probs(read))))
        read = (*read, expected[-1])
    for seed in range(3):
        found = stream(Echo(), np.random.default_rng(seed), [4], 8, SamplingOptions(temperature=0.0))
        assert list(found) == expected
