"""Beam search and sampling over many sequences at once, for any network that runs step by step.

What is searched has `step(state, ids, k)` and `take(state, rows)`: an encoder-decoder, or a language model. A row is
one hypothesis of one sequence; those of a sequence stand together, and sequences that are done leave.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import NonFiniteError, UsageError
from unrolled.core.types import ZERO_INPUT_ID, Array, Integers
from unrolled.models.decoding import S, Searched

F64 = NDArray[np.float64]
Ids = NDArray[np.int64]


@dataclass(frozen=True)
class BeamOptions:
    """How an answer is looked for.

    beam: hypotheses kept of each sequence; 1 is the greedy answer.  nbest: how many are handed out.
    length_penalty: hypotheses compare by log-probability / length^penalty (Wu et al., arXiv 1609.08144v2, without their
    constant); 0 compares the log-probabilities themselves, and so likes short answers.  stop: the id that closes an
    answer.  banned: ids never written.  Raises UsageError for what cannot be.
    """

    beam: int = 4
    nbest: int = 1
    length_penalty: float = 1.0
    stop: int = 1
    banned: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.beam <= 10_000:
            raise UsageError(f"a beam of {self.beam}", expected="1 to 10,000")
        if not 1 <= self.nbest <= 10_000:
            raise UsageError(f"the {self.nbest} best", expected="1 to 10,000")
        if not 0 <= self.length_penalty <= 10:
            raise UsageError(f"a length penalty of {self.length_penalty}", expected="0 to 10")


@dataclass(frozen=True)
class Hypothesis:
    """An answer: its ids without the closing one, its log-probability with it, and the score it was chosen by.
    closed: whether it came to its end; else the limit cut it."""

    ids: tuple[int, ...]
    log_probability: float
    score: float
    closed: bool = True


@dataclass
class _Found:
    """What was found for one sequence, in the order it was found. ceiling: the score of the best answer, once a search
    for that alone would be done."""

    closed: list[Hypothesis] = field(default_factory=list)
    cut: list[Hypothesis] = field(default_factory=list)
    ceiling: float = np.inf

    def close(self, one: Hypothesis) -> None:
        """Keep an answer that came to its end, unless it would change which is the best after that was settled."""
        if one.score <= self.ceiling:
            self.closed.append(one)

    def best(self, count: int) -> list[Hypothesis]:
        """Those that closed, and only where they are too few those that the limit cut; of equals the first found."""
        ranked = sorted(self.closed, key=lambda one: -one.score)[:count]
        return ranked + sorted(self.cut, key=lambda one: -one.score)[: count - len(ranked)]


@dataclass(frozen=True)
class _Trail:
    """Which way every row came: for each step the row before and the id written, [rows] each."""

    steps: list[tuple[Ids, Ids]] = field(default_factory=list)

    def ids(self, row: int) -> tuple[int, ...]:
        """What a row of the last step has written."""
        found: list[int] = []
        for before, written in reversed(self.steps):
            found.append(int(written[row]))
            row = int(before[row])
        return tuple(reversed(found))


def search(engine: Searched[S], state: S, limits: Integers, how: BeamOptions) -> list[list[Hypothesis]]:
    """The `how.nbest` best answers to each sequence, best first: state, a row a sequence, before the first y.

    limits: [sequences] the most ids an answer may have, its closing one not counted. A hypothesis that closes among
    the `beam` best of a step is kept, and others go on in its place; a sequence ends at its limit, or when `_done`
    says so. Fewer answers than nbest come where fewer can be written. The best answer depends on the beam, not on
    nbest. Raises NonFiniteError for a network that gives NaN.
    """
    limits = np.asarray(limits, np.int64)
    found = [_Found() for _ in limits]
    alive = np.arange(len(limits))
    scores: F64 = np.zeros((len(limits), 1))  # [sequences alive, hypotheses]
    ids: Ids = np.full(len(limits), ZERO_INPUT_ID, np.int64)
    trail = _Trail()
    while len(alive):
        sums, written, state = _candidates(engine, state, ids, scores, how)
        ranks = _Ranks.of(sums, written)
        closing = ranks.ids == how.stop
        for sequence, place in np.argwhere(
            closing[:, : how.beam] & (ranks.scores[:, : how.beam] > -np.inf)
        ).tolist():
            row, score = int(ranks.rows[sequence, place]), float(ranks.scores[sequence, place])
            found[alive[sequence]].close(_hypothesis(trail.ids(row), score, how, closed=True))
        going = ranks.first(~closing, how.beam)
        length = len(trail.steps)
        keep: list[int] = []
        for sequence, number in enumerate(alive.tolist()):
            if length >= limits[number]:
                width = scores.shape[1]
                found[number].cut += [
                    _hypothesis(trail.ids(sequence * width + place), score, how, closed=False)
                    for place, score in enumerate(scores[sequence].tolist())
                    if score > -np.inf
                ]
            elif not _done(
                found[number], float(going.scores[sequence].max()), length, int(limits[number]), how
            ):
                keep.append(sequence)
        scores, rows, ids = going.scores[keep], going.rows[keep].reshape(-1), going.ids[keep].reshape(-1)
        trail.steps.append((rows, ids))
        state, alive = engine.take(state, rows), alive[keep]
    return [one.best(how.nbest) for one in found]


def _candidates(engine: Searched[S], state: S, ids: Ids, scores: F64, how: BeamOptions) -> tuple[F64, Ids, S]:
    """The best continuations of all hypotheses of each sequence: sums of log-probabilities [sequences, hypotheses, k],
    ids the same, and the state after."""
    # So many of a row suffice: `beam` that go on, the closing one, and those that are banned.
    log_probs, written, state = engine.step(state, ids, how.beam + 1 + len(how.banned))
    log_probs = np.asarray(log_probs, np.float64)
    if np.isnan(log_probs).any():
        raise NonFiniteError("the model's probabilities are not numbers")
    if how.banned:
        log_probs = np.where(np.isin(written, how.banned), -np.inf, log_probs)
    sums = scores[:, :, None] + log_probs.reshape(*scores.shape, -1)
    return sums, np.asarray(written, np.int64).reshape(sums.shape), state


@dataclass(frozen=True)
class _Ranks:
    """Candidates of each sequence, best first, [sequences, candidates] each: their scores, the rows they go on from,
    and the ids they write."""

    scores: F64
    rows: Ids
    ids: Ids

    @staticmethod
    def of(sums: F64, written: Ids) -> _Ranks:
        """[sequences, hypotheses, k] of each."""
        sequences, width, k = sums.shape
        flat = sums.reshape(sequences, -1)
        order = np.argsort(-flat, axis=1, kind="stable")
        rows = order // k + np.arange(sequences)[:, None] * width
        return _Ranks(_at(flat, order), rows, _at(written.reshape(sequences, -1), order))

    def first(self, which: NDArray[np.bool_], count: int) -> _Ranks:
        """The first `count` of those; where there are fewer, others follow with a score of -inf."""
        order = np.argsort(~which, axis=1, kind="stable")[:, :count]
        scores = np.where(_at(which, order), _at(self.scores, order), -np.inf)
        return _Ranks(scores, _at(self.rows, order), _at(self.ids, order))


def _at(a: Array, order: Ids) -> Array:
    return np.take_along_axis(a, order, 1)


def _hypothesis(
    ids: tuple[int, ...], log_probability: float, how: BeamOptions, *, closed: bool
) -> Hypothesis:
    length = max(1, len(ids) + closed)
    return Hypothesis(ids, log_probability, log_probability / length**how.length_penalty, closed)


def _done(found: _Found, best: float, length: int, limit: int, how: BeamOptions) -> bool:
    """Whether a sequence is done: best is the highest log-probability of what goes on, `length` ids before the one
    that was just chosen.

    The best answer is settled when none that goes on can pass it: the longer the answer, the less a loss weighs, so
    this looks at the limit. Once as many closed as the beam is wide it is enough that what goes on is worse by now:
    answers of little worth close early beside a good one that is long, and must not end its search. `nbest` has no
    part in this, so the best answer is the same however many are asked for.
    """
    if best == -np.inf:
        return True
    scores = sorted((one.score for one in found.closed), reverse=True)
    if not scores:
        return False
    full = len(scores) >= how.beam
    bound = best / ((length if full else limit) + 1) ** how.length_penalty
    if bound <= scores[0]:
        found.ceiling = min(found.ceiling, scores[0])
    if full and how.nbest <= how.beam:
        return bound <= scores[0]
    return len(scores) >= how.nbest and bound <= scores[how.nbest - 1]
