"""Run single steps of a network, all its layers and its output layer, in one call into the library.

What a step reads is packed once, when a `Steps` is made; what it writes lies in buffers that stay, one set for each
number of rows and thread, so that a step costs one call and the copies of what it hands out.
"""

from __future__ import annotations

import ctypes
import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import UsageError
from unrolled.models.native.library import Head, Layer, Library, Step
from unrolled.models.native.weight_layout import interleave
from unrolled.models.network_spec import NetworkSpec

Array = NDArray[Any]

# Up to so many floats, what each id adds to the gates is computed beforehand: a second product a step is saved, and
# the table must not push the weights out of the cache.
LARGEST_TABLE = 1 << 20
# Bytes of weights that are worth a thread: to wake one and wait for it takes 1.5 us, as long as to read so many.
WORTH_A_THREAD = 1 << 18
MOST_SIZES = 8  # sets of buffers that are kept: a search has few widths


@dataclass(frozen=True, eq=False)
class _LayerWeights:
    """What a `Layer` points to, packed; table: what ids pick lines of."""

    n_x: int
    W_a: tuple[Array, ...]
    W_x: tuple[Array, ...]
    b: Array
    table: Array | None


@dataclass(frozen=True, eq=False)
class _HeadWeights:
    W: Array
    b: Array


@dataclass(frozen=True, eq=False)
class _Buffers:
    """Of so many rows: what goes in and comes out of the C call, and the structures that point to it."""

    run: Callable[[int], int]  # the C function
    call: int  # where the Step stands
    kept: tuple[Any, ...]  # the structures that it points to
    given: Array  # ids [rows], or x [rows, n_x]
    state: Array  # [arrays, rows, n_a]
    arrays: tuple[Array, ...]  # the same one by one
    each: Callable[[Array], tuple[Array, ...]]  # of them, of a copy of `state`
    a: int  # which of them is a of the last layer
    y: Array  # [rows, n_y]
    best: Array  # [rows, k]
    ids: NDArray[np.int64]  # [rows, k], or of all outputs [rows, n_y]


class _Own:
    """What a thread has of its own: buffers by (rows, k), and the arrays that they share, whatever their sizes, as a
    search's rows become fewer at every step."""

    def __init__(self) -> None:
        self.buffers: dict[tuple[int, int], _Buffers] = {}
        self.last: tuple[Array, ...] | None = None  # what was handed out last, and still lies in "state"
        self._arrays: dict[str, Array] = {}

    def array(self, what: str, *shape: int, kind: type = np.float32) -> Array:
        """One of this shape; its numbers are anything."""
        size = math.prod(shape)
        if what not in self._arrays or self._arrays[what].size < size:
            self._arrays[what] = np.zeros(size, kind)
            self.buffers, self.last = {}, None  # which point to the old one
        return self._arrays[what][:size].reshape(shape)


class _Threads(threading.local):
    """Each thread's own."""

    def __init__(self) -> None:
        self.own = _Own()


@dataclass(frozen=True, eq=False)
class Steps:
    """A network's single steps. bits: 32, or 8 for weights in int8 with a scale for each row.

    has_head: whether `step` answers with outputs; else with a of the last layer, where there is no output layer or one
    that the library does not compute (adaptive softmax, a tied one with a projection, neighbours). threads: that share
    out a step's rows of weights; more than one only where the process has them (`share_threads`).
    """

    library: Library
    spec: NetworkSpec
    bits: int
    layers: tuple[_LayerWeights, ...]
    head: _HeadWeights | None
    threads: int = 1
    each_thread: _Threads = field(default_factory=_Threads)

    @property
    def has_head(self) -> bool:
        """See the class."""
        return self.head is not None

    def step(
        self, state: tuple[Array, ...], x: Array, k: int | None
    ) -> tuple[Array, NDArray[np.int64], tuple[Array, ...]]:
        """ids [rows] or numbers [rows, n_x] -> (outputs [rows, k or n_y], their ids, state after, read-only).

        The k largest, falling, ties by id; k=None: all, by id. Without a head: a [rows, n_a] for outputs. Raises
        UsageError for an id past the vocabulary.
        """
        own, rows = self.each_thread.own, len(state[0])
        k = 0 if k is None or self.head is None else min(k, self.spec.n_y)
        b = own.buffers.get((rows, k)) or self._buffers(own, rows, k)
        there, own.last = state is own.last, None
        if not there:
            for into, before in zip(b.arrays, state, strict=True):
                into[...] = before
        b.given[...] = x
        if b.run(b.call):
            raise UsageError(
                f"the id {int(b.given.max())} is past the vocabulary", expected=f"below {self.spec.n_x}"
            )
        copy = b.state.copy()
        copy.setflags(write=False)  # or it might not be what lies in the buffer any more
        own.last = after = b.each(copy)
        if self.head is None:
            return after[b.a], b.ids, after
        return (b.best.copy(), b.ids.copy(), after) if k else (b.y.copy(), b.ids, after)

    def _buffers(self, own: _Own, rows: int, k: int) -> _Buffers:
        if len(own.buffers) >= MOST_SIZES:
            own.buffers.clear()
        spec, names = self.spec, len(self.spec.the_cell.state)
        if self.layers[0].table is not None:
            given = own.array("given", rows, kind=np.int64)
        else:
            given = own.array("given", rows, self.layers[0].n_x)
        state = own.array("state", spec.layers * names, rows, spec.n_a)
        y, best = own.array("y", rows, spec.n_y if self.head else 0), own.array("best", rows, k)
        every = np.broadcast_to(np.arange(spec.n_y), (rows, spec.n_y))
        ids = own.array("ids", rows, k, kind=np.int64) if k else every
        widest = max(*(layer.n_x for layer in self.layers), spec.n_a)
        work = own.array(
            "work", int(self.library.functions.unrolled_step_work(rows, spec.n_a, widest, self.threads))
        )
        layers = (Layer * spec.layers)()
        for i, (layer, weights) in enumerate(zip(layers, self.layers, strict=True)):
            layer.cell, layer.rows, layer.units = self.library.code(spec.the_cell), rows, spec.n_a
            layer.inputs, layer.bits, layer.zoneout = weights.n_x, self.bits, spec.zoneout
            layer.W_a, layer.W_x = _two(weights.W_a), _two(weights.W_x)
            layer.b, layer.work = _at(weights.b), _at(work)
            layer.state = _two(tuple(state[i * names : (i + 1) * names]))
            layer.x = _at(state[(i - 1) * names]) if i else _at(given)
            if weights.table is not None:
                layer.table, layer.ids, layer.lines = _at(weights.table), _at(given), len(weights.table)
        head = None
        if self.head is not None:
            head = Head(
                rows, spec.n_a, spec.n_y, self.bits, spec.normalised, k, _at(self.head.W), _at(self.head.b)
            )
            head.x, head.y, head.best, head.ids = _at(state[-names]), _at(y), _at(best), _at(ids)
            head.work = _at(work)
        call = Step(ctypes.addressof(layers), spec.layers, None, self.threads)
        if head is not None:
            call.head = ctypes.addressof(head)
        kept = (call, layers, head, work)
        made = _Buffers(
            self.library.functions.unrolled_step,
            ctypes.addressof(call),
            kept,
            given,
            state,
            tuple(state),
            _each(len(state)),
            -names,
            y,
            best,
            ids,
        )
        own.buffers[rows, k] = made
        return made


def steps(
    library: Library, spec: NetworkSpec, tensors: Mapping[str, Array], bits: int = 32, threads: int = 1
) -> Steps:
    """Pack a network that reads forward and answers at every step, in float32. threads: see Steps; at most as many, as
    each is to have some work."""
    layers: list[_LayerWeights] = []
    for layer in range(spec.layers):
        Ws, bs = (  # of each group of gates, [lanes, n_a + n_x] and [lanes]
            interleave(
                library,
                spec.the_cell,
                [tensors[f"core.{layer}.forward.{kind}_{gate}"] for gate in spec.the_cell.gates],
            )
            for kind in "Wb"
        )
        cut = slice(spec.n_a), slice(spec.n_a, None)
        W_a, W_x = ([np.ascontiguousarray(W[:, part]) for W in Ws] for part in cut)
        table, done = _table(spec, tensors, np.concatenate(W_x)) if layer == 0 else (None, False)
        layers.append(
            _LayerWeights(
                W_x[0].shape[1],
                tuple(_packed(library, part, bits) for part in W_a),
                () if done else tuple(_packed(library, part, bits) for part in W_x),
                np.concatenate(bs),
                table,
            )
        )
    head = None
    computed = spec.output != "features" and spec.softmax == "exact" and not spec.neighbours
    if computed and "head.P" not in tensors:
        W_y = np.ascontiguousarray(tensors["embedding.E" if spec.tie else "head.W_ya"], np.float32)
        head = _HeadWeights(
            _packed(library, W_y, bits), np.ascontiguousarray(tensors["head.b_y"], np.float32)
        )
    read = sum(part.nbytes for layer in layers for part in (*layer.W_a, *layer.W_x))
    read += head.W.nbytes if head else 0
    return Steps(library, spec, bits, tuple(layers), head, max(1, min(threads, read // WORTH_A_THREAD)))


def _table(spec: NetworkSpec, tensors: Mapping[str, Array], W_x: Array) -> tuple[Array | None, bool]:
    """What ids pick, and whether it is W_x x itself, or the embeddings, where that is too large. None for several ids
    at a step and for numbers."""
    if not spec.ids or spec.multi_hot:
        return None, False
    if not spec.embedding:
        return np.ascontiguousarray(W_x.T), True
    E = np.ascontiguousarray(tensors["embedding.E"], np.float32)  # [n_x, n_e]
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is an error of the step
        return (E @ W_x.T, True) if len(E) * len(W_x) <= LARGEST_TABLE else (E, False)


def _packed(library: Library, M: Array, bits: int) -> Array:
    rows, K = M.shape
    room = np.zeros(int(library.functions.unrolled_packed(rows, K, bits)) + 64, np.uint8)
    packed = room[-_at(room) % 64 :]  # whole cache lines
    library.functions.unrolled_pack(rows, K, _at(M), K, bits, _at(packed))
    return packed


def _at(array: Array) -> int:
    return int(array.ctypes.data)


def _two(arrays: tuple[Array, ...]) -> Any:
    return (ctypes.c_void_p * 2)(*map(_at, arrays))


def _each(arrays: int) -> Callable[[Array], tuple[Array, ...]]:
    """`tuple` of an array of so many, in a third of the time."""
    return itemgetter(*range(arrays)) if arrays > 1 else lambda array: (array[0],)
