"""The description of a network without its weights: records of its input, its recurrent core and its head.

    NetworkSpec(Embedding(n_x=10_000, size=64), CoreSpec(n_a=128), Classes(n_y=5, pooling="last"))

* The input defines a step of x: a token (`OneHot`, `Embedding`) or numbers (`Vectors`).
* The core is a stack of recurrent layers of one cell.
* The head defines the answer: `Classes`, `Crf`, `Ctc`, `Reals`, `Bits`, or `Features` for a network that is a
  part of another one. The head of an encoder-decoder is a `DecoderSpec`.

Every head has two constants. `loss_unit` is the unit of its loss. Training may end early when the loss stays
below `enough`.

The code in nn/ trains a network from this description on torch. The NumPy engine runs the trained network.
Every record raises UsageError for sizes and names that are not allowed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, TypeVar

from unrolled.core.errors import UsageError
from unrolled.models import cells
from unrolled.models.cells import Cell
from unrolled.models.frontends import FRONTS, Front, Sizes

POOLINGS = ("first", "last", "mean", "max", "attention")
SOFTMAXES = {"exact": "full", "adaptive": "adaptive"}  # value of the option `softmax`: output layer
OUTPUT_LAYERS = ("full", "tied", "adaptive")
ATTENTIONS = ("additive", "multiplicative")
SMALLEST_ADAPTIVE = 100  # outputs; with fewer, the clusters cost more time than they save
# The largest size. It is checked before memory is allocated, because a model file may contain any number.
MOST = 2**31 - 1
MOST_LAYERS = 1000


@dataclass(frozen=True)
class OneHot:
    """Tokens as one-hot vectors. n_x: number of tokens. Each step of x is one id."""

    n_x: int
    ids: ClassVar[bool] = True
    several: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _within("n_x", self.n_x, 1)

    @property
    def width(self) -> int:
        """Number of values per step that the next part of the network receives."""
        return self.n_x


@dataclass(frozen=True)
class WordVectors:
    """Pretrained vectors of words, which training does not change. rows: number of words. width: their size."""

    rows: int
    width: int

    def __post_init__(self) -> None:
        _within("rows", self.rows, 1)
        _within("width", self.width, 1)


@dataclass(frozen=True)
class Embedding:
    """Tokens as learnt vectors. n_x: number of tokens. size: number of values in a vector.

    several: if true, each step has several ids (a word and its affixes), x [batch, T_x, ids]. Their vectors
    are added.
    vectors: if set, the last id of each step is a row of pretrained vectors, or -1. This vector follows the
    learnt one.
    """

    n_x: int
    size: int
    several: bool = False
    vectors: WordVectors | None = None
    ids: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _within("n_x", self.n_x, 1)
        _within("embedding", self.size, 1)
        if self.vectors is not None and not self.several:
            raise UsageError("pretrained vectors need several ids per step")

    @property
    def width(self) -> int:
        """Number of values per step that the next part of the network receives."""
        return self.size + (0 if self.vectors is None else self.vectors.width)


@dataclass(frozen=True)
class FrontSpec:
    """A front end: a layer between the input numbers and the core.

    kind: a key of FRONTS. size: number of values per output step.
    """

    kind: str
    size: int

    def __post_init__(self) -> None:
        _known("front", self.kind, tuple(FRONTS))
        _within("front_size", self.size, 1)

    @property
    def front(self) -> Front:
        """The functions of this kind of front end."""
        return FRONTS[self.kind]


@dataclass(frozen=True)
class Vectors:
    """Numbers: each step of x is a vector. n_x: size of the vector. front: the front end, or None."""

    n_x: int
    front: FrontSpec | None = None
    ids: ClassVar[bool] = False
    several: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _within("n_x", self.n_x, 1)

    @property
    def width(self) -> int:
        """Number of values per step that the core receives."""
        return self.n_x if self.front is None else self.front.size


Lengths = TypeVar("Lengths")
InputSpec = OneHot | Embedding | Vectors


@dataclass(frozen=True)
class CoreSpec:
    """The recurrent layers.

    n_a: number of units per layer and direction.
    cell: a name in models/cells.
    activation: g1 of the basic RNN.
    zoneout: the fraction of the state that each step keeps (`cells.step_with_zoneout`).
    """

    n_a: int
    cell: str = "lstm"
    activation: str = "tanh"
    layers: int = 1
    bidirectional: bool = False
    zoneout: float = 0.0

    def __post_init__(self) -> None:
        _ = self.cell_definition
        _within("n_a", self.n_a, 1)
        _within("layers", self.layers, 1, MOST_LAYERS)

    @property
    def cell_definition(self) -> Cell:
        """The cell that all layers use."""
        return cells.find(self.cell, self.activation, self.zoneout)

    @property
    def directions(self) -> tuple[str, ...]:
        """The names of a layer's directions."""
        return ("forward", "backward") if self.bidirectional else ("forward",)

    @property
    def features(self) -> int:
        """Number of values per step that the core returns: n_a for each direction."""
        return self.n_a * len(self.directions)


@dataclass(frozen=True)
class Classes:
    """One of n_y classes; an answer is n_y log-probabilities.

    layer: the output layer, one of:

    * full: its own matrix.
    * tied: the matrix of the embedding (Press and Wolf, arXiv 1608.05859v3).
    * adaptive: clusters of rare classes (Grave et al., arXiv 1609.04309v3).

    pooling: how one vector per sequence is made from the features of all steps. None: one answer per step.
    """

    n_y: int
    layer: str = "full"
    pooling: str | None = None
    loss_unit: ClassVar[str] = "nats"
    enough: ClassVar[float] = 1e-3

    def __post_init__(self) -> None:
        _within("n_y", self.n_y, 1)
        _known("output layer", self.layer, OUTPUT_LAYERS)
        _known_pooling(self.pooling)
        if self.layer == "adaptive" and self.n_y < SMALLEST_ADAPTIVE:
            what = f"the adaptive softmax is for many outputs, not for {self.n_y}"
            raise UsageError(what, expected=f"at least {SMALLEST_ADAPTIVE}", hint="--softmax exact")


@dataclass(frozen=True)
class Crf:
    """One of n_y classes at every step, chosen by a CRF for the whole sequence (Lafferty et al. 2001).

    An answer is n_y scores per step.
    """

    n_y: int
    pooling: ClassVar[None] = None
    loss_unit: ClassVar[str] = "nats"
    enough: ClassVar[float] = 1e-3

    def __post_init__(self) -> None:
        _within("n_y", self.n_y, 1)


@dataclass(frozen=True)
class Ctc:
    """A sequence of classes, with CTC (Graves et al. 2006). Class 0 is the blank.

    An answer is n_y log-probabilities per step.
    """

    n_y: int
    pooling: ClassVar[None] = None
    loss_unit: ClassVar[str] = "nats"
    enough: ClassVar[float] = 1e-3

    def __post_init__(self) -> None:
        _within("the number of classes with the blank", self.n_y, 2)


@dataclass(frozen=True)
class Reals:
    """n_y real numbers. pooling: as in `Classes`."""

    n_y: int
    pooling: str | None = None
    loss_unit: ClassVar[str] = "half squared deviations"
    enough: ClassVar[float] = 1e-8

    def __post_init__(self) -> None:
        _within("n_y", self.n_y, 1)
        _known_pooling(self.pooling)


@dataclass(frozen=True)
class Bits:
    """n_y independent bits at every step. An answer is n_y log-odds per step.

    neighbours: number of units of the layer that connects each output with the inputs next to it
    (pitch_context.py). 0: no such layer.
    """

    n_y: int
    neighbours: int = 0
    pooling: ClassVar[None] = None
    loss_unit: ClassVar[str] = "nats"
    enough: ClassVar[float] = 1e-3

    def __post_init__(self) -> None:
        _within("n_y", self.n_y, 1)
        _within("neighbours", self.neighbours, 0)


@dataclass(frozen=True)
class Features:
    """No output layer: each step's answer is the features of the core. For a network inside another one."""

    pooling: ClassVar[None] = None
    loss_unit: ClassVar[str] = "none"
    enough: ClassVar[float] = 0.0


@dataclass(frozen=True)
class AttentionSpec:
    """The attention of a decoder.

    kind: additive (Bahdanau et al., arXiv 1409.0473v7) or multiplicative (Luong et al., arXiv 1508.04025v5).
    feeding: if true, the decoder also reads the attention output of the previous step (input feeding).
    """

    kind: str
    feeding: bool = False

    def __post_init__(self) -> None:
        _known("attention", self.kind, ATTENTIONS)


@dataclass(frozen=True)
class DecoderSpec:
    """The head of an encoder-decoder: a second core writes a sequence of n_y classes with its own length.

    layers: number of layers of the decoder. The encoder and the decoder have the same cell and n_a.
    embedding: size of the embedding of y; 0: one-hot vectors.
    layer: the output layer, as in `Classes`. tied: uses the embedding of y.
    shared: whether x and y share one embedding.
    attention: None: the decoder receives only the last state of the encoder.
    """

    n_y: int
    layers: int
    embedding: int = 0
    layer: str = "full"
    shared: bool = False
    attention: AttentionSpec | None = None
    pooling: ClassVar[None] = None
    loss_unit: ClassVar[str] = "nats"
    enough: ClassVar[float] = 1e-3

    def __post_init__(self) -> None:
        _within("decoder_layers", self.layers, 1, MOST_LAYERS)
        _within("target_embedding", self.embedding, 0)
        _ = Classes(self.n_y, self.layer)
        if self.feeding and not self.embedding:
            raise UsageError("input feeding needs an embedding", hint="--embedding 64")

    @property
    def feeding(self) -> bool:
        """Whether a step of the decoder reads the attention output of the previous step."""
        return self.attention is not None and self.attention.feeding

    @property
    def attends_by_product(self) -> bool:
        """Whether the attention score of a step of x is a dot product (multiplicative attention)."""
        return self.attention is not None and self.attention.kind == "multiplicative"


def output_layer(softmax: str, tied: bool = False) -> str:
    """Return the kind of output layer for the options `softmax` and `tie`.

    Raises UsageError for an unknown softmax, or if the two options exclude each other.
    """
    if tied and softmax != "exact":
        raise UsageError("tied weights need the exact softmax", hint="--softmax exact")
    if softmax not in SOFTMAXES:
        raise UsageError(f"unknown softmax '{softmax}'", expected=", ".join(SOFTMAXES))
    return "tied" if tied else SOFTMAXES[softmax]


def refuse_adaptive(softmax: str) -> None:
    """Raise UsageError if `softmax` is adaptive, or unknown."""
    if output_layer(softmax) == "adaptive":
        raise UsageError("the adaptive softmax needs classes without CRF or CTC", hint="--softmax exact")


HeadSpec = Classes | Crf | Ctc | Reals | Bits | Features | DecoderSpec


@dataclass(frozen=True)
class NetworkSpec:
    """A network without its weights. Raises UsageError if the three records do not fit together."""

    input: InputSpec
    core: CoreSpec
    head: HeadSpec

    def __post_init__(self) -> None:
        match self.head:
            case DecoderSpec():
                _check_decoder(self.input, self.core, self.head)
            case Bits(neighbours=neighbours) if neighbours:
                bare = isinstance(self.input, Vectors) and self.input.front is None
                if not bare or self.input.n_x < self.head.n_y:
                    raise UsageError(
                        "neighbours need numbers as input, at least one per output, without a front end",
                        hint="--neighbours 0",
                    )
            case Classes(layer="tied"):
                if not isinstance(self.input, Embedding) or self.input.n_x != self.head.n_y:
                    what = "tied weights need an embedding and the same number of inputs and outputs"
                    raise UsageError(what, hint="--set model.tie=false")
            case _:
                pass

    @property
    def n_x(self) -> int:
        """Number of tokens of x, or of values per step of x."""
        return self.input.n_x

    @property
    def n_y(self) -> int:
        """Number of outputs per answer."""
        return self.core.features if isinstance(self.head, Features) else self.head.n_y

    @property
    def front(self) -> FrontSpec | None:
        """The front end, or None."""
        return self.input.front if isinstance(self.input, Vectors) else None

    @property
    def normalised(self) -> bool:
        """Whether the answers are log-probabilities."""
        return isinstance(self.head, Classes | Ctc | DecoderSpec)

    @property
    def attends(self) -> bool:
        """Whether the network is an encoder-decoder with attention."""
        return isinstance(self.head, DecoderSpec) and self.head.attention is not None

    @property
    def reads_forward(self) -> bool:
        """Whether the network answers at every step, and no answer depends on a later step."""
        return self.head.pooling is None and not self.core.bidirectional

    @property
    def front_sizes(self) -> Sizes:
        """The sizes that are passed to the functions of the front end."""
        size = 0 if self.front is None else self.front.size
        return Sizes(self.n_x, size, causal=not self.core.bidirectional)

    @property
    def frontend_state_size(self) -> int:
        """Number of state values of the front end: one array [batch, past] after the arrays of the core."""
        return 0 if self.front is None else self.front.front.past(self.front_sizes)

    def steps(self, lengths: Lengths) -> Lengths:
        """Return the number of core steps for `lengths` steps of x. lengths: an int, an array or a tensor."""
        return lengths if self.front is None else self.front.front.steps(lengths)

    def inputs(self, layer: int) -> int:
        """Return the size of the input x_t of layer `layer` of the core."""
        return self.core.features if layer else self.input.width


def at_every_step(spec: NetworkSpec) -> NetworkSpec:
    """Return the same network with one answer per step instead of one answer per sequence."""
    if isinstance(spec.head, Classes | Reals):
        return replace(spec, head=replace(spec.head, pooling=None))
    return spec


def without_head(spec: NetworkSpec) -> NetworkSpec:
    """Return the same network without its head. Its answers are the features at every step."""
    return replace(spec, head=Features())


def encoder_part(spec: NetworkSpec) -> NetworkSpec:
    """Return the part of an encoder-decoder that reads x. Its tensors have the prefix `encoder.`."""
    return without_head(spec)


def decoder_part(spec: NetworkSpec) -> NetworkSpec:
    """Return the part of an encoder-decoder that writes y. Its tensors have the prefix `decoder.`.

    It is a language model. With attention it has no head. With feeding, each step reads a vector of numbers:
    the embedding of y, followed by the attention output of the previous step.
    """
    own, n_a = decoder_spec(spec), spec.core.n_a
    given: InputSpec = OneHot(own.n_y) if not own.embedding else Embedding(own.n_y, own.embedding)
    if own.feeding:
        given = Vectors(own.embedding + n_a)
    core = replace(spec.core, layers=own.layers, bidirectional=False)
    # A tied output layer uses the tensor `decoder.embedding.E` of the whole network: see tensor_shapes.py.
    layer = "full" if own.layer == "tied" else own.layer
    return NetworkSpec(given, core, Features() if own.attention else Classes(own.n_y, layer))


def attention_part(spec: NetworkSpec) -> NetworkSpec:
    """Return the part of an encoder-decoder that computes the answers with attention.

    Its tensors have the prefix `attention.`. It combines a of the decoder and the context with the equation
    of the basic RNN, a~ = tanh(W_a[a, context] + b_a). Then comes the head.
    """
    own = decoder_spec(spec)
    layer = "full" if own.layer == "tied" else own.layer
    core = CoreSpec(spec.core.n_a, cell="rnn")
    return NetworkSpec(Vectors(spec.core.features), core, Classes(own.n_y, layer))


def output_part(spec: NetworkSpec) -> tuple[str, NetworkSpec]:
    """Return the name and the description of the part of an encoder-decoder that has the head."""
    if decoder_spec(spec).attention is None:
        return "decoder", decoder_part(spec)
    return "attention", attention_part(spec)


def decoder_spec(spec: NetworkSpec) -> DecoderSpec:
    """Return the head of an encoder-decoder."""
    assert isinstance(spec.head, DecoderSpec)
    return spec.head


def _check_decoder(given: InputSpec, core: CoreSpec, own: DecoderSpec) -> None:
    if isinstance(given, Vectors) and given.front is not None:
        raise UsageError("an encoder-decoder has no front end", hint="--front none")
    if own.layer == "tied" and own.embedding != core.n_a:
        what = f"tied weights need an embedding of size {core.n_a}, the number of units"
        raise UsageError(what, hint="--no-tie")
    same = isinstance(given, Embedding) and (given.n_x, given.size) == (own.n_y, own.embedding)
    if own.shared and (not same or given.several):
        raise UsageError("a shared embedding needs one vocabulary for x and y", hint="--no-shared")


def _within(name: str, value: int, least: int, most: int = MOST) -> None:
    if value < least:
        raise UsageError(f"{name} is {value}", expected=f"at least {least}")
    if value > most:
        raise UsageError(f"{value:,} {name.replace('_', ' ')}", expected=f"{least:,} to {most:,}")


def _known(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UsageError(f"unknown {name} '{value}'", expected=", ".join(known))


def _known_pooling(value: str | None) -> None:
    if value is not None:
        _known("pooling", value, POOLINGS)
