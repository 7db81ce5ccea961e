"""Read the description of a network in model files of format 1, a flat list of fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from unrolled.core.errors import DataError, UsageError
from unrolled.models.network_spec import (
    AttentionSpec,
    Bits,
    Classes,
    CoreSpec,
    Crf,
    Ctc,
    DecoderSpec,
    Embedding,
    FrontSpec,
    HeadSpec,
    InputSpec,
    NetworkSpec,
    OneHot,
    Reals,
    Vectors,
)


@dataclass(frozen=True)
class Flat:
    """The fields of format 1."""

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


# Fields that the first files of this format did not have.
LATER = {
    *("multi_hot", "output", "pooling", "crf", "front", "front_size", "neighbours"),
    *("attention", "feeding", "decoder_layers", "target_embedding", "shared", "zoneout"),
}
# Fields that every network may set. Every other field belongs to one kind of input or head.
_COMMON = {
    *("n_x", "n_y", "n_a", "cell", "activation", "layers", "bidirectional", "ids", "zoneout"),
    *("output", "pooling"),
}
_DECODER = {"attention", "feeding", "decoder_layers", "target_embedding", "shared", "tie", "softmax"}


def network_of_format_1(content: Mapping[str, object], file: object = None) -> NetworkSpec:
    """Return the network that a file of format 1 describes.

    Raises DataError, which names `file`, if a field is missing, unknown or of the wrong type, or if fields
    contradict each other.
    """
    types = {field.name: str(field.type) for field in fields(Flat)}
    for name in sorted((types.keys() ^ content.keys()) - LATER):
        word = "lacks" if name in types else "has an unknown"
        raise DataError(f"the description of the network {word} '{name[:80]}'", file=file)
    for name, value in content.items():
        if type(value).__name__ != types[name]:
            what = f"the description of the network has {value!r:.80} as '{name}'"
            raise DataError(what, file=file, expected=types[name])
    checked: Mapping[str, Any] = content
    try:
        return network_of(Flat(**checked))
    except UsageError as error:
        what = f"the description of the network is wrong: {error.what}"
        raise DataError(what, file=file, expected=error.expected) from error


def network_of(flat: Flat) -> NetworkSpec:
    """Return the network that these fields describe. Raises UsageError if fields contradict each other."""
    core = CoreSpec(flat.n_a, flat.cell, flat.activation, flat.layers, flat.bidirectional, flat.zoneout)
    if flat.crf and flat.output != "classes":
        raise UsageError("a CRF needs classes as output")
    kind = "crf" if flat.crf else flat.output
    if flat.architecture == "encoder-decoder":
        kind = "encoder-decoder"
    if kind not in _HEADS:
        raise UsageError(f"unknown output '{kind}'", expected=", ".join(_HEADS))
    head, own = _HEADS[kind]
    used = {*_COMMON, *_INPUT_FIELDS[flat.ids], *own}
    for field in fields(flat):
        if field.name not in used and getattr(flat, field.name) != field.default:
            raise UsageError(f"'{field.name}' makes no sense with '{kind}'")
    return NetworkSpec(_input(flat), core, head(flat))


_INPUT_FIELDS = {True: {"embedding", "multi_hot"}, False: {"front", "front_size"}}


def _input(flat: Flat) -> InputSpec:
    if not flat.ids:
        front = None if flat.front == "none" else FrontSpec(flat.front, flat.front_size)
        if front is None and flat.front_size:
            raise UsageError(f"front_size is {flat.front_size} without a front end")
        return Vectors(flat.n_x, front)
    if flat.embedding:
        return Embedding(flat.n_x, flat.embedding, flat.multi_hot)
    if flat.multi_hot:
        raise UsageError("several ids per step need an embedding", expected="an embedding above 0")
    return OneHot(flat.n_x)


def _layer(flat: Flat) -> str:
    layers = {"exact": "full", "adaptive": "adaptive"}
    if flat.softmax not in layers or (flat.tie and flat.softmax != "exact"):
        raise UsageError(f"the softmax is '{flat.softmax}'", expected=", ".join(layers))
    return "tied" if flat.tie else layers[flat.softmax]


def _pooling(flat: Flat) -> str | None:
    poolings = {"many-to-many": None, "many-to-one": flat.pooling, "one-to-one": "first"}
    if flat.architecture not in poolings:
        raise UsageError(f"unknown architecture '{flat.architecture}'", expected=", ".join(poolings))
    return poolings[flat.architecture]


def _decoder(flat: Flat) -> DecoderSpec:
    kind = None if flat.attention == "none" else flat.attention
    if flat.output != "classes" or flat.crf or (kind is None and flat.feeding):
        raise UsageError("an encoder-decoder needs classes as output, and feeding needs attention")
    attention = None if kind is None else AttentionSpec(kind, flat.feeding)
    return DecoderSpec(
        flat.n_y,
        flat.decoder_layers,
        flat.target_embedding,
        _layer(flat),
        flat.shared,
        attention,
    )


# For each kind of output: the function that makes the head, and the fields that it reads.
_HEADS: dict[str, tuple[Callable[[Flat], HeadSpec], set[str]]] = {
    "classes": (
        lambda flat: Classes(flat.n_y, _layer(flat), _pooling(flat)),
        {"tie", "softmax", "architecture"},
    ),
    "numbers": (lambda flat: Reals(flat.n_y, _pooling(flat)), {"architecture"}),
    "bits": (lambda flat: Bits(flat.n_y, flat.neighbours), {"neighbours"}),
    "crf": (lambda flat: Crf(flat.n_y), {"crf"}),
    "ctc": (lambda flat: Ctc(flat.n_y), set()),
    "encoder-decoder": (_decoder, {"architecture", *_DECODER}),
}
