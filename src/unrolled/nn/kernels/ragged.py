"""Run sequences of different lengths, or backward, with the kernels that use only torch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from unrolled.models.cells import Cell
from unrolled.nn.kernels.reference import Kernel
from unrolled.nn.kernels.tensors import TensorState, TensorWeights, is_recorded


def on_torch(
    kernel: Kernel,
    cell: Cell,
    w: TensorWeights,
    x: Tensor,
    state: TensorState,
    lengths: Tensor | None,
    taken: TensorState | None,
    *,
    reverse: bool,
    final: bool,
) -> tuple[Tensor, TensorState]:
    """Run a kernel: x [T, batch, ...] -> (a [T, batch, n_a], state).

    `a` is zero in the padding. The returned state is the state of each row after the last step that was read.
    lengths: [batch], or None if every row has T steps.
    taken: see dispatch.py.
    reverse: read each row from its last valid step to its first.
    final: False leaves the state of rows shorter than T undefined, which is faster.
    """
    steps = x.shape[0]
    if reverse:
        x = _reverse(x, lengths)
        taken = None if taken is None else tuple(_reverse(t, lengths) for t in taken)
    if lengths is None:
        a, state = kernel(cell, w, x, state, taken)
    elif is_recorded():
        a, state = _by_mask(kernel, cell, w, x, state, lengths, taken)
    elif final:
        a, state = _by_segments(kernel, cell, w, x, state, lengths, taken)
    else:
        a, state = kernel(cell, w, x, state, taken)
    if reverse:
        a = _reverse(a, lengths)
    if lengths is not None:
        a = a.masked_fill(_past(lengths, steps).unsqueeze(-1), 0.0)
    return a, state


def _past(lengths: Tensor, steps: int) -> Tensor:
    """Return a mask [T, batch] that is True in the padding."""
    return torch.arange(steps, device=lengths.device).unsqueeze(1) >= lengths


def _reverse(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Return x [T, batch, ...] with the valid steps of each row in reverse order.

    The padding is not moved.
    """
    if lengths is None:
        return x.flip(0)
    steps = torch.arange(x.shape[0], device=x.device).unsqueeze(1)  # [T, 1]
    order = torch.where(steps < lengths, lengths - 1 - steps, steps)  # [T, batch]
    if x.ndim == 3:
        order = order.unsqueeze(-1).expand_as(x)  # [T, batch, n_x]
    return x.gather(0, order)


def _by_mask(
    kernel: Kernel,
    cell: Cell,
    w: TensorWeights,
    x: Tensor,
    state: TensorState,
    lengths: Tensor,
    taken: TensorState | None,
) -> tuple[Tensor, TensorState]:
    """Run all rows for all T steps. In the padding, a row keeps its state.

    No operation depends on the values of the lengths. So a recorded graph is also correct for other lengths.
    """
    past = _past(lengths, x.shape[0])  # [T, batch]
    if x.is_floating_point():
        x = x.masked_fill(past.unsqueeze(-1), 0.0)  # a NaN in the padding times 0 would still be NaN
    else:
        x = x.masked_fill(past, -1)
    there = (~past).unsqueeze(-1).to(state[0].dtype) * (1.0 - cell.zoneout if taken is None else 1.0)
    shares = [there.expand(-1, -1, s.shape[-1]) for s in state]
    taken = tuple(shares) if taken is None else tuple(s * t for s, t in zip(shares, taken, strict=True))
    return kernel(cell, w, x, state, taken)


def _by_segments(
    kernel: Kernel,
    cell: Cell,
    w: TensorWeights,
    x: Tensor,
    state: TensorState,
    lengths: Tensor,
    taken: TensorState | None,
) -> tuple[Tensor, TensorState]:
    """Sort the rows, longest first, and run segment by segment.

    A segment reaches from the end of one row to the end of the next row.

    Packed sequences would do the same, but only for torch's layers, and slower than padding. This works for
    any kernel.
    """
    order = torch.argsort(lengths, descending=True, stable=True)  # [batch]
    sorted_lengths: list[int] = lengths[order].tolist()
    x, state = x[:, order], tuple(s[order] for s in state)
    taken = None if taken is None else tuple(t[:, order] for t in taken)
    begin, outputs, finished = 0, list[Tensor](), list[TensorState]()
    for end in sorted(set(sorted_lengths)):
        if end > begin:
            now = None if taken is None else tuple(t[begin:end, : x.shape[1]] for t in taken)
            a, state = kernel(cell, w, x[begin:end], state, now)  # [end - begin, left, n_a]
            outputs.append(F.pad(a, (0, 0, 0, len(sorted_lengths) - a.shape[1])))
        left = sum(length > end for length in sorted_lengths)
        finished.append(tuple(s[left:] for s in state))
        x, state, begin = x[:, :left], tuple(s[:left] for s in state), end
    rest = x.shape[0] - begin
    outputs.append(finished[0][0].new_zeros(rest, len(sorted_lengths), finished[0][0].shape[-1]))
    back = torch.argsort(order)
    a = torch.cat(outputs)[:, back]  # [T, batch, n_a]
    return a, tuple(torch.cat(arrays[::-1])[back] for arrays in zip(*finished, strict=True))
