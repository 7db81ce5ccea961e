"""Whole sequences on the native kernels with gradients, in float32 on the CPU.

What is left to torch here is what its BLAS does near the machine's peak: the input's part of all steps in one product,
and after the kernel's walk back through time one product each for the gradients of W_x, W_a and x. The kernel does what
no library offers: the recurrence itself. Ragged rows are packed without gaps, the longest first, so no step is wasted.

Memory while training, floats a step and row: the gates, a, for an LSTM c, for a GRU gamma_r * c^<t-1>; going back, once
more the gates and [a^<t-1>, x^<t>], which all calls share.
"""

from __future__ import annotations

import ctypes
import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from unrolled.models import native
from unrolled.models.cells import Cell
from unrolled.models.native import Library

TensorWeights = Mapping[str, Tensor]
TensorState = tuple[Tensor, ...]
NOTHING = torch.empty(0)


@dataclass(frozen=True, eq=False)
class Order:
    """Where the true steps of ragged or reversed rows stand, step by step without gaps, the longest row first.

    index: [N] into [T * batch], where each comes from; place: [T * batch] into [N], where each went, N for those past
    the lengths. counts: [steps] rows at each step, falling. rows: [batch] the sequences by length; back: [batch] the
    way back.
    """

    index: Tensor
    place: Tensor
    counts: Tensor
    rows: Tensor
    back: Tensor


def joined(parts: Sequence[Tensor]) -> Tensor:
    """Contiguous arrays of one shape as one, rows of the first, then of the second: themselves where they follow each
    other in memory, as `embedding_and_head.plant` lays them, else a copy."""
    first, size = parts[0], parts[0].numel() * parts[0].element_size()
    room = first.untyped_storage().nbytes() - first.storage_offset() * first.element_size()
    if room < len(parts) * size or any(
        part.data_ptr() != first.data_ptr() + i * size for i, part in enumerate(parts)
    ):
        return torch.cat(tuple(parts))
    return first.detach().as_strided((len(parts) * len(first), *first.shape[1:]), first.stride())


def columns(W_x: Tensor, x: Tensor) -> Tensor:
    """W_x x for the inputs x: [..., n_x] numbers, or [...] ids whose columns are looked up. [..., rows of W_x]"""
    if x.is_floating_point():
        return x @ W_x.T
    few = (
        W_x.shape[1] <= x.numel()
    )  # columns: then turning all of them costs less than to pick scattered numbers
    found = F.embedding(x.clamp_min(0), W_x.T.contiguous() if few else W_x.T)
    zeros = x < 0
    return found.masked_fill(zeros.unsqueeze(-1), 0.0) if bool(zeros.any()) else found


def order(lengths: Tensor, steps: int, *, reverse: bool) -> Order:
    """lengths: [batch], of the rows, each at most `steps`; reverse: each from its last true step to its first."""
    given = lengths.detach().cpu().numpy().astype(np.int64)
    batch, rows = len(given), np.argsort(-given, kind="stable")
    ends, at = given[rows], np.arange(given.max(initial=0))[:, None]  # [batch] falling; [longest, 1]
    there = at < ends  # [longest, batch]
    index = ((ends - 1 - at if reverse else at) * batch + rows)[there]  # [N]
    place = np.full(steps * batch, len(index))
    place[index] = np.arange(len(index))
    parts = index, place, there.sum(1), rows, np.argsort(rows)
    return Order(*map(torch.from_numpy, parts))


@dataclass(frozen=True, eq=False)
class Call:
    """What does not change between the way there and the way back.

    train: whether there will be a way back. split: what threads share out, as unrolled.h numbers it; 0 is the
    kernel's choice. taken: of zoneout, how much of each new state is taken at every step, [N, n_a] for each of its
    arrays; nothing: its mean, everywhere.
    """

    library: Library
    cell: Cell
    order: Order | None
    train: bool
    split: int
    taken: TensorState = ()

    def packed(self, x: Tensor) -> Tensor:
        """The true steps of x [T * batch, ...] without gaps: [N, ...]."""
        return x if self.order is None else x.index_select(0, self.order.index)

    def room(self, like: Tensor, width: int) -> Tensor:
        """[N, width] for what will be `padded`, as many rows as `like` has."""
        rows = like.shape[0]
        if self.order is None:
            return like.new_empty(rows, width)
        made = like.new_empty(rows + 1, width)
        made[rows] = 0.0
        return made[:rows]

    def padded(self, x: Tensor) -> Tensor:
        """The way back, with zeros past the lengths: [N, n] -> [T * batch, n]. x is of `room`: behind it stands a row
        of zeros, which is picked for steps past the lengths."""
        if self.order is None:
            return x
        return x.as_strided((x.shape[0] + 1, x.shape[1]), x.stride()).index_select(0, self.order.place)

    def sorted(self, states: Sequence[Tensor]) -> list[Tensor]:
        """Arrays [batch, n_a], the longest sequence first."""
        order = self.order
        return [(s if order is None else s.index_select(0, order.rows)).contiguous() for s in states]

    def unsorted(self, states: Sequence[Tensor]) -> list[Tensor]:
        """The way back."""
        return [s if self.order is None else s.index_select(0, self.order.back) for s in states]


def fits(cell: Cell, w: TensorWeights, x: Tensor, state: TensorState) -> bool:
    """Whether the kernels compute this: a cell they know, all in float32 (or ids) and on the CPU."""
    tensors = [*w.values(), *state, *([x] if x.is_floating_point() else [])]
    return native.knows(cell) and all(t.dtype == torch.float32 and t.is_cpu for t in tensors)


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
    """x [T, batch, n_x] or ids [T, batch] -> a [T, batch, n_a], zeros past the lengths; the state of each row's end.

    Weights, x, state and taken as in dispatch.py, where `fits`. lengths: [batch], None is T for all; reverse:
    each row from its last true step to its first. Gradients are had once: that of a gradient needs
    UNROLLED_KERNEL=reference.
    """
    Ws, bs = ([w[f"{kind}_{gate}"].contiguous() for gate in cell.gates] for kind in "Wb")
    if lengths is None and reverse:
        lengths = torch.full((x.shape[1],), x.shape[0])
    train = torch.is_grad_enabled() and any(t.requires_grad for t in (*Ws, *bs, x, *state))
    found = None if lengths is None else order(lengths, len(x), reverse=reverse)
    call = Call(library, cell, found, train, split)
    if taken is not None:
        call = replace(call, taken=tuple(call.packed(t.flatten(0, 1)).contiguous() for t in taken))
    a, *last = _Sequence.apply(call, x, *Ws, *bs, *state)
    return a, tuple(last)


class _Sequence(torch.autograd.Function):
    """(call, x, a W for each gate, a b for each gate, state) -> (a, state after)."""

    @staticmethod
    def forward(ctx: Any, call: Call, x: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        gates, (steps, batch) = len(call.cell.gates), x.shape[:2]
        Ws, bs, state = tensors[:gates], tensors[gates : 2 * gates], tensors[2 * gates :]
        n_a = bs[0].shape[0]
        W, b = joined(Ws), joined(bs)  # [row, n_a + n_x] and [row]
        taken = call.packed(x.reshape(steps * batch, *x.shape[2:])).contiguous()  # [N, n_x], or ids [N]
        before = call.sorted(state)
        made = _run(call, W, b, columns(W[:, n_a:], taken), before)
        if call.train:
            ctx.call, ctx.shape = call, x.shape
            # Each of Ws as well, so that a change of any of them before the way back is an error.
            ctx.save_for_backward(taken, W, made.a, *before, *made.kept, *Ws)
            ctx.set_materialize_grads(False)
        return call.padded(made.a).view(steps, batch, n_a), *call.unsorted(made.after)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *d_outputs: Tensor | None) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride] (by its decorator)
        call: Call = ctx.call
        gates, names = len(call.cell.gates), len(call.cell.state)
        taken, W, a, *rest = ctx.saved_tensors
        n_a, d_out, before, kept = a.shape[1], d_outputs[0], rest[:names], tuple(rest[names:-gates])
        d_a = torch.zeros_like(a) if d_out is None else call.packed(d_out.reshape(-1, n_a)).contiguous()
        d_state = [torch.zeros_like(before[0]) if d is None else d.clone() for d in d_outputs[1:]]
        d_state = call.sorted(d_state)
        d_gates, d_b, stacked = _run_back(call, W, before, _Made(a, (), kept), d_a, d_state, taken)
        d_W = _d_weights(call, d_gates, taken, stacked, kept, W.shape[1])
        d_x = None
        if ctx.needs_input_grad[1]:
            d_taken = call.room(taken, W.shape[1] - n_a)
            d_x = call.padded(torch.mm(d_gates, W[:, n_a:], out=d_taken)).view(ctx.shape)
        return (
            None,
            d_x,
            *d_W.view(gates, n_a, -1).unbind(),
            *d_b.view(gates, n_a).unbind(),
            *call.unsorted(d_state),
        )


@dataclass(frozen=True, eq=False)
class _Made:
    """a: [N, n_a]. after: the state. kept: what the way back needs besides, the gates [N, row] first, then an LSTM's c
    or a GRU's gamma_r * c_prev, [N, n_a]."""

    a: Tensor
    after: tuple[Tensor, ...]
    kept: tuple[Tensor, ...]


def _run(call: Call, W: Tensor, b: Tensor, gates: Tensor, before: Sequence[Tensor]) -> _Made:
    """gates: [N, row] W_x x of every step, which this overwrites."""
    (rows, _), (batch, n_a) = gates.shape, before[0].shape
    a, after = call.room(gates, n_a), tuple(s.clone() for s in before)
    memory, relevance = len(call.cell.state) == 2, len(call.cell.groups) == 2
    c = gates.new_empty(rows, n_a) if memory and call.train else NOTHING
    relevant = gates.new_empty(rows if call.train else batch, n_a) if relevance else NOTHING
    of, work = _sequences(call, W, rows, batch, n_a)
    pointers = (
        b.data_ptr(),
        gates.data_ptr(),
        a.data_ptr(),
        _two(after),
        c.data_ptr(),
        relevant.data_ptr(),
        work,
    )
    forward = native.Forward(of, call.train, *pointers)
    call.library.functions.unrolled_run_forward(forward)
    return _Made(a, after, (gates, c) if memory else (gates, relevant) if relevance else (gates,))


def _run_back(
    call: Call,
    W: Tensor,
    before: Sequence[Tensor],
    made: _Made,
    d_a: Tensor,
    d_state: Sequence[Tensor],
    taken: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of W[left, x] + b at each step [N, row], and of b [row]; [a_prev, x] at each step [N, n_a + n_x],
    for ids a_prev alone. d_state becomes that of `before`."""
    (rows, n_a), batch, gates = made.a.shape, before[0].shape[0], made.kept[0]
    d_gates, d_b = scratch("d_gates", *gates.shape), gates.new_empty(gates.shape[1])
    c = made.kept[1] if len(call.cell.state) == 2 else NOTHING
    inputs = taken.shape[1] if taken.is_floating_point() else 0
    stacked = scratch("stacked", rows, n_a + inputs)
    of, work = _sequences(call, W, rows, batch, n_a)
    known = gates.data_ptr(), made.a.data_ptr(), c.data_ptr(), _two(before), d_a.data_ptr()
    found = d_gates.data_ptr(), d_b.data_ptr(), taken.data_ptr(), stacked.data_ptr(), inputs, work
    backward = native.Backward(of, *known, _two(d_state), *found)
    call.library.functions.unrolled_run_backward(backward)
    return d_gates, d_b, stacked


def _d_weights(
    call: Call, d_gates: Tensor, taken: Tensor, stacked: Tensor, kept: Sequence[Tensor], columns_of_W: int
) -> Tensor:
    """The gradient of W [row, n_a + n_x], one product over all steps for each group of gates: d_gates times what they
    multiplied, [a_prev, x], or for the candidate of a GRU [gamma_r * c_prev, x]. For ids the columns of x are sums."""
    row, width = d_gates.shape[1], stacked.shape[1]
    n_a, at = row // len(call.cell.gates), 0  # at: of the group's rows
    d_W = d_gates.new_empty(row, columns_of_W)
    for i, group in enumerate(call.cell.groups):
        if i:
            stacked[:, :n_a] = kept[1]
        end = at + n_a * len(group)
        _sum_of_steps(d_gates[:, at:end], stacked, d_W[at:end, :width])
        at = end
    if not taken.is_floating_point():
        there = taken >= 0
        columns_of_x = d_gates.new_zeros(columns_of_W - n_a, row).index_add_(0, taken[there], d_gates[there])
        d_W[:, n_a:] = columns_of_x.T
    return d_W


# Columns up to which BLAS shares out a product over so many steps and more badly among threads (a fifth of its time).
NARROW, MANY = 160, 512


def _sum_of_steps(d_gates: Tensor, left: Tensor, into: Tensor) -> None:
    """d_gates [N, rows] transposed times left [N, columns]. Where that is narrow each thread has a part of the N steps,
    and the parts are added up."""
    threads, (steps, columns) = torch.get_num_threads(), left.shape
    if threads == 1 or columns > NARROW or steps < threads * MANY:
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
    """What both ways are told of a call, and the address of scratch for it."""
    counts = None if call.order is None else call.order.counts
    steps, threads = rows // batch if counts is None else len(counts), threads_for(rows * W.shape[0] * n_a)
    sizes = call.library.code(call.cell), threads, call.split, steps, batch, n_a
    of = native.Sequences(*sizes, None if counts is None else counts.data_ptr(), W.data_ptr(), W.stride(0))
    of.taken, of.zoneout = _two(call.taken), call.cell.zoneout
    return of, _own.room("work", call.library.work(call.cell, batch, n_a, threads)).data_ptr()


def _two(states: Sequence[Tensor]) -> Any:
    return (ctypes.c_void_p * 2)(*[s.data_ptr() for s in states])


# Multiplications of one call from which on threads are worth waking: about 50 us of one.
WORTH_THREADS = 1 << 21


class _Own(threading.local):
    """Arrays of each thread, by what they are for, kept from call to call: mapping them anew costs more than many a
    call."""

    def __init__(self) -> None:
        self.arrays: dict[str, Tensor] = {}

    def room(self, what: str, floats: int) -> Tensor:
        """At least so many."""
        found = self.arrays.get(what)
        if found is None or found.shape[0] < floats:
            found = self.arrays[what] = torch.empty(floats)
        return found


_own = _Own()


def scratch(what: str, *shape: int) -> Tensor:
    """An array of this shape, of this thread, until another for the same is asked for; its numbers are anything."""
    floats = math.prod(shape)
    return _own.room(what, floats)[:floats].view(shape)


def threads_for(multiplications: int) -> int:
    """How many threads a call is to have: torch's number, where its OpenMP runtime is one that the kernels can share
    and the work is worth it; else 1."""
    return torch.get_num_threads() if multiplications >= WORTH_THREADS and _shared() else 1


@cache
def _shared() -> bool:
    return native.share_threads()
