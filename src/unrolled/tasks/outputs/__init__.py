"""Output kinds: what y is. One file each: learn, encode, decode, measure, describe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, runtime_checkable

from unrolled.core.config import Config, DataConfig, ModelConfig
from unrolled.core.extensions import Registry
from unrolled.core.types import Answer, Array, Example, Floats, Place, Targets
from unrolled.data.kinds import TARGETS, Target, TargetName
from unrolled.data.text.subword import SUBWORD
from unrolled.models.network_spec import HeadSpec
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
from unrolled.tasks.presets import find

Weights = Mapping[str, Array]


@runtime_checkable
class Output(Protocol):
    """What was learnt of an output. `answer`s are what an engine says of one sequence, [T or 1, n_y], or what a search
    with a decoder found (`Any`: each output gets only what it asked the network for); `weights` the network's tensors,
    among which a CRF has some. targets: whether a sequence has one y, one a step, or a sequence."""

    targets: ClassVar[Targets]

    @property
    def n_y(self) -> int:
        """How many numbers the network answers with, a step."""
        ...

    def head(self, config: Config) -> HeadSpec:
        """The output layer of the network: its kind says which loss is learnt and whether there is one answer per
        sequence. Raises UsageError for options that exclude each other."""
        ...

    def encode(self, y: object, steps: int, place: Place | None = None) -> Array:
        """A y as the network is to learn it: [], [n_y], [steps], [steps, n_y] or [T_y]; -1 or NaN asks nothing."""
        ...

    def calibrate(self, y: Sequence[Array], answers: Sequence[Any], weights: Weights) -> Output:
        """What only a validation part can tell, after the training."""
        ...

    def to_answer(self, answer: Any, steps: object, top: int, weights: Weights) -> Answer:
        """The answer to one sequence, of which these are the steps."""
        ...

    def blank(self) -> Answer:
        """The answer to a blank line."""
        ...

    def figures(self, y: Sequence[Any], answers: Sequence[Any], weights: Weights) -> Mapping[str, object]:
        """What `evaluate` prints about this output, over a whole part of the data; the formulas are in tasks/metrics.

        y: targets as they were encoded; as text if a target is a sequence of its own.
        """
        ...

    def describe(self) -> str:
        """For people."""
        ...

    def to_json(self) -> dict[str, object]:
        """What the kind's `restore` reads."""
        ...


@dataclass(frozen=True)
class OutputKind:
    """An output kind: what a reader must find for it, how it is learnt from examples and restored from a model file.

    include_validation: whether it is learnt from the validation part too (the names of classes are).
    summarize: makes of y and the answer to a sequence the part that `calibrate` and `figures` need.
    unseen_in: the names in a y that training did not have. meeting: the output that tells the unseen names of many y
    apart, to measure with. can_measure: whether an encoded y has a loss (None: always).
    decoder: whether an encoder-decoder writes y.
    options: options that this output has and not every output. units: the units of text that it allows, None: all;
    why_units: the reason, for messages.
    """

    target: TargetName
    learn: Callable[[Iterable[Example], DataConfig, ModelConfig], Output]
    restore: Callable[[Mapping[str, object]], Output]
    include_validation: bool = False
    summarize: Callable[[Array, Floats], Floats] = lambda y, answer: answer
    unseen_in: Callable[[Any, Any], Iterable[str]] | None = None
    meeting: Callable[[Any, Iterable[Any]], Output] | None = None
    can_measure: Callable[[Any, Array], bool] | None = None
    decoder: bool = False
    options: frozenset[str] = frozenset()
    units: tuple[str, ...] | None = None
    why_units: str = ""

    @property
    def asks(self) -> Target:
        """What a reader must find as y."""
        return TARGETS[self.target]

    @property
    def ahead(self) -> bool:
        """Whether the next step is asked for: then a model must not read backward."""
        return self.asks.ahead


NEXT = OutputKind(
    "next",
    next_numbers.learn_next_numbers,
    next_numbers.next_numbers,
    options=frozenset(("tie", "first", "documents", "window")),
    units=("word", "white", "char"),
    why_units="it scores whole tokens",
)
# By the name of the output, or by INPUT:OUTPUT where an input has its own.
_OWN: dict[str, OutputKind] = {
    "ctc": OutputKind(
        "text",
        ctc.learn_transcript,
        ctc.transcript,
        include_validation=True,
        unseen_in=ctc.unseen_in,
        can_measure=ctc.can_measure,
        units=("char", SUBWORD),
        why_units="it writes characters or subwords",
    ),
    "label": OutputKind(
        "label",
        label.learn_label,
        label.label,
        include_validation=True,
        options=frozenset(("classes", "ordinal", "class_weights", "pooling")),
    ),
    "next": NEXT,
    "notes:next": replace(
        NEXT, learn=next_note.learn_next_notes, restore=next_note.next_notes, summarize=next_note.summarize
    ),
    "number": OutputKind(
        "number", number.learn_number, number.number, options=frozenset(("horizon", "pooling"))
    ),
    "sequence": OutputKind(
        "text",
        sequence.learn_sequence,
        sequence.sequences,
        unseen_in=sequence.unseen_in,
        can_measure=sequence.can_measure,
        decoder=True,
        options=frozenset(
            ("source_unit", "target_unit", "shared", "attention", "feeding", "decoder_layers", "tie")
        ),
    ),
    "rolls:next": replace(NEXT, learn=next_roll.learn_next_rolls, restore=next_roll.next_rolls),
    "tags": OutputKind(
        "tags",
        tags.learn_tags,
        tags.tags,
        include_validation=True,
        unseen_in=tags.Tags.unseen_in,
        meeting=tags.Tags.meeting,
        can_measure=tags.can_measure,
        options=frozenset(("crf",)),
        units=("white",),
        why_units="each token has its tag, as the data has them",
    ),
}

OUTPUTS: Registry[OutputKind] = Registry("unrolled.outputs", OutputKind, _OWN)


def find_output(key: str) -> OutputKind:
    """The output kind of a preset's key: one of its input's own, or the common one."""
    return OUTPUTS[key] if OUTPUTS.has(key) else OUTPUTS[key.partition(":")[2]]


def output_of(task: str) -> OutputKind:
    """The output kind of a task. Raises UsageError for an unknown task."""
    return find_output(find(task).key)
