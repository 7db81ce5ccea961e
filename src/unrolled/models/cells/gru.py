"""The full gated recurrent unit of the lecture: the relevance gate acts before the product.

    gamma_r = sigmoid(W_r[c^<t-1>, x^<t>] + b_r)
    gamma_u = sigmoid(W_u[c^<t-1>, x^<t>] + b_u)
    c~^<t>  = tanh(W_c[gamma_r * c^<t-1>, x^<t>] + b_c)
    c^<t>   = gamma_u * c~^<t> + (1 - gamma_u) * c^<t-1>
    a^<t>   = c^<t>

This is the GRU of ONNX with linear_before_reset = 0 and z = 1 - gamma_u. torch.nn.GRU computes another
function: it multiplies by the relevance gate after the product.
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
    gamma_r = ops.sigmoid(ops.affine(w, "r", c_prev, x_t))
    gamma_u = ops.sigmoid(ops.affine(w, "u", c_prev, x_t))
    c_tilde = ops.tanh(ops.affine(w, "c", gamma_r * c_prev, x_t))
    c_t = gamma_u * c_tilde + (1 - gamma_u) * c_prev
    return (c_t,)


def _no_torch() -> NoReturn:
    raise UsageError(
        "torch.nn.GRU computes another function than this GRU: it applies the relevance gate after the product"
        " W_c c^<t-1>, this one before it",
        hint="unrolled.nn.layers.GRU, or an LSTM, which is the same function in torch",
    )


def to_torch(ops: Ops, w: Weights) -> dict[str, Array]:
    """Raise UsageError: torch computes another function."""
    _no_torch()


def from_torch(t: Mapping[str, Array], n_a: int) -> dict[str, Array]:
    """Raise UsageError: torch computes another function."""
    _no_torch()


GRU = Cell(
    name="gru",
    groups=(("r", "u"), ("c",)),
    state=("c",),
    shapes=partial(gate_shapes, gates=("r", "u", "c")),
    step=step,
    output=first,
    # The update gate begins mostly closed, as in gru_simple.py.
    initialise=partial(initialise, gates=("r", "u", "c"), biases={"u": -1.0}),
    to_torch=to_torch,
    from_torch=from_torch,
    memory=(("u", -1.0),),
)
