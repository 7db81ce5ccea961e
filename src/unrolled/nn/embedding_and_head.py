"""The first and last parts of a network in torch: embedding, pooling and output layer.

Parameters have the names and shapes of models/tensor_shapes.py and of the model file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unrolled.models import pitch_context
from unrolled.models.layer_equations import LayerOps, pooling_scores
from unrolled.models.network_spec import (
    Bits,
    Embedding,
    NetworkSpec,
    OneHot,
    Vectors,
)
from unrolled.models.tensor_shapes import FIXED, VECTORS
from unrolled.nn.kernels.tensors import input_product
from unrolled.nn.scan import NO_DROPOUTS, Dropouts, drop

__all__ = ["NO_DROPOUTS", "TORCH_LAYERS", "Dropouts", "core", "embed", "pool", "register_parameters"]

Parameters = Mapping[str, Tensor]


class _Group(nn.Module):
    """A module that only groups parameters and sub-modules. A sub-module may have the name "forward"."""

    @property
    def forward(self) -> nn.Module:  # pyright: ignore[reportIncompatibleMethodOverride] (a group is never called)
        """The sub-module named "forward".

        Without this property, torch's method `forward` would hide it from get_submodule and functional_call.
        """
        if "forward" not in self._modules:
            raise AttributeError("forward")
        return cast(nn.Module, self._modules["forward"])


def register_parameters(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Register `tensors` as parameters of `module` under their dotted names. Each dot creates a sub-module.

    Tensors that training does not change become buffers, so they are no parameters.
    The parameters of a layer's gates are adjacent in memory, so that the kernels can read them as one array.
    """
    for name, value in _stack_contiguously(tensors).items():
        *path, leaf = name.split(".")
        place = module
        for part in path:
            children = dict(place.named_children())
            if part not in children:
                children[part] = _Group()
                place.add_module(part, children[part])
            place = children[part]
        if name in FIXED:
            place.register_buffer(leaf, value)
        else:
            place.register_parameter(leaf, nn.Parameter(value))


def _stack_contiguously(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the same tensors, but stack those whose names differ only after the last _ into one array.

    Only tensors of the same shape and type are stacked. The result has views of the stacked array.
    """
    alike: dict[str, list[str]] = {}
    for name in tensors:
        alike.setdefault(name.rpartition("_")[0] or name, []).append(name)
    laid = dict(tensors)
    for names in alike.values():
        values = [tensors[name] for name in names]
        if len({(value.shape, value.dtype) for value in values}) == 1 < len(values):
            laid |= zip(names, torch.stack(values), strict=True)  # [gates, ...]
    return laid


def core(spec: NetworkSpec, p: Parameters, prefix: str = "core") -> list[list[dict[str, Tensor]]]:
    """Return the recurrent weights as [layer][direction] -> {W_c, b_c, ...}."""
    names = spec.core.cell_definition.names
    return [
        [
            {name: p[f"{prefix}.{layer}.{direction}.{name}"] for name in names}
            for direction in spec.core.directions
        ]
        for layer in range(spec.core.layers)
    ]


def embed(spec: NetworkSpec, p: Parameters, x: Tensor, dropouts: Dropouts = NO_DROPOUTS) -> Tensor:
    """Return the embedding [batch, T, n_e] of ids [batch, T]; -1 gives the vector of zeros.

    Without an embedding, x is returned unchanged, but bytes become floats. With several ids per step, x is
    [batch, T, ids], and the embeddings of a step are added. Input dropout is applied to the result, but not
    to one-hot inputs, which stay ids. It is not applied to pretrained vectors either: on validation sets of
    questions and of names, the loss was 3% to 5% lower without it.
    """
    embedded = _embedded(spec, p, x)
    if isinstance(spec.input, Embedding) and spec.input.vectors is not None:
        learnt, given = embedded.split([spec.input.size, spec.input.vectors.width], dim=2)
        return torch.cat([drop(learnt, dropouts.input, dropouts.variational), given], dim=2)
    return drop(embedded, dropouts.input, dropouts.variational) if embedded.ndim == 3 else embedded


def _embedded(spec: NetworkSpec, p: Parameters, x: Tensor) -> Tensor:
    match spec.input:
        case OneHot():
            return x
        case Vectors():
            return x if x.is_floating_point() else x.to(p["head.b_y"].dtype)  # images are bytes
        case Embedding(several=True, vectors=vectors):
            ids = x.transpose(0, 1).reshape(-1, x.shape[2])  # [T * batch, ids]
            rows = None if vectors is None else ids[:, -1]
            ids = ids if rows is None else ids[:, :-1]
            there = (ids >= 0).to(p["embedding.E"].dtype)
            added = F.embedding_bag(ids.clamp_min(0), p["embedding.E"], mode="sum", per_sample_weights=there)
            if rows is not None:
                found = p[VECTORS][rows.clamp_min(0)].to(added.dtype)  # [T * batch, width]
                added = torch.cat([added, found * (rows >= 0).unsqueeze(1)], dim=1)
            return added.view(x.shape[1], x.shape[0], spec.input.width).transpose(0, 1)
        case Embedding():
            # The lookup is time-major, as the kernels need it. The returned view is batch-first.
            return input_product(p["embedding.E"].T, x.T).transpose(0, 1)


def _beside(spec: NetworkSpec, p: Parameters, a: Tensor, x: Tensor) -> Tensor:
    """Compute `pitch_context.run` in torch: a [..., features], x [..., n_x] -> [..., n_y]."""
    assert isinstance(spec.head, Bits)
    neighbours, count = spec.head.neighbours, pitch_context.rows(spec.n_x, spec.n_y)
    said = x[..., : count * spec.n_y].reshape(-1, count, spec.n_y)
    weights = p["head.W_n"].view(neighbours, count, -1)
    given = F.conv1d(said, weights, padding=pitch_context.AROUND)  # [N, size, n_y]
    heard = F.linear(a, p["head.W_u"], p["head.b_n"]).reshape(-1, neighbours, 1)
    return (p["head.v"] @ F.relu(given + heard)).view(*x.shape[:-1], spec.n_y)


TORCH_LAYERS = LayerOps(
    F.linear,
    lambda z: F.log_softmax(z, dim=-1),
    torch.tanh,
    lambda parts: torch.cat(list(parts), dim=-1),
    lambda x: x.transpose(-1, -2),
    _beside,
)


def pool(spec: NetworkSpec, p: Parameters, a: Tensor, lengths: Tensor) -> Tensor:
    """Pool the valid steps of a [batch, T, features] into [batch, features]. lengths: [batch].

    "last" takes the last step of the forward direction and the first step of the backward direction. A row of
    length 0 gives zeros with every pooling.
    """
    pooling = spec.head.pooling
    assert pooling is not None
    return POOLS[pooling](spec, p, a, lengths)


def _last(spec: NetworkSpec, p: Parameters, a: Tensor, lengths: Tensor) -> Tensor:
    n_a = spec.core.n_a
    at = (lengths.long() - 1).clamp_min(0).view(-1, 1, 1).expand(-1, 1, n_a)  # [batch, 1, n_a]
    last = a[..., :n_a].gather(1, at).squeeze(1)  # [batch, n_a]
    return torch.cat([last, a[:, 0, n_a:]], dim=-1)


def _mean(spec: NetworkSpec, p: Parameters, a: Tensor, lengths: Tensor) -> Tensor:
    return a.sum(1) / lengths.clamp_min(1).unsqueeze(1).to(a.dtype)  # padding steps are zeros


def _max(spec: NetworkSpec, p: Parameters, a: Tensor, lengths: Tensor) -> Tensor:
    a = a.masked_fill(_past(a, lengths), -torch.inf).amax(1)
    return a.masked_fill((lengths == 0).unsqueeze(1), 0.0)


def _attention(spec: NetworkSpec, p: Parameters, a: Tensor, lengths: Tensor) -> Tensor:
    """Return a weighted mean.

    The weights are a softmax over v . tanh(W_a a + b_a) (Yang et al. 2016, NAACL).
    """
    scores = pooling_scores(TORCH_LAYERS, p, a)  # [batch, T]
    # The mask value is not -inf, which would give NaN for a row of length 0.
    scores = scores.masked_fill(_past(a, lengths).squeeze(2), torch.finfo(a.dtype).min)
    return (F.softmax(scores, dim=1).unsqueeze(1) @ a).squeeze(1)


def _past(a: Tensor, lengths: Tensor) -> Tensor:
    """Return a mask [batch, T, 1] that is True in the padding."""
    return (torch.arange(a.shape[1], device=a.device) >= lengths.unsqueeze(1)).unsqueeze(2)


POOLS: dict[str, Callable[[NetworkSpec, Parameters, Tensor, Tensor], Tensor]] = {
    "first": lambda spec, p, a, lengths: a[:, 0],  # zeros for a row of length 0
    "last": _last,
    "mean": _mean,
    "max": _max,
    "attention": _attention,
}
