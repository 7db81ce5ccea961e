"""What a network is, as a record: the cell, its sizes, its ends; and the name, shape and first value of every tensor.

Shared by the torch half, which trains it, and the NumPy engine, which runs it. A network is
embedding (or bare one-hot vectors, or numbers) -> front, where there is one -> core: recurrent layers, each in one or
two directions -> head. An encoder-decoder is two or three of these, and what lies between them: see
`NetworkSpec.encoder`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import DataError, UsageError
from unrolled.models import cells, pitch_context
from unrolled.models.cells import Cell
from unrolled.models.frontends import FRONTS, Sizes

SOFTMAXES = ("exact", "adaptive")
ARCHITECTURES = ("one-to-one", "many-to-one", "many-to-many", "encoder-decoder")
ATTENTIONS = ("none", "additive", "multiplicative")
POOLINGS = ("last", "mean", "max", "attention")
OUTPUTS = ("classes", "numbers", "bits", "ctc", "features")
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
    neighbours: units of what each output is told by its neighbours among the inputs (neighbours.py), 0 for none.
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
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise UsageError(f"unknown {name} '{getattr(self, name)}'", expected=", ".join(known))
        if self.embedding < 0 or (self.embedding and not self.ids):
            raise UsageError("an embedding is for tokens", expected="embedding 0 for numbers")
        if self.multi_hot and not self.embedding:
            raise UsageError(
                "several ids a step are added up in an embedding", expected="an embedding above 0"
            )
        if self.front != "none" and (self.ids or self.front_size < 1):
            raise UsageError(f"the front '{self.front}' is for numbers", hint="--front none")
        if self.neighbours and (
            self.output != "bits" or self.ids or self.front != "none" or self.n_x < self.n_y
        ):
            raise UsageError("only keys among keys have neighbours", hint="--neighbours 0")
        if self.crf and (self.architecture != "many-to-many" or self.output != "classes"):
            raise UsageError("a CRF chooses a class at every step", hint="--no-crf")
        if self.output == "ctc" and (self.architecture != "many-to-many" or self.n_y < 2):
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
        return self.output not in ("numbers", "bits") and not self.crf

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
        raise DataError(f"the description of the network is wrong: {error.what}", file=file) from error


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


def cutoffs(n_y: int) -> tuple[int, int, int]:
    """Where the clusters of the adaptive softmax end: a tenth of the outputs in the head, then up to four tenths.

    Outputs are numbered by falling frequency (Grave et al., arXiv 1609.04309v3).
    """
    return n_y // 10, 4 * n_y // 10, n_y


def shapes(spec: NetworkSpec) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor, in the order of the model file.

    `embedding.E` [n_x, n_e]; `front.W` and so on, see fronts/; `core.<layer>.<direction>.W_c` [n_a, n_a + n_x of the
    layer], `.b_c` [n_a] and so on; `head.W_ya` [n_y, features], `head.b_y` [n_y]; tied: E in the place of W_ya, after
    `head.P` [n_e, features] where the sizes differ; `pool.W_a` [features, features], `pool.b_a`, `pool.v` for attention
    pooling; `crf.T` [n_y, n_y] from tag to tag, `crf.begin`, `crf.end` [n_y]; adaptive: `head.W_ya` for the most
    frequent outputs and one row a cluster, then `head.tail.0.P` [size, features], `head.tail.0.W` [outputs, size] for
    each cluster; `head.W_n` and so on of neighbours, see neighbours.py.
    Of an encoder-decoder see `_paired_shapes`.
    """
    if spec.architecture == "encoder-decoder":
        return _paired_shapes(spec)
    found: dict[str, tuple[int, ...]] = {}
    if spec.embedding:
        found["embedding.E"] = (spec.n_x, spec.embedding)
    if spec.front in FRONTS:
        sizes = FRONTS[spec.front].shapes(spec.front_sizes)
        found |= {f"front.{name}": shape for name, shape in sizes.items()}
    for layer in range(spec.layers):
        for direction in spec.directions:
            for gate in spec.the_cell.gates:
                name = f"core.{layer}.{direction}"
                found[f"{name}.W_{gate}"] = (spec.n_a, spec.n_a + spec.inputs(layer))
                found[f"{name}.b_{gate}"] = (spec.n_a,)
    return found | _pool_shapes(spec) | _head_shapes(spec)


def _paired_shapes(spec: NetworkSpec) -> dict[str, tuple[int, ...]]:
    """The tensors of an encoder-decoder: those of its parts after `encoder.`, `decoder.` and `attention.`, less what is
    tied or shared; with feeding `decoder.embedding.E` [n_y, n_e]; `bridge.<layer>.W_a` [n_a, features], `.b_a` (and
    the same of c): the decoder's first state from the encoder's last; the keys and scores of attention:
    multiplicative `attention.W_k` [n_a, features]; additive that, `.W_q` [n_a, n_a], `.b_k`, `.v` [n_a].
    """
    found: dict[str, tuple[int, ...]] = {}
    for prefix, part in _parts(spec).items():
        found |= {f"{prefix}.{name}": shape for name, shape in shapes(part).items()}
    if spec.feeding:
        found["decoder.embedding.E"] = (spec.n_y, spec.target_embedding)
    for name in _borrowed(spec):
        del found[name]
    n, features = spec.n_a, spec.features
    for layer in range(spec.decoder_layers):
        for name in spec.the_cell.state:
            found |= {f"bridge.{layer}.W_{name}": (n, features), f"bridge.{layer}.b_{name}": (n,)}
    if spec.attention != "none":
        found["attention.W_k"] = (n, features)
    if spec.attention == "additive":
        found |= {"attention.W_q": (n, n), "attention.b_k": (n,), "attention.v": (n,)}
    return found


def _parts(spec: NetworkSpec) -> dict[str, NetworkSpec]:
    attender = {} if spec.attention == "none" else {"attention": spec.attender}
    return {"encoder": spec.encoder, "decoder": spec.decoder, **attender}


def _borrowed(spec: NetworkSpec) -> tuple[str, ...]:
    """The tensors in whose place `decoder.embedding.E` stands."""
    tied = (f"{spec.writer[0]}.head.W_ya",) if spec.tie else ()
    return (*tied, *(("encoder.embedding.E",) if spec.shared else ()))


Tensor = TypeVar("Tensor")


def part_of(spec: NetworkSpec, tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors of a part of an encoder-decoder (`encoder`, `decoder`, `attention`) by their names there."""
    own = {name: tensors["decoder.embedding.E"] for name in _borrowed(spec)} | dict(tensors)
    begin = prefix + "."
    return {name.removeprefix(begin): value for name, value in own.items() if name.startswith(begin)}


def _pool_shapes(spec: NetworkSpec) -> dict[str, tuple[int, ...]]:
    if spec.architecture != "many-to-one" or spec.pooling != "attention":
        return {}
    n = spec.features
    return {"pool.W_a": (n, n), "pool.b_a": (n,), "pool.v": (n,)}


def _head_shapes(spec: NetworkSpec) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]]
    if spec.output == "features":
        return {}
    if spec.tie:
        projection = {"head.P": (spec.embedding, spec.features)} if spec.embedding != spec.features else {}
        return projection | {"head.b_y": (spec.n_y,)}
    if spec.softmax == "exact":
        found = {"head.W_ya": (spec.n_y, spec.features), "head.b_y": (spec.n_y,)}
        if spec.neighbours:
            told = pitch_context.shapes(spec.n_x, spec.n_y, spec.features, spec.neighbours)
            return found | {f"head.{name}": shape for name, shape in told.items()}
        path = {"crf.T": (spec.n_y, spec.n_y), "crf.begin": (spec.n_y,), "crf.end": (spec.n_y,)}
        return found | (path if spec.crf else {})
    ends = cutoffs(spec.n_y)
    first = ends[0] + len(ends) - 1
    found = {"head.W_ya": (first, spec.features), "head.b_y": (first,)}
    for i, (begin, end) in enumerate(pairwise(ends)):
        size = max(1, spec.features // 4 ** (i + 1))  # rarer outputs have fewer dimensions
        found[f"head.tail.{i}.P"] = (size, spec.features)
        found[f"head.tail.{i}.W"] = (end - begin, size)
    return found


def initialise(spec: NetworkSpec, seed: int) -> dict[str, NDArray[np.float32]]:
    """First values for every tensor of `shapes(spec)`, a function of (spec, seed) alone.

    Cells: see cells/. Embedding: normal; standard deviation 1, or n_e^-0.5 where tied, since there it is also the
    head's matrix. Head, pooling, bridge and attention: uniform within features^-0.5; biases and the CRF's scores zero.
    """
    found = _first_values(spec, np.random.default_rng(seed))
    return {name: found[name].astype(np.float32) for name in shapes(spec)}


def _first_values(spec: NetworkSpec, rng: np.random.Generator) -> dict[str, NDArray[np.float64]]:
    found: dict[str, NDArray[np.float64]] = {}
    if spec.architecture == "encoder-decoder":
        for prefix, one in _parts(spec).items():
            found |= {f"{prefix}.{name}": value for name, value in _first_values(one, rng).items()}
        if spec.tie and not spec.feeding:
            found["decoder.embedding.E"] *= spec.target_embedding**-0.5
    for name, shape in shapes(spec).items():
        part, _, rest = name.partition(".")
        if name in found:
            continue
        if part == "core":
            prefix = name.rpartition(".")[0]
            weights = spec.the_cell.initialise(rng, spec.inputs(int(rest.partition(".")[0])), spec.n_a)
            found |= {f"{prefix}.{leaf}": value for leaf, value in weights.items()}
        elif part == "front":
            first = FRONTS[spec.front].initialise(spec.front_sizes, rng)
            found |= {f"front.{leaf}": value for leaf, value in first.items()}
        elif name.endswith("embedding.E"):
            found[name] = rng.standard_normal(shape) * (shape[1] ** -0.5 if spec.tie else 1.0)
        else:
            zeros = part == "crf" or name.rpartition(".")[2].startswith("b_")
            bound = 0.0 if zeros else shape[-1] ** -0.5
            found[name] = rng.uniform(-bound, bound, shape)
    return found


def state_names(spec: NetworkSpec) -> tuple[str, ...]:
    """The names of the arrays of a network's state, each [batch, n_a]: `0.forward.a`, `0.forward.c` ...; where the
    front keeps what came before, at the end `front` [batch, past]."""
    core = tuple(
        f"{layer}.{direction}.{name}"
        for layer in range(spec.layers)
        for direction in spec.directions
        for name in spec.the_cell.state
    )
    return (*core, "front") if spec.past else core


def state_sizes(spec: NetworkSpec) -> tuple[int, ...]:
    """How many numbers a row each array of `state_names` has."""
    return tuple(spec.past if name == "front" else spec.n_a for name in state_names(spec))


def parameters(spec: NetworkSpec) -> int:
    """How many numbers are learnt."""
    return sum(int(np.prod(shape)) for shape in shapes(spec).values())
