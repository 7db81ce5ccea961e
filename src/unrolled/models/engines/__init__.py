"""Engines run a trained network without gradients, on whole sequences or step by step.

All engines compute the same function. numpy_engine.py needs only NumPy. nn/torch_engine.py runs on torch.
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
    """The interface of a network for decoding and scoring.

    A state is opaque and belongs to the engine that made it. None stands for a state of zeros.
    """

    @property
    def n_y(self) -> int:
        """Number of outputs per step."""
        ...

    def start(self, rows: int) -> State:
        """Return the state before the first step: zeros, for `rows` rows."""
        ...

    def run(self, x: Array, lengths: Array | None = None, state: State | None = None) -> tuple[Array, State]:
        """Run whole sequences. Return the answers and the state after the last valid step of each row.

        x: ids [batch, T_x] (-1: a vector of zeros), several ids per step [batch, T_x, ids], or numbers
            [batch, T_x, n_x].
        lengths: [batch], number of valid steps of each row. None: all steps are valid.
        state: the state before the first step.

        The answers are [batch, T_x, n_y], with zeros after the valid steps. A front end may reduce T_x to
        `spec.steps(T_x)`. If the network gives one answer per sequence, they are [batch, 1, n_y]. They are
        log-probabilities, numbers or the scores of a CRF, depending on the head. They are float32 if the
        weights are float32.
        """
        ...

    def step(self, state: State, x: Array, k: int | None = None) -> tuple[Array, NDArray[np.int64], State]:
        """Run one step: ids [rows] or numbers [rows, n_x] -> (answers [rows, k], ids [rows, k], state).

        Return the k largest outputs of each row, the largest first, ties in order of id. k=None: all n_y
        outputs in order of id. Raises UsageError if the network is bidirectional, gives one answer per
        sequence, or has a front end that merges steps.
        """
        ...

    def take(self, state: State, rows: Array) -> State:
        """Return the state of these rows, in this order. A row may occur several times."""
        ...

    def keep(self, state: State | None, carry: NDArray[np.bool_]) -> State | None:
        """Return the state with zeros in the rows where `carry` is false."""
        ...


@runtime_checkable
class Decoder(Protocol):
    """The interface of an encoder-decoder for decoding.

    A state is opaque and belongs to the engine that made it.
    """

    @property
    def encoder(self) -> Engine:
        """The engine of the encoder alone. Its answers are features."""
        ...

    @property
    def n_y(self) -> int:
        """Number of outputs per step."""
        ...

    def begin(self, x: Array, lengths: Array) -> object:
        """Read whole sequences, as `Engine.run` does. Return the state before the first y.

        The state has one row per sequence.
        """
        ...

    def step(self, state: object, x: Array, k: int | None = None) -> tuple[Array, NDArray[np.int64], object]:
        """Run one step. Return log-probabilities [rows, k], their ids [rows, k] and the new state.

        x: the previous y of each row, ids [rows], -1 at the first step.
        k: return the k largest of each row, largest first, ties in order of id. None: all, in order of id.
        """
        ...

    def take(self, state: object, rows: Array) -> object:
        """Return the state of these rows, in this order. A row may occur several times."""
        ...

    def attention(self, state: object) -> list[Array]:
        """Return the attention weights of the last step, [T_x] for each row. They sum to 1.

        Return an empty list if the network has no attention.
        """
        ...


def refuse_steps(spec: NetworkSpec) -> None:
    """Raise UsageError if the network cannot run step by step."""
    if not spec.reads_forward:
        raise UsageError("a network that is bidirectional or answers once cannot run step by step")
    if spec.steps(2) != 2:
        raise UsageError("a network whose front end merges steps can run in chunks, not step by step")


def require_finite(answers: Array, x: Array | None = None) -> Array:
    """Return the answers of a network to x. Raises NonFiniteError if they are not finite although x is.

    Finite weights and inputs can be so large that the results overflow. NaN in x is allowed; it gives NaN
    only in its own row.
    """
    if not np.isfinite(answers).all() and (x is None or np.isfinite(x).all()):
        what = "the results of the model overflow: its weights or its inputs are too large"
        raise NonFiniteError(what, expected="weights of the size that training gives")
    return answers


def best(log_probs: Array, k: int | None) -> tuple[Array, NDArray[np.int64]]:
    """Return the k largest values of each row of [rows, n_y], and their ids, [rows, k] each.

    The largest comes first, ties are in order of id. k=None: all values, in order of id.
    """
    rows, n_y = log_probs.shape
    if k is None:
        return log_probs, np.broadcast_to(np.arange(n_y), (rows, n_y))
    ids = np.argsort(-log_probs, axis=1, kind="stable")[:, :k]  # [rows, k]
    return np.take_along_axis(log_probs, ids, axis=1), ids
