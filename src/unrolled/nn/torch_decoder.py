"""The torch engine of encoder-decoders, without gradients. Inputs and outputs are NumPy arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from unrolled.core.types import Array
from unrolled.models.engines import best, require_finite
from unrolled.models.layer_equations import outputs
from unrolled.models.network_spec import NetworkSpec, encoder_part, output_part
from unrolled.models.tensor_shapes import sub_parameters
from unrolled.nn.attention import Memory, decode, encode
from unrolled.nn.embedding_and_head import TORCH_LAYERS
from unrolled.nn.kernels.tensors import TensorState
from unrolled.nn.torch_engine import TorchEngine


@dataclass(frozen=True, eq=False)
class _State:
    arrays: TensorState
    fed: torch.Tensor  # [rows, n_a]
    memory: Memory | None
    lengths: torch.Tensor  # [rows]
    weights: torch.Tensor | None = None  # [rows, T_x]


class TorchDecoder:
    """Implements `Decoder` with torch. spec: an encoder-decoder. tensors: its weights by name (copied)."""

    def __init__(self, spec: NetworkSpec, tensors: Mapping[str, Array]) -> None:
        self.spec, self._p = spec, {name: torch.tensor(value) for name, value in tensors.items()}
        self._dtype = next(iter(self._p.values())).dtype
        self.encoder = TorchEngine(encoder_part(spec), sub_parameters(spec, tensors, "encoder"))
        prefix, self._writer = output_part(spec)
        self._head = sub_parameters(spec, self._p, prefix)

    @property
    def n_y(self) -> int:
        """Number of outputs per step."""
        return self.spec.n_y

    @torch.no_grad()
    def begin(self, x: Array, lengths: Array) -> object:
        """Encode whole sequences. See Decoder.begin."""
        given = torch.as_tensor(np.asarray(x, np.int64 if self.spec.input.ids else None))
        given = given if self.spec.input.ids else given.to(self._dtype)
        ends = torch.as_tensor(np.asarray(lengths, np.int64))
        memory, arrays = encode(self.spec, self._p, given, ends)
        return _State(arrays, torch.zeros(len(x), self.spec.core.n_a, dtype=self._dtype), memory, ends)

    @torch.no_grad()
    def step(self, state: object, x: Array, k: int | None = None) -> tuple[Array, NDArray[np.int64], object]:
        """Run one step of all rows. See Decoder.step."""
        state = _own(state)
        ids = torch.as_tensor(np.asarray(x, np.int64)).unsqueeze(1)  # [rows, 1]
        made = decode(self.spec, self._p, ids, state.memory, state.arrays, state.fed)
        a = made.features[:, 0]
        weights = None if made.weights is None else made.weights[:, 0]
        found = best(require_finite(outputs(TORCH_LAYERS, self._writer, self._head, a).numpy()), k)
        return *found, replace(state, arrays=made.state, fed=a, weights=weights)

    def take(self, state: object, rows: Array) -> object:
        """Return the state of these rows."""
        state = _own(state)
        index = torch.as_tensor(np.asarray(rows, np.int64))
        memory = state.memory and Memory(*(t[index] for t in vars(state.memory).values()))
        weights = None if state.weights is None else state.weights[index]
        arrays = tuple(array[index] for array in state.arrays)
        return _State(arrays, state.fed[index], memory, state.lengths[index], weights)

    def attention(self, state: object) -> list[Array]:
        """Return the attention weights of the last step. See Decoder.attention."""
        state = _own(state)
        if state.weights is None:
            return []
        pairs = zip(state.weights.numpy(), state.lengths.tolist(), strict=True)
        return [row[:length] for row, length in pairs]


def _own(state: object) -> _State:
    """Return the state, typed. Raises TypeError if another engine made it."""
    if not isinstance(state, _State):
        raise TypeError(f"a state of another engine: {type(state).__name__}")
    return state
