"""The NumPy engine of encoder-decoders: two networks, with the bridge and the attention between them.

Attention is computed for each sequence alone, over its valid steps. So there is no padding, and a sequence
gives the same bits in any batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from unrolled.core.types import Array
from unrolled.models.engines.numpy_engine import NumpyEngine
from unrolled.models.layer_equations import NUMPY_LAYERS, attention_scores, bridge
from unrolled.models.network_spec import NetworkSpec, attention_part, decoder_part, decoder_spec, encoder_part
from unrolled.models.tensor_shapes import sub_parameters


def _linear_by_rows(x: Array, W: Array, b: Array) -> Array:
    """Return W x + b, [rows, n] -> [rows, m], for each row alone.

    BLAS sums many rows in another order than a single row, so the bits would depend on the batch.
    """
    return np.concatenate([row[None] @ W.T + b for row in x])


ROW_BY_ROW = replace(NUMPY_LAYERS, linear=_linear_by_rows)


@dataclass(frozen=True, eq=False)
class _Memory:
    """The encoder's result for one sequence.

    values: [T_x, features], averaged by attention. keys: [T_x, n_a], compared with `a` of the decoder.
    """

    values: Array
    keys: Array


@dataclass(frozen=True, eq=False)
class _State:
    """The state of the decoder.

    arrays: the state of its recurrent layers, each [rows, n_a].
    fed: [rows, n_a], the attention output of the previous step.
    sequences: [rows], the index of the memory that each row attends to.
    memories: one per sequence.
    weights: the attention weights [T_x] of each row at the last step. Empty before the first step.
    """

    arrays: tuple[Array, ...]
    fed: Array
    sequences: NDArray[np.int64]
    memories: tuple[_Memory, ...]
    weights: tuple[Array, ...] = ()


class NumpyDecoder:
    """`Decoder` on NumPy.

    spec: the description of an encoder-decoder. tensors: its tensors by name. bits: as in `NumpyEngine`, for
    the steps of the decoder.
    """

    def __init__(self, spec: NetworkSpec, tensors: Mapping[str, Array], bits: int = 32) -> None:
        self.spec, self._tensors, self._bits = spec, tensors, bits
        self._own = decoder_spec(spec)
        self.encoder = NumpyEngine(encoder_part(spec), sub_parameters(spec, tensors, "encoder"))
        self._decoder = NumpyEngine(decoder_part(spec), sub_parameters(spec, tensors, "decoder"), bits)
        self._attends = self._own.attention is not None
        self._attender = (
            NumpyEngine(attention_part(spec), sub_parameters(spec, tensors, "attention"), bits)
            if self._attends
            else None
        )

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle and copy only the arguments of the constructor, as `NumpyEngine` does."""
        return NumpyDecoder, (self.spec, self._tensors, self._bits)

    @property
    def n_y(self) -> int:
        """Number of outputs per step."""
        return self.spec.n_y

    @np.errstate(over="ignore", invalid="ignore")  # `step` reports results that are not finite
    def begin(self, x: Array, lengths: Array) -> object:
        """Read whole sequences; see `Decoder`."""
        values, after = self.encoder.run(x, lengths)
        arrays, rows = bridge(ROW_BY_ROW, self.spec, self._tensors, after), len(x)
        memories: list[_Memory] = []
        for row, length in enumerate(lengths.tolist() if self._attends else ()):
            own = values[row, :length].copy()
            keys = own @ self._tensors["attention.W_k"].T
            memories.append(_Memory(own, keys + self._tensors.get("attention.b_k", 0)))
        fed = np.zeros((rows, self.spec.core.n_a), arrays[0].dtype)
        return _State(arrays, fed, np.arange(rows), tuple(memories))

    @np.errstate(over="ignore", invalid="ignore")
    def step(self, state: object, x: Array, k: int | None = None) -> tuple[Array, NDArray[np.int64], object]:
        """Run one step of all rows; see `Decoder`."""
        state = _own(state)
        if self._attender is None:
            out, ids, arrays = self._decoder.step(state.arrays, x, k)
            return out, ids, replace(state, arrays=arrays)
        given = x
        if self._own.feeding:
            embedded = np.where(x[:, None] >= 0, self._tensors["decoder.embedding.E"][x], 0)
            given = np.concatenate([embedded, state.fed], axis=1).astype(state.fed.dtype)
        a, _, arrays = self._decoder.step(state.arrays, given)  # [rows, n_a]
        context, weights = self._attend(state, a)
        out, ids, (fed,) = self._attender.step((a,), context, k)
        return out, ids, replace(state, arrays=arrays, fed=fed, weights=weights)

    def _attend(self, state: _State, a: Array) -> tuple[Array, tuple[Array, ...]]:
        """Return the context [rows, features], and the attention weights [T_x] of each row."""
        context = np.zeros((len(a), self.spec.core.features), a.dtype)
        weights: list[Array] = [a[0, :0]] * len(a)
        for sequence, rows in _groups(state.sequences):
            memory = state.memories[sequence]
            if not len(memory.values):
                continue
            shares = _softmax(
                attention_scores(NUMPY_LAYERS, self.spec, self._tensors, a[rows], memory.keys)
            )  # [some rows, T_x]
            context[rows] = shares @ memory.values
            for row, own in zip(rows.tolist(), shares, strict=True):
                weights[row] = own
        return context, tuple(weights)

    def take(self, state: object, rows: Array) -> object:
        """Return the state of these rows."""
        state = _own(state)
        return replace(
            state,
            arrays=tuple(array[rows] for array in state.arrays),
            fed=state.fed[rows],
            sequences=state.sequences[rows],
            weights=tuple(state.weights[row] for row in rows.tolist()) if state.weights else (),
        )

    def attention(self, state: object) -> list[Array]:
        """Return the attention weights of the last step; see `Decoder`."""
        return list(_own(state).weights)


def _own(state: object) -> _State:
    """Return `state` if this engine made it. Raises TypeError for another state."""
    if not isinstance(state, _State):
        raise TypeError(f"the state is of another engine: {type(state).__name__}")
    return state


def _groups(sequences: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield each sequence and its rows."""
    order = np.argsort(sequences, kind="stable")
    ends = np.flatnonzero(np.diff(sequences[order])) + 1
    for rows in np.split(order, ends):
        if len(rows):
            yield int(sequences[rows[0]]), rows


def _softmax(z: Array) -> Array:
    z = np.exp(z - z.max(axis=1, keepdims=True))
    return z / z.sum(axis=1, keepdims=True)
