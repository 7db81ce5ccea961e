"""Initial values of all tensors of a network, as a function of its description and a seed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from unrolled.models.network_spec import Classes, DecoderSpec, NetworkSpec
from unrolled.models.tensor_shapes import FIXED, dtype_of, network_parts, shapes


def initialise(spec: NetworkSpec, seed: int) -> dict[str, NDArray[np.floating]]:
    """Return the initial value of every tensor of `shapes(spec)`. They depend only on (spec, seed).

    * Cells and front ends: see models/cells and models/frontends.
    * Embedding: normal with standard deviation 1. If it is tied, n_e^-0.5, because it is also the matrix of
      the head.
    * Head, pooling, bridge and attention: uniform within +-n^-0.5, where n is the size of the last axis.
    * Their biases, the scores of a CRF, and pretrained vectors: zero.
    """
    found = _first_values(spec, np.random.default_rng(seed))
    return {name: found[name].astype(dtype_of(name)) for name in shapes(spec)}


def remember(
    spec: NetworkSpec, tensors: Mapping[str, NDArray[np.float32]], steps: int, seed: int
) -> dict[str, NDArray[np.float32]]:
    """Return initial weights with which the units keep their state for 1 to `steps` steps.

    With the usual biases, a unit forgets its state within about ten steps, so that the gradients of earlier
    inputs vanish. Each unit gets the biases +-log(t), with t uniform between 1 and `steps` (chrono
    initialisation: Tallec and Ollivier, arXiv 1804.11188v1). Cells without such gates are unchanged.

    tensors: the initial weights from `initialise`. steps: at least 2.
    """
    found, rng = dict(tensors), np.random.default_rng([seed, steps])
    for layer in range(spec.core.layers):
        for direction in spec.core.directions:
            bias = np.log(rng.uniform(1, steps, spec.core.n_a))
            for gate, sign in spec.core.cell_definition.memory:
                found[f"core.{layer}.{direction}.b_{gate}"] = (sign * bias).astype(np.float32)
    return found


def _first_values(spec: NetworkSpec, rng: np.random.Generator) -> dict[str, NDArray[np.float64]]:
    found: dict[str, NDArray[np.float64]] = {}
    tied = isinstance(spec.head, Classes | DecoderSpec) and spec.head.layer == "tied"
    if isinstance(spec.head, DecoderSpec):
        for prefix, one in network_parts(spec).items():
            found |= {f"{prefix}.{name}": value for name, value in _first_values(one, rng).items()}
        if tied and not spec.head.feeding:
            found["decoder.embedding.E"] *= spec.head.embedding**-0.5
    for name, shape in shapes(spec).items():
        part, _, rest = name.partition(".")
        if name in found:
            continue
        if name in FIXED:
            found[name] = np.zeros(shape)
        elif part == "core":
            prefix = name.rpartition(".")[0]
            weights = spec.core.cell_definition.initialise(
                rng, spec.inputs(int(rest.partition(".")[0])), spec.core.n_a
            )
            found |= {f"{prefix}.{leaf}": value for leaf, value in weights.items()}
        elif part == "front" and spec.front is not None:
            first = spec.front.front.initialise(spec.front_sizes, rng)
            found |= {f"front.{leaf}": value for leaf, value in first.items()}
        elif name.endswith("embedding.E"):
            found[name] = rng.standard_normal(shape) * (shape[1] ** -0.5 if tied else 1.0)
        else:
            zeros = part == "crf" or name.rpartition(".")[2].startswith("b_")
            bound = 0.0 if zeros else shape[-1] ** -0.5
            found[name] = rng.uniform(-bound, bound, shape)
    return found
