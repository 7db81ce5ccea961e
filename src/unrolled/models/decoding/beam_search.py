"""Beam search over many sequences at once, for any network that runs step by step.

The network, an encoder-decoder or a language model, needs `step(state, ids, k)` and `take(state, rows)`. Each
row of the state is one hypothesis of one sequence. The rows of a sequence are adjacent. Finished sequences
are removed.
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
    """Options of the beam search.

    beam: number of hypotheses kept per sequence. 1 is greedy decoding.
    nbest: number of answers returned per sequence.
    length_penalty: hypotheses are compared by log-probability / length^penalty (Wu et al., arXiv
        1609.08144v2, without their constant). 0 compares the log-probabilities, which prefers short answers.
    stop: the id of EOS, which ends an answer.
    banned: ids that are never written.

    Raises UsageError for values out of range.
    """

    beam: int = 4
    nbest: int = 1
    length_penalty: float = 1.0
    stop: int = 1
    banned: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.beam <= 10_000:
            raise UsageError(f"beam is {self.beam}", expected="1 to 10,000")
        if not 1 <= self.nbest <= 10_000:
            raise UsageError(f"nbest is {self.nbest}", expected="1 to 10,000")
        if not 0 <= self.length_penalty <= 10:
            raise UsageError(f"length_penalty is {self.length_penalty}", expected="0 to 10")


@dataclass(frozen=True)
class Hypothesis:
    """An answer.

    ids: without EOS.
    log_probability: of the answer including EOS.
    score: the value by which answers are ranked.
    closed: whether the answer ended with EOS. If not, the length limit cut it.
    """

    ids: tuple[int, ...]
    log_probability: float
    score: float
    closed: bool = True


@dataclass
class _Found:
    """The answers found for one sequence, in the order in which they were found.

    closed: answers that ended with EOS.
    cut: answers that the length limit cut.
    ceiling: infinite at first. When a search with nbest = 1 would end, it becomes the score of the best answer.
    """

    closed: list[Hypothesis] = field(default_factory=list)
    cut: list[Hypothesis] = field(default_factory=list)
    ceiling: float = np.inf

    def close(self, one: Hypothesis) -> None:
        """Store an answer that ended with EOS.

        It is dropped if its score exceeds `ceiling`, so that the best answer does not depend on nbest.
        """
        if one.score <= self.ceiling:
            self.closed.append(one)

    def best(self, count: int) -> list[Hypothesis]:
        """Return up to `count` answers: first those with EOS, then those that the length limit cut.

        Each group is ordered by score, ties in the order in which they were found.
        """
        ranked = sorted(self.closed, key=lambda one: -one.score)[:count]
        return ranked + sorted(self.cut, key=lambda one: -one.score)[: count - len(ranked)]


@dataclass(frozen=True)
class _Trail:
    """The back-pointers: for each step, the previous row and the written id of every row, [rows] each."""

    steps: list[tuple[Ids, Ids]] = field(default_factory=list)

    def ids(self, row: int) -> tuple[int, ...]:
        """Return the ids that the hypothesis in `row` of the last step has written."""
        found: list[int] = []
        for before, written in reversed(self.steps):
            found.append(int(written[row]))
            row = int(before[row])
        return tuple(reversed(found))


def search(engine: Searched[S], state: S, limits: Integers, how: BeamOptions) -> list[list[Hypothesis]]:
    """Return the `how.nbest` best answers to each sequence, the best first.

    state: the state before the first y, one row per sequence.
    limits: [sequences], the maximum number of ids of each answer, without EOS.

    If a hypothesis among the `beam` best of a step ends with EOS, it is stored, and the next best hypothesis
    takes its place. The search of a sequence ends at its limit, or when `_done` returns true. There are fewer
    answers than nbest if fewer are possible. The best answer depends on the beam, but not on nbest. Raises
    NonFiniteError if the network returns NaN.
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
    """Return the best continuations of all hypotheses of each sequence, and the new state.

    They are sums of log-probabilities [sequences, hypotheses, k], and ids of the same shape.
    """
    # The best `beam` + 1 + len(banned) ids of a row are enough: at most 1 is EOS and len(banned) are banned.
    log_probs, written, state = engine.step(state, ids, how.beam + 1 + len(how.banned))
    log_probs = np.asarray(log_probs, np.float64)
    if np.isnan(log_probs).any():
        raise NonFiniteError("the model's log-probabilities are NaN")
    if how.banned:
        log_probs = np.where(np.isin(written, how.banned), -np.inf, log_probs)
    sums = scores[:, :, None] + log_probs.reshape(*scores.shape, -1)
    return sums, np.asarray(written, np.int64).reshape(sums.shape), state


@dataclass(frozen=True)
class _Ranks:
    """The candidates of each sequence, best first. Each array is [sequences, candidates].

    scores: their scores. rows: the rows of the hypotheses that they continue. ids: the ids that they write.
    """

    scores: F64
    rows: Ids
    ids: Ids

    @staticmethod
    def of(sums: F64, written: Ids) -> _Ranks:
        """Rank all candidates of each sequence. Both arguments are [sequences, hypotheses, k]."""
        sequences, width, k = sums.shape
        flat = sums.reshape(sequences, -1)
        order = np.argsort(-flat, axis=1, kind="stable")
        rows = order // k + np.arange(sequences)[:, None] * width
        return _Ranks(_at(flat, order), rows, _at(written.reshape(sequences, -1), order))

    def first(self, which: NDArray[np.bool_], count: int) -> _Ranks:
        """Return the best `count` candidates for which `which` is true.

        If there are fewer, other candidates with a score of -inf follow.
        """
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
    """Return whether the search of a sequence is finished.

    best: the highest log-probability of the active hypotheses.
    length: number of ids before the one that was just chosen.

    The best answer is final when no active hypothesis can exceed its score. The length penalty favours long
    answers, so the highest possible score of an active hypothesis is the one at the length limit.

    Once `beam` answers have ended, the score at the current length is used instead. It must not be used
    earlier: poor short answers often end first, and would stop the search for a good long answer.

    `nbest` does not affect when the best answer is final. So the best answer is the same for every nbest.
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
