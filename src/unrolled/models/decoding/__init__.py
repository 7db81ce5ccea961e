"""Decoding: from the outputs of a network to answers, on NumPy arrays. One method per file."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

from unrolled.core.types import Integers


@runtime_checkable
class Steps(Protocol):
    """What decoding needs of an engine; `engines` says what these mean."""

    def start(self, rows: int) -> Any: ...

    def run(self, x: Integers, lengths: Integers, state: Any = None) -> tuple[NDArray[Any], Any]: ...

    def step(self, state: Any, x: Integers, k: int | None) -> tuple[NDArray[Any], NDArray[Any], Any]: ...
