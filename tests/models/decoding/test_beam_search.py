"""Beam search and sampling: against exhaustion and greed, alone and in company, on a made-up network of few outputs."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unrolled.core.errors import NonFiniteError, UsageError
from unrolled.models.decoding.beam_search import BeamOptions, Hypothesis, search
from unrolled.models.decoding.forced_decoding import forced_decode
from unrolled.models.decoding.sampling import SamplingOptions, sample_rows
from unrolled.models.engines import best

N_Y, EOS = 4, 1


@dataclass(frozen=True)
class Table:
    """Log-probabilities as a function of all that was written: a state is the seed of a sequence and its ids."""

    sharpness: float = 1.0

    def begin(self, seeds: list[int]) -> Any:
        return [(seed, ()) for seed in seeds]

    def log_probs(self, seed: int, ids: tuple[int, ...]) -> Any:
        z = np.random.default_rng([seed, *ids]).standard_normal(N_Y) * self.sharpness
        return z - np.log(np.exp(z).sum())

    def step(self, state: Any, x: Any, k: int | None = None) -> Any:
        after = [
            (seed, (*ids, last) if last >= 0 else ids)
            for (seed, ids), last in zip(state, x.tolist(), strict=True)
        ]
        rows = np.array([self.log_probs(seed, ids) for seed, ids in after])
        return *best(rows, k), after

    def take(self, state: Any, rows: Any) -> Any:
        return [state[row] for row in rows.tolist()]

    def attention(self, state: Any) -> Any:
        return [np.array([len(ids), 1.0]) for _, ids in state]

    def cost(self, seed: int, ids: tuple[int, ...]) -> float:
        return sum(float(self.log_probs(seed, ids[:t])[one]) for t, one in enumerate(ids))


def every(limit: int) -> list[tuple[int, ...]]:
    """All answers of at most so many ids."""
    written = [number for number in range(N_Y) if number != EOS]
    return [ids for length in range(limit + 1) for ids in itertools.product(written, repeat=length)]


@given(st.integers(0, 10_000), st.sampled_from((0.0, 0.5, 1.0)), st.integers(1, 5))
def test_a_beam_that_holds_all_finds_the_best_of_all(seed: int, penalty: float, nbest: int) -> None:
    table, limit = Table(), 3
    ranked = sorted(
        ((table.cost(seed, (*ids, EOS)) / (len(ids) + 1) ** penalty, ids) for ids in every(limit)),
        reverse=True,
    )
    how = BeamOptions(beam=len(ranked), nbest=nbest, length_penalty=penalty)
    (found,) = search(table, table.begin([seed]), np.array([limit]), how)
    assert [one.ids for one in found] == [ids for _, ids in ranked[:nbest]]
    assert np.allclose([one.score for one in found], [score for score, _ in ranked[:nbest]])
    assert all(one.closed for one in found)


@given(st.integers(0, 10_000), st.integers(1, 5), st.sampled_from((0.0, 0.6, 1.0, 2.0)), st.integers(0, 9))
def test_the_best_answer_is_the_same_however_many_are_asked_for(
    seed: int, beam: int, penalty: float, limit: int
) -> None:
    table = Table(1.5)
    ((best,),) = search(
        table, table.begin([seed]), np.array([limit]), BeamOptions(beam=beam, length_penalty=penalty)
    )
    for nbest in (2, beam, beam + 3, 12):
        how = BeamOptions(beam=beam, nbest=nbest, length_penalty=penalty)
        (several,) = search(table, table.begin([seed]), np.array([limit]), how)
        closed = [one.score for one in several if one.closed]
        assert several[0] == best and len(several) <= nbest
        assert closed == sorted(closed, reverse=True) and len(
            {(one.ids, one.closed) for one in several}
        ) == len(several)


@dataclass(frozen=True)
class Counted(Table):
    """Remembers how many rows each step had."""

    steps: list[int] = field(default_factory=list)

    def step(self, state: Any, x: Any, k: int | None = None) -> Any:
        self.steps.append(len(x))
        return super().step(state, x, k)


def test_as_many_answers_as_the_beam_is_wide_take_hardly_more_steps_than_one() -> None:
    """A step more here and there, until as many answers closed; not until the order of all of them is settled."""
    steps: list[int] = []
    for nbest in (1, 2, 4):
        table = Counted(1.5)
        for seed in range(40):
            search(table, table.begin([seed]), np.array([30]), BeamOptions(beam=4, nbest=nbest))
        steps.append(len(table.steps))
    assert steps[0] <= steps[1] <= steps[2] <= 1.1 * steps[0]


@given(st.integers(0, 10_000), st.integers(0, 6))
def test_a_beam_of_one_is_greed(seed: int, limit: int) -> None:
    table, ids = Table(), list[int]()
    closed = False
    while not closed and len(ids) <= limit:
        chosen = int(table.log_probs(seed, tuple(ids)).argmax())
        closed = chosen == EOS
        ids.append(chosen)
    (found,) = search(table, table.begin([seed]), np.array([limit]), BeamOptions(beam=1))
    cut = tuple(ids[:limit])
    asked = Hypothesis(tuple(ids[:-1]) if closed else cut, 0, 0, closed)
    assert (found[0].ids, found[0].closed) == (asked.ids, asked.closed)
    whole = (*found[0].ids, EOS) if closed else cut
    assert math.isclose(found[0].log_probability, table.cost(seed, whole), abs_tol=1e-12)


@given(
    st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 6)), min_size=1, max_size=6), st.integers(1, 5)
)
def test_company_changes_nothing(asked: list[tuple[int, int]], beam: int) -> None:
    table, how = Table(2.0), BeamOptions(beam=beam, nbest=beam)
    together = search(table, table.begin([seed for seed, _ in asked]), np.array([n for _, n in asked]), how)
    alone = [search(table, table.begin([seed]), np.array([n]), how)[0] for seed, n in asked]
    assert together == alone
    assert all(len(one.ids) <= n for several, (_, n) in zip(together, asked, strict=True) for one in several)


def test_a_wider_beam_is_seldom_worse_and_banned_ids_are_not_written() -> None:
    table, limits = Table(), np.full(40, 6)
    wide = (BeamOptions(beam=beam, length_penalty=0) for beam in (1, 2, 8))
    found = [search(table, table.begin([*range(40)]), limits, how) for how in wide]
    scores = [np.mean([one[0].score for one in several]) for several in found]
    assert scores[0] < scores[1] < scores[2]
    banned = search(table, table.begin([*range(40)]), limits, BeamOptions(beam=3, banned=(0, 2)))
    assert {number for several in banned for one in several for number in one.ids} <= {3}


@pytest.mark.parametrize("banned", [(0,), (0, 2), (2, 3), (0, 2, 3)])
def test_a_beam_of_one_with_banned_ids_is_greed_among_the_others(banned: tuple[int, ...]) -> None:
    """However probable the banned ids are, enough of the others are asked for."""
    table = Table()
    for seed in range(20):
        ids: tuple[int, ...] = ()
        while not ids or (ids[-1] != EOS and len(ids) < 4):
            log_probs = table.log_probs(seed, ids)
            log_probs[list(banned)] = -np.inf
            ids = (*ids, int(log_probs.argmax()))
        ((found,),) = search(table, table.begin([seed]), np.array([4]), BeamOptions(beam=1, banned=banned))
        assert found.ids == tuple(number for number in ids if number != EOS)


@dataclass(frozen=True)
class Sure(Table):
    """Goes on with 3 nearly surely until it has five, then closes."""

    def log_probs(self, seed: int, ids: tuple[int, ...]) -> Any:
        p = np.full(N_Y, 1e-4)
        p[3 if len(ids) < 5 else EOS] = 1 - 3e-4
        return np.log(p)


def test_what_closes_early_and_is_worth_little_ends_no_search() -> None:
    for beam in (1, 2, 4, 6):
        ((found,),) = search(Sure(), Sure().begin([0]), np.array([9]), BeamOptions(beam=beam))
        assert found.ids == (3,) * 5 and found.closed


def test_what_cannot_be_searched() -> None:
    for wrong in ({"beam": 0}, {"nbest": 0}, {"length_penalty": -1.0}):
        with pytest.raises(UsageError):
            BeamOptions(**wrong)
    assert BeamOptions(beam=10_000, nbest=10_000, length_penalty=10.0).beam == 10_000
    for wrong in ({"beam": 10_001}, {"nbest": 10_001}, {"length_penalty": 10.5}):
        with pytest.raises(UsageError):
            BeamOptions(**wrong)
    with pytest.raises(NonFiniteError):
        search(Table(math.nan), [(0, ())], np.array([3]), BeamOptions())
    assert search(Table(), [], np.zeros(0, np.int64), BeamOptions()) == []


def test_samples_have_chance_of_their_own_and_the_network_s_distribution() -> None:
    table, settings = Table(), SamplingOptions(stop=EOS)
    rngs = [np.random.default_rng(i) for i in range(800)]
    drawn = sample_rows(table, table.begin([5] * 800), rngs, [3] * 800, settings)
    first = np.bincount([one.ids[0] if one.ids else EOS for one in drawn], minlength=N_Y) / 800
    assert np.abs(first - np.exp(table.log_probs(5, ()))).max() < 0.06
    alone = sample_rows(table, table.begin([5]), [np.random.default_rng(7)], [3], settings)
    assert alone[0] == drawn[7]
    for one in drawn[:50]:
        assert math.isclose(
            one.log_probability, table.cost(5, (*one.ids, *([EOS] * one.closed))), abs_tol=1e-9
        )
        assert one.closed or len(one.ids) == 3
    cold = sample_rows(table, table.begin([5]), rngs[:1], [3], SamplingOptions(temperature=0.0, stop=EOS))
    assert cold[0].ids == search(table, table.begin([5]), np.array([3]), BeamOptions(beam=1))[0][0].ids


def test_following_an_answer_tells_what_it_costs() -> None:
    table, answers = Table(), [(0, 2, EOS), (3, EOS)]
    found = forced_decode(table, table.begin([1, 2]), answers)
    for path, seed, ids in zip(found, (1, 2), answers, strict=True):
        assert math.isclose(float(path.log_probs.sum()), table.cost(seed, ids), abs_tol=1e-12)
        assert path.weights[:, 0].tolist() == [*range(len(ids))]
