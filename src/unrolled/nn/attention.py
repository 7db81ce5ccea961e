"""The encoder-decoder with attention in torch.

There are three forms:

- without attention, as in the lecture: only the encoder's last state is passed to the decoder;
- additive attention (Bahdanau et al., arXiv 1409.0473v7);
- multiplicative attention (Luong et al., arXiv 1508.04025v5).

All functions take a mapping from parameter names to tensors.

Without input feeding, the attention result is used only for the output. So all steps of the decoder are one
scan with the fast kernels, and the attention of all steps is one batched product. With input feeding, the
decoder runs step by step.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from unrolled.models.layer_equations import attention_scores, bridge
from unrolled.models.network_spec import NetworkSpec, decoder_part, decoder_spec, encoder_part
from unrolled.models.tensor_shapes import sub_parameters
from unrolled.nn.embedding_and_head import TORCH_LAYERS, Parameters, core, embed
from unrolled.nn.kernels.tensors import TensorState
from unrolled.nn.scan import NO_DROPOUTS, Dropouts, deep, drop


@dataclass(frozen=True)
class Memory:
    """The encoder outputs that the decoder attends to.

    values: [batch, T_x, features]. keys: [batch, T_x, n_a]. past: [batch, T_x], True in the padding.
    """

    values: Tensor
    keys: Tensor
    past: Tensor


@dataclass(frozen=True)
class Decoded:
    """The result of decoder steps.

    features: [batch, T_y, n_a] for the head. state: the state after the last step. weights: attention weights
    [batch, T_y, T_x], None without attention.
    """

    features: Tensor
    state: TensorState
    weights: Tensor | None


def encode(
    spec: NetworkSpec, p: Parameters, x: Tensor, lengths: Tensor, dropouts: Dropouts = NO_DROPOUTS
) -> tuple[Memory | None, TensorState]:
    """Encode x.

    Return the memory (None without attention) and the decoder's initial state, arrays [batch, n_a].
    """
    own = sub_parameters(spec, p, "encoder")
    embedded = embed(encoder_part(spec), own, x, dropouts)
    values, after = deep(
        spec.core.cell_definition, core(encoder_part(spec), own), embedded, None, lengths, dropouts=dropouts
    )
    if decoder_spec(spec).attention is None:
        return None, bridge(TORCH_LAYERS, spec, p, after)
    values = drop(values, dropouts.layer, dropouts.variational)
    keys = F.linear(values, p["attention.W_k"], p.get("attention.b_k"))
    past = torch.arange(x.shape[1], device=x.device) >= lengths.unsqueeze(1)
    return Memory(values, keys, past), bridge(TORCH_LAYERS, spec, p, after)


def decode(
    spec: NetworkSpec,
    p: Parameters,
    ids: Tensor,
    memory: Memory | None,
    state: TensorState,
    fed: Tensor,
    dropouts: Dropouts = NO_DROPOUTS,
) -> Decoded:
    """Run decoder steps.

    ids: [batch, T_y] the input of each step, which is the previous y; -1 at the first step.
    fed: [batch, n_a] the attentional state a~ of the previous step; used only with input feeding.
    """
    own = sub_parameters(spec, p, "decoder")
    if decoder_spec(spec).feeding:
        return _step_by_step(spec, p, ids, memory, state, fed, dropouts)
    embedded = embed(decoder_part(spec), own, ids, dropouts)
    a, state = deep(
        spec.core.cell_definition, core(decoder_part(spec), own), embedded, state, None, dropouts=dropouts
    )
    if memory is None:
        return Decoded(drop(a, dropouts.layer, dropouts.variational), state, None)
    context, weights = attend(spec, p, memory, a)
    return Decoded(drop(join(p, a, context), dropouts.layer, dropouts.variational), state, weights)


def _step_by_step(
    spec: NetworkSpec,
    p: Parameters,
    ids: Tensor,
    memory: Memory | None,
    state: TensorState,
    fed: Tensor,
    dropouts: Dropouts,
) -> Decoded:
    assert memory is not None  # feeding needs attention
    weights_of, n_e = (
        core(decoder_part(spec), sub_parameters(spec, p, "decoder")),
        decoder_spec(spec).embedding,
    )
    embedded = F.embedding(ids.clamp_min(0), p["decoder.embedding.E"]) * (ids >= 0).unsqueeze(-1)
    embedded = drop(embedded, dropouts.input, dropouts.variational)
    features: list[Tensor] = []
    weights: list[Tensor] = []
    for e_t in embedded.split(1, dim=1):  # [batch, 1, n_e]
        given = torch.cat([e_t, fed.unsqueeze(1)], dim=-1)  # [batch, 1, n_e + n_a]
        assert given.shape[-1] == n_e + spec.core.n_a
        a, state = deep(spec.core.cell_definition, weights_of, given, state, None, dropouts=dropouts)
        context, shares = attend(spec, p, memory, a)
        fed = join(p, a, context).squeeze(1)
        features.append(fed)
        weights.append(shares)
    stacked = drop(torch.stack(features, dim=1), dropouts.layer, dropouts.variational)
    return Decoded(stacked, state, torch.cat(weights, dim=1))


def attend(spec: NetworkSpec, p: Parameters, memory: Memory, a: Tensor) -> tuple[Tensor, Tensor]:
    """Attend from decoder states to the memory.

    a: decoder states [batch, T_y, n_a]. Returns the context [batch, T_y, features] and the attention weights
    [batch, T_y, T_x].
    """
    scores = attention_scores(TORCH_LAYERS, spec, p, a, memory.keys)
    # The mask value is not -inf, which would give NaN for a row of length 0. The values of such a row are
    # zeros.
    scores = scores.masked_fill(memory.past.unsqueeze(1), torch.finfo(a.dtype).min)
    weights = F.softmax(scores, dim=-1)
    return weights @ memory.values, weights


def join(p: Parameters, a: Tensor, context: Tensor) -> Tensor:
    """Return a~ = tanh(W_a[a, context] + b_a), [batch, T_y, n_a]."""
    W, b = p["attention.core.0.forward.W_a"], p["attention.core.0.forward.b_a"]
    return torch.tanh(F.linear(torch.cat([a, context], dim=-1), W, b))
