"""The record `Cell`, and the operations that the equation of a cell uses.

An equation is written once. It runs on NumPy (`NUMPY`, here) and on torch (`TORCH`, in
nn/kernels/reference.py); both are instances of `Ops`. Addition, subtraction and element-wise multiplication
are the operators of Python. `fuse_gates` makes an instance that computes several gates in one product,
without a change of the equation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import UsageError

Array = Any  # a NumPy array or a torch tensor
Weights = Mapping[str, Array]  # W_c [n_a, n_a + n_x] over [a_prev, x_t], b_c [n_a]; the same for each gate
Affine = Callable[[Weights, str, Array, Array], Array]


@dataclass(frozen=True)
class Ops:
    """The operations of an equation.

    affine(w, "u", a_prev, x_t): W_u[a_prev, x_t] + b_u, [batch, n_a].
    input(W_x, x_t): W_x x_t, [batch, n_a].
    concat: concatenate arrays along the first axis.
    mean(z): the mean over the last axis, which stays as an axis of size 1.

    x_t has one of two forms: numbers [batch, n_x], or ids [batch]. An id stands for a one-hot vector, and -1
    for the vector of zeros. A column of the weights is looked up for each id; no vector is made.
    """

    affine: Affine
    input: Callable[[Array, Array], Array]
    sigmoid: Callable[[Array], Array]
    tanh: Callable[[Array], Array]
    relu: Callable[[Array], Array]
    concat: Callable[[list[Array]], Array]
    sqrt: Callable[[Array], Array]
    mean: Callable[[Array], Array]


Shapes = Callable[[int, int], dict[str, tuple[int, ...]]]


def no_torch(*_: object) -> NoReturn:
    """Raise UsageError: torch.nn has no such layer. The default of a cell's `to_torch` and `from_torch`."""
    raise UsageError("torch.nn has no layer of this cell", expected="an LSTM, or a basic RNN")


@dataclass(frozen=True)
class Cell:
    """A recurrent cell: its equation, and the parameters that the equation needs.

    state: the names of the state arrays, each [batch, n_a].
    shapes(n_x, n_a): returns the name and shape of each weight. At least one axis must have the size n_a, and
        at least one must grow with n_x.
    initialise(rng, n_x, n_a): returns the initial weights, in float64.
    step(ops, w, state, x_t): the equation; returns the new state.
    output(state): returns a_t [batch, n_a].
    groups: the gates (and the candidate), grouped by the vector that they multiply. The gates of a group can
        be computed in one product. This requires weights W_g [n_a, n_a + n_x] and b_g [n_a] for each gate g.
        Other cells have no groups; they run step by step.
    to_torch(ops, w): returns weight_ih, weight_hh, bias_ih and bias_hh in the layout of torch.nn.
    from_torch(t, n_a): the inverse of `to_torch`. Both raise UsageError, with the reason, if torch computes
        another function.
    activation: the name of g1.
    zoneout: the fraction of each state array that each step keeps unchanged; see `step_with_zoneout`.
    memory: pairs (gate, sign) of the gates that decide how long a unit keeps its state. With the bias
        sign x log(t), a unit keeps its state for about t steps; see `initial_weights.remember`.
    """

    name: str
    state: tuple[str, ...]
    shapes: Shapes
    initialise: Callable[[np.random.Generator, int, int], dict[str, NDArray[np.float64]]]
    step: Callable[[Ops, Weights, tuple[Array, ...], Array], tuple[Array, ...]]
    output: Callable[[tuple[Array, ...]], Array]
    groups: tuple[tuple[str, ...], ...] = ()
    to_torch: Callable[[Ops, Weights], dict[str, Array]] = no_torch
    from_torch: Callable[[Mapping[str, Array], int], dict[str, Array]] = no_torch
    activation: str = "tanh"
    zoneout: float = 0.0
    memory: tuple[tuple[str, float], ...] = ()

    @cached_property
    def gates(self) -> tuple[str, ...]:
        """The letters of all gates, including the candidate, in the order of the groups."""
        return tuple(gate for group in self.groups for gate in group)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the weights, in their order in the model file."""
        return tuple(self.shapes(1, 1))

    def units(self, w: Weights) -> int:
        """Return n_a, from the shapes of the weights."""
        name, axis = self._unit_axis
        return int(w[name].shape[axis])

    def inputs(self, w: Weights) -> int:
        """Return n_x, from the shapes of the weights."""
        name, axis = self._input_axis
        return int(w[name].shape[axis]) - self.shapes(0, self.units(w))[name][axis]

    @cached_property
    def _unit_axis(self) -> tuple[str, int]:
        return _axis(self, (3, 5), (3, 7), lambda before, after: (before, after) == (5, 7))

    @cached_property
    def _input_axis(self) -> tuple[str, int]:
        return _axis(self, (3, 5), (4, 5), lambda before, after: after == before + 1)


def _axis(
    cell: Cell, before: tuple[int, int], after: tuple[int, int], found: Callable[[int, int], bool]
) -> tuple[str, int]:
    """Return the first weight and axis whose sizes satisfy `found`.

    before, after: two pairs (n_x, n_a). found(size_before, size_after): the condition.
    """
    first, second = cell.shapes(*before), cell.shapes(*after)
    for name, shape in first.items():
        for axis, sizes in enumerate(zip(shape, second[name], strict=True)):
            if found(*sizes):
                return name, axis
    raise UsageError(f"the shapes of the cell '{cell.name}' do not contain its sizes", expected="n_a and n_x")


def gate_shapes(n_x: int, n_a: int, gates: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of W_g [n_a, n_a + n_x], over [a_prev, x_t], and b_g [n_a] for each gate g."""
    found: dict[str, tuple[int, ...]] = {}
    for gate in gates:
        found |= {f"W_{gate}": (n_a, n_a + n_x), f"b_{gate}": (n_a,)}
    return found


def step_with_zoneout(
    cell: Cell,
    ops: Ops,
    w: Weights,
    state: tuple[Array, ...],
    x_t: Array,
    taken: tuple[Array, ...] | None = None,
) -> tuple[Array, ...]:
    """Return the state after one step of the equation, with zoneout (Krueger et al., arXiv 1606.01305v4).

    taken: for each state array, [batch, n_a], the fraction of the new value; the rest is the old value. In
    training it is 0 or 1, drawn at random. None: its mean, 1 - cell.zoneout, everywhere.
    """
    after = cell.step(ops, w, state, x_t)
    if taken is None:
        if not cell.zoneout:
            return after
        taken = (1.0 - cell.zoneout,) * len(after)
    return tuple(k * new + (1 - k) * old for k, new, old in zip(taken, after, state, strict=True))


def first(state: tuple[Array, ...]) -> Array:
    """Return the first state array. This is the `output` of a cell whose first array is a_t.

    Unlike a lambda, this function can be pickled.
    """
    return state[0]


def initialise(
    rng: np.random.Generator, n_x: int, n_a: int, gates: tuple[str, ...], biases: Mapping[str, float]
) -> dict[str, NDArray[np.float64]]:
    """Return initial weights.

    * Recurrent part of each gate: orthogonal (Saxe et al., arXiv 1312.6120v3). A product with it does not
      change the length of a vector, so the state neither grows nor shrinks.
    * Input part of each gate: uniform within +-sqrt(6 / (n_x + n_a)) (Glorot and Bengio 2010).
    * Biases: the values in `biases`; zero for other gates.
    """
    weights: dict[str, NDArray[np.float64]] = {}
    for gate in gates:
        q, r = np.linalg.qr(rng.standard_normal((n_a, n_a)))
        # The sign makes the result uniform over the orthogonal matrices. QR alone does not.
        recurrent = q * np.sign(np.diagonal(r))
        bound = np.sqrt(6 / (n_x + n_a))
        weights[f"W_{gate}"] = np.concatenate([recurrent, rng.uniform(-bound, bound, (n_a, n_x))], axis=1)
        weights[f"b_{gate}"] = np.full(n_a, biases.get(gate, 0.0))
    return weights


def pack(ops: Ops, w: Weights, gates: tuple[str, ...]) -> dict[str, Array]:
    """Return the weights of `gates`, in this order, in the layout of torch.nn. The second bias is zero."""
    n_a = w[f"b_{gates[0]}"].shape[0]
    bias = ops.concat([w[f"b_{gate}"] for gate in gates])
    return {
        "weight_ih": ops.concat([w[f"W_{gate}"][:, n_a:] for gate in gates]),  # [gates * n_a, n_x]
        "weight_hh": ops.concat([w[f"W_{gate}"][:, :n_a] for gate in gates]),  # [gates * n_a, n_a]
        "bias_ih": bias,  # [gates * n_a]
        "bias_hh": 0 * bias,
    }


def unpack(t: Mapping[str, Array], n_a: int, gates: tuple[str, ...]) -> dict[str, Array]:
    """Return the weights of `gates`: the inverse of `pack`, on NumPy arrays. torch's two biases are added."""
    joined = np.concatenate([t["weight_hh"], t["weight_ih"]], axis=1)  # [gates * n_a, n_a + n_x]
    bias = t["bias_ih"] + t["bias_hh"]  # [gates * n_a]
    weights: dict[str, Array] = {}
    for k, gate in enumerate(gates):
        rows = slice(k * n_a, (k + 1) * n_a)
        weights[f"W_{gate}"], weights[f"b_{gate}"] = joined[rows], bias[rows]
    return weights


def fuse_gates(ops: Ops, cell: Cell, product: Callable[[int, Array, Array], Array]) -> Ops:
    """Return `ops` with an `affine` that computes all gates of a group when the first of them is requested.

    product(i, left, x_t): returns the product for group i, [batch, gates of the group * n_a]. The last
    product of each group is stored, so the result must be used for one sequence in one thread only.
    """
    place = {gate: (i, k) for i, group in enumerate(cell.groups) for k, gate in enumerate(group)}
    last: dict[int, tuple[Array, Array, Array]] = {}

    def affine(w: Weights, gate: str, left: Array, x_t: Array) -> Array:
        i, k = place[gate]
        if i not in last or last[i][0] is not left or last[i][1] is not x_t:
            last[i] = (left, x_t, product(i, left, x_t))
        n_a = left.shape[-1]
        return last[i][2][:, k * n_a : (k + 1) * n_a]  # [batch, n_a]

    return replace(ops, affine=affine)


def input_product(W_x: Array, x: Array) -> Array:
    """Return W_x x, [..., n_a].

    x: numbers [..., n_x], or ids [...]. For an id, its column of W_x is looked up; -1 gives zeros.
    """
    if not np.issubdtype(x.dtype, np.integer):
        return x @ W_x.T
    found = W_x.T[np.maximum(x, 0)]
    return np.where((x >= 0)[..., None], found, np.zeros((), W_x.dtype))


def _affine(w: Weights, gate: str, a_prev: Array, x_t: Array) -> Array:
    W, b, n_a = w[f"W_{gate}"], w[f"b_{gate}"], a_prev.shape[-1]
    return a_prev @ W[:, :n_a].T + input_product(W[:, n_a:], x_t) + b


def _sigmoid(z: Array) -> Array:
    # This never overflows. It is analytic, because `unrolled doctor` differentiates it with a complex step.
    return 0.5 * np.tanh(0.5 * z) + 0.5


NUMPY = Ops(
    affine=_affine,
    input=input_product,
    sigmoid=_sigmoid,
    tanh=np.tanh,
    relu=lambda z: np.where(z.real > 0, z, 0 * z),
    concat=lambda arrays: np.concatenate(arrays, axis=0),
    sqrt=np.sqrt,
    mean=lambda z: z.mean(-1, keepdims=True),
)
