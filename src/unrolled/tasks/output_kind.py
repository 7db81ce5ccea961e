"""The record of an output kind, and the protocol of what it learns. Each kind is one file in tasks/outputs/."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

from unrolled.core.config import Config, DataConfig, ModelConfig
from unrolled.core.types import Answer, Array, Example, Floats, Place, Targets
from unrolled.data.kinds import TARGETS, Target, TargetName
from unrolled.models.network_spec import HeadSpec

Weights = Mapping[str, Array]


@runtime_checkable
class Output(Protocol):
    """An output with what it learnt from the training part.

    answer: the output of the network for one sequence, [T or 1, n_y], or the result of a search with a decoder. Its
    type is `Any`, because each output gets the type that it asked for. weights: the tensors of the network, for a CRF.
    targets: whether a sequence has one y, one y per step, or a sequence as y.
    """

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
        """The answer to one sequence. steps: the words or numbers of the sequence."""
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
    scored: the figure by which `compare` ranks models, a mean over sequences, and whether more of it is better.
    options: the options of `train` that apply to this output but not to every task.
    units: the token units that this output supports, None: all.  why_units: the reason, for messages.
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
    scored: tuple[str, bool] | None = None
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
