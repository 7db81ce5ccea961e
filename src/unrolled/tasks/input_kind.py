"""The record of an input kind, and the protocol of what it learns. Each kind is one file in tasks/inputs/."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from unrolled.core.config import Config, DataConfig
from unrolled.core.types import Array, Example, Place, Timeline, Vary
from unrolled.data.kinds import CONTENTS, Content, ContentName


@runtime_checkable
class Input(Protocol):
    """What was learnt of an input, and how it encodes an x."""

    @property
    def n_x(self) -> int:
        """How many ids there are, or numbers a step."""
        ...

    @property
    def ids(self) -> bool:
        """Whether x becomes ids."""
        ...

    @property
    def multi_hot(self) -> bool:
        """Whether a step is several ids."""
        ...

    @property
    def unk_candidates(self) -> NDArray[np.bool_]:
        """[some of the ids] True for those that become `<UNK>` half of the time in training."""
        ...

    def steps(self, x: object) -> object:
        """An x step by step, as people know it: its tokens, or its numbers [T, n_x]."""
        ...

    def encode(self, x: object, place: Place | None = None) -> Array:
        """[T] ids, [T, ids] several a step, or [T, n_x] numbers."""
        ...

    def unknown(self, x: object, encoded: Array) -> int:
        """How many tokens of an x are `<UNK>`. encoded: the x as `encode` returned it."""
        ...

    def to_json(self) -> dict[str, object]:
        """What the kind's `restore` reads."""
        ...


@dataclass(frozen=True)
class InputKind:
    """An input kind: what a reader must find for it (`text`, `numbers`, a `tune` or a file), and its
    functions. `Any` is the kind's own input, which is all that these functions are called with.

    augmenter: makes the function that changes encoded x and y at random in training. Its arguments: the input, whether
    pictures may be mirrored, whether every step has a y. Raises UsageError if they exclude each other.
    load_file: for an x that is a file: the same example with what the file holds; raises DataError.
    timeline: the times of the steps of a loaded example.
    windowed: long sequences are trained in windows of `--window` steps.
    embeds: whether x becomes ids, which get an embedding.
    steps_are: what a step is, for messages.  composes: whether `sample` writes tunes.
    options: the options of `train` that apply to this input but not to every task.  fill: sets defaults of these
    options.
    """

    source_kind: ContentName
    learn: Callable[[Iterable[Example], DataConfig], tuple[Input, str]]
    restore: Callable[[Mapping[str, object]], Input]
    augmenter: Callable[[Any, bool, bool], Vary] | None = None
    load_file: Callable[[Any, Example], Example] | None = None
    timeline: Callable[[Any, Example], Timeline] | None = None
    windowed: bool = False
    embeds: bool = False
    steps_are: str = "steps"
    composes: bool = False
    options: frozenset[str] = frozenset()
    fill: Callable[[Config], Config] = lambda config: config

    @property
    def content(self) -> Content:
        """What a reader must find as x."""
        return CONTENTS[self.source_kind]
