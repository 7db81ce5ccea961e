"""Long short-term memory (LSTM), the default cell.

    c~^<t>  = tanh(W_c[a^<t-1>, x^<t>] + b_c)
    gamma_u = sigmoid(W_u[a^<t-1>, x^<t>] + b_u)
    gamma_f = sigmoid(W_f[a^<t-1>, x^<t>] + b_f)
    gamma_o = sigmoid(W_o[a^<t-1>, x^<t>] + b_o)
    c^<t>   = gamma_u * c~^<t> + gamma_f * c^<t-1>
    a^<t>   = gamma_o * tanh(c^<t>)

torch.nn.LSTM computes the same function. Its i, f, g, o are gamma_u, gamma_f, c~, gamma_o.
"""

from __future__ import annotations

from functools import partial

from unrolled.models.cells.ops import Array, Cell, Ops, Weights, first, gate_shapes, initialise, pack, unpack

GATES = ("u", "f", "c", "o")  # torch's order


def step(ops: Ops, w: Weights, state: tuple[Array, ...], x_t: Array) -> tuple[Array, ...]:
    """One step of the equation above."""
    a_prev, c_prev = state
    c_tilde = ops.tanh(ops.affine(w, "c", a_prev, x_t))
    gamma_u = ops.sigmoid(ops.affine(w, "u", a_prev, x_t))
    gamma_f = ops.sigmoid(ops.affine(w, "f", a_prev, x_t))
    gamma_o = ops.sigmoid(ops.affine(w, "o", a_prev, x_t))
    c_t = gamma_u * c_tilde + gamma_f * c_prev
    a_t = gamma_o * ops.tanh(c_t)
    return a_t, c_t


LSTM = Cell(
    name="lstm",
    groups=(GATES,),
    state=("a", "c"),
    shapes=partial(gate_shapes, gates=GATES),
    step=step,
    output=first,
    # The forget gate begins open, sigmoid(1) = 0.73, so that the cell keeps its state from the first training
    # step on (Gers et al. 2000; Jozefowicz et al. 2015).
    initialise=partial(initialise, gates=GATES, biases={"f": 1.0}),
    to_torch=partial(pack, gates=GATES),
    from_torch=partial(unpack, gates=GATES),
    memory=(("f", 1.0), ("u", -1.0)),
)
