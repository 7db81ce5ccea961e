"""The CRF against all paths written out, against slopes of the log-partition, and alone against in a batch."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.tolerances import rounding
from unrolled.core.errors import DataError, NonFiniteError, UsageError
from unrolled.models.decoding.crf import (
    Allowed,
    Chain,
    chain,
    constraints,
    expectations,
    log_partition,
    log_partitions,
    marginals,
    marginals_batch,
    path_score,
    viterbi,
    viterbi_batch,
)
from unrolled.tasks.metrics.spans import SCHEMES, find_bad

INF = math.inf


def all_paths(e: np.ndarray, c: Chain) -> list[tuple[float, tuple[int, ...]]]:
    """Every sequence that is allowed with its score, best first, equals by their tags from the last one back."""
    found = []
    for path in itertools.product(range(len(c.begin)), repeat=len(e)):
        total = c.begin[path[0]] + c.end[path[-1]] if path else 0.0
        total += sum(e[t, tag] for t, tag in enumerate(path))
        total += sum(c.transitions[pair] for pair in itertools.pairwise(path))
        if total > -INF:
            found.append((float(total), path))
    return sorted(found, key=lambda one: (-one[0], one[1][::-1]))


def log_sum(values: list[float]) -> float:
    return max(values) + math.log(math.fsum(math.exp(value - max(values)) for value in values))


@st.composite
def problems(draw: Any, scales: tuple[int, ...] = (1, 300, 10_000)) -> tuple[np.ndarray, Chain]:
    """Whole numbers times a scale, so that sums are exact and ties are frequent; some transitions forbidden."""
    n = draw(st.integers(1, 4))
    steps, scale = draw(st.integers(0, 5 if n < 4 else 4)), draw(st.sampled_from(scales))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    forbidden = draw(st.sampled_from([0.0, 0.2, 0.5]))

    def scores(*shape: int) -> np.ndarray:
        values = rng.integers(-3, 4, shape) * float(scale)
        return np.where(rng.random(shape) < forbidden, -INF, values)

    e = rng.integers(-3, 4, (steps, n)) * float(scale)
    return e, Chain(scores(n, n), scores(n), scores(n))


@settings(max_examples=300)
@given(problems())
def test_everything_is_as_with_all_paths_written_out(problem):
    e, c = problem
    paths = all_paths(e, c)
    if not paths:
        for ask in (log_partition, viterbi, marginals):
            with pytest.raises(DataError, match="no sequence of"):
                ask(e, c)
        return
    log_z = log_sum([score for score, _ in paths])
    assert log_partition(e, c) == pytest.approx(log_z, rel=1e-13, abs=1e-12)
    tags, best = viterbi(e, c)
    assert (best, tuple(tags.tolist())) == paths[0]
    assert path_score(e, tags, c) == best
    expected = np.zeros(e.shape)
    for score, path in paths:
        expected[np.arange(len(e)), list(path)] += math.exp(score - log_z)
    size = max(abs(score) for score, _ in paths)
    np.testing.assert_allclose(marginals(e, c), expected, rtol=1e-9, atol=rounding(size))


@settings(max_examples=100)
@given(problems())
def test_expected_pairs_are_those_of_all_paths(problem):
    e, c = problem
    paths = all_paths(e, c)
    if not paths:
        return
    log_z, expected = log_sum([score for score, _ in paths]), np.zeros(c.transitions.shape)
    for score, path in paths:
        for pair in itertools.pairwise(path):
            expected[pair] += math.exp(score - log_z)
    found = expectations(e[None], np.array([len(e)]), c)
    size = max(abs(score) for score, _ in paths)
    np.testing.assert_allclose(found.pairs, expected, rtol=1e-9, atol=rounding(size))
    np.testing.assert_array_equal(found.tags[0], marginals(e, c))
    assert found.log_partition[0] == log_partition(e, c)


def random_problem(seed: int, n: int, steps: int, spread: float = 1.0) -> tuple[np.ndarray, Chain]:
    rng = np.random.default_rng(seed)
    parts = [rng.normal(size=shape) * spread for shape in ((steps, n), (n, n), n, n)]
    return parts[0], Chain(*parts[1:])


def test_marginals_are_the_slopes_of_the_log_partition():
    e, c = random_problem(1, 5, 7)
    found = expectations(e[None], np.array([7]), c)
    h = 1e-5
    for t, j in itertools.product(range(7), range(5)):
        step = np.zeros(e.shape)
        step[t, j] = h
        slope = (log_partition(e + step, c) - log_partition(e - step, c)) / (2 * h)
        assert found.tags[0, t, j] == pytest.approx(slope, abs=1e-9)
    for i, j in itertools.product(range(5), range(5)):
        step = np.zeros((5, 5))
        step[i, j] = h
        up, down = (Chain(c.transitions + sign * step, c.begin, c.end) for sign in (1, -1))
        slope = (log_partition(e, up) - log_partition(e, down)) / (2 * h)
        assert found.pairs[i, j] == pytest.approx(slope, abs=1e-9)


@settings(max_examples=40)
@given(st.integers(0, 2**32), st.integers(1, 33), st.sampled_from([0.1, 3.0, 400.0, 1e4]))
def test_alone_is_in_a_batch_to_the_bit(seed, n, spread):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 9, rng.integers(1, 7))
    steps = int(lengths.max()) + int(rng.integers(0, 3))
    e = rng.normal(size=(len(lengths), steps, n)) * spread
    e[0] *= 0.01  # a row whose sums take the other way than its neighbours'
    _, c = random_problem(seed + 1, n, 0, spread)
    beyond = np.arange(steps) >= lengths[:, None]
    e[beyond] = np.nan
    log_z, p = log_partitions(e, lengths, c), marginals_batch(e, lengths, c)
    tags, best = viterbi_batch(e, lengths, c)
    for i, length in enumerate(lengths):
        alone = e[i, :length]
        assert log_partition(alone, c) == log_z[i]
        np.testing.assert_array_equal(marginals(alone, c), p[i, :length])
        path, score = viterbi(alone, c)
        assert score == best[i]
        assert path.tolist() == tags[i, :length].tolist()
    assert (p[beyond] == 0).all()
    assert (tags[beyond] == -1).all()
    assert (tags[~beyond] >= 0).all()


def test_long_sentences_and_large_scores_stay_right():
    # Equal scores have a closed form: n^T paths of one score.
    steps, n = 5000, 6
    c = Chain(np.full((n, n), 1e4), np.full(n, -1e4), np.full(n, 1e4))
    e = np.full((steps, n), -1e4)
    expected = steps * math.log(n) - 1e4 * steps + 1e4 * (steps - 1)
    assert log_partition(e, c) == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(marginals(e, c), 1 / n, rtol=1e-12)
    # The best start is a dead end, 20,000 nats down: what looked impossible for a while wins.
    e = np.array([[1e4, 0.0], [0, 0], [0, 0]])
    c = Chain(np.array([[-2e4, -2e4], [-INF, 0]]), np.zeros(2), np.zeros(2))
    assert log_partition(e, c) == 0.0
    assert viterbi(e, c)[0].tolist() == [1, 1, 1]
    np.testing.assert_array_equal(marginals(e, c), [[0, 1], [0, 1], [0, 1]])


def test_no_step_and_one_step():
    e, c = random_problem(3, 4, 1)
    one = e[0] + c.begin + c.end
    assert viterbi(e, c)[0].tolist() == [int(one.argmax())]
    assert log_partition(e, c) == pytest.approx(log_sum(one.tolist()))
    np.testing.assert_allclose(marginals(e, c)[0], np.exp(one - log_sum(one.tolist())), rtol=1e-12)
    nothing = np.zeros((0, 4))
    assert log_partition(nothing, c) == 0
    assert viterbi(nothing, c)[0].shape == (0,)
    assert viterbi(nothing, c)[1] == path_score(nothing, [], c) == 0
    assert marginals(nothing, c).shape == (0, 4)
    assert marginals_batch(np.zeros((0, 3, 4)), np.zeros(0, dtype=np.int64), c).shape == (0, 3, 4)


def test_float32_scores_are_summed_in_float64():
    e, c = random_problem(4, 6, 20)
    single = chain(*(part.astype(np.float32) for part in (c.transitions, c.begin, c.end)))
    assert single.transitions.dtype == np.float64
    low = e.astype(np.float32)
    assert log_partition(low, single) == log_partition(low.astype(np.float64), single)
    assert marginals(low, single).dtype == np.float64


TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "E-PER", "S-PER", "E-LOC", "S-LOC")


def legal(scheme: str, tags: tuple[str, ...]) -> tuple[set[str], list[str], list[str]]:
    may = constraints(tags, scheme)
    pairs = {f"{tags[i]} {tags[j]}" for i, j in np.argwhere(may.transitions)}
    return pairs, [tags[i] for i in np.flatnonzero(may.begin)], [tags[i] for i in np.flatnonzero(may.end)]


def test_constraints_by_hand():
    pairs, begin, end = legal("bio", ("O", "B-A", "I-A", "I-B"))
    assert pairs == {"O O", "O B-A", "B-A O", "B-A B-A", "B-A I-A", "I-A O", "I-A B-A", "I-A I-A",
                     "I-B O", "I-B B-A", "I-B I-B"}  # fmt: skip
    assert begin == ["O", "B-A"]
    assert end == ["O", "B-A", "I-A", "I-B"]
    pairs, begin, end = legal("bioes", ("O", "B-A", "I-A", "E-A", "S-A", "E-B"))
    starts = {"O", "B-A", "S-A"}
    assert pairs == {f"{a} {b}" for a in ("O", "E-A", "S-A", "E-B") for b in starts} | {
        f"{a} {b}" for a in ("B-A", "I-A") for b in ("I-A", "E-A")
    }
    assert set(begin) == starts
    assert end == ["O", "E-A", "S-A", "E-B"]
    assert legal("bioes", ("O", "B", "I", "L", "U"))[2] == ["O", "L", "U"]
    pairs, begin, end = legal("iob1", ("O", "B-A", "I-A", "I-B"))
    every = {f"{a} {b}" for a in ("O", "B-A", "I-A", "I-B") for b in ("O", "B-A", "I-A", "I-B")}
    assert every - pairs == {"O B-A", "I-B B-A"}
    assert begin == ["O", "I-A", "I-B"]
    assert len(end) == 4
    everything = constraints(("NOUN", "VERB"), "none")
    assert everything.transitions.all() and everything.begin.all() and everything.end.all()
    with pytest.raises(UsageError, match="unknown tagging scheme 'iobes'"):
        constraints(("O",), "iobes")
    with pytest.raises(DataError, match="'E-A' is not a tag of the scheme bio"):
        constraints(("O", "E-A"), "bio")


@given(st.sampled_from(SCHEMES), st.lists(st.integers(0, 8), min_size=1, max_size=6))
def test_constraints_forbid_exactly_what_the_data_doctor_finds(scheme, path):
    tags = TAGS if scheme == "bioes" else TAGS[:5]
    path = [tag % len(tags) for tag in path]
    scores = chain(
        np.zeros((len(tags),) * 2), np.zeros(len(tags)), np.zeros(len(tags)), constraints(tags, scheme)
    )
    fine = path_score(np.zeros((len(path), len(tags))), path, scores) == 0
    assert fine == (find_bad([tags[i] for i in path], scheme) == [])


@given(st.integers(0, 2**32), st.sampled_from(SCHEMES[:3]), st.integers(1, 12))
def test_decoded_tags_obey_the_scheme(seed, scheme, steps):
    tags = TAGS if scheme == "bioes" else TAGS[:5]
    e, c = random_problem(seed, len(tags), steps, 5.0)
    c = chain(c.transitions, c.begin, c.end, constraints(tags, scheme))
    assert find_bad([tags[i] for i in viterbi(e, c)[0]], scheme) == []
    p = marginals(e, c)
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-12)
    assert (p[0, 2] == 0) == (scheme != "iob1"), "only there can I-PER come first"


def test_what_cannot_be_is_refused_with_its_reason():
    open_only = constraints(("B-A", "E-A"), "bioes")
    c = chain(np.zeros((2, 2)), np.zeros(2), np.zeros(2), open_only)
    assert viterbi(np.zeros((2, 2)), c)[0].tolist() == [0, 1]
    with pytest.raises(
        DataError, match=r"no sequence of 1 tag is allowed for item 1: no possible tag of the last step"
    ):
        viterbi(np.zeros((1, 2)), c)
    with pytest.raises(
        DataError, match=r"no sequence of 3 tags is allowed for item 2: no tag is allowed at step 3"
    ):
        log_partitions(np.array([[[0.0, 0]] * 3, [[0, 0], [0, 0], [-INF, -INF]]]), np.array([2, 3]), c)


def test_wrong_scores_and_shapes_are_refused():
    e, c = random_problem(0, 3, 2)
    for broken in (np.nan, np.inf):
        with pytest.raises(NonFiniteError, match="model's scores"):
            viterbi(np.where(np.arange(3) == 1, broken, e), c)
        with pytest.raises(NonFiniteError, match="transition scores"):
            Chain(c.transitions, np.full(3, broken), c.end)
    with pytest.raises(UsageError, match="shapes"):
        Chain(np.zeros((3, 2)), np.zeros(3), np.zeros(3))
    with pytest.raises(UsageError, match="shapes"):
        viterbi(np.zeros((2, 4)), c)
    with pytest.raises(UsageError, match="lengths are 3 to 3"):
        log_partitions(e[None], np.array([3]), c)
    with pytest.raises(UsageError, match="constraints for 2 tags, but scores for 3"):
        yes = np.ones((2, 2), dtype=np.bool_)
        chain(c.transitions, c.begin, c.end, Allowed(yes, yes[0], yes[0]))
    with pytest.raises(UsageError, match="1 tags for 2 steps"):
        path_score(e, [0], c)
