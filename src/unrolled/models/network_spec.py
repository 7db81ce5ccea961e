"""The description of a network: its cell, sizes, input and head.

Shared by the torch half, which trains it, and the NumPy engine, which runs it. A network is
embedding (or bare one-hot vectors, or numbers) -> front, where there is one -> core: recurrent layers, each in one or
two directions -> head. An encoder-decoder is two or three of these, and what lies between them: see
`NetworkSpec.encoder`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from unrolled.core.errors import DataError, UsageError
from unrolled.models import cells
from unrolled.models.cells import Cell
from unrolled.models.frontends import FRONTS, Sizes

SOFTMAXES = ("exact", "adaptive")
ARCHITECTURES = ("one-to-one", "many-to-one", "many-to-many", "encoder-decoder")
ATTENTIONS = ("none", "additive", "multiplicative")
POOLINGS = ("last", "mean", "max", "attention")
OUTPUTS = ("classes", "numbers", "bits", "ctc", "features")
UNNORMALISED = ("numbers", "bits")  # outputs that are no log-probabilities
WITH_BLANK = ("ctc",)  # outputs with a class for "nothing here"
SMALLEST_ADAPTIVE = 100  # outputs; below that clusters only cost


@dataclass(frozen=True)
class NetworkSpec:
    """A network without its weights.

    n_a units a layer and direction. n_x: with `ids`, the number of tokens; else the numbers in a step's vector.
    embedding: size of the embedding, 0 for bare one-hot vectors (or for numbers). n_y outputs.
    multi_hot: a step is several ids (a word and its affixes), whose embeddings are added up: x [batch, T_x, ids].
    tie: one matrix for embedding and head (Press and Wolf, arXiv 1608.05859v3). softmax: exact or adaptive.
    architecture: which steps are asked for an output. output: classes, of which one is true; numbers; bits, each of
    which may be true; ctc: classes whose sequence is asked for, class 0 being none (Graves et al. 2006); or features,
    what a head would see (a network that is part of another).
    pooling: what many-to-one sees of all steps. crf: classes are chosen as a whole path (Lafferty et al. 2001).
    front: what numbers go through before the core (fronts/), or none; front_size: how many numbers a step it makes.
    zoneout: the share of the state that stays as it was at every step (cells.advance).
    neighbours: units of what each output is told by its neighbours among the inputs (pitch_context.py), 0 for none.
    Of an encoder-decoder: attention; feeding: whether what attention gave is read at the next step (Luong et al.,
    arXiv 1508.04025v5); decoder_layers; target_embedding: size of the embedding of y; shared: one embedding for both
    ends; tie: one matrix for the embedding of y and the head.
    Raises UsageError for what makes no sense.
    """

    n_x: int
    n_y: int
    n_a: int
    cell: str = "lstm"
    activation: str = "tanh"
    layers: int = 1
    bidirectional: bool = False
    ids: bool = True
    embedding: int = 0
    tie: bool = False
    softmax: str = "exact"
    architecture: str = "many-to-many"
    multi_hot: bool = False
    output: str = "classes"
    pooling: str = "last"
    crf: bool = False
    front: str = "none"
    front_size: int = 0
    neighbours: int = 0
    attention: str = "none"
    feeding: bool = False
    decoder_layers: int = 0
    target_embedding: int = 0
    shared: bool = False
    zoneout: float = 0.0

    def __post_init__(self) -> None:
        _ = self.the_cell
        for name in ("n_x", "n_y", "n_a", "layers"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}", expected="at least 1")
        for name, most in _MOST.items():
            if not 0 <= getattr(self, name) <= most:
                raise UsageError(
                    f"{getattr(self, name):,} {name.replace('_', ' ')}", expected=f"0 to {most:,}"
                )
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise UsageError(f"unknown {name} '{getattr(self, name)}'", expected=", ".join(known))
        if self.embedding < 0 or (self.embedding and not self.ids):
            raise UsageError("an embedding is for tokens", expected="embedding 0 for numbers")
        if self.multi_hot and not self.embedding:
            raise UsageError(
                "several ids a step are added up in an embedding", expected="an embedding above 0"
            )
        if self.front == "none" and self.front_size:
            raise UsageError(f"front_size is {self.front_size} without a front", hint="--front time")
        if self.front != "none" and (self.ids or self.front_size < 1):
            raise UsageError(f"the front '{self.front}' is for numbers", hint="--front none")
        if self.neighbours and (
            self.output != "bits" or self.ids or self.front != "none" or self.n_x < self.n_y
        ):
            raise UsageError("only keys among keys have neighbours", hint="--neighbours 0")
        if self.crf and (self.architecture != "many-to-many" or self.output != "classes"):
            raise UsageError("a CRF chooses a class at every step", hint="--no-crf")
        if self.output in WITH_BLANK and (self.architecture != "many-to-many" or self.n_y < 2):
            raise UsageError("CTC asks for a class, or none, at every step")
        if self.softmax == "adaptive" and (self.crf or self.output != "classes"):
            raise UsageError("the adaptive softmax is for classes chosen one by one", hint="--softmax exact")
        if self.architecture == "encoder-decoder":
            _refuse_senseless(self)
        elif (
            self.attention != "none"
            or self.feeding
            or self.decoder_layers
            or self.target_embedding
            or self.shared
        ):
            raise UsageError("attention and a decoder are for an encoder-decoder", hint="translate")
        elif self.tie and not (self.embedding and self.n_x == self.n_y and self.softmax == "exact"):
            what = "tied weights need an embedding, as many inputs as outputs and the exact softmax"
            raise UsageError(what, hint="--set model.tie=false")
        if self.tie and not self.normalised:
            raise UsageError("tied weights are for classes chosen one by one", hint="--set model.tie=false")
        if self.softmax == "adaptive" and self.n_y < SMALLEST_ADAPTIVE:
            what = f"the adaptive softmax is for many outputs; here are {self.n_y}"
            raise UsageError(what, expected=f"at least {SMALLEST_ADAPTIVE}", hint="--softmax exact")

    @property
    def directions(self) -> tuple[str, ...]:
        """The names of a layer's directions."""
        return ("forward", "backward") if self.bidirectional else ("forward",)

    @property
    def normalised(self) -> bool:
        """Whether the outputs are log-probabilities; else numbers, log-odds, or the scores that a CRF adds up."""
        return self.output not in UNNORMALISED and not self.crf

    @property
    def features(self) -> int:
        """How many numbers the head sees at a step: n_a of each direction."""
        return self.n_a * len(self.directions)

    @property
    def encoder(self) -> NetworkSpec:
        """Of an encoder-decoder the network that reads x; its tensors are called `encoder.` and their own names."""
        return replace(
            self,
            n_y=self.features,
            architecture="many-to-many",
            output="features",
            **dict.fromkeys(("tie", "feeding", "shared"), False),
            **dict.fromkeys(("decoder_layers", "target_embedding"), 0),
            attention="none",
            softmax="exact",
        )

    @property
    def decoder(self) -> NetworkSpec:
        """The network that writes y, called `decoder.`: a language model, or without a head where attention has it.
        With feeding it reads numbers: an embedding, and behind it what attention gave."""
        attends, n_e = self.attention != "none", self.target_embedding
        return NetworkSpec(
            n_x=n_e + self.n_a if self.feeding else self.n_y,
            n_y=self.n_a if attends else self.n_y,
            n_a=self.n_a,
            cell=self.cell,
            activation=self.activation,
            layers=self.decoder_layers,
            ids=not self.feeding,
            embedding=0 if self.feeding else n_e,
            softmax="exact" if attends else self.softmax,
            output="features" if attends else "classes",
            zoneout=self.zoneout,
        )

    @property
    def attender(self) -> NetworkSpec:
        """What answers with attention, called `attention.`: the equation of the basic RNN over a of the decoder and the
        context beside it, a~ = tanh(W_a[a, context] + b_a), and the head."""
        return NetworkSpec(self.features, self.n_y, self.n_a, cell="rnn", ids=False, softmax=self.softmax)

    @property
    def writer(self) -> tuple[str, NetworkSpec]:
        """The part of an encoder-decoder that has its head, and that part's name."""
        return ("decoder", self.decoder) if self.attention == "none" else ("attention", self.attender)

    @property
    def the_cell(self) -> Cell:
        """The cell of this network."""
        return cells.find(self.cell, self.activation, self.zoneout)

    def inputs(self, layer: int) -> int:
        """The size of x_t as layer `layer` sees it."""
        return self.features if layer else self.front_size or self.embedding or self.n_x

    @property
    def front_sizes(self) -> Sizes:
        """What the front is told."""
        return Sizes(self.n_x, self.front_size, causal=not self.bidirectional)

    @property
    def past(self) -> int:
        """How many numbers of a state are the front's: one more array [batch, past] behind those of the core."""
        return FRONTS[self.front].past(self.front_sizes) if self.front in FRONTS else 0

    def steps(self, lengths: Any) -> Any:
        """How many steps the core makes of so many of x."""
        return FRONTS[self.front].steps(lengths) if self.front in FRONTS else lengths

    def to_json(self) -> dict[str, Any]:
        """As a plain dict."""
        return asdict(self)


def from_json(record: Mapping[str, Any], file: object = None) -> NetworkSpec:
    """The inverse of `to_json`. Raises DataError, naming `file`, for what is missing, unknown or senseless."""
    known = {field.name: str(field.type) for field in fields(NetworkSpec)}
    for name in (known.keys() ^ record.keys()) - LATER:
        word = "lacks" if name in known else "has an unknown"
        raise DataError(f"the description of the network {word} '{name[:80]}'", file=file)
    types = {"int": int, "str": str, "bool": bool, "float": float}
    for name, value in record.items():
        if type(value) is not types[known[name]]:
            what = f"the description of the network has {value!r:.80} as '{name}'"
            raise DataError(what, file=file, expected=f"{known[name]}")
    try:
        return NetworkSpec(**record)
    except UsageError as error:
        what = f"the description of the network is wrong: {error.what}"
        raise DataError(what, file=file, expected=error.expected) from error


def _refuse_senseless(spec: NetworkSpec) -> None:
    """Raise UsageError for an encoder-decoder that cannot be."""
    if spec.front != "none":
        raise UsageError("an encoder-decoder has no front", hint="--front none")
    if spec.output != "classes" or spec.crf:
        raise UsageError("an encoder-decoder answers with classes, one after the other", hint="--no-crf")
    if spec.feeding and (spec.attention == "none" or not spec.target_embedding):
        raise UsageError("input feeding needs attention and an embedding", hint="--attention multiplicative")
    if spec.tie and not (spec.target_embedding == spec.n_a and spec.softmax == "exact"):
        what = f"tied weights need an embedding of {spec.n_a}, as many as units, and the exact softmax"
        raise UsageError(what, hint="--no-tie")
    same = spec.n_x == spec.n_y and spec.embedding == spec.target_embedding > 0
    if spec.shared and not (spec.ids and same and not spec.multi_hot):
        raise UsageError("a shared embedding needs one vocabulary for both ends", hint="--no-shared")
    _ = spec.encoder, spec.decoder, spec.attender  # which refuse what else is senseless


MOST_LAYERS = 1000
_SIZES = ("n_x", "n_y", "n_a", "embedding", "front_size", "neighbours", "target_embedding")
# Checked before anything of these sizes is made: what a model file claims may be anything.
_MOST = dict.fromkeys(_SIZES, 2**31 - 1) | dict.fromkeys(("layers", "decoder_layers"), MOST_LAYERS)
_CHOICES = {
    "attention": ATTENTIONS,
    "softmax": SOFTMAXES,
    "architecture": ARCHITECTURES,
    "output": OUTPUTS,
    "pooling": POOLINGS,
    "front": ("none", *FRONTS),
}
LATER = {  # fields that the first model files did not have
    *("multi_hot", "output", "pooling", "crf", "front", "front_size", "neighbours"),
    *("attention", "feeding", "decoder_layers", "target_embedding", "shared", "zoneout"),
}
