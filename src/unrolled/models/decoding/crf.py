"""Decoding of a linear-chain CRF: the best tags of a sentence, and the probabilities of tags.

A sequence of tags y^<1> ... y^<T> has the score

    s(y) = begin[y^<1>] + sum_t emissions[t, y^<t>] + sum_t transitions[y^<t-1>, y^<t>] + end[y^<T>]

and the probability exp(s(y) - log Z). log Z, the log-partition, is the log of the sum of exp(s) over all
sequences (Lafferty, McCallum and Pereira, ICML 2001). Lample et al. (arXiv 1603.01360v3) use a CRF on the
outputs of a recurrent network.

A score of -inf forbids a tag or a transition. All numbers are float64, scores are in nats. A sentence gives
the same bits in any batch. An empty sentence has exactly one sequence of tags, the empty one, with score 0.
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

_SMALL = 1e-200  # a sum of products above this is accurate: terms that underflow (below 1e-308) do not matter
_LOWEST = -1e300  # lower than any score; the sum of a million such numbers is still finite


@dataclass(frozen=True)
class Allowed:
    """The constraints on tags, as booleans.

    transitions: [n_y, n_y], whether a tag (row) may be followed by another one (column).
    begin: [n_y], whether a tag may be the first one.
    end: [n_y], whether a tag may be the last one.
    """

    transitions: NDArray[np.bool_]
    begin: NDArray[np.bool_]
    end: NDArray[np.bool_]


@dataclass(frozen=True)
class Chain:
    """The scores that do not depend on the sentence, in nats.

    transitions: [n_y, n_y] (from, to). begin, end: [n_y]. -inf forbids. `chain` makes a `Chain`. Raises
    UsageError if the shapes do not match, and NonFiniteError for NaN or +inf.
    """

    transitions: F64
    begin: F64
    end: F64

    def __post_init__(self) -> None:
        n = len(self.begin)
        if n < 1 or self.transitions.shape != (n, n) or self.end.shape != (n,) or self.begin.ndim != 1:
            shapes = f"{self.transitions.shape}, {self.begin.shape} and {self.end.shape}"
            raise UsageError(
                f"transitions, begin and end have the shapes {shapes}", expected="(n, n), (n,) and (n,)"
            )
        for scores in (self.transitions, self.begin, self.end):
            _refuse_nan(scores, "the transition scores of the tags")


def chain(transitions: Floats, begin: Floats, end: Floats, allowed: Allowed | None = None) -> Chain:
    """Return the `Chain` of these scores, which may have any floating type. Forbidden scores become -inf.

    Raises UsageError if `allowed` has another number of tags.
    """
    scores = [np.asarray(part, dtype=np.float64) for part in (transitions, begin, end)]
    if allowed is not None:
        legal = (allowed.transitions, allowed.begin, allowed.end)
        if any(may.shape != part.shape for may, part in zip(legal, scores, strict=True)):
            raise UsageError(f"constraints for {len(allowed.begin)} tags, but scores for {len(scores[1])}")
        scores = [np.where(may, part, -np.inf) for may, part in zip(legal, scores, strict=True)]
    return Chain(scores[0], scores[1], scores[2])


def log_partition(emissions: Floats, scores: Chain) -> float:
    """Return log Z in nats of one sentence, emissions [T, n_y]. Raises the errors of `log_partitions`."""
    return float(log_partitions(emissions[None], np.array([len(emissions)]), scores)[0])


def log_partitions(emissions: Floats, lengths: Integers, scores: Chain) -> F64:
    """Return log Z in nats of each sentence, [batch].

    emissions: [batch, T, n_y]. lengths: [batch], number of valid steps of each sentence.

    Raises DataError, with the reason, if no sequence of tags is allowed, and NonFiniteError for NaN or +inf.
    """
    e, lengths = _time_major(emissions, lengths, scores)
    return _forward(e, lengths, scores)[1]


def path_score(emissions: Floats, tags: Sequence[int] | Integers, scores: Chain) -> float:
    """Return s(y) in nats of the tags [T] of one sentence, emissions [T, n_y]."""
    if len(tags) != len(emissions):
        raise UsageError(f"{len(tags)} tags for {len(emissions)} steps")
    if not len(tags):
        return 0.0
    y, e = np.asarray(tags, dtype=np.int64), np.asarray(emissions, dtype=np.float64)
    steps = e[np.arange(len(y)), y].sum() + scores.transitions[y[:-1], y[1:]].sum()
    return float(scores.begin[y[0]] + steps + scores.end[y[-1]])


def viterbi(emissions: Floats, scores: Chain) -> tuple[Tags, float]:
    """Return the best tags [T] of one sentence, emissions [T, n_y], and their score; see `viterbi_batch`."""
    tags, best = viterbi_batch(emissions[None], np.array([len(emissions)]), scores)
    return tags[0], float(best[0])


def viterbi_batch(emissions: Floats, lengths: Integers, scores: Chain) -> tuple[Tags, F64]:
    """Return the best tags of each sentence, [batch, T], and their scores, [batch].

    emissions: [batch, T, n_y]. lengths: [batch]. The tags after the end of a sentence are -1.

    Source: Viterbi, IEEE Transactions on Information Theory 13, 1967. If several sequences have the best
    score, return the one whose last tag has the lowest index. If the last tags are equal, compare the tags
    before them, and so on. Raises the errors of `log_partitions`.
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
        came[t] = candidates.argmax(2)  # the lowest index if scores are equal
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
    """Return P(y^<t> = j) of one sentence, emissions [T, n_y] -> [T, n_y]; see `marginals_batch`.

    Each row is a distribution.
    """
    return marginals_batch(emissions[None], np.array([len(emissions)]), scores)[0]


def marginals_batch(emissions: Floats, lengths: Integers, scores: Chain) -> F64:
    """Return P(y^<t> = j) of each sentence, [batch, T, n_y]; 0 after the end of a sentence.

    emissions: [batch, T, n_y]. lengths: [batch]. Raises the errors of `log_partitions`.
    """
    e, lengths = _time_major(emissions, lengths, scores)
    alpha, _ = _forward(e, lengths, scores)
    return _shares(alpha + _backward(e, lengths, scores), lengths)


@dataclass(frozen=True)
class Expectations:
    """log Z and its gradient.

    log_partition: [batch], log Z of each sentence.
    tags: [batch, T, n_y], the probability of each tag at each step.
    pairs: [n_y, n_y], the expected number of transitions from tag to tag, summed over all sentences.
    """

    log_partition: F64
    tags: F64
    pairs: F64


def expectations(emissions: Floats, lengths: Integers, scores: Chain) -> Expectations:
    """Return log Z and its gradient for training, with one forward pass and one backward pass.

    emissions: [batch, T, n_y]. lengths: [batch].
    """
    e, lengths = _time_major(emissions, lengths, scores)
    alpha, log_z = _forward(e, lengths, scores)
    beta = _backward(e, lengths, scores)
    inside = np.arange(1, len(e))[:, None] < lengths  # [T - 1, batch]: all steps except the first
    before, after = alpha[:-1][inside], (e[1:] + beta[1:])[inside]  # [N, n]
    return Expectations(log_z, _shares(alpha + beta, lengths), _pairs(before, after, scores.transitions))


def constraints(tags: Sequence[str], scheme: str) -> Allowed:
    """Return which tags may begin a sentence, end it and follow each other.

    tags: all tags, in the order of their indices.
    scheme: one of:

    * "bio": I- continues a B- or I- of the same type.
    * "bioes": B- and I- must be followed by I- or E- of the same type. L and U mean the same as E and S, M
      the same as I.
    * "iob1": I- may also begin a span. B- is used only between two adjacent spans of the same type (Ramshaw
      and Marcus, cmp-lg/9505040).
    * "none": everything is allowed.

    `data/text/span_tags.py` describes the form of a tag. Raises UsageError for another scheme, and DataError
    for a tag that is not part of the scheme.
    """
    if scheme not in SCHEMES:
        raise UsageError(f"unknown tagging scheme '{scheme}'", expected=", ".join(SCHEMES))
    n = len(tags)
    if scheme == "none":
        return Allowed(*(np.ones(shape, dtype=np.bool_) for shape in ((n, n), n, n)))
    parts = [span_tags.parts(tag) or ("?", "") for tag in tags]  # no scheme has the letter "?"
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
    """scores [n, n] (from, to), and weights = exp(scores - highest).

    With the weights, most log-sums need only one matrix product.
    """

    scores: F64
    weights: F64
    highest: float


def _sums(scores: F64) -> _Sums:
    highest = float(scores.max())
    highest = highest if highest > -np.inf else 0.0
    return _Sums(scores, np.exp(scores - highest), highest)


def _advance(before: F64, sums: _Sums) -> tuple[F64, F64]:
    """Return log sum_i exp(before[., i] - m + scores[i, j]), [rows, n], and m, [rows], each row's maximum.

    If the product of a row is close to underflow (scores differ by thousands, or nothing is allowed), the sum
    is computed again, with a separate maximum for each j. So the result is exact for scores of any size.
    """
    m = _highest(before, 1)
    before = before - m
    # One product per row, not one for all rows: the order of additions must not depend on the number of rows.
    products = np.matmul(np.exp(before)[:, None, :], sums.weights)[:, 0, :]
    low = (products < _SMALL).any(1) if products.min(initial=1.0) < _SMALL else None
    if low is None:
        return np.log(products) + sums.highest, m[:, 0]
    with np.errstate(divide="ignore"):
        out = np.log(products) + sums.highest
    out[low] = _log_sum(before[low][:, :, None] + sums.scores, 1)
    return out, m[:, 0]


def _highest(x: F64, axis: int) -> F64:
    """Return the maximum along `axis`, which is kept.

    The result is finite even if all values are -inf, so that it can be subtracted.
    """
    return np.maximum(x.max(axis, keepdims=True), _LOWEST)


def _log_sum(x: F64, axis: int) -> F64:
    m = _highest(x, axis)
    with np.errstate(divide="ignore"):  # log 0 = -inf means forbidden
        return np.log(np.exp(x - m).sum(axis)) + m.squeeze(axis)


def _forward(e: F64, lengths: Tags, scores: Chain) -> tuple[F64, F64]:
    """Return alpha [T, batch, n] and log Z [batch].

    alpha is the log-sum of all beginnings that end in a tag, up to a constant per step.
    """
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
    """Return beta [T, batch, n]: the log-sum of all continuations after a tag, up to a constant per step."""
    sums = _sums(np.ascontiguousarray(scores.transitions.T))
    beta = np.broadcast_to(scores.end, e.shape).copy()
    for t in range(len(e) - 2, -1, -1):
        summed, _ = _advance(e[t + 1] + beta[t + 1], sums)
        beta[t] = np.where((t < lengths - 1)[:, None], summed, scores.end)
    return beta


def _shares(x: F64, lengths: Tags) -> F64:
    """Return the softmax of x [T, batch, n] over the tags -> [batch, T, n]; 0 after the end of a sentence."""
    inside = (np.arange(len(x))[:, None] < lengths)[:, :, None]
    x = np.where(inside, x, 0.0)
    p = np.exp(x - _highest(x, 2))
    return np.where(inside, p / p.sum(2, keepdims=True), 0.0).transpose(1, 0, 2)


def _pairs(before: F64, after: F64, transitions: F64) -> F64:
    """Return the sum over N of softmax_ij(before[., i] + transitions[i, j] + after[., j]), [n, n].

    before, after: [N, n].
    """
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
    """Check the arguments. Return the emissions as [T, batch, n] in float64, and lengths [batch].

    The emissions after the end of a sentence become 0.
    """
    n = len(scores.begin)
    if emissions.ndim != 3 or emissions.shape[2] != n or lengths.shape != emissions.shape[:1]:
        shapes = f"{emissions.shape} and {lengths.shape}"
        raise UsageError(
            f"emissions and lengths have the shapes {shapes}", expected=f"(batch, T, {n}) and (batch,)"
        )
    steps = emissions.shape[1]
    if lengths.size and not 0 <= int(lengths.min()) <= int(lengths.max()) <= steps:
        raise UsageError(
            f"lengths are {int(lengths.min())} to {int(lengths.max())}", expected=f"0 to {steps}"
        )
    inside = (np.arange(steps)[:, None] < lengths)[:, :, None]
    e = np.where(inside, emissions.transpose(1, 0, 2), 0.0).astype(np.float64)
    _refuse_nan(e, "the model's scores of the tags")
    return e, lengths.astype(np.int64)


def _refuse_nan(scores: F64, what: str) -> None:
    if not (scores < np.inf).all():  # also False for NaN
        raise NonFiniteError(f"{what} are NaN or infinite")


def _refuse_impossible(totals: F64, e: F64, lengths: Tags, scores: Chain) -> None:
    """Raise DataError for the first sentence whose total is -inf.

    The message names the first step at which no tag is allowed.
    """
    for row in np.flatnonzero(totals == -np.inf)[:1].tolist():
        length, allowed = int(lengths[row]), scores.transitions > -np.inf
        alive, why = scores.begin > -np.inf, "no possible tag of the last step may end a sentence"
        for t in range(length):
            alive = (alive if t == 0 else allowed[alive].any(0)) & (e[t, row] > -np.inf)
            if not alive.any():
                why = f"no tag is allowed at step {t + 1}"
                break
        tags = f"{length} tags" if length != 1 else "1 tag"
        what = f"no sequence of {tags} is allowed for item {row + 1}: {why}"
        raise DataError(what, hint="the scheme none")
