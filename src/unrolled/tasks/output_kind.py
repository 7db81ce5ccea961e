"""`OutputKind` describes an output kind; `Output` is its fitted form.

Each kind is one file in tasks/outputs/.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

from unrolled.core.config import Config, DataConfig, ModelConfig
from unrolled.core.types import Answer, Array, Example, Floats, Place, Targets
from unrolled.data.kinds import TARGETS, Target, TargetName
from unrolled.models.network_spec import HeadSpec
from unrolled.tasks.details.parts import Details, Evaluated
from unrolled.tasks.size_rules import keep_sizes

Weights = Mapping[str, Array]


@runtime_checkable
class Output(Protocol):
    """An output with what it learned from the training set.

    Common arguments of its methods:
    answer: the output of the network for one sequence, [T or 1, n_y], or the result of a search with a
    decoder. Its type is `Any`, because it differs between output kinds.
    weights: the tensors of the network; only a CRF needs them.

    targets: whether a sequence has one y, one y per step, or a sequence as y.
    """

    targets: ClassVar[Targets]

    @property
    def n_y(self) -> int:
        """Number of network outputs per step."""
        ...

    def head(self, config: Config) -> HeadSpec:
        """Return the description of the output layer.

        Its type determines the loss, and whether there is one answer per sequence.
        Raises UsageError for options that exclude each other.
        """
        ...

    def encode(self, y: object, steps: int, place: Place | None = None) -> Array:
        """Encode y for training: [], [n_y], [steps], [steps, n_y] or [T_y]. The loss ignores -1 and NaN."""
        ...

    def calibrate(self, y: Sequence[Array], answers: Sequence[Any], weights: Weights) -> Output:
        """Return this output, calibrated on the validation set after training."""
        ...

    def to_answer(self, answer: Any, steps: object, top: int, weights: Weights) -> Answer:
        """Return the answer to one sequence.

        steps: the words or numbers of the sequence.  top: how many alternatives to report.
        """
        ...

    def blank(self) -> Answer:
        """Return the answer to a blank line."""
        ...

    def figures(self, y: Sequence[Any], answers: Sequence[Any], weights: Weights) -> Mapping[str, object]:
        """Return the metrics that `evaluate` prints, over a whole data set.

        The formulas are in tasks/metrics.
        y: encoded targets, or texts if each target is a sequence with its own length.
        """
        ...

    def describe(self) -> str:
        """Return a one-line description for messages."""
        ...

    def to_json(self) -> dict[str, object]:
        """Return the JSON object that `restore` of the kind reads."""
        ...


Scored = tuple[float, Mapping[str, float]]
Measure = Callable[[Any, Sequence[Array], Sequence[Floats], Weights], Scored]


@dataclass(frozen=True)
class OutputKind:
    """An output kind: the type of y that readers must provide, and the functions of the kind.

    target: what a reader must provide as y.
    learn: fits an `Output` to examples.  restore: creates an `Output` from its JSON object.
    include_validation: whether `learn` also reads the validation set. Classes need this, for their names.
    summarize: returns the part of an answer that `calibrate` and `figures` need. Arguments: y and the answer.
    unseen_in: returns the names in y that do not occur in the training set.
    meeting: returns an output that gives an index of its own to each unseen name in many y. It is used for
    evaluation.
    can_measure: returns whether an encoded y has a loss (None: always).
    decoder: whether an encoder-decoder writes y.
    details: returns the details of an evaluation, such as results by class and the worst errors. Arguments: the
    fitted output, and what was evaluated. None: there are none.
    scored: the metric by which `compare` ranks models, and whether higher is better. The metric is a mean over
    sequences.
    measure: returns a score that chooses the best weights of a training (higher is better), and the metrics
    that are shown at each validation, from quick decoding. None: only the loss. Arguments: the fitted output,
    y, answers after `summarize`, and weights.
    options: the options that this kind supports and some other output kinds do not.
    sizes: fills the defaults that depend on the number of sequences and on their total number of steps.
    units: the units of text that it allows (None: all).  why_units: the reason, for messages.
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
    details: Callable[[Any, Evaluated], Details] | None = None
    scored: tuple[str, bool] | None = None
    measure: Measure | None = None
    options: frozenset[str] = frozenset()
    sizes: Callable[[Config, int, int], Config] = keep_sizes
    units: tuple[str, ...] | None = None
    why_units: str = ""

    @property
    def asks(self) -> Target:
        """The type of y that a reader must provide."""
        return TARGETS[self.target]

    @property
    def ahead(self) -> bool:
        """Whether y is the next step. Such a model must not read backward."""
        return self.asks.ahead
