"""Run whole sequences with the native kernels, with gradients, in float32 on the CPU.

torch computes only the large matrix products, because its BLAS runs them near the peak speed of the machine:

- forward: the input part W_x x of all steps, in one product;
- backward, after the kernel's pass back through time: one product each for the gradients of W_x, W_a and x.

The native kernel computes the recurrence, for which no library has a fast function. Sequences of different
lengths are packed without gaps, the longest first, so no time is spent on padding.

Memory in training, per step and row: the gates, a, c of an LSTM, gamma_r * c^<t-1> of a GRU. The backward
pass needs memory for the gradients of the gates and for [a^<t-1>, x^<t>]; all calls share this memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unrolled.core.errors import UsageError
from unrolled.models import native
from unrolled.models.cells import Cell
from unrolled.models.native import Library
from unrolled.nn.kernels.pointers import address, addresses, scratch
from unrolled.nn.kernels.ragged import on_torch
from unrolled.nn.kernels.tensors import (
    TensorState,
    TensorWeights,
    check_shapes,
    input_product,
    without_autocast,
)
from unrolled.nn.kernels.torch_kernels import loop_hoisted


@dataclass(frozen=True, eq=False)
class Order:
    """The order of the N valid steps in packed form: step by step, without gaps, the longest row first.

    index: [N] the position in [T * batch] of each packed step.
    place: [T * batch] the packed position of each step; N for padding.
    counts: [steps] the number of rows at each step, never increasing.
    rows: [batch] the indices of the rows, sorted by length, longest first.
    back: [batch] the inverse permutation of `rows`.
    """

    index: Tensor
    place: Tensor
    counts: Tensor
    rows: Tensor
    back: Tensor


def joined(parts: Sequence[Tensor]) -> Tensor:
    """Concatenate contiguous arrays of the same shape along the first axis.

    No copy is made if the arrays are adjacent in memory, as after register_parameters. Raises UsageError if
    the shapes differ.
    """
    first, size = parts[0], parts[0].numel() * parts[0].element_size()
    if any(part.shape != first.shape for part in parts):
        raise UsageError(
            f"the weights of one layer are {[list(part.shape) for part in parts]}", expected="one shape"
        )
    room = first.untyped_storage().nbytes() - first.storage_offset() * first.element_size()
    if room < len(parts) * size or any(
        part.data_ptr() != first.data_ptr() + i * size for i, part in enumerate(parts)
    ):
        return torch.cat(tuple(parts))
    return first.detach().as_strided((len(parts) * len(first), *first.shape[1:]), first.stride())


def order(lengths: Tensor, steps: int, *, reverse: bool) -> Order:
    """Return the packed order of rows with these lengths [batch].

    reverse: read each row from its last valid step to its first. Raises UsageError for lengths that are not
    from 0 to `steps`.
    """
    given = lengths.detach().cpu().numpy().astype(np.int64)
    if given.min(initial=0) < 0 or given.max(initial=0) > steps:
        raise UsageError(f"lengths range from {given.min()} to {given.max()}", expected=f"0 to {steps}")
    batch, rows = len(given), np.argsort(-given, kind="stable")
    ends, at = given[rows], np.arange(given.max(initial=0))[:, None]  # [batch] decreasing; [longest, 1]
    there = at < ends  # [longest, batch]
    index = ((ends - 1 - at if reverse else at) * batch + rows)[there]  # [N]
    place = np.full(steps * batch, len(index))
    place[index] = np.arange(len(index))
    parts = index, place, there.sum(1), rows, np.argsort(rows)
    return Order(*map(torch.from_numpy, parts))


@dataclass(frozen=True, eq=False)
class Call:
    """The arguments that the forward and backward calls share.

    lengths: [batch], or None if all rows have all steps.
    reverse: read each row from its last valid step to its first.
    drawn: random numbers for zoneout in training, like `taken` in dispatch.py.
    train: whether a backward call will follow.
    split: how threads divide the work, a number from unrolled.h; 0: the kernel decides.
    order: the packed order; None if the steps are not packed.
    taken: `drawn` in packed order, arrays [N, n_a].
    """

    library: Library
    cell: Cell
    lengths: Tensor | None
    reverse: bool
    drawn: TensorState | None
    train: bool
    split: int
    order: Order | None = None
    taken: TensorState = ()

    def packed(self, x: Tensor) -> Tensor:
        """Return the valid steps of x [T * batch, ...] without gaps: [N, ...]."""
        return x if self.order is None else x.index_select(0, self.order.index)

    def read(self, x: Tensor) -> Tensor:
        """Return the packed steps of x [T, batch, ...] that the kernel reads: [N, n_x], or ids [N]."""
        return self.packed(x.flatten(0, 1)).contiguous()

    def room(self, like: Tensor, width: int) -> Tensor:
        """Return an array [N, width] for an argument of `padded`. It has the same number of rows as `like`.

        If the steps are packed, a row of zeros follows the array in memory.
        """
        rows = like.shape[0]
        if self.order is None:
            return like.new_empty(rows, width)
        made = like.new_empty(rows + 1, width)
        made[rows] = 0.0
        return made[:rows]

    def padded(self, x: Tensor) -> Tensor:
        """Undo `packed`: [N, n] -> [T * batch, n], with zeros in the padding.

        x must come from `room`: the row of zeros after it in memory is copied to the padding.
        """
        if self.order is None:
            return x
        return x.as_strided((x.shape[0] + 1, x.shape[1]), x.stride()).index_select(0, self.order.place)

    def sorted(self, states: Sequence[Tensor]) -> list[Tensor]:
        """Return arrays [batch, n_a] with the rows sorted by length, longest first."""
        order = self.order
        return [(s if order is None else s.index_select(0, order.rows)).contiguous() for s in states]

    def unsorted(self, states: Sequence[Tensor]) -> list[Tensor]:
        """Undo `sorted`."""
        return [s if self.order is None else s.index_select(0, self.order.back) for s in states]


def fits(cell: Cell, w: TensorWeights, x: Tensor, state: TensorState) -> bool:
    """Return whether the native kernels support the call.

    They need a known cell, plain float32 tensors (or ids) on the CPU, and at least one row.
    """
    tensors = [*w.values(), *state, *([x] if x.is_floating_point() else [])]
    return (
        native.knows(cell)
        and x.shape[1] > 0
        and all(t.dtype is torch.float32 and t.is_cpu and type(t) in _PLAIN for t in tensors)
    )


# Other subclasses, such as fake and distributed tensors, have no ordinary memory.
_PLAIN = (Tensor, torch.nn.Parameter)


def sequence(
    library: Library,
    cell: Cell,
    w: TensorWeights,
    x: Tensor,
    state: TensorState,
    lengths: Tensor | None = None,
    *,
    taken: TensorState | None = None,
    reverse: bool = False,
    split: int = 0,
) -> tuple[Tensor, TensorState]:
    """Run whole sequences: x [T, batch, n_x] or ids [T, batch] -> (a [T, batch, n_a], state).

    `a` is zero in the padding. The returned state is the state of each row after the last step that was read.
    w, x, state, taken: see dispatch.py; `fits` must be true for them.
    lengths: [batch], None is T for all rows.
    reverse: read each row from its last valid step to its first.
    split: see `Call`.

    Gradients of gradients are computed by torch, which is slower. Raises UsageError if sizes do not match.
    """
    check_shapes(cell, w, x, state)
    Ws, bs = ([w[f"{kind}_{gate}"].contiguous() for gate in cell.gates] for kind in "Wb")
    if lengths is None and reverse:
        lengths = torch.full((x.shape[1],), x.shape[0], device="cpu")
    train = torch.is_grad_enabled() and any(t.requires_grad for t in (*Ws, *bs, x, *state))
    call = Call(library, cell, lengths, reverse, taken, train, split)
    if lengths is not None:
        call = replace(call, order=order(lengths, len(x), reverse=reverse))
    if taken is not None:
        call = replace(call, taken=tuple(call.read(t) for t in taken))
    a, *last = _Sequence.apply(call, x, *Ws, *bs, *state)
    # The view is made here, because torch forbids in-place changes of views that a custom function returns.
    return a.view(*x.shape[:2], a.shape[1]), tuple(last)


class _Sequence(torch.autograd.Function):
    """Autograd function: (call, x, W of each gate, b of each gate, state) -> (a [T * batch, n_a], new state).

    `Any`: torch allows any attribute in the context of a function.
    """

    @staticmethod
    def forward(ctx: Any, call: Call, x: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        gates = len(call.cell.gates)
        Ws, bs, state = tensors[:gates], tensors[gates : 2 * gates], tensors[2 * gates :]
        n_a = bs[0].shape[0]
        with without_autocast("cpu"):
            W, b = joined(Ws), joined(bs)  # [row, n_a + n_x] and [row]
            read = call.read(x)
            made = _run(call, W, b, input_product(W[:, n_a:], read), call.sorted(state))
        if call.train:
            ctx.call = call
            # Save all inputs, so that torch reports an error if one of them changes before backward. Packed
            # inputs are not saved, because they can be packed again quickly.
            kept = (W, made.a, *made.kept, *([read] if call.order is None else []))
            ctx.save_for_backward(x, *tensors, *kept)
            ctx.set_materialize_grads(False)
        return call.padded(made.a), *call.unsorted(made.after)

    @staticmethod
    def backward(ctx: Any, *d_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
        inputs = len(ctx.needs_input_grad) - 1
        given, kept = ctx.saved_tensors[:inputs], ctx.saved_tensors[inputs:]
        if torch.is_grad_enabled():  # set by create_graph=True: gradients of these gradients are needed
            return None, *_differentiable(ctx.call, given, ctx.needs_input_grad[1:], d_outputs)
        with without_autocast("cpu"):
            return None, *_gradients(ctx.call, given, kept, ctx.needs_input_grad[1], d_outputs)


def _gradients(
    call: Call,
    given: Sequence[Tensor],
    kept: Sequence[Tensor],
    with_x: bool,
    d_outputs: Sequence[Tensor | None],
) -> list[Tensor | None]:
    """Return the gradients of x, of each W, of each b and of the state.

    given: these inputs, in this order. kept: the intermediate results that forward saved. with_x: whether x
    needs a gradient.
    """
    gates, x, (W, a, *rest) = len(call.cell.gates), given[0], kept
    n_a, before = a.shape[1], call.sorted(given[1 + 2 * gates :])
    read = call.read(x) if call.order is not None else rest.pop()
    d_out, d_after = d_outputs[0], d_outputs[1:]
    d_a = torch.zeros_like(a) if d_out is None else call.packed(d_out).contiguous()
    d_state = [torch.zeros_like(before[0]) if d is None else d.clone() for d in d_after]
    d_state = call.sorted(d_state)
    d_gates, d_b, stacked = _run_back(call, W, before, _Made(a, (), tuple(rest)), d_a, d_state, read)
    d_W = _d_weights(call, d_gates, read, stacked, rest, W.shape[1])
    d_x = None
    if with_x:
        d_read = call.room(read, W.shape[1] - n_a)
        d_x = call.padded(torch.mm(d_gates, W[:, n_a:], out=d_read)).view(x.shape)
    return [
        d_x,
        *d_W.view(gates, n_a, -1).unbind(),
        *d_b.view(gates, n_a).unbind(),
        *call.unsorted(d_state),
    ]


def _differentiable(
    call: Call, given: Sequence[Tensor], wanted: Sequence[bool], d_outputs: Sequence[Tensor | None]
) -> list[Tensor | None]:
    """Return the gradients of `given` in a form that can be differentiated again.

    The sequence is computed again in torch.
    """
    # view_as makes new tensors, in case one of them depends on another.
    gates, again = call.cell.gates, [t.view_as(t) for t in given]
    names = [f"{kind}_{gate}" for kind in "Wb" for gate in gates]
    w, state = dict(zip(names, again[1:], strict=False)), tuple(again[1 + len(names) :])
    lengths = call.lengths
    a, after = on_torch(
        loop_hoisted, call.cell, w, again[0], state, lengths, call.drawn, reverse=call.reverse, final=True
    )
    pairs = [(o, d) for o, d in zip((a.flatten(0, 1), *after), d_outputs, strict=True) if d is not None]
    leaves = [t for t, want in zip(again, wanted, strict=True) if want]
    outputs, towards = [o for o, _ in pairs], [d for _, d in pairs]
    found = iter(torch.autograd.grad(outputs, leaves, towards, create_graph=True, allow_unused=True))
    return [next(found) if want else None for want in wanted]


@dataclass(frozen=True, eq=False)
class _Made:
    """The result of a forward call.

    a: [N, n_a].
    after: the state after the last step.
    kept: further results for the backward call: the gates [N, row], then c of an LSTM or gamma_r * c_prev of
        a GRU, [N, n_a].
    """

    a: Tensor
    after: tuple[Tensor, ...]
    kept: tuple[Tensor, ...]


def _run(call: Call, W: Tensor, b: Tensor, gates: Tensor, before: Sequence[Tensor]) -> _Made:
    """Run the kernel forward. gates: [N, row] W_x x of every step; it is overwritten."""
    (rows, row), (batch, n_a) = gates.shape, before[0].shape
    a, after = call.room(gates, n_a), tuple(s.clone() for s in before)
    c = relevant = None
    if len(call.cell.state) == 2 and call.train:
        c = gates.new_empty(rows, n_a)
    if len(call.cell.groups) == 2:
        relevant = gates.new_empty(rows if call.train else batch, n_a)
    of, work = _sequences(call, W, rows, batch, n_a)
    forward = native.Forward(of, call.train)
    forward.b = address("b", b, (row,))
    forward.gates = address("W_x x", gates, (rows, row))
    forward.a = address("a", a, (rows, n_a))
    forward.state = addresses("the state", after, (batch, n_a))
    forward.c = None if c is None else address("c", c, (rows, n_a))
    forward.relevant = None if relevant is None else address("gamma_r * c", relevant, relevant.shape)
    forward.work = work
    call.library.functions.unrolled_run_forward(forward)
    kept = [t for t in (gates, c, relevant) if t is not None]
    return _Made(a, after, tuple(kept))


def _run_back(
    call: Call,
    W: Tensor,
    before: Sequence[Tensor],
    made: _Made,
    d_a: Tensor,
    d_state: Sequence[Tensor],
    read: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Run the kernel backward. Return three arrays:

    - the gradient of W[left, x] + b at each step, [N, row];
    - the gradient of b, [row];
    - [a_prev, x] of each step, [N, n_a + n_x]; for ids only a_prev, [N, n_a].

    d_state is overwritten with the gradient of `before`.
    """
    (rows, n_a), batch, gates = made.a.shape, before[0].shape[0], made.kept[0]
    row = gates.shape[1]
    inputs = read.shape[1] if read.is_floating_point() else 0
    of, work = _sequences(call, W, rows, batch, n_a)
    d_gates, d_b = scratch("d_gates", rows, row), gates.new_empty(row)
    stacked = scratch("stacked", rows, n_a + inputs)
    backward = native.Backward(of)
    backward.gates = address("the gates", gates, (rows, row))
    backward.a = address("a", made.a, (rows, n_a))
    backward.c = address("c", made.kept[1], (rows, n_a)) if len(call.cell.state) == 2 else None
    backward.state = addresses("the state", before, (batch, n_a))
    backward.d_a = address("the gradient of a", d_a, (rows, n_a))
    backward.d_state = addresses("the gradient of the state", d_state, (batch, n_a))
    backward.d_gates = address("the gradient of the gates", d_gates, (rows, row))
    backward.d_b = address("the gradient of b", d_b, (row,))
    backward.x = address("x", read, (rows, inputs)) if inputs else None
    backward.stacked, backward.inputs = address("[a_prev, x]", stacked, (rows, n_a + inputs)), inputs
    backward.work = work
    call.library.functions.unrolled_run_backward(backward)
    return d_gates, d_b, stacked


def _d_weights(
    call: Call, d_gates: Tensor, read: Tensor, stacked: Tensor, kept: Sequence[Tensor], columns_of_W: int
) -> Tensor:
    """Return the gradient of W [row, n_a + n_x].

    For each group of gates, this is one product over all steps: d_gates times the inputs of the group,
    [a_prev, x]. For the candidate of a GRU, the inputs are [gamma_r * c_prev, x]. For ids, the columns of x
    are sums.
    """
    row, width = d_gates.shape[1], stacked.shape[1]
    n_a, at = row // len(call.cell.gates), 0  # at: first row of the group
    d_W = d_gates.new_empty(row, columns_of_W)
    for i, group in enumerate(call.cell.groups):
        if i:
            stacked[:, :n_a] = kept[1]
        end = at + n_a * len(group)
        _sum_of_steps(d_gates[:, at:end], stacked, d_W[at:end, :width])
        at = end
    if not read.is_floating_point():
        there = read >= 0
        columns_of_x = d_gates.new_zeros(columns_of_W - n_a, row).index_add_(0, read[there], d_gates[there])
        d_W[:, n_a:] = columns_of_x.T
    return d_W


# BLAS divides a product badly among threads if it has at most NARROW columns and sums over at least MANY
# steps per thread. This costs about a fifth of the time.
NARROW, MANY = 160, 512


def _sum_of_steps(d_gates: Tensor, left: Tensor, into: Tensor) -> None:
    """Write d_gates [N, rows], transposed, times left [N, columns] to `into`.

    If the product has few columns, each thread computes a part of the N steps, and the parts are added.
    """
    threads, (steps, input_product) = torch.get_num_threads(), left.shape
    if threads == 1 or input_product > NARROW or steps < threads * MANY:
        torch.mm(d_gates.T, left, out=into)
        return
    each = steps // threads
    whole = each * threads
    d_parts, parts = (
        t[:whole].unflatten(0, (threads, each)) for t in (d_gates, left)
    )  # [threads, each, ...]
    torch.sum(torch.bmm(d_parts.transpose(1, 2), parts), 0, out=into)
    if whole < steps:
        into.addmm_(d_gates[whole:].T, left[whole:])


def _sequences(call: Call, W: Tensor, rows: int, batch: int, n_a: int) -> tuple[native.Sequences, int]:
    """Return the C structure for forward and backward calls, and the address of their scratch memory."""
    row, counts = len(call.cell.gates) * n_a, None if call.order is None else call.order.counts
    steps, threads = rows // batch if counts is None else len(counts), threads_for(rows * row * n_a)
    of = native.Sequences(call.library.code(call.cell), threads, call.split, steps, batch, n_a)
    of.counts = None if counts is None else address("counts", counts, (steps,), torch.int64)
    of.W_a, of.ld_W = address("W", W, (row, W.shape[1])), W.shape[1]
    of.taken, of.zoneout = addresses("zoneout", call.taken, (rows, n_a)), call.cell.zoneout
    floats = call.library.work(call.cell, batch, n_a, threads)
    return of, address("work", scratch("work", floats), (floats,))


# Minimum number of multiplications per call to use several threads: about 50 us of work for one thread.
WORTH_THREADS = 1 << 21


def threads_for(multiplications: int) -> int:
    """Return the number of threads for a call.

    This is torch's number of threads if the kernels can share torch's OpenMP runtime and there is enough
    work; else 1.
    """
    return torch.get_num_threads() if multiplications >= WORTH_THREADS and _shared() else 1


@cache
def _shared() -> bool:
    return native.share_threads()
