"""Names and shapes of the tensors of a network and of its state."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import TypeVar

import numpy as np

from unrolled.models import pitch_context
from unrolled.models.network_spec import (
    Bits,
    Classes,
    Crf,
    DecoderSpec,
    Embedding,
    Features,
    NetworkSpec,
    attention_part,
    decoder_part,
    decoder_spec,
    encoder_part,
    output_part,
)

VECTORS = "embedding.V"  # name of the pretrained vectors
FIXED = frozenset((VECTORS,))  # names of the tensors that training does not change


def cutoffs(n_y: int) -> tuple[int, int, int]:
    """Return where the head and the two clusters of the adaptive softmax end.

    The head has a tenth of the outputs. The first cluster ends at four tenths, the second one at the last
    output. Outputs are numbered from the most frequent to the rarest (Grave et al., arXiv 1609.04309v3).
    """
    return n_y // 10, 4 * n_y // 10, n_y


def shapes(spec: NetworkSpec) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of every tensor, in the order of the model file.

    * `embedding.E` [n_x, n_e]. `embedding.V` [rows, width]: pretrained vectors, float16.
    * `front.W` and so on: see models/frontends.
    * `core.<layer>.<direction>.W_c` and so on: the weights of the cell (`Cell.shapes`).
    * `pool.W_a` [features, features], `pool.b_a`, `pool.v`: attention pooling.
    * The head: see `_head_shapes`. An encoder-decoder: see `_paired_shapes`.
    """
    if isinstance(spec.head, DecoderSpec):
        return _paired_shapes(spec)
    found: dict[str, tuple[int, ...]] = {}
    if isinstance(spec.input, Embedding):
        found["embedding.E"] = (spec.n_x, spec.input.size)
        if spec.input.vectors is not None:
            found[VECTORS] = (spec.input.vectors.rows, spec.input.vectors.width)
    if spec.front is not None:
        sizes = spec.front.front.shapes(spec.front_sizes)
        found |= {f"front.{name}": shape for name, shape in sizes.items()}
    for layer in range(spec.core.layers):
        for direction in spec.core.directions:
            own = spec.core.cell_definition.shapes(spec.inputs(layer), spec.core.n_a)
            found |= {f"core.{layer}.{direction}.{name}": shape for name, shape in own.items()}
    return found | _pool_shapes(spec) | _head_shapes(spec)


def _paired_shapes(spec: NetworkSpec) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of every tensor of an encoder-decoder.

    * The tensors of its parts, with the prefixes `encoder.`, `decoder.` and `attention.`. Tied and shared
      tensors are stored only once.
    * With feeding: `decoder.embedding.E` [n_y, n_e].
    * The bridge, which computes the first state of the decoder from the last state of the encoder:
      `bridge.<layer>.W_a` [n_a, features], `bridge.<layer>.b_a` [n_a], and the same for c.
    * The keys and scores of attention. Multiplicative: `attention.W_k` [n_a, features]. Additive: also
      `.W_q` [n_a, n_a], `.b_k` and `.v` [n_a].
    """
    own = decoder_spec(spec)
    found: dict[str, tuple[int, ...]] = {}
    for prefix, part in network_parts(spec).items():
        found |= {f"{prefix}.{name}": shape for name, shape in shapes(part).items()}
    if own.feeding:
        found["decoder.embedding.E"] = (own.n_y, own.embedding)
    for name in _borrowed(spec):
        del found[name]
    n, features = spec.core.n_a, spec.core.features
    for layer in range(own.layers):
        for name in spec.core.cell_definition.state:
            found |= {f"bridge.{layer}.W_{name}": (n, features), f"bridge.{layer}.b_{name}": (n,)}
    if own.attention is not None:
        found["attention.W_k"] = (n, features)
        if own.attention.kind == "additive":
            found |= {"attention.W_q": (n, n), "attention.b_k": (n,), "attention.v": (n,)}
    return found


def network_parts(spec: NetworkSpec) -> dict[str, NetworkSpec]:
    """Return the networks of an encoder-decoder by the prefix of their tensors."""
    attention = {} if decoder_spec(spec).attention is None else {"attention": attention_part(spec)}
    return {"encoder": encoder_part(spec), "decoder": decoder_part(spec), **attention}


def _borrowed(spec: NetworkSpec) -> tuple[str, ...]:
    """Return the names of the tensors that `decoder.embedding.E` replaces."""
    own = decoder_spec(spec)
    tied = (f"{output_part(spec)[0]}.head.W_ya",) if own.layer == "tied" else ()
    return (*tied, *(("encoder.embedding.E",) if own.shared else ()))


Tensor = TypeVar("Tensor")


def sub_parameters(spec: NetworkSpec, tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors of one part of an encoder-decoder, without the prefix in their names.

    prefix: `encoder`, `decoder` or `attention`.
    """
    own = {name: tensors["decoder.embedding.E"] for name in _borrowed(spec)} | dict(tensors)
    begin = prefix + "."
    return {name.removeprefix(begin): value for name, value in own.items() if name.startswith(begin)}


def _pool_shapes(spec: NetworkSpec) -> dict[str, tuple[int, ...]]:
    if spec.head.pooling != "attention":
        return {}
    n = spec.core.features
    return {"pool.W_a": (n, n), "pool.b_a": (n,), "pool.v": (n,)}


def _head_shapes(spec: NetworkSpec) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of every tensor of the output layer.

    * `head.W_ya` [n_y, features], `head.b_y` [n_y].
    * Tied: `embedding.E` replaces W_ya. If the sizes differ, `head.P` [n_e, features] is applied first.
    * Adaptive: W_ya and b_y have one row per frequent output and one row per cluster. Each cluster has
      `head.tail.<i>.P` [size, features] and `head.tail.<i>.W` [outputs, size].
    * CRF: also `crf.T` [n_y, n_y] (from tag, to tag), `crf.begin` and `crf.end` [n_y].
    * Neighbours: also `head.W_n` and so on, see pitch_context.py.
    """
    n_y, features = spec.n_y, spec.core.features
    full: dict[str, tuple[int, ...]] = {"head.W_ya": (n_y, features), "head.b_y": (n_y,)}
    match spec.head:
        case Features():
            return {}
        case Classes(layer="tied"):
            size = spec.input.width
            projection = {} if size == features else {"head.P": (size, features)}
            return projection | {"head.b_y": (n_y,)}
        case Classes(layer="adaptive"):
            return _adaptive_shapes(n_y, features)
        case Crf():
            return full | {"crf.T": (n_y, n_y), "crf.begin": (n_y,), "crf.end": (n_y,)}
        case Bits(neighbours=neighbours) if neighbours:
            told = pitch_context.shapes(spec.n_x, n_y, features, neighbours)
            return full | {f"head.{name}": shape for name, shape in told.items()}
        case _:
            return full


def _adaptive_shapes(n_y: int, features: int) -> dict[str, tuple[int, ...]]:
    ends = cutoffs(n_y)
    first = ends[0] + len(ends) - 1
    found: dict[str, tuple[int, ...]] = {"head.W_ya": (first, features), "head.b_y": (first,)}
    for i, (begin, end) in enumerate(pairwise(ends)):
        size = max(1, features // 4 ** (i + 1))  # rarer outputs have fewer dimensions
        found[f"head.tail.{i}.P"] = (size, features)
        found[f"head.tail.{i}.W"] = (end - begin, size)
    return found


def state_names(spec: NetworkSpec) -> tuple[str, ...]:
    """Return the names of the state arrays, each [batch, n_a]: `0.forward.a`, `0.forward.c` and so on.

    If the front end keeps earlier steps, the last array is `front` [batch, past].
    """
    core = tuple(
        f"{layer}.{direction}.{name}"
        for layer in range(spec.core.layers)
        for direction in spec.core.directions
        for name in spec.core.cell_definition.state
    )
    return (*core, "front") if spec.frontend_state_size else core


def state_sizes(spec: NetworkSpec) -> tuple[int, ...]:
    """Return the number of values per row of each array in `state_names`."""
    return tuple(spec.frontend_state_size if name == "front" else spec.core.n_a for name in state_names(spec))


def parameters(spec: NetworkSpec) -> int:
    """Return the number of trained values."""
    return sum(math.prod(shape) for name, shape in shapes(spec).items() if name not in FIXED)


def dtype_of(name: str) -> np.dtype[np.floating]:
    """Return the type of a tensor in the model file and in the engines."""
    return np.dtype(np.float16) if name in FIXED else np.dtype(np.float32)
