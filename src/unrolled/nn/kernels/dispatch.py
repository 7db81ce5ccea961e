"""Whole sequences of one cell in one direction: the seam behind which fast code stands.

A kernel is a function (cell, w, x, state, taken) -> (a, state) on tensors that are time-major inside the package (so
that a step is one contiguous block), gradients included:

    w       W_* [n_a, n_a + n_x], b_* [n_a]: the lecture's weights; gradients flow to them
    x       [T, batch, n_x] numbers, or [T, batch] ids of one-hot vectors (-1 is the vector of zeros)
    state   one array [batch, n_a] for each of cell.state: the state before the first step
    taken   zoneout while training: how much of each new state is taken, an array [T, batch, n_a] for each of
            cell.state; None is the mean, as cells.advance has it
    a       [T, batch, n_a]: a_t of every step; and the state after the last

`reference` runs the equation as it is written and stays as the yardstick; KERNELS has torch's ways; `quickest` finds
the native kernels of fused.py, where they were built and can compute what is asked. UNROLLED_KERNEL forces one:
reference, torch, or an instruction set of the native kernels, baseline, avx2, avx512.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from unrolled.models import native
from unrolled.models.cells import Cell, Ops, advance, grouped
from unrolled.nn.kernels.native_sequence import TensorState, TensorWeights, columns, fits


@runtime_checkable
class Kernel(Protocol):
    """See above."""

    def __call__(
        self, cell: Cell, w: TensorWeights, x: Tensor, state: TensorState, taken: TensorState | None = None, /
    ) -> tuple[Tensor, TensorState]: ...


def _affine(w: TensorWeights, gate: str, a_prev: Tensor, x_t: Tensor) -> Tensor:
    W, b, n_a = w[f"W_{gate}"], w[f"b_{gate}"], a_prev.shape[-1]
    return a_prev @ W[:, :n_a].T + columns(W[:, n_a:], x_t) + b


TORCH = Ops(
    affine=_affine, sigmoid=torch.sigmoid, tanh=torch.tanh, relu=torch.relu, concat=partial(torch.cat, dim=0)
)


def reference(
    cell: Cell, w: TensorWeights, x: Tensor, state: TensorState, taken: TensorState | None = None
) -> tuple[Tensor, TensorState]:
    """The equation, one step after the other, one product a gate."""
    outputs: list[Tensor] = []
    for x_t, now in zip(x.unbind(0), _step_by_step(taken, len(x)), strict=True):
        state = advance(cell, TORCH, w, state, x_t, now)
        outputs.append(cell.output(state))
    return torch.stack(outputs), state


def _step_by_step(taken: TensorState | None, steps: int) -> Iterator[TensorState | None]:
    return itertools.repeat(None, steps) if taken is None else zip(*(t.unbind(0) for t in taken), strict=True)


def hoisted(
    cell: Cell, w: TensorWeights, x: Tensor, state: TensorState, taken: TensorState | None = None
) -> tuple[Tensor, TensorState]:
    """The same equation; the input's part of all steps is one product, and each group of gates one product a step."""
    n_a = state[0].shape[-1]
    inputs: list[tuple[Tensor, ...]] = []
    recurrent: list[Tensor] = []
    for group in cell.groups:
        W = torch.cat([w[f"W_{gate}"] for gate in group])  # [gates * n_a, n_a + n_x]
        b = torch.cat([w[f"b_{gate}"] for gate in group])  # [gates * n_a]
        inputs.append((columns(W[:, n_a:], x) + b).unbind(0))  # T times [batch, gates * n_a]
        recurrent.append(W[:, :n_a].T)  # [n_a, gates * n_a]
    ops = grouped(TORCH, cell, lambda i, left, x_t: torch.addmm(x_t[i], left, recurrent[i]))
    outputs: list[Tensor] = []
    for x_t, now in zip(zip(*inputs, strict=True), _step_by_step(taken, len(x)), strict=True):
        state = advance(cell, ops, w, state, x_t, now)
        outputs.append(cell.output(state))
    return torch.stack(outputs), state


def torch_lstm(
    cell: Cell, w: TensorWeights, x: Tensor, state: TensorState, taken: TensorState | None = None
) -> tuple[Tensor, TensorState]:
    """torch's own LSTM layer (oneDNN's in float32), where it can."""
    if not _torch_can(cell, x, taken):
        return hoisted(cell, w, x, state, taken)
    before = [s.unsqueeze(0).contiguous() for s in state]  # (a, c), each [1, batch, n_a]
    a, a_last, c_last = torch.lstm(x, before, _packed(cell, w), True, 1, 0.0, False, False, False)
    return a, (a_last[0], c_last[0])


def torch_rnn(
    cell: Cell, w: TensorWeights, x: Tensor, state: TensorState, taken: TensorState | None = None
) -> tuple[Tensor, TensorState]:
    """torch's own basic RNN, with tanh or relu, where it can."""
    if not _torch_can(cell, x, taken):
        return hoisted(cell, w, x, state, taken)
    run = {"tanh": torch.rnn_tanh, "relu": torch.rnn_relu}[cell.activation]
    before = state[0].unsqueeze(0)  # [1, batch, n_a]
    a, a_last = run(x, before, _packed(cell, w), True, 1, 0.0, False, False, False)
    return a, (a_last[0],)


def _torch_can(cell: Cell, x: Tensor, taken: TensorState | None) -> bool:
    """It knows no zoneout, and of bare one-hot input looks up no columns, as `hoisted` does."""
    return taken is None and not cell.zoneout and x.is_floating_point()


def _packed(cell: Cell, w: TensorWeights) -> list[Tensor]:
    t = cell.to_torch(TORCH, w)
    return [t["weight_ih"], t["weight_hh"], t["bias_ih"], t["bias_hh"]]


KERNELS: dict[str, Kernel] = {
    "rnn": torch_rnn,
    "gru-simple": hoisted,
    "gru": hoisted,
    "lstm": torch_lstm,
}


def choose(cell: Cell, steps: int) -> Kernel:
    """The kernel for a sequence of so many steps where `quickest` has none. Raises UsageError where UNROLLED_KERNEL
    names none."""
    forced = native.forced()
    if forced == "reference" or (forced != "torch" and steps == 1):
        # At a single step the others only restack the weights, and oneDNN packs them anew at every call:
        # four times the time of the step itself.
        return reference
    return KERNELS[cell.name]


def rivals(cell: Cell) -> tuple[str, ...]:
    """What may be quicker for this cell than what runs by itself, as UNROLLED_KERNEL would name it: torch's own layer,
    where it has one. Nothing where a kernel is forced."""
    has_a_layer = KERNELS[cell.name] is not hoisted and not cell.zoneout
    return ("torch",) if has_a_layer and native.forced() is None and native.library() is not None else ()


def quickest(cell: Cell, w: TensorWeights, x: Tensor, state: TensorState) -> native.Library | None:
    """The native kernels to use for x [T, batch, ...], None where `choose` has the kernel: none built, float64, another
    device, a single step, or another kernel forced. Raises UsageError as `choose`."""
    if len(x) == 1 and native.forced() not in native.NAMES:
        return None  # the weights would be packed for one use
    library = native.library()
    return library if library is not None and fits(cell, w, x, state) else None
