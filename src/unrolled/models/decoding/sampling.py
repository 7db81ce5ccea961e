"""Sampling: draw the next token from the softmax and feed it back, until EOS or a length limit.

A draw equals `rng.choice(n, p=p)`; the lecture calls `np.random.choice`. Every sample has its own generator,
spawned from the given one, and is computed alone. So sample i does not depend on the number of samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import NonFiniteError, UsageError
from unrolled.core.types import ZERO_INPUT_ID, Array, Integers, delayed
from unrolled.models.decoding import S, Searched, Steps

CHUNK = 256  # steps of a prompt that are run at once


@dataclass(frozen=True)
class SamplingOptions:
    """Options of sampling.

    temperature: divides the log-probabilities. 0: always take the most probable token.
    top_k: draw only from the k most probable tokens (Fan et al., arXiv 1805.04833v1).
    top_p: draw only from the smallest set of tokens whose total probability reaches this value (Holtzman et
        al., arXiv 1904.09751v2). Applied after temperature and top_k.
    banned: ids that are never drawn.
    stop: the id that ends a sample.

    Raises UsageError for values out of range.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    banned: tuple[int, ...] = ()
    stop: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < np.inf:
            raise UsageError(f"temperature is {self.temperature}", expected="a finite number >= 0")
        if self.top_k is not None and self.top_k < 1:
            raise UsageError(f"top-k is {self.top_k}", expected="1 or more")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise UsageError(f"top-p is {self.top_p}", expected="above 0 and at most 1")


def distribution(
    log_probs: Array, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> NDArray[np.float64]:
    """Return the probabilities to draw from: [n_y] log-probabilities -> [n_y] float64 probabilities.

    Among equal tokens, top_k, top_p and temperature 0 keep the lower ids. -inf is never drawn. Raises
    NonFiniteError for NaN or +inf, and UsageError if no token can be drawn.
    """
    logits = np.asarray(log_probs, dtype=np.float64)
    highest = float(logits.max())
    if np.isnan(highest) or highest == np.inf:
        raise NonFiniteError("the model's log-probabilities are NaN or infinite")
    if highest == -np.inf:
        raise UsageError("no token can be drawn: every token is banned or impossible")
    if temperature == 0:
        return (np.arange(len(logits)) == np.argmax(logits)).astype(np.float64)
    # At a tiny temperature the quotient overflows to -inf. This is correct; only the highest must stay 0.
    with np.errstate(over="ignore", invalid="ignore"):
        p = np.exp(np.where(logits == highest, 0.0, (logits - highest) / temperature))
    if top_k is not None and top_k < len(p):
        p[np.argsort(-logits, kind="stable")[top_k:]] = 0
    if top_p is not None and top_p < 1:
        order = np.argsort(-p, kind="stable")
        before = np.cumsum(p[order]) - p[order]  # 0 for the most probable token, so it is always kept
        p[order[before >= top_p * p.sum()]] = 0
    return p / p.sum()


def draw(p: NDArray[np.float64], rng: np.random.Generator) -> int:
    """Draw the same index as `rng.choice(len(p), p=p)`, but without its checks, which take time."""
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
    """Yield `count` samples. Each sample is an iterator that draws one id after the other.

    A sample has at most `length` ids. It contains neither the prompt nor `settings.stop`. The prompt is run
    once.
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
    """Return the first sample of `stream_all`: an iterator over its ids, as they are drawn."""
    return next(stream_all(engine, rng, prompt_ids, length, settings, 1))


def _after(engine: Steps[S], prompt_ids: Sequence[int] | Array) -> tuple[Array, S]:
    """Run x^<1> = 0 and the prompt. Return the log-probabilities [n_y] of the next token, and the state."""
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
    """Draw ids and feed them back.

    The state is not changed in place, so all samples can start from the same state.
    """
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
    """A sample.

    ids: without EOS.
    log_probability: of the ids and EOS, by the model without temperature, top_k and top_p.
    closed: whether it ended with EOS.
    """

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
    """Draw one sample for each row in parallel. A sample does not depend on the other rows.

    state: the state before the first y.
    rngs: one generator per row.
    limits: the maximum number of ids of each row, without EOS.
    """
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
