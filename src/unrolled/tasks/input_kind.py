"""`InputKind` describes an input kind; `Input` is its fitted encoder.

Each kind is one file in tasks/inputs/.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from unrolled.core.config import Config, DataConfig
from unrolled.core.types import Array, Example, Place, Timeline, Vary
from unrolled.data.kinds import CONTENTS, Content, ContentName
from unrolled.data.text.pretrained import PretrainedWords
from unrolled.tasks.size_rules import keep_sizes

# (fitted input, x, encoded x) -> the features of the wide part: hashes of n-grams in increasing order, or numbers [F].
WideFeatures = Callable[[Any, object, Array], Array]


@runtime_checkable
class Input(Protocol):
    """A fitted input encoder. It contains the values learned from the data, and encodes x."""

    @property
    def n_x(self) -> int:
        """Number of different ids, or number of values per step."""
        ...

    @property
    def ids(self) -> bool:
        """Whether x is encoded as ids."""
        ...

    @property
    def multi_hot(self) -> bool:
        """Whether each step has several ids."""
        ...

    @property
    def unk_candidates(self) -> NDArray[np.bool_]:
        """Mask over the ids of the vocabulary, without the ids of word features.

        In training, each id that is True in the mask is replaced by `<UNK>` with probability 0.5.
        """
        ...

    def steps(self, x: object) -> object:
        """Return the steps of x in readable form: its tokens, or its numbers [T, n_x]."""
        ...

    def encode(self, x: object, place: Place | None = None) -> Array:
        """Encode x as [T] ids, [T, ids] several ids per step, or [T, n_x] numbers."""
        ...

    def unknown(self, x: object, encoded: Array) -> int:
        """Return how many tokens of x are `<UNK>`. encoded: the result of `encode` for x."""
        ...

    def to_json(self) -> dict[str, object]:
        """Return the JSON object that `restore` of the kind reads."""
        ...


@dataclass(frozen=True)
class InputKind:
    """An input kind: the type of x that readers must provide, and the functions of the kind.

    In the types of the functions, `Any` is the `Input` class of this kind.

    source_kind: the type of x: `text`, `numbers`, a `tune` or a file.
    learn: fits an `Input` to examples, and returns it with a one-line description.
    restore: creates an `Input` from its JSON object.
    augmenter: returns the function that changes encoded x and y at random in training. Its arguments are the
    input, whether images may be mirrored, and whether every step has a y. Raises UsageError if the arguments
    exclude each other.
    load_file: returns the example with the content of its file, if x is a file. Raises DataError.
    timeline: returns the times of the steps of a loaded example.
    windowed: whether long sequences are trained in windows of `--window` steps.
    embeds: whether x is encoded as ids, which get an embedding.
    steps_are: name of a step, for messages.  composes: whether `sample` writes tunes.
    options: the options that this kind supports and some other input kinds do not.
    pretrained: returns the words that have a pretrained vector, or None.
    fill: fills the defaults of these options.
    sizes: fills the defaults that depend on the number of sequences and on their total number of steps.
    wide: computes the features of the wide part (models/wide) for one y per sequence; None: there are none.
    wide_steps: computes those for one y per step.
    wide_window: returns this function for forecasts. Its argument is the number of steps that a forecast reads.
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
    pretrained: Callable[[Any], PretrainedWords | None] = lambda given: None
    fill: Callable[[Config], Config] = lambda config: config
    sizes: Callable[[Config, int, int], Config] = keep_sizes
    wide: WideFeatures | None = None
    wide_steps: WideFeatures | None = None
    wide_window: Callable[[int], WideFeatures] | None = None

    @property
    def content(self) -> Content:
        """The type of x that a reader must provide."""
        return CONTENTS[self.source_kind]
