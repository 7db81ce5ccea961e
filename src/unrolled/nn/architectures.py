"""The five architectures of the lecture on torch, built from embedding, recurrent core and head.

| architecture | here | example |
|---|---|---|
| one-to-one | `one_to_one`: a single step from zeros, an ordinary network | a row of a table |
| one-to-many | `one_to_many`: each output is the next input | music from a genre, text sampled |
| many-to-one | `many_to_one`: the answer after the last step | a review's rating |
| many-to-many, T_x = T_y | `many_to_many`: an answer at every step | names in a sentence |
| many-to-many, T_x != T_y | `encoder_decoder`: the last state of one begins another, which may attend | translation |

A language model is trained as many-to-many, its inputs being its targets one step late, and sampled as one-to-many.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor, nn

from unrolled.core.types import ZERO_INPUT_ID, Array
from unrolled.models.initial_weights import initialise
from unrolled.models.layer_equations import outputs
from unrolled.models.network_spec import Bits, DecoderSpec, NetworkSpec, output_part
from unrolled.models.tensor_shapes import sub_parameters
from unrolled.nn.attention import decode, encode
from unrolled.nn.embedding_and_head import (
    NO_DROPOUTS,
    TORCH_LAYERS,
    Dropouts,
    core,
    embed,
    pool,
    register_parameters,
)
from unrolled.nn.frontends import front
from unrolled.nn.kernels.tensors import TensorState
from unrolled.nn.losses import PLAIN, Criterion, loss
from unrolled.nn.scan import deep, drop

Features = tuple[Tensor, TensorState]
Lengths = TypeVar("Lengths", Tensor, Tensor | None)


class Network(nn.Module):
    """A network with its weights; parameter names are those of `tensor_shapes.shapes` and of the model file.

    x: ids [batch, T_x] (-1 is the vector of zeros) or numbers [batch, T_x, n_x]. The state is flat, one array
    [batch, n_a] for each name of network.state_names, the front's last. Dropouts apply where they are given, whatever
    train() or eval() say.
    """

    def __init__(self, spec: NetworkSpec, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.spec = spec
        register_parameters(self, tensors)

    def weights(self) -> dict[str, Tensor]:
        """The parameters by name."""
        return dict(self.named_parameters())

    def hidden(
        self,
        x: Tensor,
        state: TensorState | None = None,
        lengths: Tensor | None = None,
        dropouts: Dropouts = NO_DROPOUTS,
        *,
        final: bool = True,
    ) -> Features:
        """What the head would see: [batch, T_x, features], or [batch, features] from many to one; and the state."""
        return _form(self.spec)(self, x, state, lengths, dropouts, final)

    def forward(
        self,
        x: Tensor,
        state: TensorState | None = None,
        lengths: Tensor | None = None,
        dropouts: Dropouts = NO_DROPOUTS,
    ) -> Features:
        """The outputs [batch, T_x, n_y], or [batch, n_y] of many-to-one, and the state."""
        a, state = self.hidden(x, state, lengths, dropouts)
        return outputs(TORCH_LAYERS, self.spec, self.weights(), a), state

    def loss(
        self,
        x: Tensor,
        y: Tensor,
        lengths: Tensor | None = None,
        state: TensorState | None = None,
        dropouts: Dropouts = NO_DROPOUTS,
        criterion: Criterion = PLAIN,
    ) -> tuple[Tensor, int, TensorState]:
        """Sum of the loss over the targets y, their number, and the state.

        y: classes [batch, T_x], or [batch] from many to one (-1 asks nothing); numbers [batch, T_x, n_y] or
        [batch, n_y] (NaN asks nothing); of an encoder-decoder [batch, T_y] classes, a sequence of its own length. The
        state is exact for rows of full length; that of a row which ended is not to be carried on.
        """
        if isinstance(self.spec.head, DecoderSpec):
            return *encoder_decoder(self, x, y, lengths, dropouts, criterion), ()
        ends = lengths
        if self.spec.reads_forward:
            # Padding stands on the right and cannot change an earlier answer of a network that reads forward,
            # nothing is asked of it, and a row that ended carries no state on: so the dense path will do.
            ends = None
        a, state = self.hidden(x, state, ends, dropouts, final=False)
        lengths = _core_lengths(self.spec, lengths)
        nats, count = loss(self.spec, self.weights(), a, y, lengths, criterion)
        begun = x[:, 0] < 0  # [batch] rows that begin with the vector of zeros
        if criterion.first != 1.0 and bool(begun.any()):
            own = None if criterion.rows is None else criterion.rows[begun]
            once = replace(criterion, rows=own)
            more, _ = loss(self.spec, self.weights(), a[begun, :1], y[begun, :1], None, once)
            nats = nats + (criterion.first - 1.0) * (more - more.detach())  # felt, but not told
        return nats, count, state


def _core_lengths(spec: NetworkSpec, lengths: Lengths) -> Lengths:
    """The lengths of sequences as the core sees them: a front may make fewer steps. None: all are full."""
    return lengths if lengths is None or spec.front is None else spec.steps(lengths)


def build(spec: NetworkSpec, tensors: Mapping[str, Array] | None = None, seed: int | None = None) -> Network:
    """A network on `tensors` (copied), or on first values from `seed`; without one, from torch's own generator."""
    if tensors is None:
        seed = int(torch.randint(2**31 - 1, ())) if seed is None else seed
        tensors = initialise(spec, seed)
    return Network(spec, {name: torch.tensor(value) for name, value in tensors.items()})


def many_to_many(
    network: Network,
    x: Tensor,
    state: TensorState | None,
    lengths: Tensor | None,
    dropouts: Dropouts,
    final: bool,
) -> Features:
    """T_x = T_y: features at every step, [batch, T_x, features]; a front may make fewer steps of them."""
    spec, p = network.spec, network.weights()
    embedded = embed(spec, p, x, dropouts)
    before, kept = state, ()
    if spec.front is not None:
        before = None if state is None else state[: len(state) - (spec.frontend_state_size > 0)]
        embedded, past = front(
            spec, p, embedded, lengths, state[-1] if state and spec.frontend_state_size else None
        )
        lengths, kept = _core_lengths(spec, lengths), (past,) if spec.frontend_state_size else ()
    a, state = deep(
        spec.core.cell_definition, core(spec, p), embedded, before, lengths, dropouts=dropouts, final=final
    )
    dropped = drop(a, dropouts.layer, dropouts.variational)
    if dropouts.layer and spec.input.ids and not spec.input.several and bool((x[:, 0] < 0).any()):
        # The answer to zeros is one distribution, always from the same features: noise would only blur it.
        known = (x.T.contiguous() >= 0).T.unsqueeze(-1)  # [batch, T, 1], time-major as a is
        dropped = torch.where(known, dropped, a)
    if isinstance(spec.head, Bits) and spec.head.neighbours:
        dropped = torch.cat([dropped, embedded], dim=-1)
    return dropped, (*state, *kept)


def many_to_one(
    network: Network,
    x: Tensor,
    state: TensorState | None,
    lengths: Tensor | None,
    dropouts: Dropouts,
    final: bool,
) -> Features:
    """The features of the whole sequence, pooled: [batch, features]. A row of length 0 gives zeros."""
    a, state = many_to_many(network, x, state, lengths, dropouts, final)
    ends = _core_lengths(network.spec, torch.full(x.shape[:1], x.shape[1]) if lengths is None else lengths)
    return pool(network.spec, network.weights(), a, ends), state


def one_to_one(
    network: Network,
    x: Tensor,
    state: TensorState | None,
    lengths: Tensor | None,
    dropouts: Dropouts,
    final: bool,
) -> Features:
    """T_x = 1: the state before is zeros and the one step an ordinary layer. [batch, features]"""
    return many_to_one(network, x[:, :1], state, None, dropouts, final)


def one_to_many(
    network: Network, x_1: Tensor, steps: int, choose: Callable[[Tensor], Tensor]
) -> tuple[Tensor, TensorState]:
    """From one input to `steps` outputs, each the input of the next step: [batch] ids -> (ids [batch, steps], state).

    choose: log-probabilities [batch, n_y] -> ids [batch]: a draw, or the most probable. x_1 = -1 starts from the
    vector of zeros.
    """
    x, state, chosen = x_1, None, list[Tensor]()
    for _ in range(steps):
        y_hat, state = network(x.unsqueeze(1), state)  # [batch, 1, n_y]
        x = choose(y_hat[:, 0])
        chosen.append(x)
    return torch.stack(chosen, dim=1), state or ()


def encoder_decoder(
    network: Network, x: Tensor, y: Tensor, lengths: Tensor | None, dropouts: Dropouts, criterion: Criterion
) -> tuple[Tensor, int]:
    """T_x != T_y: the loss of y [batch, T_y] where each step is told the true y before it (teacher forcing)."""
    spec, p = network.spec, network.weights()
    lengths = torch.full(x.shape[:1], x.shape[1]) if lengths is None else lengths
    memory, state = encode(spec, p, x, lengths, dropouts)
    before = torch.cat(
        [torch.full_like(y[:, :1], ZERO_INPUT_ID), y[:, :-1]], dim=1
    )  # padding comes last, and asks nothing
    made = decode(spec, p, before, memory, state, state[0].new_zeros(len(x), spec.core.n_a), dropouts)
    prefix, writer = output_part(spec)
    return loss(writer, sub_parameters(spec, p, prefix), made.features, y, None, criterion)


Form = Callable[
    [Network, Tensor, TensorState | None, Tensor | None, Dropouts, bool],
    Features,
]


def _form(spec: NetworkSpec) -> Form:
    """How features are made of x; an encoder-decoder has none without y."""
    assert not isinstance(spec.head, DecoderSpec)
    if spec.head.pooling is None:
        return many_to_many
    return one_to_one if spec.head.pooling == "first" else many_to_one
