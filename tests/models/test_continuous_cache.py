"""The continuous cache: equal to a slow reference that follows the equations, a distribution, and causal."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.networks import spec_of
from unrolled.core.errors import UsageError
from unrolled.core.types import Array, delayed
from unrolled.models.engines.continuous_cache import CachedEngine, CacheOptions, empty, look_up, mixed
from unrolled.models.engines.numpy_engine import NumpyEngine
from unrolled.models.initial_weights import initialise
from unrolled.models.network_spec import without_head

SPEC = spec_of(n_x=7, n_y=7, n_a=5, embedding=3)
TENSORS = {name: 3 * value for name, value in initialise(SPEC, seed=1).items()}  # probabilities that differ
RNG = np.random.default_rng(3)
TEXT = RNG.integers(0, 7, 60)


def engine(size: int = 9, theta: float = 4.0, weight: float = 0.3) -> CachedEngine:
    return CachedEngine(SPEC, TENSORS, CacheOptions(size, theta, weight), NumpyEngine)


def reference(ids: Array, cache: CacheOptions) -> Array:
    """The probabilities of the next token after each of -1, ids[0], ... by the equations, one sum after another."""
    x = delayed(ids)
    a, _ = NumpyEngine(without_head(SPEC), TENSORS).run(x[None])
    log_probs, _ = NumpyEngine(SPEC, TENSORS).run(x[None])
    found = np.exp(log_probs[0].astype(np.float64))
    for t in range(len(x)):
        seen = range(max(0, t - cache.size), t)
        if not seen:
            continue
        h = a[0].astype(np.float64)
        sums = dict.fromkeys(range(7), 0.0)
        for i in seen:
            lengths = math.sqrt((h[t] @ h[t]) * (h[i] @ h[i]))  # 0 at the first step: all biases are 0
            cosine = h[t] @ h[i] / lengths if lengths else 0.0
            sums[int(x[i + 1])] += math.exp(cache.theta * cosine)
        total = sum(sums.values())
        for w, value in sums.items():
            found[t, w] = (1 - cache.weight) * found[t, w] + cache.weight * value / total
    return found


@settings(deadline=None, max_examples=20)
@given(
    st.integers(1, 80),
    st.floats(0, 30),
    st.floats(0, 0.9),
    st.lists(st.integers(1, 25), min_size=1, max_size=4),
)
def test_chunks_equal_the_reference_and_sum_to_one(size: int, theta: float, weight: float, chunks: list[int]):
    cached = engine(size, theta, weight)
    x, state, parts, at = delayed(TEXT), None, list[Array](), 0
    while at < len(x):
        steps = chunks[len(parts) % len(chunks)]
        part, state = cached.run(x[None, at : at + steps], None, state)
        parts.append(np.exp(part[0].astype(np.float64)))
        at += steps
    found = np.concatenate(parts)
    np.testing.assert_allclose(found, reference(TEXT, cached.cache), atol=2e-6)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)


def test_a_batch_of_ragged_rows_equals_each_row_and_single_steps():
    cached, lengths = engine(), np.array([13, 0, 5])
    x = np.stack([delayed(RNG.integers(0, 7, 12)) for _ in lengths])
    answers, state = cached.run(x, lengths)
    for row, length in enumerate(lengths.tolist()):
        own = cached.start(1)
        for t in range(length):
            step, ids, own = cached.step(own, x[row : row + 1, t])
            np.testing.assert_allclose(step[0], answers[row, t], atol=1e-6)
            assert ids[0].tolist() == list(range(7))
        assert not answers[row, length:].any()
        after, again = (
            cached.step(s, np.array([2]), 3)[0] for s in (own, cached.take(state, np.array([row])))
        )
        np.testing.assert_allclose(after, again, atol=1e-6)


def test_a_new_document_has_an_empty_cache():
    cached = engine()
    _, state = cached.run(np.stack([delayed(TEXT), delayed(TEXT[::-1])]))
    kept = cached.keep(state, np.array([False, True]))
    x = np.stack([delayed(TEXT[:20]), TEXT[:21]])
    answers, _ = cached.run(x, None, kept)
    np.testing.assert_array_equal(answers[0], cached.run(x[:1])[0][0])
    assert len(cached.memories(kept)[0].tokens) == 0 and len(cached.memories(kept)[1].tokens) == 9
    assert cached.keep(None, np.array([True])) is None


def test_a_cache_that_is_filled_before_is_used_at_the_first_step():
    _, state = engine(size=4).run(delayed(TEXT)[None])
    (memory,) = engine().memories(state)
    filled = CachedEngine(SPEC, TENSORS, CacheOptions(4, 4.0, 0.3), NumpyEngine, memory)
    first, after = filled.run(np.array([[-1]]))
    plain = NumpyEngine(SPEC, TENSORS).run(np.array([[-1]]))[0]
    assert np.abs(np.exp(first) - np.exp(plain)).max() > 0.01
    assert filled.memories(after)[0].tokens.tolist() == memory.tokens.tolist() == TEXT[-4:].tolist()
    filled.run(np.array([[-1, 3]]))
    np.testing.assert_array_equal(filled.run(np.array([[-1]]))[0], first)  # a text does not change the next


def test_probabilities_near_zero_stay_finite():
    log_probs = np.array([[0.0, -200.0, -300.0]] * 3, np.float32)
    a = np.eye(3, dtype=np.float32)
    found, _ = look_up(5, empty(3), np.array([-1, 0, 1]), a)
    out = mixed(CacheOptions(5, 2.0, 0.25), found, log_probs)
    assert np.isfinite(out).all()
    np.testing.assert_array_equal(out[0], log_probs[0])  # no pair
    np.testing.assert_allclose(out[2, :2], [math.log(0.75 + 0.125), math.log(0.125)], rtol=1e-6)
    np.testing.assert_allclose(out[2, 2], -300 + math.log(0.75), rtol=1e-6)
    zeros, _ = look_up(5, empty(3), np.array([-1, 0]), 0 * a[:2])
    assert np.isfinite(mixed(CacheOptions(5, 2.0, 0.25), zeros, log_probs[:2])).all()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((0, 1.0, 0.1), "--cache 0; expected 1 to 100,000 tokens"),
        ((5, -1.0, 0.1), "--cache-theta -1.0; expected a finite number from 0"),
        ((5, math.nan, 0.1), "--cache-theta nan"),
        ((5, 1.0, 1.0), "--cache-weight 1.0; expected a number from 0, below 1"),
    ],
)
def test_values_out_of_range(options: tuple[int, float, float], said: str):
    with pytest.raises(UsageError, match=said.replace("--", "-+")):
        CacheOptions(*options)
