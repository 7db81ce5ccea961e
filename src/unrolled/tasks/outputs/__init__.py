"""Output kinds: what y is. One file each: learn, encode, decode, measure, describe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from unrolled.core.config import DataConfig, ModelConfig
from unrolled.core.types import Answer, Example, Place, Targets
from unrolled.tasks.outputs import (
    ctc,
    label,
    next_note,
    next_numbers,
    next_roll,
    number,
    sequence,
    tags,
)

Floats = NDArray[np.floating[Any]]
Weights = Mapping[str, Any]


@runtime_checkable
class Output(Protocol):
    """What was learnt of an output. `answer`s are what an engine says of one sequence, [T or 1, n_y], or what a search
    with a decoder found; `weights` the network's tensors, among which a CRF has some. targets: whether a sequence has
    one y, one a step, or a sequence."""

    targets: ClassVar[Targets]

    @property
    def n_y(self) -> int:
        """How many numbers the network answers with, a step."""
        ...

    @property
    def architecture(self) -> str:
        """Which of the lecture's architectures it asks for."""
        ...

    @property
    def output(self) -> str:
        """`classes`, `numbers`, `bits` that are each 0 or 1, or `ctc`."""
        ...

    @property
    def crf(self) -> bool:
        """Whether classes are chosen as a whole path."""
        ...

    def encode(self, y: Any, steps: int, place: Place | None = None) -> NDArray[Any]:
        """A y as the network is to learn it: [], [n_y], [steps], [steps, n_y] or [T_y]; -1 or NaN asks nothing."""
        ...

    def settle(self, y: Sequence[NDArray[Any]], answers: Sequence[Any], weights: Weights) -> Output:
        """What only a validation part can tell, after the training."""
        ...

    def answer(self, answer: Any, steps: Any, top: int, weights: Weights) -> Answer:
        """The answer to one sequence, of which these are the steps."""
        ...

    def blank(self) -> Answer:
        """The answer to a blank line."""
        ...

    def figures(self, y: Sequence[Any], answers: Sequence[Any], weights: Weights) -> dict[str, Any]:
        """What `evaluate` prints about this output, over a whole part of the data; the formulas are in tasks/metrics.

        y: targets as they were encoded; as text if a target is a sequence of its own.
        """
        ...

    def describe(self) -> str:
        """For people."""
        ...

    def to_json(self) -> dict[str, Any]:
        """What the kind's `restore` reads."""
        ...


@dataclass(frozen=True)
class OutputKind:
    """An output kind: what a reader must find for it, how it is learnt from examples and restored from a model file.

    of_all: whether it is learnt of the part held out too: which names there are, and no more.  brief: from y and the
    answer to a sequence what `settle` and `figures` need of it, where that is less than all.  unseen_in: of an output
    and a y, the names in it that training did not have.  meeting: of an output and many y, the output that tells their
    unseen names apart, to measure with.  can_measure: of an output and an encoded y, whether its loss means anything
    (None: always).
    """

    target: Literal["label", "number", "tags", "next", "text"]
    learn: Callable[[Iterable[Example], DataConfig, ModelConfig], Output]
    restore: Callable[[Mapping[str, Any]], Output]
    of_all: bool = False
    brief: Callable[[NDArray[Any], Floats], Floats] = lambda y, answer: answer
    unseen_in: Callable[[Any, Any], Iterable[str]] | None = None
    meeting: Callable[[Any, Iterable[Any]], Any] | None = None
    can_measure: Callable[[Any, NDArray[Any]], bool] | None = None


# By the name of the output, or by INPUT:OUTPUT where an input has its own.
OUTPUTS: dict[str, OutputKind] = {
    "ctc": OutputKind(
        "text",
        ctc.learn_transcript,
        ctc.transcript,
        of_all=True,
        unseen_in=ctc.unseen_in,
        can_measure=ctc.can_measure,
    ),
    "label": OutputKind("label", label.learn_label, label.label, of_all=True),
    "next": OutputKind("next", next_numbers.learn_next_numbers, next_numbers.next_numbers),
    "notes:next": OutputKind("next", next_note.learn_next_notes, next_note.next_notes, brief=next_note.brief),
    "number": OutputKind("number", number.learn_number, number.number),
    "sequence": OutputKind(
        "text",
        sequence.learn_sequence,
        sequence.sequences,
        unseen_in=sequence.unseen_in,
        can_measure=sequence.can_measure,
    ),
    "rolls:next": OutputKind("next", next_roll.learn_next_rolls, next_roll.next_rolls),
    "tags": OutputKind(
        "tags",
        tags.learn_tags,
        tags.tags,
        of_all=True,
        unseen_in=tags.Tags.unseen_in,
        meeting=tags.Tags.meeting,
        can_measure=tags.can_measure,
    ),
}


def find_output(key: str) -> OutputKind:
    """The output kind of a preset's key: one of its input's own, or the common one."""
    return OUTPUTS.get(key) or OUTPUTS[key.partition(":")[2]]
