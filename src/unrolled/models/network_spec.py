"""The description of a network without its weights: three records for its input, its recurrent core and its head.

    NetworkSpec(Embedding(n_x=10_000, size=64), CoreSpec(n_a=128), Classes(n_y=5, pooling="last"))

* The input says what a step of x is: a token (`OneHot`, `Embedding`) or numbers (`Vectors`).
* The core is a stack of recurrent layers of one cell.
* The head says what an answer is: `Classes`, `Crf`, `Ctc`, `Reals`, `Bits`, or `Features` for a network that is a
  part of another one. The head of an encoder-decoder is a `DecoderSpec`.

The torch half trains a network from this description, and the NumPy engine runs it. Every record raises UsageError for
sizes and names that are not allowed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, TypeVar

from unrolled.core.errors import UsageError
from unrolled.models import cells
from unrolled.models.cells import Cell
from unrolled.models.frontends import FRONTS, Front, Sizes

POOLINGS = ("first", "last", "mean", "max", "attention")
SOFTMAXES = {"exact": "full", "adaptive": "adaptive"}  # by the option: the output layer
OUTPUT_LAYERS = ("full", "tied", "adaptive")
ATTENTIONS = ("additive", "multiplicative")
SMALLEST_ADAPTIVE = 100  # outputs; with fewer, clusters cost more than they save
MOST = 2**31 - 1  # checked before anything of this size is made: a model file may claim anything
MOST_LAYERS = 1000


@dataclass(frozen=True)
class OneHot:
    """Tokens as one-hot vectors. n_x: number of tokens. A step is one id."""

    n_x: int
    ids: ClassVar[bool] = True
    several: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _within("n_x", self.n_x, 1)

    @property
    def width(self) -> int:
        """How many numbers the next part of the network is given at a step."""
        return self.n_x


@dataclass(frozen=True)
class Embedding:
    """Tokens as learnt vectors. n_x: number of tokens; size: numbers in a vector.

    several: a step is several ids (a word and its affixes), whose vectors are added up: x [batch, T_x, ids].
    """

    n_x: int
    size: int
    several: bool = False
    ids: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _within("n_x", self.n_x, 1)
        _within("embedding", self.size, 1)

    @property
    def width(self) -> int:
        """How many numbers the next part of the network is given at a step."""
        return self.size


@dataclass(frozen=True)
class FrontSpec:
    """A layer before the core that makes steps of numbers from steps of numbers. kind: one of FRONTS; size: numbers per
    step that it makes."""

    kind: str
    size: int

    def __post_init__(self) -> None:
        _known("front", self.kind, tuple(FRONTS))
        _within("front_size", self.size, 1)

    @property
    def front(self) -> Front:
        """The functions of this kind."""
        return FRONTS[self.kind]


@dataclass(frozen=True)
class Vectors:
    """Numbers. n_x: numbers in a step; front: the layer between them and the core, if there is one."""

    n_x: int
    front: FrontSpec | None = None
    ids: ClassVar[bool] = False
    several: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _within("n_x", self.n_x, 1)

    @property
    def width(self) -> int:
        """How many numbers the core is given at a step."""
        return self.n_x if self.front is None else self.front.size


Lengths = TypeVar("Lengths")
InputSpec = OneHot | Embedding | Vectors


@dataclass(frozen=True)
class CoreSpec:
    """The recurrent layers. n_a: units per layer and direction; cell: one of models/cells; activation: g1 of its
    equation; zoneout: the fraction of the state that each step keeps (`cells.step_with_zoneout`)."""

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
        """The cell of all layers."""
        return cells.find(self.cell, self.activation, self.zoneout)

    @property
    def directions(self) -> tuple[str, ...]:
        """The names of a layer's directions."""
        return ("forward", "backward") if self.bidirectional else ("forward",)

    @property
    def features(self) -> int:
        """How many numbers the core makes of a step: n_a for each direction."""
        return self.n_a * len(self.directions)


@dataclass(frozen=True)
class Classes:
    """One of n_y classes; an answer is n_y log-probabilities.

    layer: the output layer. full: a matrix of its own. tied: the matrix of the embedding (Press and Wolf,
    arXiv 1608.05859v3). adaptive: clusters of rare classes (Grave et al., arXiv 1609.04309v3).
    pooling: which features the one answer to a sequence is made of; None: there is an answer at every step.
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
            what = f"the adaptive softmax is for many outputs; here are {self.n_y}"
            raise UsageError(what, expected=f"at least {SMALLEST_ADAPTIVE}", hint="--softmax exact")


@dataclass(frozen=True)
class Crf:
    """One of n_y classes at every step, chosen as a whole path by a CRF (Lafferty et al. 2001); an answer is n_y
    scores."""

    n_y: int
    pooling: ClassVar[None] = None
    loss_unit: ClassVar[str] = "nats"
    enough: ClassVar[float] = 1e-3

    def __post_init__(self) -> None:
        _within("n_y", self.n_y, 1)


@dataclass(frozen=True)
class Ctc:
    """A sequence of classes by CTC (Graves et al. 2006): at every step n_y log-probabilities. Class 0 is the blank."""

    n_y: int
    pooling: ClassVar[None] = None
    loss_unit: ClassVar[str] = "nats"
    enough: ClassVar[float] = 1e-3

    def __post_init__(self) -> None:
        _within("the number of classes with the blank", self.n_y, 2)


@dataclass(frozen=True)
class Reals:
    """n_y numbers. pooling: as in `Classes`."""

    n_y: int
    pooling: str | None = None
    loss_unit: ClassVar[str] = "half squared deviations"
    enough: ClassVar[float] = 1e-8

    def __post_init__(self) -> None:
        _within("n_y", self.n_y, 1)
        _known_pooling(self.pooling)


@dataclass(frozen=True)
class Bits:
    """n_y independent bits at every step. An answer is n_y log-odds. neighbours: units of the layer that connects each
    output with the inputs next to it (pitch_context.py); 0: no such layer."""

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
    """No output layer: the answers at every step are the features of the core. For a network inside another one."""

    pooling: ClassVar[None] = None
    loss_unit: ClassVar[str] = "none"
    enough: ClassVar[float] = 0.0


@dataclass(frozen=True)
class AttentionSpec:
    """How the decoder looks at x: additive (Bahdanau et al., arXiv 1409.0473v7) or multiplicative (Luong et al.,
    arXiv 1508.04025v5). feeding: the decoder's next step also reads what attention gave."""

    kind: str
    feeding: bool = False

    def __post_init__(self) -> None:
        _known("attention", self.kind, ATTENTIONS)


@dataclass(frozen=True)
class DecoderSpec:
    """The head of an encoder-decoder: a second core writes a sequence of n_y classes of its own length.

    layers: of the decoder; its cell and n_a are those of the encoder.  embedding: size of the embedding of y, 0 for
    one-hot vectors.  layer: the output layer, as in `Classes`; tied: to the embedding of y.  shared: x and y have one
    embedding.  attention: None: only the last state of the encoder crosses.
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
        """Whether a step reads what attention gave at the step before."""
        return self.attention is not None and self.attention.feeding

    @property
    def attends_by_product(self) -> bool:
        """Whether the score of a step of x is a plain product."""
        return self.attention is not None and self.attention.kind == "multiplicative"


def output_layer(softmax: str, tied: bool = False) -> str:
    """The kind of output layer of the options `softmax` and `tie`. Raises UsageError if they exclude each other."""
    if tied and softmax != "exact":
        raise UsageError("tied weights need the exact softmax", hint="--softmax exact")
    if softmax not in SOFTMAXES:
        raise UsageError(f"unknown softmax '{softmax}'", expected=", ".join(SOFTMAXES))
    return "tied" if tied else SOFTMAXES[softmax]


def refuse_adaptive(softmax: str) -> None:
    """Raise UsageError for an adaptive softmax."""
    if output_layer(softmax) == "adaptive":
        raise UsageError("the adaptive softmax is for classes chosen one by one", hint="--softmax exact")


HeadSpec = Classes | Crf | Ctc | Reals | Bits | Features | DecoderSpec


@dataclass(frozen=True)
class NetworkSpec:
    """A network without its weights. Raises UsageError if the sizes of the three records do not fit together."""

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
                    raise UsageError("only keys among keys have neighbours", hint="--neighbours 0")
            case Classes(layer="tied"):
                if not isinstance(self.input, Embedding) or self.input.n_x != self.head.n_y:
                    what = "tied weights need an embedding, and as many inputs as outputs"
                    raise UsageError(what, hint="--set model.tie=false")
            case _:
                pass

    @property
    def n_x(self) -> int:
        """Tokens, or numbers per step, of x."""
        return self.input.n_x

    @property
    def n_y(self) -> int:
        """Outputs per answer."""
        return self.core.features if isinstance(self.head, Features) else self.head.n_y

    @property
    def front(self) -> FrontSpec | None:
        """The layer before the core, if there is one."""
        return self.input.front if isinstance(self.input, Vectors) else None

    @property
    def normalised(self) -> bool:
        """Whether the answers are log-probabilities."""
        return isinstance(self.head, Classes | Ctc | DecoderSpec)

    @property
    def attends(self) -> bool:
        """Whether there is an attention between two cores."""
        return isinstance(self.head, DecoderSpec) and self.head.attention is not None

    @property
    def reads_forward(self) -> bool:
        """Whether there is an answer at every step that depends on no later step."""
        return self.head.pooling is None and not self.core.bidirectional

    @property
    def front_sizes(self) -> Sizes:
        """The sizes that the functions of the front are given."""
        size = 0 if self.front is None else self.front.size
        return Sizes(self.n_x, size, causal=not self.core.bidirectional)

    @property
    def frontend_state_size(self) -> int:
        """Numbers of the state that belong to the front: one more array [batch, past] after those of the core."""
        return 0 if self.front is None else self.front.front.past(self.front_sizes)

    def steps(self, lengths: Lengths) -> Lengths:
        """How many steps the core makes of `lengths` steps of x: an int, or an array or a tensor of them."""
        return lengths if self.front is None else self.front.front.steps(lengths)

    def inputs(self, layer: int) -> int:
        """The size of x_t as layer `layer` of the core sees it."""
        return self.core.features if layer else self.input.width


def at_every_step(spec: NetworkSpec) -> NetworkSpec:
    """The same network with an answer at every step in the place of one answer per sequence."""
    if isinstance(spec.head, Classes | Reals):
        return replace(spec, head=replace(spec.head, pooling=None))
    return spec


def without_head(spec: NetworkSpec) -> NetworkSpec:
    """The same network up to its head: its answers are the features at every step."""
    return replace(spec, head=Features())


def encoder_part(spec: NetworkSpec) -> NetworkSpec:
    """The part of an encoder-decoder that reads x. Its tensors are called `encoder.` and their own names."""
    return without_head(spec)


def decoder_part(spec: NetworkSpec) -> NetworkSpec:
    """The part of an encoder-decoder that writes y, called `decoder.`: a language model; with attention it has no head.
    With feeding a step reads numbers: the embedding of y, and after it what attention gave."""
    own, n_a = decoder_spec(spec), spec.core.n_a
    given: InputSpec = OneHot(own.n_y) if not own.embedding else Embedding(own.n_y, own.embedding)
    if own.feeding:
        given = Vectors(own.embedding + n_a)
    core = replace(spec.core, layers=own.layers, bidirectional=False)
    # A tied layer of the decoder borrows the embedding by its name in the whole network: see tensor_shapes.
    layer = "full" if own.layer == "tied" else own.layer
    return NetworkSpec(given, core, Features() if own.attention else Classes(own.n_y, layer))


def attention_part(spec: NetworkSpec) -> NetworkSpec:
    """The part of an encoder-decoder that answers with attention, called `attention.`: the equation of the basic RNN
    over a of the decoder and the context, a~ = tanh(W_a[a, context] + b_a), and the head."""
    own = decoder_spec(spec)
    layer = "full" if own.layer == "tied" else own.layer
    core = CoreSpec(spec.core.n_a, cell="rnn")
    return NetworkSpec(Vectors(spec.core.features), core, Classes(own.n_y, layer))


def output_part(spec: NetworkSpec) -> tuple[str, NetworkSpec]:
    """The part of an encoder-decoder that has its head, and that part's name."""
    if decoder_spec(spec).attention is None:
        return "decoder", decoder_part(spec)
    return "attention", attention_part(spec)


def decoder_spec(spec: NetworkSpec) -> DecoderSpec:
    """The head of an encoder-decoder."""
    assert isinstance(spec.head, DecoderSpec)
    return spec.head


def _check_decoder(given: InputSpec, core: CoreSpec, own: DecoderSpec) -> None:
    if isinstance(given, Vectors) and given.front is not None:
        raise UsageError("an encoder-decoder has no front", hint="--front none")
    if own.layer == "tied" and own.embedding != core.n_a:
        what = f"tied weights need an embedding of {core.n_a}, as many as units"
        raise UsageError(what, hint="--no-tie")
    same = isinstance(given, Embedding) and (given.n_x, given.size) == (own.n_y, own.embedding)
    if own.shared and (not same or given.several):
        raise UsageError("a shared embedding needs one vocabulary for both ends", hint="--no-shared")


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
