"""Decoding of CTC outputs: best path, prefix beam search, probability of a text, time of each character.

At every step the network outputs a class or the blank (class 0). Merging repetitions and then removing blanks
turns this path into a sequence of classes. The probability of a sequence is the sum over all its paths
(Graves et al. 2006, ICML). All sums are in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from unrolled.core.errors import DataError
from unrolled.core.types import Array

Ids = tuple[int, ...]

BLANK = 0
NEVER = -np.inf
PRUNED = 12.0  # nats; a class that is further below the best class of its step does not extend a prefix

# A language model. It takes prefixes and returns two arrays of log-probabilities in nats:
# - [prefixes, classes] of each next class after each prefix
# - [prefixes] of the end of the text after each prefix
# All prefixes of a call are from one beam. Each one is (), or a prefix of the previous beam plus one class.
LmScorer = Callable[[Sequence[Ids]], tuple[Array, Array]]


@dataclass(frozen=True)
class CtcBeamOptions:
    """Options of the prefix beam search.

    width: number of prefixes kept after each step.
    scorer: a language model, or None.
    weight: factor of the log-probabilities of the language model.
    bonus: nats added for each class of a text, because a language model prefers short texts.
    """

    width: int = 16
    scorer: LmScorer | None = None
    weight: float = 0.0
    bonus: float = 0.0


@dataclass(frozen=True)
class CtcHypothesis:
    """A sequence found by the beam search.

    log_prob: its log-probability without the language model, over all paths in the beam.
    score: the value by which it is ranked, with the language model and the bonus.
    """

    ids: Ids
    log_prob: float
    score: float


def best_path(log_probs: Array) -> Ids:
    """Return the sequence of the path that has the most probable class of each step: [T, classes] -> ids."""
    path = log_probs.argmax(axis=1) if len(log_probs) else np.zeros(0, np.int64)
    kept = np.concatenate([[True], path[1:] != path[:-1]])[: len(path)] & (path != BLANK)
    return tuple(path[kept].tolist())


def fewest_steps(ids: Sequence[int]) -> int:
    """Return the minimum number of steps for a sequence: one per class, and a blank between equal classes."""
    return len(ids) + sum(a == b for a, b in pairwise(ids))


def _add(a: float, b: float) -> float:
    """Return log(e^a + e^b). NumPy's function takes ten times as long for one number."""
    high, low = (a, b) if a >= b else (b, a)
    return high if low == NEVER else high + math.log1p(math.exp(low - high))


@dataclass
class _Prefix:
    """A prefix in the beam.

    blank: log-probability of its paths that end in a blank.
    last: log-probability of its paths that end in its last class.
    lm: log-probability by the language model so far, in nats.
    """

    blank: float = NEVER
    last: float = NEVER
    lm: float = 0.0

    @property
    def both(self) -> float:
        return _add(self.blank, self.last)


@dataclass
class _Beam:
    """The prefixes of one step.

    rated: for each prefix, the language model's log-probability of each next class and of the end of the text.
    """

    search: CtcBeamOptions
    prefixes: dict[Ids, _Prefix]
    rated: dict[Ids, tuple[Array, float]] = field(default_factory=dict)

    def score(self, ids: Ids, prefix: _Prefix) -> float:
        return prefix.both + self.search.weight * prefix.lm + self.search.bonus * len(ids)

    def rate(self) -> None:
        """Apply the language model to the new prefixes."""
        if self.search.scorer is None or not self.search.weight:
            return
        kept = {ids: self.rated[ids] for ids in self.prefixes if ids in self.rated}
        new = [ids for ids in self.prefixes if ids not in kept]
        if new:
            follow, ends = self.search.scorer(new)
            kept |= {ids: (follow[i], float(ends[i])) for i, ids in enumerate(new)}
        self.rated = kept

    def follows(self, ids: Ids, label: int) -> float:
        return float(self.rated[ids][0][label]) if ids in self.rated else 0.0

    def ends(self, ids: Ids) -> float:
        return self.rated[ids][1] if ids in self.rated else 0.0


def beam_search(log_probs: Array, search: CtcBeamOptions, count: int = 1) -> list[CtcHypothesis]:
    """Return up to `count` best sequences, best first (Hannun et al., arXiv 1408.2873v2).

    log_probs: [T, classes]. Ties are in order of the ids.
    If the width of the beam is less than 2^20, improbable classes are pruned. Otherwise no class is pruned. The
    log-probability of each sequence is then exact, unless there are more prefixes than the width.
    """
    beam = _Beam(search, {(): _Prefix(blank=0.0)})
    beam.rate()
    for row in np.asarray(log_probs, np.float64):
        worth = (
            np.flatnonzero(row > row.max() - PRUNED).tolist() if search.width < 1 << 20 else range(len(row))
        )
        beam.prefixes = _best(_advance(beam, row, [c for c in worth if c != BLANK]), beam)
        beam.rate()
    found = [
        CtcHypothesis(ids, prefix.both, beam.score(ids, prefix) + search.weight * beam.ends(ids))
        for ids, prefix in beam.prefixes.items()
    ]
    return sorted(found, key=lambda one: (-one.score, one.ids))[:count]


def _advance(beam: _Beam, row: Array, classes: Sequence[int]) -> dict[Ids, _Prefix]:
    """Return every prefix that is possible after one more step."""
    after: dict[Ids, _Prefix] = {}
    values = row.tolist()
    for ids, prefix in beam.prefixes.items():
        both = prefix.both
        stays = after.setdefault(ids, _Prefix(lm=prefix.lm))
        stays.blank = _add(stays.blank, both + values[BLANK])
        if ids:
            stays.last = _add(stays.last, prefix.last + values[ids[-1]])
        for label in classes:
            begun = prefix.blank if ids and label == ids[-1] else both  # without a blank, equal classes merge
            if begun == NEVER:
                continue
            longer = (*ids, label)
            if longer not in after:
                after[longer] = _Prefix(lm=prefix.lm + beam.follows(ids, label))
            after[longer].last = _add(after[longer].last, begun + values[label])
    return after


def _best(prefixes: dict[Ids, _Prefix], beam: _Beam) -> dict[Ids, _Prefix]:
    if len(prefixes) <= beam.search.width:
        return prefixes
    ranked = sorted(prefixes.items(), key=lambda item: (-beam.score(*item), item[0]))
    return dict(ranked[: beam.search.width])


def _lattice(ids: Sequence[int]) -> tuple[Array, Array]:
    """Return the classes of a sequence, with blanks around and between them, and a mask.

    The mask is true at each place that a path may reach from two places before.
    """
    labels = np.full(2 * len(ids) + 1, BLANK)
    labels[1::2] = ids
    skips = np.zeros(len(labels), np.bool_)
    skips[3::2] = labels[3::2] != labels[1:-2:2]
    return labels, skips


def log_probability(log_probs: Array, ids: Sequence[int]) -> float:
    """Return log p of a sequence over all its paths; log_probs: [T, classes].

    The result is -inf if no path of T steps gives the sequence.
    """
    labels, skips = _lattice(ids)
    alpha = np.full(len(labels), NEVER)
    alpha[0] = 0.0  # the start counts as a blank
    begun = False
    for row in np.asarray(log_probs, np.float64):
        one = np.concatenate([[NEVER], alpha[:-1]])
        two = np.where(skips, np.concatenate([[NEVER, NEVER], alpha])[: len(alpha)], NEVER)
        alpha = np.logaddexp(np.logaddexp(alpha, one), two) + row[labels]
        begun = True
    ends = alpha[-2:] if begun else alpha[-1:]
    return float(np.logaddexp.reduce(ends))


def align(log_probs: Array, ids: Sequence[int]) -> list[tuple[int, int, float]]:
    """Return the most probable path of a sequence, log_probs [T, classes].

    It is given by three values per class: its first step, its last step + 1, and its mean log-probability in
    these steps. Raises DataError if T steps are too few.
    """
    if len(log_probs) < fewest_steps(ids):
        raise DataError(f"{len(ids)} classes do not fit in {len(log_probs)} steps", expected="more steps")
    labels, skips = _lattice(ids)
    rows = np.asarray(log_probs, np.float64)
    alpha, came = np.full(len(labels), NEVER), np.zeros((len(rows), len(labels)), np.int64)
    for t, row in enumerate(rows):
        one = np.concatenate([[NEVER], alpha[:-1]])
        two = np.where(skips, np.concatenate([[NEVER, NEVER], alpha])[: len(alpha)], NEVER)
        ways = np.stack([alpha, one, two])
        if t == 0:
            ways[:] = NEVER
            ways[0, :2] = 0.0
        came[t] = ways.argmax(axis=0)
        alpha = ways.max(axis=0) + row[labels]
    at = len(labels) - 1 if len(labels) == 1 or alpha[-1] >= alpha[-2] else len(labels) - 2
    path = np.zeros(len(rows), np.int64)
    for t in range(len(rows) - 1, -1, -1):
        path[t] = at
        at -= came[t, at]
    steps = [np.flatnonzero(path == 2 * i + 1) for i in range(len(ids))]
    return [
        (int(own[0]), int(own[-1]) + 1, float(rows[own, label].mean()))
        for own, label in zip(steps, ids, strict=True)
    ]
