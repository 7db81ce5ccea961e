"""A continuous cache: tokens of the recent past become more probable where the network is in a similar state.

Source: Grave, Joulin and Usunier 2016, arXiv 1612.04426v1. At step t, h_t are the features that the output
layer reads. The cache holds the last `size` pairs (h_i, x^<i+1>) of the same document.

    p_cache(w) ~ sum over the pairs with x^<i+1> = w of exp(theta cos(h_t, h_i))
    p(w) = (1 - weight) p_model(w) + weight p_cache(w)

Deviation from the paper: theta multiplies the cosine of the features, not their product. So one theta suits
networks of all sizes. While the cache is empty, p is p_model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import UsageError
from unrolled.core.types import ZERO_INPUT_ID, Array, State
from unrolled.models.engines import Engine, best
from unrolled.models.layer_equations import NUMPY_LAYERS, outputs
from unrolled.models.network_spec import NetworkSpec, without_head

TINY = 1e-30  # added to squared norms, so that features of zeros have the cosine 0
LARGEST = 100_000  # pairs; more would need gigabytes


@dataclass(frozen=True)
class CacheOptions:
    """The options of a cache.

    size: the number of pairs. theta: how much a similar state counts; 0: all pairs count the same.
    weight: the fraction of the probability that comes from the cache (lambda in the paper).
    Raises UsageError for values out of range.
    """

    size: int
    theta: float
    weight: float

    def __post_init__(self) -> None:
        if not 1 <= self.size <= LARGEST:
            raise UsageError(f"--cache {self.size}", expected=f"1 to {LARGEST:,} tokens")
        if not 0 <= self.theta < math.inf:
            raise UsageError(f"--cache-theta {self.theta}", expected="a finite number from 0")
        if not 0 <= self.weight < 1:
            raise UsageError(f"--cache-weight {self.weight}", expected="a number from 0, below 1")


@dataclass(frozen=True, eq=False)
class Memory:
    """The pairs of one document.

    keys: [pairs, features] features of length 1. tokens: [pairs] the token that followed each.
    last: [0 or 1, features] the features of the last step, whose token is not known yet.
    """

    keys: Array
    tokens: NDArray[np.int64]
    last: Array


def empty(features: int) -> Memory:
    """Return a cache without pairs."""
    none = np.zeros((0, features), np.float32)
    return Memory(none, np.zeros(0, np.int64), none)


@dataclass(frozen=True, eq=False)
class Lookup:
    """The pairs that the steps of one sequence can use, and how similar they are.

    tokens: [pairs]. cosines: [T, pairs]; -inf where a step does not see a pair.
    """

    tokens: NDArray[np.int64]
    cosines: NDArray[np.float64]

    def shares(self, theta: float) -> NDArray[np.float64]:
        """Return the weight of each pair at each step, [T, pairs]. A row sums to 1, or to 0 without pairs."""
        if not len(self.tokens):
            return self.cosines
        z = theta * np.maximum(self.cosines, -1.0)
        z[np.isneginf(self.cosines)] = -np.inf
        highest = z.max(axis=1, keepdims=True)
        e = np.exp(z - np.where(np.isfinite(highest), highest, 0.0))
        return e / np.maximum(e.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)


def look_up(size: int, memory: Memory, x: Array, a: Array) -> tuple[Lookup, Memory]:
    """Return the pairs for each step of one sequence, and the cache after it.

    x: [T] the ids that the network read. -1, the vector of zeros, is only the first: it follows nothing.
    a: [T, features] its features.
    Step t sees the pairs up to (a_{t-1}, x_t), at most `size` of them.
    """
    if not len(x):
        return Lookup(np.zeros(0, np.int64), np.zeros((0, 0))), memory
    unit = a / np.sqrt((a.astype(np.float64) ** 2).sum(axis=1, keepdims=True) + TINY)  # [T, features]
    unit = unit.astype(np.float32)
    if len(memory.last) and x[0] != ZERO_INPUT_ID:
        keys, new = np.concatenate([memory.keys, memory.last, unit[:-1]]), x
    else:
        keys, new = np.concatenate([memory.keys, unit[:-1]]), x[1:]
    tokens = np.concatenate([memory.tokens, new.astype(np.int64)])  # [pairs]
    ends = len(tokens) - len(x) + 1 + np.arange(len(x))[:, None]  # step t sees the pairs before ends[t]
    at = np.arange(len(tokens))
    seen = (at < ends) & (at >= ends - size)  # [T, pairs]
    cosines = np.where(seen, (unit @ keys.T).astype(np.float64), -np.inf)
    return Lookup(tokens, cosines), Memory(keys[-size:], tokens[-size:], unit[-1:])


def mixed(cache: CacheOptions, found: Lookup, log_probs: Array) -> Array:
    """Return the log-probabilities of network and cache together, [T, n_y]. log_probs: those of the network."""
    if not len(found.tokens) or not cache.weight:
        return log_probs
    shares = found.shares(cache.theta)  # [T, pairs]
    order = np.argsort(found.tokens, kind="stable")
    distinct, starts = np.unique(found.tokens[order], return_index=True)
    p_cache = np.add.reduceat(shares[:, order], starts, axis=1)  # [T, distinct]
    out = log_probs.astype(np.float64)
    some = shares.any(axis=1)  # the others see no pair
    rows = out[some] + math.log1p(-cache.weight)
    with np.errstate(divide="ignore"):  # a probability of 0
        rows[:, distinct] = np.logaddexp(rows[:, distinct], np.log(cache.weight * p_cache[some]))
    out[some] = rows
    return out.astype(log_probs.dtype)


class CachedEngine:
    """`Engine` of a language model with a continuous cache.

    spec, tensors: as for the other engines. build: the constructor of the engine that runs the core.
    first: the cache of every new state; None: an empty cache.
    A state has the state of the core's engine, and one `Memory` per row.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        tensors: Mapping[str, Array],
        cache: CacheOptions,
        build: Callable[[NetworkSpec, Mapping[str, Array]], Engine],
        first: Memory | None = None,
    ) -> None:
        self.spec, self.cache, self._tensors = spec, cache, tensors
        self._first = empty(spec.core.features) if first is None else first
        self._core = build(without_head(spec), tensors)

    @property
    def n_y(self) -> int:
        """Number of outputs per step."""
        return self.spec.n_y

    def start(self, rows: int) -> State:
        """Return a state of zeros with new caches, for `rows` rows."""
        return self._core.start(rows), (self._first,) * rows

    def memories(self, state: State) -> tuple[Memory, ...]:
        """Return the cache of each row."""
        return state[1]

    def run(self, x: Array, lengths: Array | None = None, state: State | None = None) -> tuple[Array, State]:
        """Run whole sequences; see `Engine`."""
        before, memories = self.start(len(x)) if state is None else state
        a, after = self._core.run(x, lengths, before)  # [batch, T_x, features]
        answers = np.zeros((*x.shape, self.n_y), a.dtype)
        kept: list[Memory] = []
        ends = [x.shape[1]] * len(x) if lengths is None else [int(length) for length in lengths]
        for row, (end, memory) in enumerate(zip(ends, memories, strict=True)):
            found, memory = look_up(self.cache.size, memory, x[row, :end], a[row, :end])
            log_probs = outputs(NUMPY_LAYERS, self.spec, self._tensors, a[row, :end])
            answers[row, :end] = mixed(self.cache, found, log_probs)
            kept.append(memory)
        return answers, (after, tuple(kept))

    def step(self, state: State, x: Array, k: int | None = None) -> tuple[Array, NDArray[np.int64], State]:
        """Run one step of all rows; see `Engine`."""
        answers, after = self.run(np.asarray(x)[:, None], None, state)
        return *best(answers[:, 0], k), after

    def take(self, state: State, rows: Array) -> State:
        """Return the state of these rows."""
        inner, memories = state
        return self._core.take(inner, rows), tuple(memories[row] for row in np.asarray(rows).tolist())

    def keep(self, state: State | None, carry: NDArray[np.bool_]) -> State | None:
        """Return the state with zeros and a new cache in the rows where `carry` is false."""
        if state is None:
            return None
        inner, memories = state
        pairs = zip(memories, carry.tolist(), strict=True)
        kept = tuple(memory if on else self._first for memory, on in pairs)
        return self._core.keep(inner, carry), kept
