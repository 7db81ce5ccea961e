"""Run a cell over sequences: forward or backward, deep, with lengths, with state in and out, with dropout.

Public arrays are batch-first; inside, kernels are time-major, and the transposed views cost nothing as long as both
ends of a chain agree (an embedding looked up time-major stays so until the loss).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unrolled.core.errors import UsageError
from unrolled.models.cells import Cell
from unrolled.nn.kernels.dispatch import native_kernel_for, select_kernel
from unrolled.nn.kernels.native_sequence import sequence
from unrolled.nn.kernels.ragged import on_torch
from unrolled.nn.kernels.tensors import (
    TensorState,
    TensorWeights,
    autocasts,
    check_device,
    check_shapes,
    is_recorded,
    without_autocast,
)


@dataclass(frozen=True)
class Dropouts:
    """Shares dropped while training, drawn from torch's global generator.

    layer: of the inputs to each layer but the first, and to the head. input: of the embedded input.
    variational: the same units at every step of a sequence (Gal and Ghahramani, arXiv 1512.05287v5). weight: of the
    recurrent weights, for the whole sequence (DropConnect as in Merity et al., arXiv 1708.02182v1). zoneout: of the
    units of each array of the state, which keep what they had, others at every step (Krueger et al., arXiv
    1606.01305v4); without it, a cell that has a zoneout takes the mean of such draws.
    """

    layer: float = 0.0
    variational: bool = False
    weight: float = 0.0
    input: float = 0.0
    zoneout: float = 0.0


NO_DROPOUTS = Dropouts()

Lengths = Tensor | Sequence[int] | NDArray[np.integer] | None


def scan(
    cell: Cell,
    w: TensorWeights,
    x: Tensor,
    state: TensorState | None = None,
    lengths: Lengths = None,
    *,
    reverse: bool = False,
    final: bool = True,
) -> tuple[Tensor, TensorState]:
    """One layer in one direction: x [batch, T, n_x] or ids [batch, T] -> (a [batch, T, n_a], state).

    lengths: [batch] true lengths, a tensor, an array or a list; None is T for all. Steps past a row's length give
    zeros and never change its answer. reverse: from the row's last true step to its first. The state, each
    [batch, n_a], is that after the row's last true step; final=False leaves it undefined for rows shorter than T,
    which is faster. Raises UsageError for lengths that are not [batch] whole numbers within 0..T.
    """
    ends = _check_lengths(lengths, x.shape[0], x.shape[1], x.device)
    a, state = _scan(cell, w, x.transpose(0, 1), state, ends, reverse, final)
    return a.transpose(0, 1), state


def _scan(
    cell: Cell,
    w: TensorWeights,
    x: Tensor,
    state: TensorState | None,
    lengths: Tensor | None,
    reverse: bool,
    final: bool,
    taken: TensorState | None = None,
) -> tuple[Tensor, TensorState]:
    """`scan` of x [T, batch, ...] -> (a [T, batch, n_a], state), with lengths where some row is shorter than T; taken
    as dispatch.py has it. Under torch.autocast it runs in the type of the weights: half precision would add up its
    errors over the steps, and the native kernels have float32 alone."""
    if autocasts(x.device.type):
        kind = next(iter(w.values())).dtype
        x = x.to(kind) if x.is_floating_point() else x
        state = None if state is None else tuple(s.to(kind) for s in state)
        with without_autocast(x.device.type):
            return _scan(cell, w, x, state, lengths, reverse, final, taken)
    steps, batch = x.shape[:2]
    if state is None or not steps:
        n_a = cell.units(w)
        state = state or (next(iter(w.values())).new_zeros(batch, n_a),) * len(cell.state)
        if not steps:
            return state[0].new_zeros(0, batch, n_a), state
    library = native_kernel_for(cell, w, x, state)
    if library is not None:
        return sequence(library, cell, w, x, state, lengths, taken=taken, reverse=reverse)
    check_shapes(cell, w, x, state)
    check_device(w, x, state)
    kernel = select_kernel(cell, steps)
    return on_torch(kernel, cell, w, x, state, lengths, taken, reverse=reverse, final=final)


def deep(
    cell: Cell,
    core: Sequence[Sequence[TensorWeights]],
    x: Tensor,
    state: TensorState | None = None,
    lengths: Lengths = None,
    *,
    dropouts: Dropouts = NO_DROPOUTS,
    final: bool = True,
    batch_first: bool = True,
) -> tuple[Tensor, TensorState]:
    """Layers over each other: core[layer][direction] weights -> (a [batch, T, directions * n_a], state).

    The second direction, where there is one, reads backward; the outputs of both stand side by side. Dropout
    applies between layers, to the recurrent weights and to the state. The state is flat: for each layer, each
    direction, the cell's arrays [batch, n_a]; see network.state_names. batch_first=False: x and a are [T, batch, ...].
    """
    if is_compiled():
        again = cast(Callable[..., tuple[Tensor, TensorState]], torch.compiler.disable(deep))
        return again(cell, core, x, state, lengths, dropouts=dropouts, final=final, batch_first=batch_first)
    after: list[Tensor] = []
    x = x.transpose(0, 1) if batch_first else x  # [T, batch, ...]
    ends = _check_lengths(lengths, x.shape[1], x.shape[0], x.device)
    for layer, directions in enumerate(core):
        x = drop(x, dropouts.layer, dropouts.variational, time=0) if layer else x
        outputs: list[Tensor] = []
        for k, w in enumerate(directions):
            at = (layer * len(directions) + k) * len(cell.state)
            before = None if state is None else state[at : at + len(cell.state)]
            w = _drop_weights(cell, w, dropouts.weight)
            taken = _zoneout_masks(cell, w, x, dropouts.zoneout)
            a, last = _scan(cell, w, x, before, ends, k == 1, final, taken)
            outputs.append(a)
            after.extend(last)
        x = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=-1)  # [T, batch, directions * n_a]
    return x.transpose(0, 1) if batch_first else x, tuple(after)


def is_compiled() -> bool:
    """Whether torch.compile traces this call. Layers then run as they are, between the compiled parts, as torch.nn's
    do: the native kernels are quicker than what it would make of the steps, one by one."""
    return torch.compiler.is_dynamo_compiling() and not torch.compiler.is_exporting()


def drop(x: Tensor, share: float, variational: bool = False, time: int = 1) -> Tensor:
    """Dropout on x [batch, T, n]; where variational, one mask [batch, 1, n] for all steps. time: the axis of T."""
    if not share:
        return x
    if not variational:
        return x * dropout_mask(x, share)
    return x * dropout_mask(x.select(time, 0), share).unsqueeze(time)


def dropout_mask(like: Tensor, share: float) -> Tensor:
    """As `like`, with 0 at a share of places and elsewhere what keeps the mean, 1 / (1 - share)."""
    dropped = round(share * 65536)
    return bernoulli_mask(like, share).mul_(65536 / (65536 - dropped) if dropped < 65536 else 0.0)


def bernoulli_mask(like: Tensor, share: float) -> Tensor:
    """As `like`, with 0 at a share of places, rounded to 65,536ths, and else 1. Two random bytes a place; torch's own
    dropout draws a double, which takes several times as long."""
    made = torch.empty_like(like)  # in memory as `like`, so that both are read from front to back
    places = made.numel()
    drawn = torch.empty(-(-places // 4), dtype=torch.int64, device=like.device).random_(-(2**63), None)
    dropped = round(share * 65536)
    torch.ge(drawn.view(torch.int16)[:places], dropped - 32768, out=made.as_strided((places,), (1,)))
    return made


def _zoneout_masks(cell: Cell, w: TensorWeights, x: Tensor, share: float) -> TensorState | None:
    if not share:
        return None
    like = next(iter(w.values())).new_empty(*x.shape[:2], cell.units(w))  # [T, batch, n_a]
    return tuple(bernoulli_mask(like, share) for _ in cell.state)


def _drop_weights(cell: Cell, w: TensorWeights, share: float) -> TensorWeights:
    if not share:
        return w
    if not cell.gates:
        what = f"the cell '{cell.name}' has no recurrent matrices to drop weights of"
        raise UsageError(what, hint="--weight-dropout 0")
    dropped = dict(w)
    for gate in cell.gates:
        W, n_a = w[f"W_{gate}"], w[f"b_{gate}"].shape[0]
        dropped[f"W_{gate}"] = torch.cat([W[:, :n_a] * dropout_mask(W[:, :n_a], share), W[:, n_a:]], dim=1)
    return dropped


def _check_lengths(lengths: Lengths, batch: int, steps: int, device: torch.device) -> Tensor | None:
    """The lengths as a tensor where some row is shorter than T, else None."""
    if lengths is None:
        return None
    lengths = torch.as_tensor(lengths, device=device)
    fractions = lengths.is_floating_point() or lengths.is_complex() or lengths.dtype is torch.bool
    if fractions and lengths.numel():  # torch makes an empty list a tensor of floats
        raise UsageError(f"lengths are {lengths.dtype}", expected="whole numbers", hint="lengths.long()")
    if lengths.shape != (batch,):
        raise UsageError(f"lengths are {list(lengths.shape)}", expected=f"[{batch}], one for each sequence")
    if is_recorded():
        return lengths  # their values are not known
    found = lengths.tolist()
    shortest, longest = min(found, default=steps), max(found, default=steps)
    if not 0 <= shortest <= longest <= steps:
        raise UsageError(f"lengths reach from {shortest} to {longest}", expected=f"0 to {steps}")
    return None if shortest == steps else lengths
