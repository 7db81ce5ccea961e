"""Initial values of all tensors of a network, as a function of its description and a seed."""

from __future__ import annotations

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
