"""Run a cell over sequences: in both directions, in several layers, with lengths, state and dropout.

Public arrays are batch-first, but the kernels are time-major. The transposed views cost nothing if producer
and consumer use the same layout. For example, the result of the embedding lookup is time-major, and it keeps
this layout up to the loss.
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
    """Fractions that are dropped in training. Random numbers come from torch's global generator.

    layer: fraction of the inputs of each layer except the first, and of the inputs of the head.
    variational: drop the same units at every step of a sequence (Gal and Ghahramani, arXiv 1512.05287v5).
    weight: fraction of the recurrent weights, for whole sequences
        (DropConnect, Merity et al., arXiv 1708.02182v1).
    input: fraction of the embedded input.
    zoneout: fraction of the units of the state that keep their previous value, drawn again at every step
        (Krueger et al., arXiv 1606.01305v4). If this is 0, a cell with zoneout uses the mean over such draws.
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
    """Run one layer in one direction: x [batch, T, n_x] or ids [batch, T] -> (a [batch, T, n_a], state).

    lengths: [batch] a tensor, an array or a list; None is T for all rows. Steps in the padding give zeros and
        never change the result.
    reverse: read each row from its last valid step to its first.
    final: False leaves the returned state undefined for rows shorter than T, which is faster.
    state: arrays [batch, n_a]. The returned state is the state after the last step that was read.

    Raises UsageError if lengths are not [batch] whole numbers from 0 to T.
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
    """Like `scan`, but time-major: x [T, batch, ...] -> (a [T, batch, n_a], state).

    lengths: None if no row is shorter than T. taken: see dispatch.py.

    Under torch.autocast, the type of the weights is used: errors of half precision would add up over the
    steps, and the native kernels support only float32.
    """
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
    """Run stacked layers: x [batch, T, n_x] or ids [batch, T] -> (a [batch, T, directions * n_a], state).

    core: the weights of each layer and direction, core[layer][direction].

    The second direction, if there is one, reads backward. The outputs of both directions are concatenated.
    Dropout is applied between layers, to the recurrent weights and to the state.

    The state is a flat tuple: for each layer and each direction, the cell's arrays [batch, n_a].
    batch_first=False: x and a are [T, batch, ...].
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
    """Return whether torch.compile traces this call.

    Layers are then not compiled but run between the compiled parts, as in torch.nn. The native kernels are
    faster than compiled code for single steps.
    """
    return torch.compiler.is_dynamo_compiling() and not torch.compiler.is_exporting()


def drop(x: Tensor, share: float, variational: bool = False, time: int = 1) -> Tensor:
    """Apply dropout to x [batch, T, n].

    variational: use one mask [batch, 1, n] for all steps. time: the axis of T.
    """
    if not share:
        return x
    if not variational:
        return x * dropout_mask(x, share)
    return x * dropout_mask(x.select(time, 0), share).unsqueeze(time)


def dropout_mask(like: Tensor, share: float) -> Tensor:
    """Return a random dropout mask with the shape of `like`.

    A fraction `share` of the elements is 0. The others are 1 / (1 - share), which preserves the mean.
    """
    dropped = round(share * 65536)
    return bernoulli_mask(like, share).mul_(65536 / (65536 - dropped) if dropped < 65536 else 0.0)


def bernoulli_mask(like: Tensor, share: float) -> Tensor:
    """Return a random mask with the shape of `like`.

    A fraction `share` of the elements is 0, the others are 1. The fraction is rounded to a multiple of
    1/65536. This uses two random bytes per element. torch's dropout draws a double per element, which takes
    several times as long.
    """
    made = torch.empty_like(like)  # same memory layout as `like`, so that both are read sequentially
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
        what = f"the cell '{cell.name}' has no recurrent matrices whose weights could be dropped"
        raise UsageError(what, hint="--weight-dropout 0")
    dropped = dict(w)
    for gate in cell.gates:
        W, n_a = w[f"W_{gate}"], w[f"b_{gate}"].shape[0]
        dropped[f"W_{gate}"] = torch.cat([W[:, :n_a] * dropout_mask(W[:, :n_a], share), W[:, n_a:]], dim=1)
    return dropped


def _check_lengths(lengths: Lengths, batch: int, steps: int, device: torch.device) -> Tensor | None:
    """Return the lengths as a tensor, or None if no row is shorter than T.

    Raises UsageError for lengths that are not [batch] whole numbers from 0 to T.
    """
    if lengths is None:
        return None
    lengths = torch.as_tensor(lengths, device=device)
    fractions = lengths.is_floating_point() or lengths.is_complex() or lengths.dtype is torch.bool
    if fractions and lengths.numel():  # torch converts an empty list to a tensor of floats
        raise UsageError(f"lengths are {lengths.dtype}", expected="whole numbers", hint="lengths.long()")
    if lengths.shape != (batch,):
        raise UsageError(f"lengths are {list(lengths.shape)}", expected=f"[{batch}], one for each sequence")
    if is_recorded():
        return lengths  # the values are not known while torch records
    found = lengths.tolist()
    shortest, longest = min(found, default=steps), max(found, default=steps)
    if not 0 <= shortest <= longest <= steps:
        raise UsageError(f"lengths range from {shortest} to {longest}", expected=f"0 to {steps}")
    return None if shortest == steps else lengths
