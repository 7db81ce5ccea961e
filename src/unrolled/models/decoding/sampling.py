"""Sampling: draw the next token from the softmax and feed it back until the end token or a length.

A draw is `rng.choice(n, p=p)`, draw for draw the lecture's `np.random.choice`. Every sample has a generator of its
own, spawned from the one given, and is computed alone: sample i does not depend on how many are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import NonFiniteError, UsageError
from unrolled.core.types import ZERO_INPUT_ID, Array, Integers, delayed
from unrolled.models.decoding import S, Searched, Steps

CHUNK = 256  # steps of a prompt run at once


@dataclass(frozen=True)
class SamplingOptions:
    """How tokens are drawn.

    temperature: divides the log-probabilities; 0 takes the most probable.  top_k: only the k most probable (Fan et
    al., arXiv 1805.04833v1).  top_p: only the fewest that reach this probability together (Holtzman et al., arXiv
    1904.09751v2), counted after temperature and top_k.  banned: ids never drawn.  stop: the id that ends a sample.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    banned: tuple[int, ...] = ()
    stop: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < np.inf:
            raise UsageError(f"temperature {self.temperature}", expected="a finite number >= 0")
        if self.top_k is not None and self.top_k < 1:
            raise UsageError(f"top-k {self.top_k}", expected="1 or more")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise UsageError(f"top-p {self.top_p}", expected="above 0 and at most 1")


def distribution(
    log_probs: Array, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> NDArray[np.float64]:
    """[n_y] log-probabilities -> [n_y] float64 probabilities to draw from. Ties go to the lower id.

    -inf is never drawn. Raises NonFiniteError for NaN and UsageError where nothing is left to draw.
    """
    logits = np.asarray(log_probs, dtype=np.float64)
    highest = float(logits.max())
    if np.isnan(highest) or highest == np.inf:
        raise NonFiniteError("the model's probabilities are not numbers")
    if highest == -np.inf:
        raise UsageError("nothing is left to draw: every token is banned or impossible")
    if temperature == 0:
        return (np.arange(len(logits)) == np.argmax(logits)).astype(np.float64)
    # Below the smallest normal temperature the quotient would overflow; -inf is right for all but the highest.
    with np.errstate(over="ignore", invalid="ignore"):
        p = np.exp(np.where(logits == highest, 0.0, (logits - highest) / temperature))
    if top_k is not None and top_k < len(p):
        p[np.argsort(-logits, kind="stable")[top_k:]] = 0
    if top_p is not None and top_p < 1:
        order = np.argsort(-p, kind="stable")
        before = np.cumsum(p[order]) - p[order]  # the most probable has nothing before it and stays
        p[order[before >= top_p * p.sum()]] = 0
    return p / p.sum()


def draw(p: NDArray[np.float64], rng: np.random.Generator) -> int:
    """`rng.choice(len(p), p=p)`: the same index from the same state of `rng`, without its checks."""
    cumulative = np.cumsum(p)
    cumulative /= cumulative[-1]
    return int(np.searchsorted(cumulative, rng.random(), side="right"))


def stream_all(
    engine: Steps[S],
    rng: np.random.Generator,
    prompt_ids: Sequence[int] | Array,
    length: int,
    settings: SamplingOptions,
    count: int,
) -> Iterator[Iterator[int]]:
    """`count` samples of at most `length` ids each, the prompt and the closing `settings.stop` not among them.

    Each is an iterator that draws one id after the other. The prompt is run once.
    """
    log_probs, state = _after(engine, prompt_ids)
    for own in rng.spawn(count):
        yield _continue(engine, own, log_probs, state, length, settings)


def stream(
    engine: Steps[S],
    rng: np.random.Generator,
    prompt_ids: Sequence[int] | Array,
    length: int,
    settings: SamplingOptions,
) -> Iterator[int]:
    """The ids of the first sample of `stream_all`, as they are drawn."""
    return next(stream_all(engine, rng, prompt_ids, length, settings, 1))


def _after(engine: Steps[S], prompt_ids: Sequence[int] | Array) -> tuple[Array, S]:
    """[n_y] log-probabilities of what follows x^<1> = 0 and the prompt, and the state there, of one row."""
    x = delayed(np.asarray(prompt_ids, dtype=np.int64))
    state, log_probs = engine.start(1), np.zeros((1, 0, 0))
    for begin in range(0, len(x), CHUNK):
        part = x[None, begin : begin + CHUNK]  # [1, steps]
        log_probs, state = engine.run(part, np.array([part.shape[1]]), state)  # [1, steps, n_y]
    return log_probs[0, -1], state


def _continue(
    engine: Steps[S],
    rng: np.random.Generator,
    log_probs: Array,
    state: S,
    length: int,
    settings: SamplingOptions,
) -> Iterator[int]:
    """Draw, feed back. The state is never changed in place, so that all samples may begin from the same."""
    for remaining in range(length - 1, -1, -1):
        if settings.banned:
            log_probs = np.array(log_probs)
            log_probs[list(settings.banned)] = -np.inf
        last = draw(distribution(log_probs, settings.temperature, settings.top_k, settings.top_p), rng)
        if last == settings.stop:
            return
        yield last
        if remaining:
            rows, _, state = engine.step(state, np.array([last]), None)  # [1, n_y]
            log_probs = rows[0]


@dataclass(frozen=True)
class Drawn:
    """A sample: its ids without the closing one, their log-probability with it by the model as it is (whatever the
    temperature), and whether it closed."""

    ids: tuple[int, ...]
    log_probability: float
    closed: bool


def sample_rows(
    engine: Searched[S],
    state: S,
    rngs: Sequence[np.random.Generator],
    limits: Sequence[int] | Integers,
    settings: SamplingOptions,
) -> list[Drawn]:
    """One sample for each row of the state before the first y, side by side; each row has a generator of its own and a
    limit of ids, and does not depend on the others."""
    ids: list[list[int]] = [[] for _ in rngs]
    sums, closed = np.zeros(len(rngs)), np.zeros(len(rngs), np.bool_)
    alive = np.arange(len(rngs))
    last = np.full(len(rngs), ZERO_INPUT_ID)
    while len(alive):
        log_probs, _, state = engine.step(state, last, None)  # [alive, n_y]
        p = np.array(log_probs, np.float64)
        p[:, list(settings.banned)] = -np.inf
        keep: list[int] = []
        for row, number in enumerate(alive.tolist()):
            one = distribution(p[row], settings.temperature, settings.top_k, settings.top_p)
            drawn = draw(one, rngs[number])
            closed[number] = drawn == settings.stop
            if closed[number] or len(ids[number]) < limits[number]:
                sums[number] += float(log_probs[row, drawn])
            if not closed[number] and len(ids[number]) < limits[number]:
                ids[number].append(drawn)
                keep.append(row)
        alive = alive[keep]
        state, last = (
            engine.take(state, np.array(keep, np.int64)),
            np.array([ids[n][-1] for n in alive], np.int64),
        )
    return [Drawn(tuple(own), float(s), bool(c)) for own, s, c in zip(ids, sums, closed, strict=True)]
