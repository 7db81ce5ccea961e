"""Run single steps of a network, with all its layers and its output layer, in one call into the library.

The weights are packed once, when a `Steps` is made. A step writes into buffers that are kept: one set for
each thread and number of rows. So a step costs one call, and the copies of its results.
"""

from __future__ import annotations

import ctypes
import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import UsageError
from unrolled.core.types import Array
from unrolled.models.native.library import Head, Layer, Library, Step
from unrolled.models.native.pointers import address
from unrolled.models.native.weight_layout import interleave
from unrolled.models.network_spec import Bits, Classes, Embedding, Features, NetworkSpec

# The largest table, in floats, of the input part of the gates for each id. The table saves the second product
# of each step. A larger one would push the weights out of the cache.
LARGEST_TABLE = 1 << 20
# Bytes of weights per thread, at least. Waking a thread and waiting for it takes 1.5 us, as long as reading
# these bytes.
WORTH_A_THREAD = 1 << 18
MOST_SIZES = 8  # sets of buffers that are kept; a search uses only a few numbers of rows


@dataclass(frozen=True, eq=False)
class _LayerWeights:
    """The packed weights that a `Layer` points to. table: the table from which each id selects a line."""

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
    """The inputs and outputs of the C call for one number of rows, and the structures that point to them."""

    run: Callable[[int], int]  # the C function
    call: int  # the address of the Step
    kept: tuple[object, ...]  # the structures that it points to, which must stay alive
    given: Array  # ids [rows], or x [rows, n_x]
    state: Array  # [arrays, rows, n_a]
    arrays: tuple[Array, ...]  # the arrays of `state`, one by one
    each: Callable[[Array], tuple[Array, ...]]  # splits a copy of `state` into its arrays
    a: int  # the index of a of the last layer
    y: Array  # [rows, n_y]
    best: Array  # [rows, k]
    ids: NDArray[np.int64]  # [rows, k], or [rows, n_y] for all outputs


class _Own:
    """The data of one thread: buffers by (rows, k), and the arrays that they share.

    Buffers of all sizes share the arrays, because the number of rows of a search shrinks at every step.
    """

    def __init__(self) -> None:
        self.buffers: dict[tuple[int, int], _Buffers] = {}
        self.last: tuple[Array, ...] | None = None  # the last returned state, also stored in "state"
        self._arrays: dict[str, Array] = {}

    def array(self, what: str, *shape: int, kind: type = np.float32) -> Array:
        """Return an array of this shape with arbitrary content."""
        size = math.prod(shape)
        if what not in self._arrays or self._arrays[what].size < size:
            self._arrays[what] = np.zeros(size, kind)
            self.buffers, self.last = {}, None  # they point to the old array
        return self._arrays[what][:size].reshape(shape)


class _Threads(threading.local):
    """One `_Own` per thread."""

    def __init__(self) -> None:
        self.own = _Own()


@dataclass(frozen=True, eq=False)
class Steps:
    """The single steps of a network.

    bits: 32, or 8 for int8 weights with one scale per row.
    threads: number of threads that share the rows of the weights. More than one requires `share_threads`.
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
        """Whether `step` returns outputs. If not, it returns a of the last layer.

        It is false if there is no output layer, or if the library cannot compute it: an adaptive softmax, a
        tied layer with a projection, or neighbours.
        """
        return self.head is not None

    def step(
        self, state: tuple[Array, ...], x: Array, k: int | None
    ) -> tuple[Array, NDArray[np.int64], tuple[Array, ...]]:
        """Run one step. Return the outputs [rows, k or n_y], their ids, and the new state (read-only).

        x: ids [rows] or numbers [rows, n_x].
        k: return the k largest of each row, largest first, ties in order of id. None: all, in order of id.

        Without a head, a [rows, n_a] replaces the outputs. Raises UsageError for an id outside the
        vocabulary, and for a state or an x of the wrong size.
        """
        own, rows = self.each_thread.own, len(state[0])
        given = self._checked(state, x, rows)
        k = 0 if k is None or self.head is None else min(k, self.spec.n_y)
        b = own.buffers.get((rows, k)) or self._buffers(own, rows, k)
        there, own.last = state is own.last, None
        if not there:
            for into, before in zip(b.arrays, state, strict=True):
                into[...] = before
        b.given[...] = given
        if b.run(b.call):
            raise UsageError(
                f"the id {int(b.given.max())} is not in the vocabulary", expected=f"below {self.spec.n_x}"
            )
        copy = b.state.copy()
        copy.setflags(write=False)  # a changed copy would differ from the buffer
        own.last = after = b.each(copy)
        if self.head is None:
            return after[b.a], b.ids, after
        return (b.best.copy(), b.ids.copy(), after) if k else (b.y.copy(), b.ids, after)

    def _checked(self, state: tuple[Array, ...], x: Array, rows: int) -> Array:
        """Return x. Raises UsageError if x or the state has the wrong size.

        Without this check, NumPy would broadcast smaller arrays.
        """
        ids = self.layers[0].table is not None
        size = (rows,) if ids else (rows, self.layers[0].n_x)
        if x.shape != size or (ids and x.dtype.kind not in "iu"):
            kind = "ids" if ids else "numbers"
            raise UsageError(f"x is {x.dtype} {list(x.shape)}", expected=f"{kind} {list(size)}")
        for array in state:
            if array.shape != (rows, self.spec.core.n_a):
                expected = f"[{rows}, {self.spec.core.n_a}]"
                raise UsageError(f"a state array is {list(array.shape)}", expected=expected)
        return x

    def _packed(self, what: str, weights: Array, rows: int, K: int) -> int:
        """Return the address of a packed matrix [rows, K]."""
        size = int(self.library.functions.unrolled_packed(rows, K, self.bits))
        return address(what, weights, (size,), np.uint8)

    def _two_packed(self, what: str, parts: tuple[Array, ...], rows: list[int], K: int) -> object:
        """Return the addresses of the packed matrices of the groups of gates. Null if there is no matrix.

        There is no W_x if the table contains W_x x.
        """
        return _two([self._packed(what, part, n, K) for part, n in zip(parts, rows, strict=False)])

    def _buffers(self, own: _Own, rows: int, k: int) -> _Buffers:
        if len(own.buffers) >= MOST_SIZES:
            own.buffers.clear()
        spec, core, names = self.spec, self.spec.core, len(self.spec.core.cell_definition.state)
        if self.layers[0].table is not None:
            given = own.array("given", rows, kind=np.int64)
        else:
            given = own.array("given", rows, self.layers[0].n_x)
        state = own.array("state", core.layers * names, rows, core.n_a)
        y, best = own.array("y", rows, spec.n_y if self.head else 0), own.array("best", rows, k)
        every = np.broadcast_to(np.arange(spec.n_y), (rows, spec.n_y))
        ids = own.array("ids", rows, k, kind=np.int64) if k else every
        widest = max(*(layer.n_x for layer in self.layers), core.n_a)
        floats = int(self.library.functions.unrolled_step_work(rows, core.n_a, widest, self.threads))
        work = own.array("work", floats)
        at_work = address("work", work, (floats,))
        layers = (Layer * core.layers)()
        for i, (layer, weights) in enumerate(zip(layers, self.layers, strict=True)):
            of, lanes = core.cell_definition, len(weights.b)
            layer.cell, layer.rows, layer.units = self.library.code(of), rows, core.n_a
            layer.inputs, layer.bits, layer.zoneout = weights.n_x, self.bits, core.zoneout
            rows_of = [len(group) * core.n_a for group in of.groups]
            layer.W_a = self._two_packed("W_a", weights.W_a, rows_of, core.n_a)
            layer.W_x = self._two_packed("W_x", weights.W_x, rows_of, weights.n_x)
            layer.b = address("b", weights.b, (len(of.gates) * core.n_a,))
            layer.state = _two(
                [address("the state", s, (rows, core.n_a)) for s in state[i * names :][:names]]
            )
            layer.work = at_work
            if weights.table is not None:
                width = weights.n_x if weights.W_x else lanes
                layer.table = address("the table", weights.table, (len(weights.table), width))
                layer.ids, layer.lines = address("ids", given, (rows,), np.int64), len(weights.table)
            elif not i:
                layer.x = address("x", given, (rows, weights.n_x))
            if i:
                layer.x = address("a", state[(i - 1) * names], (rows, weights.n_x))
        head = None
        if self.head is not None:
            head = Head(rows, core.n_a, spec.n_y, self.bits, spec.normalised, k)
            head.W = self._packed("the head", self.head.W, spec.n_y, core.n_a)
            head.b = address("b_y", self.head.b, (spec.n_y,))
            head.x, head.y = address("a", state[-names], (rows, core.n_a)), address("y", y, (rows, spec.n_y))
            head.best = address("best", best, (rows, k))
            head.ids = address("best ids", ids, (rows, k), np.int64) if k else None
            head.work = at_work
        call = Step(ctypes.addressof(layers), core.layers, None, self.threads)
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
    """Pack a float32 network that reads forward and answers at every step.

    threads: the most threads to use, see `Steps`. There are fewer if they would not have enough work.
    """
    layers: list[_LayerWeights] = []
    for layer in range(spec.core.layers):
        Ws, bs = (  # for each group of gates, [lanes, n_a + n_x] and [lanes]
            interleave(
                library,
                spec.core.cell_definition,
                [tensors[f"core.{layer}.forward.{kind}_{gate}"] for gate in spec.core.cell_definition.gates],
            )
            for kind in "Wb"
        )
        cut = slice(spec.core.n_a), slice(spec.core.n_a, None)
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
    head = _head_weights(library, spec, tensors, bits)
    read = sum(part.nbytes for layer in layers for part in (*layer.W_a, *layer.W_x))
    read += head.W.nbytes if head else 0
    return Steps(library, spec, bits, tuple(layers), head, max(1, min(threads, read // WORTH_A_THREAD)))


def _head_weights(
    library: Library, spec: NetworkSpec, tensors: Mapping[str, Array], bits: int
) -> _HeadWeights | None:
    """Return the packed output layer. None if there is none, or if the library cannot compute it."""
    name = "head.W_ya"
    match spec.head:
        case Features() | Classes(layer="adaptive"):
            return None
        case Bits(neighbours=neighbours) if neighbours:
            return None
        case Classes(layer="tied"):
            if "head.P" in tensors:
                return None
            name = "embedding.E"
        case _:
            pass
    packed = _packed(library, np.ascontiguousarray(tensors[name], np.float32), bits)
    return _HeadWeights(packed, np.ascontiguousarray(tensors["head.b_y"], np.float32))


def _table(spec: NetworkSpec, tensors: Mapping[str, Array], W_x: Array) -> tuple[Array | None, bool]:
    """Return the table from which ids select lines, and whether it contains W_x x.

    If that table would be too large, it contains the embeddings. There is no table for several ids per step
    and for numbers.
    """
    if not spec.input.ids or spec.input.several:
        return None, False
    if not isinstance(spec.input, Embedding):
        return np.ascontiguousarray(W_x.T), True
    E = np.ascontiguousarray(tensors["embedding.E"], np.float32)  # [n_x, n_e]
    with np.errstate(over="ignore", invalid="ignore"):  # the step reports overflow
        return (E @ W_x.T, True) if len(E) * len(W_x) <= LARGEST_TABLE else (E, False)


def _packed(library: Library, M: Array, bits: int) -> Array:
    rows, K = M.shape
    size = int(library.functions.unrolled_packed(rows, K, bits))
    room = np.zeros(size + 64, np.uint8)
    begin = -int(room.ctypes.data) % 64  # start at a cache line
    packed = room[begin : begin + size]
    at = address("the packed weights", packed, (size,), np.uint8)
    library.functions.unrolled_pack(rows, K, address("the weights", M, (rows, K)), K, bits, at)
    return packed


def _two(addresses: list[int]) -> object:
    return (ctypes.c_void_p * 2)(*addresses)


def _each(arrays: int) -> Callable[[Array], tuple[Array, ...]]:
    """Return a function that splits an array along its first axis, of size `arrays`, into a tuple.

    It needs a third of the time of `tuple`.
    """
    return itemgetter(*range(arrays)) if arrays > 1 else lambda array: (array[0],)
