"""The engine on NumPy alone: the cells' equations on the tensors of the model file.

Where the native kernels were built and the weights are float32, both `run` and `step` go through them. `run` computes
row by row, and `step` sums every row in the same order, so that a sequence has the same bits alone and in any batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import UsageError
from unrolled.core.types import Array, State
from unrolled.models import native
from unrolled.models.cells import NUMPY, Cell, fuse_gates, input_product, step_with_zoneout
from unrolled.models.engines import best, refuse_steps, require_finite
from unrolled.models.layer_equations import NUMPY_LAYERS, outputs, pooling_scores
from unrolled.models.network_spec import (
    Bits,
    Embedding,
    NetworkSpec,
    OneHot,
    Vectors,
)
from unrolled.models.tensor_shapes import state_sizes

LARGE = 1e12  # a million products of two such numbers are far from the largest float32


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer in one direction, for each group of gates: W_x [n_x, gates * n_a], W_a [n_a, gates * n_a], b.

    w: the weights as the cell has them; those of a cell without groups are used as they are.
    """

    cell: Cell
    w: Mapping[str, Array]
    W_x: tuple[Array, ...]
    W_a: tuple[Array, ...]
    b: tuple[Array, ...]

    def run(self, x: Array, state: State) -> tuple[Array, State]:
        """One sequence, [T] ids or [T, n_x], and the state before -> a [T, n_a] and the state after, [1, n_a] each."""
        a = np.zeros((len(x), state[0].shape[1]), state[0].dtype)
        parts, after = tuple(part[:, None] for part in self.inputs(x)), state  # [T, 1, gates * n_a]
        for t, after in enumerate(self.steps(state, parts)):
            a[t] = self.cell.output(after)[0]
        return a, after

    def inputs(self, x: Array) -> tuple[Array, ...]:
        """The input's part of all gates: [..., n_x] or ids [...] -> for each group [..., gates * n_a]; x itself for a
        cell without groups."""
        if not self.cell.groups:
            return (x,)
        return tuple(input_product(W.T, x) + b for W, b in zip(self.W_x, self.b, strict=True))

    def steps(self, state: State, parts: tuple[Array, ...]) -> Iterator[State]:
        """The states after each step; parts: `inputs` of T steps, [T, rows, ...] each."""
        if not self.cell.groups:
            for x_t in parts[0]:
                state = step_with_zoneout(self.cell, NUMPY, self.w, state, x_t)
                yield state
            return
        ops = fuse_gates(NUMPY, self.cell, lambda i, left, x_t: left @ self.W_a[i] + x_t[i])
        for x_t in zip(*parts, strict=True):
            state = step_with_zoneout(self.cell, ops, {}, state, x_t)
            yield state


def _layer(
    cell: Cell, n_a: int, tensors: Mapping[str, Array], prefix: str, library: native.Library | None
) -> Layer | native.Whole:
    """A layer in one direction, on the native kernels of `library` or, without it, on NumPy."""
    if library is not None:
        return native.whole(library, cell, tensors, prefix)
    stacked = [
        np.concatenate([tensors[f"{prefix}.W_{gate}"] for gate in group]) for group in cell.groups
    ]  # [gates * n_a, n_a + n_x]
    return Layer(
        cell,
        {name: tensors[f"{prefix}.{name}"] for name in cell.names},
        tuple(np.ascontiguousarray(W[:, n_a:].T) for W in stacked),
        tuple(np.ascontiguousarray(W[:, :n_a].T) for W in stacked),
        tuple(np.concatenate([tensors[f"{prefix}.b_{gate}"] for gate in group]) for group in cell.groups),
    )


class NumpyEngine:
    """`Engine` on NumPy, from a network's description and its tensors by name.

    bits: 32, or 8: then everything goes by the native single steps, with weights in int8 and a scale for each row:
    quicker and less exact. threads: that share out a native single step where the process has loaded torch, whose
    threads they are, and it is large enough. Raises UsageError for 8 bits where a network cannot go step by
    step, or nothing was compiled.
    """

    def __init__(
        self, spec: NetworkSpec, tensors: Mapping[str, Array], bits: int = 32, threads: int = 1
    ) -> None:
        self.spec, self._tensors, self._bits = spec, tensors, bits
        self._threads = threads if threads > 1 and native.share_threads() else 1
        self._dtype = next(iter(tensors.values())).dtype
        single = self._dtype == np.float32 and native.knows(spec.core.cell_definition)
        self._library = native.library() if single else None
        if bits == 8 and (self._library is None or not self._streams):
            what = "int8 is for single steps of native kernels, of a network that reads forward"
            raise UsageError(what, hint="--engine numpy")

    @cached_property
    def _core(self) -> list[list[Layer | native.Whole]]:
        """The layers for whole sequences, made when the first sequence is run: an engine that only steps holds its
        weights once."""
        core = self.spec.core
        return [
            [
                _layer(core.cell_definition, core.n_a, self._tensors, f"core.{layer}.{d}", self._library)
                for d in core.directions
            ]
            for layer in range(core.layers)
        ]

    def __reduce__(self) -> tuple[object, ...]:
        """Pickled and copied by what it is made of: the native layers hold memory addresses of this process."""
        return NumpyEngine, (self.spec, self._tensors, self._bits, self._threads)

    @property
    def n_y(self) -> int:
        """How many outputs a step has."""
        return self.spec.n_y

    def start(self, rows: int) -> State:
        """Zeros for so many rows."""
        return tuple(np.zeros((rows, size), self._dtype) for size in state_sizes(self.spec))

    @np.errstate(over="ignore", invalid="ignore")  # what is not finite is an error at the end
    def run(self, x: Array, lengths: Array | None = None, state: State | None = None) -> tuple[Array, State]:
        """Whole sequences; see Engine."""
        rows, steps = x.shape[:2]
        state = self.start(rows) if state is None else state
        if self._bits == 8:
            return self._by_steps(x, lengths, state)
        many, first = self.spec.head.pooling is None, self.spec.head.pooling == "first"
        answers = np.zeros((rows, self.spec.steps(steps) if many else 1, self.n_y), self._dtype)
        after = [array.copy() for array in state]
        for row in range(rows):
            length = steps if lengths is None else int(lengths[row])
            length = min(length, 1) if first else length
            before = tuple(array[row : row + 1] for array in state)
            a, last = self._row(x[row, :length], before)  # [length, features]
            asked = a if many else self._pool(a)
            answers[row, : len(asked)] = self._outputs(asked)
            for array, value in zip(after, last, strict=True):
                array[row] = value[0]
        return require_finite(answers, x), tuple(after)

    def step(self, state: State, x: Array, k: int | None = None) -> tuple[Array, NDArray[np.int64], State]:
        """One step of all rows; see Engine."""
        refuse_steps(self.spec)
        if self.spec.front is not None:
            return self._step_by_rows(state, x, k)
        if self._native is not None:
            given = x if self.spec.input.ids and not self.spec.input.several else self._embed(x)
            out, ids, after = self._native.step(state, given, k)
            if self._native.has_head:
                return out if self._bounded else require_finite(out, x), ids, after
            return *best(require_finite(self._outputs(self._beside(out, x)), x), k), after
        return self._step_in_numpy(state, x, k)

    @np.errstate(over="ignore", invalid="ignore")
    def _step_in_numpy(self, state: State, x: Array, k: int | None) -> tuple[Array, NDArray[np.int64], State]:
        """A step where no native kernel does it."""
        size, given, after = len(self.spec.core.cell_definition.state), self._embed(x), list[Array]()
        x = given
        for at, (layer,) in enumerate(self._core):
            assert isinstance(layer, Layer)  # with a native library, `step` does not come here
            parts = tuple(part[None] for part in layer.inputs(x))  # [1, rows, gates * n_a]
            last = next(layer.steps(state[at * size : (at + 1) * size], parts))
            x = self.spec.core.cell_definition.output(last)  # [rows, n_a]
            after.extend(last)
        return *best(require_finite(self._outputs(self._beside(x, given)), given), k), tuple(after)

    @cached_property
    def _bounded(self) -> bool:
        """Whether nothing can overflow: inputs are tokens, the state is bounded and no weight is large."""
        fixed = self.spec.input.ids and self.spec.core.activation != "relu"
        return fixed and all(np.abs(tensor).max() < LARGE for tensor in self._tensors.values())

    @property
    def _streams(self) -> bool:
        """Whether it goes by the native single steps."""
        return self.spec.reads_forward and self.spec.front is None

    def _by_steps(self, x: Array, lengths: Array | None, state: State) -> tuple[Array, State]:
        """`run`, row by row in single steps."""
        answers = np.zeros((*x.shape[:2], self.n_y), self._dtype)
        if not len(x):
            return answers, state
        ends = [x.shape[1]] * len(x) if lengths is None else lengths.tolist()
        last: list[State] = []
        for row, end in enumerate(ends):
            own = self.take(state, np.array([row]))
            for t in range(end):
                answers[row, t : t + 1], _, own = self.step(own, x[row : row + 1, t])
            last.append(own)
        return answers, tuple(np.concatenate(arrays) for arrays in zip(*last, strict=True))

    def _step_by_rows(self, state: State, x: Array, k: int | None) -> tuple[Array, NDArray[np.int64], State]:
        """A step behind a front, as sequences of one step."""
        answers, after = self.run(x[:, None], None, state)
        return *best(answers[:, 0], k), after

    @cached_property
    def _native(self) -> native.Steps | None:
        """The native single steps of this network, packed when the first one is asked for."""
        return self._library and native.steps(
            self._library, self.spec, self._tensors, self._bits, self._threads
        )

    def take(self, state: State, rows: Array) -> State:
        """The state of these rows."""
        return tuple(array[rows] for array in state)

    def keep(self, state: State | None, carry: NDArray[np.bool_]) -> State | None:
        """The state with zeros where nothing is carried."""
        return None if state is None else tuple(np.where(carry[:, None], array, 0 * array) for array in state)

    def _row(self, x: Array, state: State) -> tuple[Array, State]:
        """One sequence: [T] ids or [T, n_x] -> [T, features] and the state, its arrays [1, n_a]."""
        size, given, after = len(self.spec.core.cell_definition.state), self._embed(x), list[Array]()
        x, past = self._front(given, state[-1:] if self.spec.frontend_state_size else ())
        for directions in self._core:
            outputs: list[Array] = []
            for way, layer in zip((1, -1), directions, strict=False):
                before = state[len(after) : len(after) + size]
                a, last = layer.run(x[::way], before)
                outputs.append(a[::way])
                after.extend(last)
            x = outputs[0] if len(outputs) == 1 else np.concatenate(outputs, axis=1)  # [T, features]
        return self._beside(x, given), (*after, *past)

    def _beside(self, a: Array, x: Array) -> Array:
        """What the head sees: a, and x behind it where neighbours are asked."""
        neighbours = isinstance(self.spec.head, Bits) and self.spec.head.neighbours
        return np.concatenate([a, np.asarray(x, self._dtype)], axis=1) if neighbours else a

    def _front(self, x: Array, past: State) -> tuple[Array, State]:
        """What stands before the core, [T, n_x] -> [T_out, size]; its past is one array [1, past], or none."""
        if self.spec.front is None:
            return x, ()
        before = past[0][0] if past else np.zeros(0, self._dtype)
        x, after = self.spec.front.front.run(self.spec.front_sizes, self._front_tensors, x, before)
        return x, (after[None],) if past else ()

    @cached_property
    def _front_tensors(self) -> Mapping[str, Array]:
        begin = "front."
        own = self._tensors.items()
        return {name.removeprefix(begin): tensor for name, tensor in own if name.startswith(begin)}

    def _pool(self, a: Array) -> Array:
        """[T, features] -> [1, features], as `embedding_and_head.pool` does; zeros of an empty sequence."""
        if not len(a):
            return np.zeros((1, self.spec.core.features), self._dtype)
        pooling = self.spec.head.pooling
        assert pooling is not None
        return POOLS[pooling](self.spec, self._tensors, a)

    def _embed(self, x: Array) -> Array:
        match self.spec.input:
            case Vectors():
                return np.asarray(x, self._dtype)
            case OneHot():
                return x
            case Embedding(several=several):
                # [T, n_e], or [T, ids, n_e] for several ids a step
                embedded = input_product(self._tensors["embedding.E"].T, x)
                return embedded.sum(axis=-2) if several else embedded

    @np.errstate(over="ignore", invalid="ignore")
    def _outputs(self, a: Array) -> Array:
        """[T, features] -> [T, n_y]"""
        return outputs(NUMPY_LAYERS, self.spec, self._tensors, a)


def _last(spec: NetworkSpec, p: Mapping[str, Array], a: Array) -> Array:
    n_a = spec.core.n_a
    return np.concatenate([a[-1:, :n_a], a[:1, n_a:]], axis=1)


def _attention(spec: NetworkSpec, p: Mapping[str, Array], a: Array) -> Array:
    scores = pooling_scores(NUMPY_LAYERS, p, a)  # [T]
    return np.exp(NUMPY_LAYERS.log_softmax(scores))[None] @ a


POOLS: dict[str, Callable[[NetworkSpec, Mapping[str, Array], Array], Array]] = {
    "first": lambda spec, p, a: a[:1],
    "last": _last,
    "mean": lambda spec, p, a: a.mean(axis=0, keepdims=True),
    "max": lambda spec, p, a: a.max(axis=0, keepdims=True),
    "attention": _attention,
}
