"""The equations of the layers around the core, each written once for NumPy and torch.

They are the output layers, the bridge of an encoder-decoder, the scores of attention and the scores of
attention pooling. `LayerOps` has the operations; its instances are `NUMPY_LAYERS` here and `TORCH_LAYERS` in
nn/embedding_and_head.py. The engines handle masks and batches: NumPy computes each sequence alone, and torch
computes whole batches with padding. The front ends are written twice, because torch has its own convolutions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from unrolled.models import pitch_context
from unrolled.models.cells import Array
from unrolled.models.network_spec import Bits, Classes, Features, NetworkSpec, decoder_spec
from unrolled.models.tensor_shapes import cutoffs

Tensors = Mapping[str, Array]


@dataclass(frozen=True)
class LayerOps:
    """The operations of the equations.

    linear(x, W, b): W x + b over the last axis, x [..., n], W [m, n], b [m] or None -> [..., m].
    join: concatenate arrays along the last axis.
    swap: exchange the last two axes.
    beside(spec, p, a, x): the values that nearby inputs add to each output, [..., n_y] (pitch_context.py).
    """

    linear: Callable[[Array, Array, Array | None], Array]
    log_softmax: Callable[[Array], Array]
    tanh: Callable[[Array], Array]
    join: Callable[[Sequence[Array]], Array]
    swap: Callable[[Array], Array]
    beside: Callable[[NetworkSpec, Tensors, Array, Array], Array]


def _linear(x: Array, W: Array, b: Array | None) -> Array:
    return x @ W.T if b is None else x @ W.T + b


def _log_softmax(z: Array) -> Array:
    z = z - z.max(axis=-1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=-1, keepdims=True))


NUMPY_LAYERS = LayerOps(
    _linear,
    _log_softmax,
    np.tanh,
    lambda parts: np.concatenate(parts, axis=-1),
    lambda x: np.swapaxes(x, -1, -2),
    lambda spec, p, a, x: pitch_context.run(p, spec.n_y, a, x),
)


def outputs(ops: LayerOps, spec: NetworkSpec, p: Tensors, a: Array) -> Array:
    """Return the answers of a network, [..., features] -> [..., n_y].

    They are log-probabilities if the head is normalised, otherwise numbers or scores. If the head has
    neighbours, x follows a: [..., features + n_x].
    """
    if isinstance(spec.head, Features):
        return a
    z = logits(ops, spec, p, a)
    if not spec.normalised:
        return z
    first = ops.log_softmax(z)
    if not (isinstance(spec.head, Classes) and spec.head.layer == "adaptive"):
        return first
    ends = cutoffs(spec.n_y)
    parts = [first[..., : ends[0]]]
    for i in range(len(ends) - 1):  # P(cluster) P(output | cluster)
        within = ops.log_softmax(cluster(ops, p, i, a))
        parts.append(within + first[..., ends[0] + i, None])
    return ops.join(parts)


def logits(ops: LayerOps, spec: NetworkSpec, p: Tensors, a: Array) -> Array:
    """Return W_ya a + b_y, [..., features] -> [..., n_y].

    Adaptive softmax: only the columns of the frequent outputs, and one column per cluster.
    """
    if isinstance(spec.head, Bits) and spec.head.neighbours:
        a, x = a[..., : spec.core.features], a[..., spec.core.features :]
        return ops.linear(*factors(ops, spec, p, a)) + ops.beside(spec, p, a, x)
    return ops.linear(*factors(ops, spec, p, a))


def factors(ops: LayerOps, spec: NetworkSpec, p: Tensors, a: Array) -> tuple[Array, Array, Array]:
    """Return a, W and b of the product in `logits`.

    A tied layer first projects a to [..., n_e] if the sizes differ.
    """
    if not (isinstance(spec.head, Classes) and spec.head.layer == "tied"):
        return a, p["head.W_ya"], p["head.b_y"]
    a = ops.linear(a, p["head.P"], None) if "head.P" in p else a
    return a, p["embedding.E"], p["head.b_y"]


def cluster(ops: LayerOps, p: Tensors, number: int, a: Array) -> Array:
    """Return the logits of one cluster of the adaptive softmax, [..., features] -> [..., outputs]."""
    return ops.linear(ops.linear(a, p[f"head.tail.{number}.P"], None), p[f"head.tail.{number}.W"], None)


def bridge(ops: LayerOps, spec: NetworkSpec, p: Tensors, after: Sequence[Array]) -> tuple[Array, ...]:
    """Compute the first state of the decoder, arrays [rows, n_a], from the last state of the encoder.

    Each layer of the decoder uses one layer of the encoder; both are counted from the top.
    """
    core, layers = spec.core, decoder_spec(spec).layers
    names, ways = core.cell_definition.state, len(core.directions)
    found: list[Array] = []
    for layer in range(layers):
        first = max(0, core.layers - layers + layer) * ways * len(names)
        for number, name in enumerate(names):
            last = ops.join([after[first + way * len(names) + number] for way in range(ways)])
            found.append(ops.linear(last, p[f"bridge.{layer}.W_{name}"], p[f"bridge.{layer}.b_{name}"]))
    return tuple(found)


def attention_scores(ops: LayerOps, spec: NetworkSpec, p: Tensors, a: Array, keys: Array) -> Array:
    """Return how well each a of the decoder matches each step of x.

    a [..., T_y, n_a], keys [..., T_x, n_a] -> [..., T_y, T_x].

    * Multiplicative: a . keys (Luong et al., arXiv 1508.04025v5).
    * Additive: v . tanh(W_q a + keys) (Bahdanau et al., arXiv 1409.0473v7).
    """
    if decoder_spec(spec).attends_by_product:
        return a @ ops.swap(keys)
    query = ops.linear(a, p["attention.W_q"], None)
    return ops.tanh(query[..., :, None, :] + keys[..., None, :, :]) @ p["attention.v"]


def pooling_scores(ops: LayerOps, p: Tensors, a: Array) -> Array:
    """Return v . tanh(W_a a + b_a), a [..., T, features] -> [..., T] (Yang et al. 2016, NAACL)."""
    return ops.tanh(ops.linear(a, p["pool.W_a"], p["pool.b_a"])) @ p["pool.v"]
