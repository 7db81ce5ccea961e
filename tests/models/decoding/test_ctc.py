"""CTC: the loss, the beam and the probability of a text are sums over all alignments; the times are the best one's."""

from __future__ import annotations

import itertools
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from support.networks import spec_of
from unrolled.core.config import DataConfig, ModelConfig
from unrolled.core.errors import DataError
from unrolled.core.types import Example, Place
from unrolled.models.decoding.ctc import (
    CtcBeamOptions,
    align,
    beam_search,
    best_path,
    fewest_steps,
    log_probability,
)
from unrolled.models.engines.numpy_engine import NumpyEngine
from unrolled.models.initial_weights import initialise
from unrolled.nn.architectures import build
from unrolled.nn.losses import loss
from unrolled.tasks.outputs import OUTPUTS
from unrolled.tasks.outputs.ctc import Transcript, learn_transcript, tidy

EVERY = CtcBeamOptions(width=1 << 20)
PLACE = Place(Path("said.csv"), 2)


def answers(steps, classes, seed=0, sharp=1.0):
    rng = np.random.default_rng(seed)
    return np.log(rng.dirichlet(np.full(classes, sharp), steps))


def merged(path):
    """What remains of a path, as the definition says it."""
    kept = [c for i, c in enumerate(path) if i == 0 or path[i - 1] != c]
    return tuple(c for c in kept if c)


def enumerated(log_probs):
    """Every sequence and its probability: the sum over all paths, one by one."""
    total = defaultdict(float)
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        total[merged(path)] += float(np.exp(sum(log_probs[t, c] for t, c in enumerate(path))))
    return total


@pytest.mark.parametrize(("steps", "classes"), [(1, 2), (3, 3), (5, 3), (4, 4)])
def test_probability_beam_and_loss_are_sums_over_all_alignments(steps, classes):
    log_probs = answers(steps, classes, seed=steps)
    every = enumerated(log_probs)
    assert sum(every.values()) == pytest.approx(1)
    found = {one.ids: one.log_prob for one in beam_search(log_probs, EVERY, 10_000)}
    assert found.keys() == every.keys()
    ranked = beam_search(log_probs, EVERY, 10_000)
    assert [one.ids for one in ranked] == sorted(every, key=lambda ids: (-every[ids], ids))
    for ids, p in every.items():
        assert found[ids] == pytest.approx(np.log(p), abs=1e-10)
        assert log_probability(log_probs, ids) == pytest.approx(np.log(p), abs=1e-10)
        assert len(ids) == 0 or fewest_steps(ids) <= steps


def spec_and_head(classes, features=3):
    spec = spec_of(n_x=2, n_y=classes, n_a=features, ids=False, output="ctc")
    rng = np.random.default_rng(3)
    W, b = rng.standard_normal((classes, features)), rng.standard_normal(classes)
    return spec, {"head.W_ya": torch.tensor(W), "head.b_y": torch.tensor(b)}


def test_the_loss_is_minus_the_log_of_the_sum():
    spec, p = spec_and_head(3)
    a = torch.tensor(np.random.default_rng(0).standard_normal((3, 5, 3)))
    y = torch.tensor([[1, 1, 2, -1], [2, -1, -1, -1], [-1, -1, -1, -1]])
    lengths = torch.tensor([5, 3, 2])
    nats, count = loss(spec, p, a, y, lengths)
    logits = a @ p["head.W_ya"].T + p["head.b_y"]
    expected = 0.0
    for row, ids, length in zip(logits, [(1, 1, 2), (2,), ()], lengths, strict=True):
        log_probs = torch.log_softmax(row[: int(length)], -1).numpy()
        expected -= np.log(enumerated(log_probs)[ids])
    assert count == 5  # 3 + 1, and an empty one as one
    assert float(nats) == pytest.approx(expected, rel=1e-10)


def test_a_row_too_short_for_its_text_is_left_out_and_nothing_is_infinite():
    spec, p = spec_and_head(3)
    a = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    y = torch.tensor([[1, 2, 1, -1], [1, 1, 1, 2]])  # the second needs 6 steps
    nats, count = loss(spec, p, a, y, torch.tensor([4, 4]))
    alone, _ = loss(spec, p, a[:1], y[:1], torch.tensor([4]))
    assert count == 3 and float(nats.detach()) == pytest.approx(float(alone.detach()))
    nothing, none = loss(spec, p, a[1:], y[1:], torch.tensor([4]))
    assert none == 0 and float(nothing.detach()) == 0.0
    (nats + nothing).backward()
    assert bool(torch.isfinite(a.grad).all())


def test_unknown_characters_are_passed_over():
    spec, p = spec_and_head(3)
    a = torch.randn(1, 5, 3, dtype=torch.float64)
    with_gap, count = loss(spec, p, a, torch.tensor([[1, -1, 2]]), torch.tensor([5]))
    without, _ = loss(spec, p, a, torch.tensor([[1, 2, -1]]), torch.tensor([5]))
    assert count == 2 and float(with_gap) == float(without)


def test_gradient():
    spec, p = spec_and_head(4)
    y, lengths = torch.tensor([[1, 1, 3], [2, -1, -1]]), torch.tensor([5, 2])

    def made(a, W, b):
        return loss(spec, {"head.W_ya": W, "head.b_y": b}, a, y, lengths)[0]

    a = torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True)
    given = (a, *(value.clone().requires_grad_() for value in p.values()))
    assert torch.autograd.gradcheck(made, given)


def test_long_sounds_keep_their_precision():
    log_probs = answers(3000, 6, sharp=0.3)
    ids = best_path(log_probs)[:700]
    value = log_probability(log_probs.astype(np.float32), ids)
    assert np.isfinite(value) and value < -1000
    assert log_probability(log_probs, ids) == pytest.approx(value, rel=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 8))
def test_a_narrow_beam_never_claims_more_than_there_is(seed, steps, width):
    log_probs = answers(steps, 3, seed, sharp=0.5)
    found = beam_search(log_probs, CtcBeamOptions(width), width)
    assert 1 <= len(found) <= width and len({one.ids for one in found}) == len(found)
    for one in found:
        assert one.log_prob <= log_probability(log_probs, one.ids) + 1e-9
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


def test_a_class_far_below_the_best_starts_no_new_prefix():
    log_probs = np.array([[0.0, -11.9, -12.1]])
    assert [one.ids for one in beam_search(log_probs, CtcBeamOptions(width=9), 9)] == [(), (1,)]
    assert [one.ids for one in beam_search(log_probs, EVERY, 9)] == [(), (1,), (2,)]


def test_of_equally_good_prefixes_the_first_by_its_classes_is_kept():
    equal = np.log(np.full((1, 4), 0.25))
    assert [one.ids for one in beam_search(equal, CtcBeamOptions(width=3), 9)] == [(), (1,), (2,)]
    assert [one.ids for one in beam_search(equal, EVERY, 2)] == [(), (1,)]


def test_nothing_is_heard_in_no_steps():
    empty = np.zeros((0, 3))
    assert best_path(empty) == () and beam_search(empty, EVERY)[0].ids == ()
    assert log_probability(empty, ()) == 0.0 and log_probability(empty, (1,)) == -np.inf
    assert align(empty, ()) == []


def brute_alignment(log_probs, ids):
    paths = (
        p for p in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)) if merged(p) == ids
    )
    return max(paths, key=lambda p: sum(log_probs[t, c] for t, c in enumerate(p)))


@pytest.mark.parametrize("ids", [(), (1,), (1, 1), (2, 1), (1, 2, 1)])
def test_times_are_those_of_the_best_path(ids):
    log_probs = answers(6, 3, seed=len(ids) + 7)
    path = brute_alignment(log_probs, ids)
    spans = align(log_probs, ids)
    steps = [t for t, c in enumerate(path) if c]
    told = [t for begin, end, _ in spans for t in range(begin, end)]
    assert told == steps and len(spans) == len(ids)
    for (begin, end, mean), label in zip(spans, ids, strict=True):
        assert all(path[t] == label for t in range(begin, end))
        assert mean == pytest.approx(log_probs[begin:end, label].mean())


def test_as_many_steps_as_are_needed_are_enough():
    log_probs = answers(3, 3, seed=2)
    assert [(begin, end) for begin, end, _ in align(log_probs, (1, 1))] == [(0, 1), (2, 3)]
    assert [(begin, end) for begin, end, _ in align(log_probs, (2, 1, 2))] == [(0, 1), (1, 2), (2, 3)]


def test_more_characters_than_steps_are_refused():
    with pytest.raises(DataError, match="more steps"):
        align(answers(2, 3), (1, 1))


def test_fusion_adds_the_language_model_and_the_bonus():
    """Every prefix ranked by log p + weight * log p_lm + bonus * length, enumerated."""
    log_probs = answers(4, 3, seed=5)
    rng = np.random.default_rng(1)
    table = {}

    def follows(ids):
        if ids not in table:
            table[ids] = np.log(rng.dirichlet(np.ones(3)))
        return table[ids]

    def scorer(prefixes):
        rows = np.array([follows(ids) for ids in prefixes])
        return rows, rows[:, 0]

    search = CtcBeamOptions(1 << 20, scorer, 0.7, 0.3)
    found = beam_search(log_probs, search, 1000)
    for one in found:
        nats = sum(follows(one.ids[:i])[c] for i, c in enumerate(one.ids)) + follows(one.ids)[0]
        expected = one.log_prob + 0.7 * nats + 0.3 * len(one.ids)
        assert one.score == pytest.approx(expected) and one.log_prob == pytest.approx(
            log_probability(log_probs, one.ids)
        )
    assert found[0].score == max(one.score for one in found)


# --- the output kind


def made(*texts, **more):
    return learn_transcript(
        [Example(None, text, PLACE) for text in texts], DataConfig(**more), ModelConfig(front="time")
    )


def test_characters_are_learnt_encoded_and_kept():
    kind = made("see  the\tsea", "a", lower=True)
    assert kind.pieces[0] == "e" and kind.stride == 2 and kind.seconds == pytest.approx(0.02)
    assert kind.text(kind.encode("The  SEA", 100).tolist()) == "the sea"
    assert kind.encode("xé", 100).tolist() == [-1, -1] and kind.text([-1]) == "\ufffd"
    assert OUTPUTS["ctc"].restore(kind.to_json()) == kind
    assert tidy(" A  b\n", lower=False) == "A b"
    for wrong in ({}, {**kind.to_json(), "stride": 0}, {**kind.to_json(), "pieces": ["a", "a"]}):
        with pytest.raises(DataError, match="damaged"):
            OUTPUTS["ctc"].restore(wrong)
    with pytest.raises(DataError, match="have no characters"):
        made(" ")


def test_pieces_of_words_are_learnt_encoded_and_kept():
    kind = made(*["the sea sees the café"] * 30, unit="subword", vocab_size=20)
    assert kind.subwords is not None and "Ġthe" in kind.pieces
    for text in ("the sea", "the café sees", "sea"):
        ids = kind.encode(f" {text}  ", 100).tolist()
        assert kind.text(ids) == text and len(ids) < len(text)
    assert kind.encode("x", 100).tolist()[-1] == -1 and "\ufffd" in kind.text([-1])
    again = OUTPUTS["ctc"].restore(kind.to_json())
    assert again == kind and again.text(kind.encode("the sea", 100).tolist()) == "the sea"
    with pytest.raises(DataError, match="damaged"):
        OUTPUTS["ctc"].restore({**kind.to_json(), "subwords": None})


def test_pieces_of_words_are_told_as_words():
    kind = made(*["sea the sees"] * 30, unit="subword", vocab_size=4)
    ids = kind.encode("the sees", 100).tolist()
    assert len(ids) > 2
    log_probs = np.log(np.full((2 * len(ids), kind.n_y), 0.01))
    log_probs[np.arange(0, 2 * len(ids), 2), ids] = 0.0
    log_probs[1::2, 0] = 0.0  # nothing in between
    said = kind.to_answer(log_probs, (), 1, {})
    assert said.text == "the sees"
    words = said.record["words"]
    assert [w["word"] for w in words] == ["the", "sees"]
    the, sees = ((word["start"], word["end"]) for word in words)
    assert 0 <= the[0] < the[1] <= sees[0] < sees[1] <= 2 * len(ids) * kind.seconds
    assert all(word["confidence"] > 0.9 for word in words)


def test_a_text_too_long_for_its_sound_is_told_with_file_and_line():
    kind = made("aab")
    kind.encode("aab", 8)  # 4 steps for a - a b
    with pytest.raises(
        DataError, match=r"said.csv:2: 3 characters in 0.06 seconds need 4 steps, but there are 3"
    ):
        kind.encode("aab", 6, PLACE)


def test_answers_tell_text_words_times_and_confidence():
    kind = Transcript((" ", "a", "b"), stride=2)
    path = [0, 2, 2, 0, 1, 3, 0, 2]
    log_probs = np.log(np.full((8, 4), 0.01))
    log_probs[np.arange(8), path] = np.log(0.97)
    said = kind.to_answer(log_probs, (), 3, {})
    assert said.text == said.record["text"] == "a ba" and len(said.record["nbest"]) == 3
    words = said.record["words"]
    assert [(w["word"], w["start"], w["end"]) for w in words] == [("a", 0.02, 0.06), ("ba", 0.1, 0.16)]
    assert all(w["confidence"] == pytest.approx(0.97) for w in words)
    assert said.record["confidence"] == pytest.approx(np.exp(log_probability(log_probs, (2, 1, 3, 2))))
    assert kind.blank().text == ""


def test_metrics_count_words_and_characters():
    kind = Transcript((" ", "a", "b"))
    sure = np.full((3, 4), -20.0)
    sure[[0, 1, 2], [2, 1, 3]] = 0.0  # says "a b"
    found = kind.figures([np.array([2, 1, 2]), np.array([2, 1, 3])], [sure, sure], {})
    assert found["wer"] == 0.25 and found["cer"] == pytest.approx(1 / 6)
    assert found["exact"] == 0.5 and found["greedy_wer"] == 0.25
    unknown = kind.figures([np.array([2, 1, -1])], [sure], {})
    assert unknown["wer"] == 0.5 and unknown["loss"] is None


def test_the_network_learns_two_texts_and_both_halves_say_them():
    spec = spec_of(n_x=2, n_y=3, n_a=8, ids=False, output="ctc")
    net = build(spec, initialise(spec, 0))
    x = torch.zeros(2, 8, 2)
    x[0, :4, 0] = x[0, 4:, 1] = x[1, :4, 1] = x[1, 4:, 0] = 1.0
    y, lengths = torch.tensor([[1, 2], [2, 1]]), torch.tensor([8, 8])
    optimizer = torch.optim.Adam(net.parameters(), 0.05)
    for _ in range(60):
        optimizer.zero_grad()
        nats, count, _ = net.loss(x, y, lengths)
        (nats / count).backward()
        optimizer.step()
    assert count == 4 and float(nats.detach()) < 0.2
    engine = NumpyEngine(spec, {k: v.detach().numpy() for k, v in net.weights().items()})
    answers, _ = engine.run(x.numpy(), np.array([8, 8]))
    assert [best_path(row) for row in answers] == [(1, 2), (2, 1)]
