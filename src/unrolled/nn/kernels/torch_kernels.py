"""Kernels that use only torch: its built-in LSTM and RNN, and a loop for the other cells.

The loop first computes the input products of all steps at once.
"""

from __future__ import annotations

import torch
from torch import Tensor

from unrolled.models.cells import Cell, fuse_gates, step_with_zoneout
from unrolled.nn.kernels.reference import TORCH, Kernel, step_by_step
from unrolled.nn.kernels.tensors import TensorState, TensorWeights, input_product


def loop_hoisted(
    cell: Cell, w: TensorWeights, x: Tensor, state: TensorState, taken: TensorState | None = None
) -> tuple[Tensor, TensorState]:
    """Compute the equation in a loop over the steps.

    The input part of all steps is one product. Each step needs one more product per group of gates.
    """
    n_a = state[0].shape[-1]
    inputs: list[tuple[Tensor, ...]] = []
    recurrent: list[Tensor] = []
    for group in cell.groups:
        W = torch.cat([w[f"W_{gate}"] for gate in group])  # [gates * n_a, n_a + n_x]
        b = torch.cat([w[f"b_{gate}"] for gate in group])  # [gates * n_a]
        inputs.append((input_product(W[:, n_a:], x) + b).unbind(0))  # T times [batch, gates * n_a]
        recurrent.append(W[:, :n_a].T)  # [n_a, gates * n_a]
    ops = fuse_gates(TORCH, cell, lambda i, left, x_t: torch.addmm(x_t[i], left, recurrent[i]))
    outputs: list[Tensor] = []
    for x_t, now in zip(zip(*inputs, strict=True), step_by_step(taken, len(x)), strict=True):
        state = step_with_zoneout(cell, ops, w, state, x_t, now)
        outputs.append(cell.output(state))
    return torch.stack(outputs), state


def torch_lstm(
    cell: Cell, w: TensorWeights, x: Tensor, state: TensorState, taken: TensorState | None = None
) -> tuple[Tensor, TensorState]:
    """Run torch's built-in LSTM (from oneDNN in float32) if it supports the call, else `loop_hoisted`."""
    if not _torch_can(cell, x, taken):
        return loop_hoisted(cell, w, x, state, taken)
    before = [s.unsqueeze(0).contiguous() for s in state]  # (a, c), each [1, batch, n_a]
    a, a_last, c_last = torch.lstm(x, before, _packed(cell, w), True, 1, 0.0, False, False, False)
    return a, (a_last[0], c_last[0])


def torch_rnn(
    cell: Cell, w: TensorWeights, x: Tensor, state: TensorState, taken: TensorState | None = None
) -> tuple[Tensor, TensorState]:
    """Run torch's built-in RNN with tanh or relu if it supports the call, else `loop_hoisted`."""
    if not _torch_can(cell, x, taken):
        return loop_hoisted(cell, w, x, state, taken)
    run = {"tanh": torch.rnn_tanh, "relu": torch.rnn_relu}[cell.activation]
    before = state[0].unsqueeze(0)  # [1, batch, n_a]
    a, a_last = run(x, before, _packed(cell, w), True, 1, 0.0, False, False, False)
    return a, (a_last[0],)


def _torch_can(cell: Cell, x: Tensor, taken: TensorState | None) -> bool:
    """Return whether torch's built-in layer supports the call: no zoneout, and no ids as input.

    `loop_hoisted` looks up the columns of ids; torch's layer cannot do this.
    """
    return taken is None and not cell.zoneout and x.is_floating_point()


def _packed(cell: Cell, w: TensorWeights) -> list[Tensor]:
    t = cell.to_torch(TORCH, w)
    return [t["weight_ih"], t["weight_hh"], t["bias_ih"], t["bias_hh"]]


KERNELS: dict[str, Kernel] = {
    "rnn": torch_rnn,
    "gru-simple": loop_hoisted,
    "gru": loop_hoisted,
    "lstm": torch_lstm,
}
