"""The lecture's five architectures in torch, built from an embedding, a recurrent core and a head.

| architecture | function | example |
|---|---|---|
| one-to-one | `one_to_one`: one step from a zero state, like an ordinary network | a row of a table |
| one-to-many | `one_to_many`: each output is the next input | music from a genre, sampling a text |
| many-to-one | `many_to_one`: one output after the last step | the rating of a review |
| many-to-many, T_x = T_y | `many_to_many`: an output at every step | names in a sentence |
| many-to-many, T_x != T_y | `encoder_decoder`: the decoder starts from the encoder's state | translation |

In an encoder-decoder, the decoder can also use attention. A language model is trained as many-to-many: its
inputs are its targets, delayed by one step. It is sampled as one-to-many.
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
    """A network with its weights. Parameters have the names in `tensor_shapes.shapes` and in the model file.

    x: ids [batch, T_x] (-1 is the vector of zeros) or numbers [batch, T_x, n_x].
    state: a flat tuple of arrays: for each layer and direction, the cell's arrays [batch, n_a]. If the front
        end has a state, it is the last array.
    dropouts: always applied if they are passed, also after eval().
    """

    def __init__(self, spec: NetworkSpec, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.spec = spec
        register_parameters(self, tensors)

    def weights(self) -> dict[str, Tensor]:
        """The parameters by name, and the tensors that training does not change."""
        return {**dict(self.named_parameters()), **dict(self.named_buffers())}

    def hidden(
        self,
        x: Tensor,
        state: TensorState | None = None,
        lengths: Tensor | None = None,
        dropouts: Dropouts = NO_DROPOUTS,
        *,
        final: bool = True,
    ) -> Features:
        """Return the features for the head and the state.

        The features are [batch, T_x, features], or [batch, features] for many-to-one.
        """
        return _form(self.spec)(self, x, state, lengths, dropouts, final)

    def forward(
        self,
        x: Tensor,
        state: TensorState | None = None,
        lengths: Tensor | None = None,
        dropouts: Dropouts = NO_DROPOUTS,
    ) -> Features:
        """Return the outputs [batch, T_x, n_y], or [batch, n_y] for many-to-one, and the state."""
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
        """Return the sum of the loss over the targets y, the number of targets, and the state.

        y is one of:

        - classes [batch, T_x], or [batch] for many-to-one; -1 is ignored
        - numbers [batch, T_x, n_y], or [batch, n_y] for many-to-one; NaN is ignored
        - classes [batch, T_y] of an encoder-decoder, with their own length

        The returned state is exact only for rows of full length. Do not carry the state of a shorter row.
        """
        if isinstance(self.spec.head, DecoderSpec):
            return *encoder_decoder(self, x, y, lengths, dropouts, criterion), ()
        ends = lengths
        if self.spec.reads_forward:
            # A unidirectional network can ignore the lengths: padding is on the right, so it does not change
            # earlier outputs. Padding has no targets, and the state of a row that ended is not carried.
            ends = None
        a, state = self.hidden(x, state, ends, dropouts, final=False)
        lengths = _core_lengths(self.spec, lengths)
        nats, count = loss(self.spec, self.weights(), a, y, lengths, criterion)
        begun = x[:, 0] < 0  # [batch] rows that begin with the vector of zeros
        if criterion.first != 1.0 and bool(begun.any()):
            own = None if criterion.rows is None else criterion.rows[begun]
            once = replace(criterion, rows=own)
            more, _ = loss(self.spec, self.weights(), a[begun, :1], y[begun, :1], None, once)
            # This adds a gradient, but does not change the reported loss.
            nats = nats + (criterion.first - 1.0) * (more - more.detach())
        return nats, count, state


def _core_lengths(spec: NetworkSpec, lengths: Lengths) -> Lengths:
    """Return the lengths of the sequences after the front end, which may reduce the steps.

    None: all steps are valid.
    """
    return lengths if lengths is None or spec.front is None else spec.steps(lengths)


def build(
    spec: NetworkSpec,
    tensors: Mapping[str, Array] | None = None,
    seed: int | None = None,
) -> Network:
    """Return a network with a copy of `tensors`, or with initial weights from `seed`.

    Without `tensors` and `seed`, the seed is drawn from torch's global generator.
    """
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
    """T_x = T_y: return features at every step, [batch, T_x, features].

    A front end may reduce the number of steps.
    """
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
        # The output for the vector of zeros is always computed from the same features. Dropout would only add
        # noise.
        known = (x.T.contiguous() >= 0).T.unsqueeze(-1)  # [batch, T, 1], time-major like a
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
    """Return the pooled features of the whole sequence, [batch, features]. A row of length 0 gives zeros."""
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
    """T_x = 1: return the features [batch, features] of one step from a zero state, like a dense layer."""
    return many_to_one(network, x[:, :1], state, None, dropouts, final)


def one_to_many(
    network: Network, x_1: Tensor, steps: int, choose: Callable[[Tensor], Tensor]
) -> tuple[Tensor, TensorState]:
    """Generate `steps` outputs from one input; each output is the next input.

    x_1: ids [batch]; -1 is the vector of zeros.
    choose: function from log-probabilities [batch, n_y] to ids [batch], for example the most probable ids.
    Returns (ids [batch, steps], state).
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
    """T_x != T_y: return the loss of y [batch, T_y] and the number of targets.

    The input of each decoder step is the true y of the previous step (teacher forcing).
    """
    spec, p = network.spec, network.weights()
    lengths = torch.full(x.shape[:1], x.shape[1]) if lengths is None else lengths
    memory, state = encode(spec, p, x, lengths, dropouts)
    # The inputs after the end of a y are -1 (padding). Their outputs have no targets.
    before = torch.cat([torch.full_like(y[:, :1], ZERO_INPUT_ID), y[:, :-1]], dim=1)
    made = decode(spec, p, before, memory, state, state[0].new_zeros(len(x), spec.core.n_a), dropouts)
    prefix, writer = output_part(spec)
    return loss(writer, sub_parameters(spec, p, prefix), made.features, y, None, criterion)


Form = Callable[
    [Network, Tensor, TensorState | None, Tensor | None, Dropouts, bool],
    Features,
]


def _form(spec: NetworkSpec) -> Form:
    """Return the function that computes features from x. Not for an encoder-decoder, which also needs y."""
    assert not isinstance(spec.head, DecoderSpec)
    if spec.head.pooling is None:
        return many_to_many
    return one_to_one if spec.head.pooling == "first" else many_to_one
