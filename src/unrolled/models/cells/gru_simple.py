"""The simplified gated recurrent unit of the lecture: no relevance gate.

c~^<t>  = tanh(W_c[c^<t-1>, x^<t>] + b_c)
gamma_u = sigmoid(W_u[c^<t-1>, x^<t>] + b_u)
c^<t>   = gamma_u * c~^<t> + (1 - gamma_u) * c^<t-1>
a^<t>   = c^<t>
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import NoReturn

from unrolled.core.errors import UsageError
from unrolled.models.cells.ops import Array, Cell, Ops, Weights, first, gate_shapes, initialise


def step(ops: Ops, w: Weights, state: tuple[Array, ...], x_t: Array) -> tuple[Array, ...]:
    """One step of the equation above."""
    (c_prev,) = state
    c_tilde = ops.tanh(ops.affine(w, "c", c_prev, x_t))
    gamma_u = ops.sigmoid(ops.affine(w, "u", c_prev, x_t))
    c_t = gamma_u * c_tilde + (1 - gamma_u) * c_prev
    return (c_t,)


def _no_torch() -> NoReturn:
    raise UsageError(
        "torch has no layer for the simplified GRU: its GRU always has a relevance gate",
        hint="unrolled.nn.layers.GRUSimple",
    )


def to_torch(ops: Ops, w: Weights) -> dict[str, Array]:
    """Raise UsageError: torch has no such layer."""
    _no_torch()


def from_torch(t: Mapping[str, Array], n_a: int) -> dict[str, Array]:
    """Raise UsageError: torch has no such layer."""
    _no_torch()


GRU_SIMPLE = Cell(
    name="gru-simple",
    groups=(("c", "u"),),
    state=("c",),
    shapes=partial(gate_shapes, gates=("c", "u")),
    step=step,
    output=first,
    # The update gate begins mostly closed, sigmoid(-1) = 0.27, so the cell keeps its state. A forget gate
    # that begins open does the same (Jozefowicz et al. 2015).
    initialise=partial(initialise, gates=("c", "u"), biases={"u": -1.0}),
    to_torch=to_torch,
    from_torch=from_torch,
    memory=(("u", -1.0),),
)
