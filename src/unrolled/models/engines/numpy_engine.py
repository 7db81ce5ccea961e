"""The NumPy engine: the equations of the cells, computed on the tensors of the model file.

If the native kernels were compiled and the weights are float32, `run` and `step` use them. `run` computes row
by row, and `step` sums every row in the same order. So a sequence gives the same bits alone and in any batch.
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
    WordVectors,
)
from unrolled.models.tensor_shapes import FIXED, VECTORS, state_sizes

LARGE = 1e12  # the sum of a million products of two such numbers is far below the largest float32


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer in one direction.

    W_x, W_a, b: for each group of gates one array, [n_x, gates * n_a], [n_a, gates * n_a] and [gates * n_a].
    w: the weights of the cell by name. A cell without groups uses them directly.
    """

    cell: Cell
    w: Mapping[str, Array]
    W_x: tuple[Array, ...]
    W_a: tuple[Array, ...]
    b: tuple[Array, ...]

    def run(self, x: Array, state: State) -> tuple[Array, State]:
        """Run one sequence: ids [T] or numbers [T, n_x], and the state before -> a [T, n_a], the state after.

        The arrays of a state are [1, n_a].
        """
        a = np.zeros((len(x), state[0].shape[1]), state[0].dtype)
        parts, after = tuple(part[:, None] for part in self.inputs(x)), state  # [T, 1, gates * n_a]
        for t, after in enumerate(self.steps(state, parts)):
            a[t] = self.cell.output(after)[0]
        return a, after

    def inputs(self, x: Array) -> tuple[Array, ...]:
        """Return the input part of all gates: [..., n_x] or ids [...] -> [..., gates * n_a] for each group.

        For a cell without groups, return x itself.
        """
        if not self.cell.groups:
            return (x,)
        return tuple(input_product(W.T, x) + b for W, b in zip(self.W_x, self.b, strict=True))

    def steps(self, state: State, parts: tuple[Array, ...]) -> Iterator[State]:
        """Yield the state after each step. parts: the result of `inputs` for T steps, [T, rows, ...] each."""
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
    """Return a layer in one direction: on the native kernels of `library`, or on NumPy if it is None."""
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
    """`Engine` on NumPy.

    spec: the description of the network.
    tensors: its tensors by name.
    bits: 32 or 8. With 8, all computation uses native single steps, with int8 weights and one scale per row.
        This is faster and less exact.
    threads: number of threads for a native single step. They are used only if the process has loaded torch,
        which provides them, and if the step is large enough.

    Raises UsageError for 8 bits if the network cannot run step by step, has a front end or is not float32, or
    if no native kernel was compiled.
    """

    def __init__(
        self, spec: NetworkSpec, tensors: Mapping[str, Array], bits: int = 32, threads: int = 1
    ) -> None:
        self.spec, self._tensors, self._bits = spec, tensors, bits
        self._threads = threads if threads > 1 and native.share_threads() else 1
        self._dtype = next(tensor.dtype for name, tensor in tensors.items() if name not in FIXED)
        single = self._dtype == np.float32 and native.knows(spec.core.cell_definition)
        self._library = native.library() if single else None
        if bits == 8 and (self._library is None or not self._streams):
            what = "int8 needs the native kernels and a float32 network that can run step by step"
            raise UsageError(what, hint="--engine numpy")

    @cached_property
    def _core(self) -> list[list[Layer | native.Whole]]:
        """The layers for whole sequences.

        They are made when the first sequence is run. So an engine that only runs single steps has one copy of
        its weights.
        """
        core = self.spec.core
        return [
            [
                _layer(core.cell_definition, core.n_a, self._tensors, f"core.{layer}.{d}", self._library)
                for d in core.directions
            ]
            for layer in range(core.layers)
        ]

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle and copy only the arguments of the constructor.

        The native layers contain memory addresses of this process.
        """
        return NumpyEngine, (self.spec, self._tensors, self._bits, self._threads)

    @property
    def n_y(self) -> int:
        """Number of outputs per step."""
        return self.spec.n_y

    def start(self, rows: int) -> State:
        """Return a state of zeros for `rows` rows."""
        return tuple(np.zeros((rows, size), self._dtype) for size in state_sizes(self.spec))

    @np.errstate(over="ignore", invalid="ignore")  # `require_finite` reports overflow at the end
    def run(self, x: Array, lengths: Array | None = None, state: State | None = None) -> tuple[Array, State]:
        """Run whole sequences; see `Engine`."""
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
        """Run one step of all rows; see `Engine`."""
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
        """Run one step without native kernels."""
        size, given, after = len(self.spec.core.cell_definition.state), self._embed(x), list[Array]()
        x = given
        for at, (layer,) in enumerate(self._core):
            assert isinstance(layer, Layer)  # with a native library, `step` does not call this
            parts = tuple(part[None] for part in layer.inputs(x))  # [1, rows, gates * n_a]
            last = next(layer.steps(state[at * size : (at + 1) * size], parts))
            x = self.spec.core.cell_definition.output(last)  # [rows, n_a]
            after.extend(last)
        return *best(require_finite(self._outputs(self._beside(x, given)), given), k), tuple(after)

    @cached_property
    def _bounded(self) -> bool:
        """Whether overflow is impossible: inputs are tokens, the state is bounded and no weight is large."""
        fixed = self.spec.input.ids and self.spec.core.activation != "relu"
        return fixed and all(float(np.abs(tensor).max()) < LARGE for tensor in self._tensors.values())

    @property
    def _streams(self) -> bool:
        """Whether the native kernels can run this network step by step."""
        return self.spec.reads_forward and self.spec.front is None

    def _by_steps(self, x: Array, lengths: Array | None, state: State) -> tuple[Array, State]:
        """Do the work of `run` row by row, in single steps."""
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
        """Run one step of a network with a front end, as sequences of one step."""
        answers, after = self.run(x[:, None], None, state)
        return *best(answers[:, 0], k), after

    @cached_property
    def _native(self) -> native.Steps | None:
        """The native single steps of this network, or None. The weights are packed at the first use."""
        return self._library and native.steps(
            self._library, self.spec, self._tensors, self._bits, self._threads
        )

    def take(self, state: State, rows: Array) -> State:
        """Return the state of these rows."""
        return tuple(array[rows] for array in state)

    def keep(self, state: State | None, carry: NDArray[np.bool_]) -> State | None:
        """Return the state with zeros in the rows where `carry` is false."""
        return None if state is None else tuple(np.where(carry[:, None], array, 0 * array) for array in state)

    def _row(self, x: Array, state: State) -> tuple[Array, State]:
        """Run one sequence: ids [T] or numbers [T, n_x] -> [T, features] and the state, arrays [1, n_a]."""
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
        """Return the input of the head: a, followed by x if the head has neighbours."""
        neighbours = isinstance(self.spec.head, Bits) and self.spec.head.neighbours
        return np.concatenate([a, np.asarray(x, self._dtype)], axis=1) if neighbours else a

    def _front(self, x: Array, past: State) -> tuple[Array, State]:
        """Apply the front end, if any: [T, n_x] -> [T_out, size]. past: one array [1, past], or none."""
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
        """Pool over the steps, [T, features] -> [1, features], as `embedding_and_head.pool` does.

        An empty sequence gives zeros.
        """
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
            case Embedding(vectors=WordVectors()):
                learnt = input_product(self._tensors["embedding.E"].T, x[..., :-1]).sum(axis=-2)
                given = input_product(self._tensors[VECTORS].T, x[..., -1]).astype(self._dtype)
                return np.concatenate([learnt, given], axis=-1)
            case Embedding(several=several):
                # [T, n_e], or [T, ids, n_e] for several ids per step
                embedded = input_product(self._tensors["embedding.E"].T, x)
                return embedded.sum(axis=-2) if several else embedded

    @np.errstate(over="ignore", invalid="ignore")
    def _outputs(self, a: Array) -> Array:
        """Apply the head: [T, features] -> [T, n_y]."""
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
