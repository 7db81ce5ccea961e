"""Decoding: turn the outputs of a network into answers, on NumPy arrays. Each file implements one method."""

from __future__ import annotations

from typing import Protocol, TypeVar, runtime_checkable

from unrolled.core.types import Array, Integers

S = TypeVar("S")  # the state of an engine; opaque to this code


@runtime_checkable
class Stepped(Protocol[S]):
    """An engine that runs step by step. models/engines describes the methods of all these interfaces."""

    def step(self, state: S, x: Integers, k: int | None = None) -> tuple[Array, Array, S]: ...


@runtime_checkable
class Steps(Stepped[S], Protocol[S]):
    """The interface that sampling needs from a language model."""

    def start(self, rows: int) -> S: ...

    def run(self, x: Integers, lengths: Integers, state: S | None = None) -> tuple[Array, S]: ...


@runtime_checkable
class Searched(Stepped[S], Protocol[S]):
    """The interface that beam search, and sampling of many rows at once, need."""

    def take(self, state: S, rows: Integers) -> S: ...


@runtime_checkable
class Followed(Stepped[S], Protocol[S]):
    """The interface that forced decoding needs: running along a given answer."""

    def attention(self, state: S) -> list[Array]: ...
