"""Name and shape of every tensor of a network, and of its state."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import TypeVar

from unrolled.models import pitch_context
from unrolled.models.frontends import FRONTS
from unrolled.models.network_spec import NetworkSpec


def cutoffs(n_y: int) -> tuple[int, int, int]:
    """Where the clusters of the adaptive softmax end: a tenth of the outputs in the head, then up to four tenths.

    Outputs are numbered by falling frequency (Grave et al., arXiv 1609.04309v3).
    """
    return n_y // 10, 4 * n_y // 10, n_y


def shapes(spec: NetworkSpec) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor, in the order of the model file.

    `embedding.E` [n_x, n_e]; `front.W` and so on, see fronts/; `core.<layer>.<direction>.W_c` and so on: the
    weights of the cell (`Cell.shapes`); `head.W_ya` [n_y, features], `head.b_y` [n_y]; tied: E in the place of W_ya,
    after `head.P` [n_e, features] where the sizes differ; `pool.W_a` [features, features], `pool.b_a`, `pool.v` for
    attention pooling; `crf.T` [n_y, n_y] from tag to tag, `crf.begin`, `crf.end` [n_y]; adaptive: `head.W_ya` for the
    most frequent outputs and one row a cluster, then `head.tail.0.P` [size, features], `head.tail.0.W` [outputs, size]
    for each cluster; `head.W_n` and so on of neighbours, see pitch_context.py.
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
            own = spec.the_cell.shapes(spec.inputs(layer), spec.n_a)
            found |= {f"core.{layer}.{direction}.{name}": shape for name, shape in own.items()}
    return found | _pool_shapes(spec) | _head_shapes(spec)


def _paired_shapes(spec: NetworkSpec) -> dict[str, tuple[int, ...]]:
    """The tensors of an encoder-decoder: those of its parts after `encoder.`, `decoder.` and `attention.`, less what is
    tied or shared; with feeding `decoder.embedding.E` [n_y, n_e]; `bridge.<layer>.W_a` [n_a, features], `.b_a` (and
    the same of c): the decoder's first state from the encoder's last; the keys and scores of attention:
    multiplicative `attention.W_k` [n_a, features]; additive that, `.W_q` [n_a, n_a], `.b_k`, `.v` [n_a].
    """
    found: dict[str, tuple[int, ...]] = {}
    for prefix, part in network_parts(spec).items():
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


def network_parts(spec: NetworkSpec) -> dict[str, NetworkSpec]:
    """The networks that an encoder-decoder is made of, by the prefix of their tensors."""
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
    return sum(math.prod(shape) for shape in shapes(spec).values())
