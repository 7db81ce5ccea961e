"""Decoding: from the outputs of a network to answers, on NumPy arrays. One method per file."""

from __future__ import annotations

from typing import Protocol, TypeVar, runtime_checkable

from unrolled.core.types import Array, Integers

S = TypeVar("S")  # the state of an engine, which only the engine looks into


@runtime_checkable
class Stepped(Protocol[S]):
    """An engine that goes step by step; `engines` says what the methods of all of these mean."""

    def step(self, state: S, x: Integers, k: int | None = None) -> tuple[Array, Array, S]: ...


@runtime_checkable
class Steps(Stepped[S], Protocol[S]):
    """What sampling needs of a language model."""

    def start(self, rows: int) -> S: ...

    def run(self, x: Integers, lengths: Integers, state: S | None = None) -> tuple[Array, S]: ...


@runtime_checkable
class Searched(Stepped[S], Protocol[S]):
    """What a search needs, be it by a beam or by drawing, over many rows."""

    def take(self, state: S, rows: Integers) -> S: ...


@runtime_checkable
class Followed(Stepped[S], Protocol[S]):
    """What following a given answer needs."""

    def attention(self, state: S) -> list[Array]: ...
