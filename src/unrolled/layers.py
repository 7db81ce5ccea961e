"""The two ends of a network, as functions of its parameters by name: embedding and head.

Names and shapes of the parameters are those of network.shapes, which are those of the model file.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .kernels import columns
from .network import NetworkSpec, cutoffs
from .scan import NO_DROPOUTS, Dropouts

__all__ = ["NO_DROPOUTS", "Dropouts", "core", "embed", "head", "log_probs", "plant", "tail"]

Parameters = Mapping[str, Tensor]


def plant(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Register `tensors` as parameters of `module` under their dotted names, in sub-modules as the dots say."""
    for name, value in tensors.items():
        *path, leaf = name.split(".")
        place = module
        for part in path:
            children = dict(place.named_children())
            if part not in children:
                # Not add_module, which refuses the lecture's "forward" because every module has such a method;
                # setting it is allowed and leaves the method alone.
                children[part] = nn.Module()
                setattr(place, part, children[part])
            place = children[part]
        place.register_parameter(leaf, nn.Parameter(value))


def core(spec: NetworkSpec, p: Parameters, prefix: str = "core") -> list[list[dict[str, Tensor]]]:
    """The recurrent weights: [layer][direction] -> W_c, b_c and so on."""
    gates = spec.the_cell.gates
    return [
        [
            {f"{k}_{gate}": p[f"{prefix}.{layer}.{direction}.{k}_{gate}"] for gate in gates for k in "Wb"}
            for direction in spec.directions
        ]
        for layer in range(spec.layers)
    ]


def embed(spec: NetworkSpec, p: Parameters, x: Tensor) -> Tensor:
    """ids [batch, T] -> [batch, T, n_e], the vector of zeros for -1; without an embedding x as it is."""
    if not spec.embedding:
        return x
    # Looked up time-major, in which form the kernels take it; the transposed view is batch-first.
    return columns(p["embedding.E"].T, x.T).transpose(0, 1)


def head(spec: NetworkSpec, p: Parameters, a: Tensor) -> Tensor:
    """W_ya a + b_y: [..., features] -> [..., n_y]; adaptive: frequent outputs and one column a cluster."""
    if not spec.tie:
        return F.linear(a, p["head.W_ya"], p["head.b_y"])
    a = F.linear(a, p["head.P"]) if "head.P" in p else a  # [..., n_e]
    return F.linear(a, p["embedding.E"], p["head.b_y"])


def tail(p: Parameters, cluster: int, a: Tensor) -> Tensor:
    """Logits of the outputs of one cluster of the adaptive softmax: [..., features] -> [..., outputs]."""
    return F.linear(F.linear(a, p[f"head.tail.{cluster}.P"]), p[f"head.tail.{cluster}.W"])


def log_probs(spec: NetworkSpec, p: Parameters, a: Tensor) -> Tensor:
    """log softmax: [..., features] -> [..., n_y], for the adaptive softmax too (all outputs in full)."""
    first = F.log_softmax(head(spec, p, a), dim=-1)
    if spec.softmax == "exact":
        return first
    ends = cutoffs(spec.n_y)
    parts = [first[..., : ends[0]]]
    for i in range(len(ends) - 1):
        parts.append(F.log_softmax(tail(p, i, a), dim=-1) + first[..., ends[0] + i, None])
    return torch.cat(parts, dim=-1)  # [..., n_y]
