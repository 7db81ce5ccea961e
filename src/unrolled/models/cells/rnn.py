"""The basic recurrent cell (RNN) of the lecture.

    a^<t> = g1(W_a[a^<t-1>, x^<t>] + b_a)        g1 = tanh or relu, W_a = [W_aa | W_ax]

torch.nn.RNN computes the same function.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from operator import attrgetter

from unrolled.models.cells.ops import Array, Cell, Ops, Weights, first, gate_shapes, initialise, pack, unpack

GATES = ("a",)


def step(
    g1: Callable[[Ops], Callable[[Array], Array]], ops: Ops, w: Weights, state: tuple[Array, ...], x_t: Array
) -> tuple[Array, ...]:
    """One step of the equation above; g1(ops) is the activation."""
    (a_prev,) = state
    a_t = g1(ops)(ops.affine(w, "a", a_prev, x_t))
    return (a_t,)


def rnn(activation: str) -> Cell:
    """The cell with g1 = `activation`, "tanh" or "relu"."""
    return Cell(
        name="rnn",
        groups=(GATES,),
        state=("a",),
        shapes=partial(gate_shapes, gates=GATES),
        step=partial(step, attrgetter(activation)),
        output=first,
        initialise=partial(initialise, gates=GATES, biases={}),
        to_torch=partial(pack, gates=GATES),
        from_torch=partial(unpack, gates=GATES),
        activation=activation,
    )


RNN = rnn("tanh")
RNN_RELU = rnn("relu")
