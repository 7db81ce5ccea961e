"""Decoding of a linear-chain CRF: the best tags of a sentence, the k best, and their probabilities.

A sequence of tags y^<1> ... y^<T> has the score

    s(y) = begin[y^<1>] + sum_t emissions[t, y^<t>] + sum_t transitions[y^<t-1>, y^<t>] + end[y^<T>]

and the probability exp(s(y) - log Z), where log Z, the log-partition, is the log of the sum of exp(s) over all
sequences (Lafferty, McCallum and Pereira, ICML 2001; over a recurrent network Lample et al., arXiv 1603.01360v3).
A score of -inf forbids. Everything is float64, in nats; an answer does not depend, to the bit, on what else is in
the batch. The empty sentence has one sequence, the empty one, with score 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import DataError, NonFiniteError, UsageError
from unrolled.core.types import Floats, Integers
from unrolled.data.text import span_tags
from unrolled.data.text.span_tags import OUTSIDE, SCHEMES, may_end, may_follow

F64 = NDArray[np.float64]
Tags = NDArray[np.int64]

_SMALL = 1e-200  # a sum of products above this has lost nothing to underflow, which begins at 1e-308
_LOWEST = -1e300  # lower than any score, and a sum of a million of it is still a number


@dataclass(frozen=True)
class Allowed:
    """What may be: transitions [n_y, n_y] from a tag to the next, begin [n_y] first, end [n_y] last; booleans."""

    transitions: NDArray[np.bool_]
    begin: NDArray[np.bool_]
    end: NDArray[np.bool_]


@dataclass(frozen=True)
class Chain:
    """The scores that are not the sentence's: transitions [n_y, n_y] (from, to), begin [n_y], end [n_y], in nats.

    Raises UsageError where the shapes disagree and NonFiniteError for NaN or +inf; -inf forbids. See `chain`.
    """

    transitions: F64
    begin: F64
    end: F64

    def __post_init__(self) -> None:
        n = len(self.begin)
        if n < 1 or self.transitions.shape != (n, n) or self.end.shape != (n,) or self.begin.ndim != 1:
            shapes = f"{self.transitions.shape}, {self.begin.shape} and {self.end.shape}"
            raise UsageError(
                f"transitions, begin and end of shapes {shapes}", expected="(n, n), (n,) and (n,)"
            )
        for scores in (self.transitions, self.begin, self.end):
            _refuse_nan(scores, "the transition scores of the tags")


def chain(transitions: Floats, begin: Floats, end: Floats, allowed: Allowed | None = None) -> Chain:
    """The `Chain` of these scores in any floating type, -inf where `allowed` says no."""
    scores = [np.asarray(part, dtype=np.float64) for part in (transitions, begin, end)]
    if allowed is not None:
        legal = (allowed.transitions, allowed.begin, allowed.end)
        if any(may.shape != part.shape for may, part in zip(legal, scores, strict=True)):
            raise UsageError(f"constraints of {len(allowed.begin)} tags for scores of {len(scores[1])}")
        scores = [np.where(may, part, -np.inf) for may, part in zip(legal, scores, strict=True)]
    return Chain(scores[0], scores[1], scores[2])


def log_partition(emissions: Floats, scores: Chain) -> float:
    """log Z in nats of one sentence, emissions [T, n_y]. Raises as `log_partitions`."""
    return float(log_partitions(emissions[None], np.array([len(emissions)]), scores)[0])


def log_partitions(emissions: Floats, lengths: Integers, scores: Chain) -> F64:
    """log Z in nats of each sentence: emissions [batch, T, n_y], of which `lengths` [batch] steps count -> [batch].

    Raises DataError where no sequence of tags is allowed, saying why; NonFiniteError for NaN or +inf.
    """
    e, lengths = _time_major(emissions, lengths, scores)
    return _forward(e, lengths, scores)[1]


def path_score(emissions: Floats, tags: Sequence[int] | Integers, scores: Chain) -> float:
    """s(y) in nats of one sentence's tags [T] under emissions [T, n_y]."""
    if len(tags) != len(emissions):
        raise UsageError(f"{len(tags)} tags for {len(emissions)} steps")
    if not len(tags):
        return 0.0
    y, e = np.asarray(tags, dtype=np.int64), np.asarray(emissions, dtype=np.float64)
    steps = e[np.arange(len(y)), y].sum() + scores.transitions[y[:-1], y[1:]].sum()
    return float(scores.begin[y[0]] + steps + scores.end[y[-1]])


def viterbi(emissions: Floats, scores: Chain) -> tuple[Tags, float]:
    """The best tags [T] of one sentence, emissions [T, n_y], and their score; see `viterbi_batch`."""
    tags, best = viterbi_batch(emissions[None], np.array([len(emissions)]), scores)
    return tags[0], float(best[0])


def viterbi_batch(emissions: Floats, lengths: Integers, scores: Chain) -> tuple[Tags, F64]:
    """The best tags of each sentence: emissions [batch, T, n_y], lengths [batch] -> [batch, T] (-1 beyond), [batch].

    Viterbi, IEEE Transactions on Information Theory 13, 1967. Of equally good sequences the one whose last tag has
    the lowest index is taken, then whose last but one, and so on. Raises as `log_partitions`.
    """
    e, lengths = _time_major(emissions, lengths, scores)
    steps, batch, n = e.shape
    tags, rows = np.full((batch, steps), -1, dtype=np.int64), np.arange(batch)
    if not steps:
        return tags, np.zeros(batch)
    into = np.ascontiguousarray(scores.transitions.T)  # [to, from]
    came = np.zeros((steps, batch, n), dtype=np.int64)
    best = scores.begin + e[0]  # [batch, n]
    for t in range(1, steps):
        candidates = best[:, None, :] + into  # [batch, to, from]
        came[t] = candidates.argmax(2)  # the first of equals
        reached = np.take_along_axis(candidates, came[t][:, :, None], 2)[:, :, 0] + e[t]
        best = np.where((t < lengths)[:, None], reached, best)
    best = best + scores.end
    now = best.argmax(1)
    total = np.where(lengths > 0, best[rows, now], 0.0)
    _refuse_impossible(total, e, lengths, scores)
    for t in range(steps - 1, -1, -1):
        inside = t < lengths
        tags[inside, t] = now[inside]
        now = np.where(inside, came[t][rows, now], now)
    return tags, total


def marginals(emissions: Floats, scores: Chain) -> F64:
    """P(y^<t> = j) of one sentence: emissions [T, n_y] -> [T, n_y], each row a distribution; see `marginals_batch`."""
    return marginals_batch(emissions[None], np.array([len(emissions)]), scores)[0]


def marginals_batch(emissions: Floats, lengths: Integers, scores: Chain) -> F64:
    """P(y^<t> = j) of each sentence: emissions [batch, T, n_y], lengths [batch] -> [batch, T, n_y], 0 beyond.

    Raises as `log_partitions`.
    """
    e, lengths = _time_major(emissions, lengths, scores)
    alpha, _ = _forward(e, lengths, scores)
    return _shares(alpha + _backward(e, lengths, scores), lengths)


@dataclass(frozen=True)
class Expectations:
    """log Z and its gradient: log_partition [batch], tags [batch, T, n_y] how probable each tag is at each step, and
    pairs [n_y, n_y] how often a tag is expected to follow another, all sentences together."""

    log_partition: F64
    tags: F64
    pairs: F64


def expectations(emissions: Floats, lengths: Integers, scores: Chain) -> Expectations:
    """What training needs, by one pass forward and one backward: emissions [batch, T, n_y], lengths [batch]."""
    e, lengths = _time_major(emissions, lengths, scores)
    alpha, log_z = _forward(e, lengths, scores)
    beta = _backward(e, lengths, scores)
    inside = np.arange(1, len(e))[:, None] < lengths  # [T - 1, batch]: the steps that have one before them
    before, after = alpha[:-1][inside], (e[1:] + beta[1:])[inside]  # [N, n]
    return Expectations(log_z, _shares(alpha + beta, lengths), _pairs(before, after, scores.transitions))


def constraints(tags: Sequence[str], scheme: str) -> Allowed:
    """Which tags may begin, end and follow each other, by the list of tags in the order of their indices.

    scheme: "bio" (I- goes on with a B- or I- of its type), "bioes" (B- and I- must go on to I- or E- of their type;
    L and U stand for E and S, M for I), "iob1" (I- begins as well; B- only parts two neighbours of one
    type; Ramshaw and Marcus, cmp-lg/9505040) or "none" (everything is allowed). `data/text/span_tags.py` says what a
    tag looks like. Raises UsageError for another scheme and DataError for a tag that is not of the scheme.
    """
    if scheme not in SCHEMES:
        raise UsageError(f"unknown tagging scheme '{scheme}'", expected=", ".join(SCHEMES))
    n = len(tags)
    if scheme == "none":
        return Allowed(*(np.ones(shape, dtype=np.bool_) for shape in ((n, n), n, n)))
    parts = [span_tags.parts(tag) or ("?", "") for tag in tags]  # "?" is no letter of a scheme
    for tag, (letter, _) in zip(tags, parts, strict=True):
        if letter not in SCHEMES[scheme] + "O":
            raise DataError(f"'{tag}' is not a tag of the scheme {scheme}", hint="the scheme none")
    rows = [[may_follow(before, after, scheme) for after in parts] for before in parts]
    begin = [may_follow(OUTSIDE, part, scheme) for part in parts]
    end = [may_end(part, scheme) for part in parts]
    return Allowed(
        np.array(rows, dtype=np.bool_).reshape(n, n),
        np.array(begin, dtype=np.bool_),
        np.array(end, dtype=np.bool_),
    )


@dataclass(frozen=True)
class _Sums:
    """scores [n, n] (from, to) and weights = exp(scores - highest): with them a log-sum is mostly one product."""

    scores: F64
    weights: F64
    highest: float


def _sums(scores: F64) -> _Sums:
    highest = float(scores.max())
    highest = highest if highest > -np.inf else 0.0
    return _Sums(scores, np.exp(scores - highest), highest)


def _advance(before: F64, sums: _Sums) -> tuple[F64, F64]:
    """log sum_i exp(before[., i] - m + scores[i, j]) [rows, n], and the m [rows] taken away, the row's highest.

    A row whose product comes near underflow (scores that are thousands apart, or nothing allowed) is summed
    anew with a highest of its own for each j, so that the result is exact at any size of the scores.
    """
    m = _highest(before, 1)
    before = before - m
    # One product a row, not one for all: the order of its additions must not depend on the number of rows.
    products = np.matmul(np.exp(before)[:, None, :], sums.weights)[:, 0, :]
    low = (products < _SMALL).any(1) if products.min(initial=1.0) < _SMALL else None
    if low is None:
        return np.log(products) + sums.highest, m[:, 0]
    with np.errstate(divide="ignore"):
        out = np.log(products) + sums.highest
    out[low] = _log_sum(before[low][:, :, None] + sums.scores, 1)
    return out, m[:, 0]


def _highest(x: F64, axis: int) -> F64:
    """The maximum, axis kept, and finite where all is -inf, so that it can be subtracted."""
    return np.maximum(x.max(axis, keepdims=True), _LOWEST)


def _log_sum(x: F64, axis: int) -> F64:
    m = _highest(x, axis)
    with np.errstate(divide="ignore"):  # log 0 = -inf is what forbidden means
        return np.log(np.exp(x - m).sum(axis)) + m.squeeze(axis)


def _forward(e: F64, lengths: Tags, scores: Chain) -> tuple[F64, F64]:
    """alpha [T, batch, n]: the log-sum of all beginnings that end in a tag, up to a constant a step; log Z [batch]."""
    steps, batch, _ = e.shape
    if not steps:
        return e, np.zeros(batch)
    sums, alpha, taken = _sums(scores.transitions), np.empty_like(e), np.zeros(batch)
    alpha[0] = scores.begin + e[0]
    for t in range(1, steps):
        summed, m = _advance(alpha[t - 1], sums)
        alpha[t] = summed + e[t]
        taken += np.where(t < lengths, m, 0.0)
    last = alpha[np.maximum(lengths - 1, 0), np.arange(batch)] + scores.end  # [batch, n]
    log_z = np.where(lengths > 0, _log_sum(last, 1) + taken, 0.0)
    _refuse_impossible(log_z, e, lengths, scores)
    return alpha, log_z


def _backward(e: F64, lengths: Tags, scores: Chain) -> F64:
    """beta [T, batch, n]: the log-sum of all that may follow a tag, up to a constant a step."""
    sums = _sums(np.ascontiguousarray(scores.transitions.T))
    beta = np.broadcast_to(scores.end, e.shape).copy()
    for t in range(len(e) - 2, -1, -1):
        summed, _ = _advance(e[t + 1] + beta[t + 1], sums)
        beta[t] = np.where((t < lengths - 1)[:, None], summed, scores.end)
    return beta


def _shares(x: F64, lengths: Tags) -> F64:
    """softmax of x [T, batch, n] over the tags -> [batch, T, n], 0 beyond the lengths."""
    inside = (np.arange(len(x))[:, None] < lengths)[:, :, None]
    x = np.where(inside, x, 0.0)
    p = np.exp(x - _highest(x, 2))
    return np.where(inside, p / p.sum(2, keepdims=True), 0.0).transpose(1, 0, 2)


def _pairs(before: F64, after: F64, transitions: F64) -> F64:
    """sum over N of softmax_ij(before[., i] + transitions[i, j] + after[., j]): [N, n], [N, n] -> [n, n]."""
    sums = _sums(transitions)
    left, right = np.exp(before - _highest(before, 1)), np.exp(after - _highest(after, 1))
    total = ((left @ sums.weights) * right).sum(1)  # [N]
    low = total < _SMALL
    right[~low] /= total[~low][:, None]
    pairs = sums.weights * (left[~low].T @ right[~low])
    for i in np.flatnonzero(low):
        one = before[i][:, None] + transitions + after[i]
        one = np.exp(one - one.max())
        pairs += one / one.sum()
    return pairs


def _time_major(emissions: Floats, lengths: Integers, scores: Chain) -> tuple[F64, Tags]:
    """Checked emissions [T, batch, n] in float64, 0 beyond the lengths, and lengths [batch]."""
    n = len(scores.begin)
    if emissions.ndim != 3 or emissions.shape[2] != n or lengths.shape != emissions.shape[:1]:
        shapes = f"{emissions.shape} and {lengths.shape}"
        raise UsageError(
            f"emissions and lengths of shapes {shapes}", expected=f"(batch, T, {n}) and (batch,)"
        )
    steps = emissions.shape[1]
    if lengths.size and not 0 <= int(lengths.min()) <= int(lengths.max()) <= steps:
        raise UsageError(f"lengths {int(lengths.min())} to {int(lengths.max())}", expected=f"0 to {steps}")
    inside = (np.arange(steps)[:, None] < lengths)[:, :, None]
    e = np.where(inside, emissions.transpose(1, 0, 2), 0.0).astype(np.float64)
    _refuse_nan(e, "the model's scores of the tags")
    return e, lengths.astype(np.int64)


def _refuse_nan(scores: F64, what: str) -> None:
    if not (scores < np.inf).all():  # False for NaN as well
        raise NonFiniteError(f"{what} are not numbers")


def _refuse_impossible(totals: F64, e: F64, lengths: Tags, scores: Chain) -> None:
    """Raises DataError for the first sentence whose total is -inf, with the first step where nothing may stand."""
    for row in np.flatnonzero(totals == -np.inf)[:1].tolist():
        length, allowed = int(lengths[row]), scores.transitions > -np.inf
        alive, why = scores.begin > -np.inf, "no tag that it can end in may come last"
        for t in range(length):
            alive = (alive if t == 0 else allowed[alive].any(0)) & (e[t, row] > -np.inf)
            if not alive.any():
                why = f"no tag may stand at step {t + 1}"
                break
        tags = f"{length} tags" if length != 1 else "1 tag"
        what = f"no sequence of {tags} is allowed for item {row + 1}: {why}"
        raise DataError(what, hint="the scheme none")
