"""The torch engine, without gradients. Inputs and outputs are NumPy arrays."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from unrolled.core.types import Array, State
from unrolled.models.engines import best, refuse_steps, require_finite
from unrolled.models.network_spec import NetworkSpec
from unrolled.models.tensor_shapes import state_sizes
from unrolled.nn.architectures import build


class TorchEngine:
    """Implements `Engine` with torch. spec: a network. tensors: its weights by name (copied)."""

    def __init__(self, spec: NetworkSpec, tensors: Mapping[str, Array]) -> None:
        self.spec, self.network = spec, build(spec, tensors).eval()
        self._dtype = next(iter(self.network.weights().values())).dtype

    @property
    def n_y(self) -> int:
        """Number of outputs per step."""
        return self.spec.n_y

    def start(self, rows: int) -> State:
        """Return a zero state for this number of rows."""
        return tuple(torch.zeros(rows, size, dtype=self._dtype) for size in state_sizes(self.spec))

    def run(self, x: Array, lengths: Array | None = None, state: State | None = None) -> tuple[Array, State]:
        """Run whole sequences. See Engine.run."""
        ends = None if lengths is None else torch.as_tensor(np.asarray(lengths, np.int64))
        with torch.no_grad():
            answers, after = self.network(self._tensor(x), state, ends)
        if self.spec.head.pooling is not None:
            return require_finite(answers.unsqueeze(1).numpy(), x), after  # [batch, 1, n_y]
        if ends is not None:
            past = torch.arange(answers.shape[1]) >= self.spec.steps(ends).unsqueeze(1)  # [batch, T_x]
            answers = answers.masked_fill(past.unsqueeze(-1), 0.0)
        return require_finite(answers.numpy(), x), after

    def step(self, state: State, x: Array, k: int | None = None) -> tuple[Array, NDArray[np.int64], State]:
        """Run one step of all rows. See Engine.step."""
        refuse_steps(self.spec)
        with torch.no_grad():
            answers, state = self.network(self._tensor(x).unsqueeze(1), state)  # [rows, 1, n_y]
        return *best(require_finite(answers[:, 0].numpy(), x), k), state

    def take(self, state: State, rows: Array) -> State:
        """Return the state of these rows."""
        index = torch.as_tensor(np.asarray(rows))
        return tuple(array[index] for array in state)

    def keep(self, state: State | None, carry: NDArray[np.bool_]) -> State | None:
        """Return the state, with zeros in the rows where `carry` is False."""
        if state is None:
            return None
        rows = torch.as_tensor(carry).unsqueeze(1)  # [batch, 1]
        return tuple(torch.where(rows, array, torch.zeros_like(array)) for array in state)

    def _tensor(self, x: Array) -> torch.Tensor:
        if self.spec.input.ids:
            return torch.as_tensor(np.asarray(x, np.int64))
        return torch.as_tensor(np.asarray(x), dtype=self._dtype)
