"""Engines run a trained network without gradients, on whole sequences or step by step; all compute the same function.

numpy_engine.py needs NumPy alone; torch_engine.py, beside this folder because it needs torch, is the same on torch.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import NonFiniteError, UsageError
from unrolled.core.types import Array, State
from unrolled.models.network_spec import NetworkSpec

__all__ = ["Decoder", "Engine", "best", "refuse_steps", "require_finite"]


@runtime_checkable
class Engine(Protocol):
    """What decoding and scoring ask of a network. A state is opaque and belongs to its engine; None is zeros."""

    @property
    def n_y(self) -> int:
        """How many outputs a step has."""
        ...

    def start(self, rows: int) -> State:
        """The state before the first step, zeros, for so many rows."""
        ...

    def run(self, x: Array, lengths: Array | None = None, state: State | None = None) -> tuple[Array, State]:
        """Whole sequences: ids [batch, T_x] (-1: zeros), several ids a step or numbers [batch, T_x, n_x] -> answers,
        state.

        answers: [batch, T_x, n_y], zeros past a row's length; from many (or one) to one [batch, 1, n_y]: log
        probabilities, or numbers, or the scores of a CRF, as the network has it. float32 where the weights are. The
        state is that after each row's last true step. A front may make fewer steps of T_x: `spec.steps(T_x)`.
        """
        ...

    def step(self, state: State, x: Array, k: int | None = None) -> tuple[Array, NDArray[np.int64], State]:
        """One step: ids [rows] (or numbers [rows, n_x]) -> (answers [rows, k], ids [rows, k], state).

        The k largest outputs, falling, ties by id; k=None: all n_y by id. Raises UsageError for a network
        that reads backward, answers once, or makes one step of several.
        """
        ...

    def take(self, state: State, rows: Array) -> State:
        """The state of these rows, in this order; a row may be taken many times."""
        ...

    def keep(self, state: State | None, carry: NDArray[np.bool_]) -> State | None:
        """The state with zeros in the rows where `carry` is false."""
        ...


@runtime_checkable
class Decoder(Protocol):
    """What the search for a sequence asks of an encoder-decoder. A state is opaque and belongs to its engine."""

    @property
    def encoder(self) -> Engine:
        """The engine of its encoder alone, which answers with features."""
        ...

    @property
    def n_y(self) -> int:
        """How many outputs a step has."""
        ...

    def begin(self, x: Array, lengths: Array) -> object:
        """Read whole sequences as `Engine.run` takes them -> the state before the first y, a row a sequence."""
        ...

    def step(self, state: object, x: Array, k: int | None = None) -> tuple[Array, NDArray[np.int64], object]:
        """One step: the y before, ids [rows] (-1 at the first), -> (log-probabilities [rows, k], ids [rows, k], state);
        the k largest, falling, ties by id; k=None: all n_y by id."""
        ...

    def take(self, state: object, rows: Array) -> object:
        """The state of these rows, in this order; a row may be taken many times."""
        ...

    def attention(self, state: object) -> list[Array]:
        """For each row what the last step attended to: weights [T_x] of its sequence, which sum to 1; none without
        attention."""
        ...


def refuse_steps(spec: NetworkSpec) -> None:
    """Raise UsageError for a network that cannot go step by step."""
    if not spec.reads_forward:
        raise UsageError("a network that reads backward or answers once cannot go step by step")
    if spec.steps(2) != 2:
        raise UsageError("a network that makes one step of several goes in chunks, not step by step")


def require_finite(answers: Array, x: Array | None = None) -> Array:
    """The answers of a network to x. Raises NonFiniteError if an answer is not finite although x is.

    Finite weights and inputs can be so large that results overflow. NaN in x gives NaN in its row alone.
    """
    if not np.isfinite(answers).all() and (x is None or np.isfinite(x).all()):
        what = "the numbers of the model overflow: its weights, or its inputs, are too large"
        raise NonFiniteError(what, expected="weights as training makes them")
    return answers


def best(log_probs: Array, k: int | None) -> tuple[Array, NDArray[np.int64]]:
    """The k largest of each row [rows, n_y], falling, ties by id, and their ids; k=None: all, by id."""
    rows, n_y = log_probs.shape
    if k is None:
        return log_probs, np.broadcast_to(np.arange(n_y), (rows, n_y))
    ids = np.argsort(-log_probs, axis=1, kind="stable")[:, :k]  # [rows, k]
    return np.take_along_axis(log_probs, ids, axis=1), ids
