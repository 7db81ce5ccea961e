"""Cells whose weights are not "W and b of each gate over [a_prev, x]", as a package of somebody else would bring them.

They stand in files outside the package: `install` writes a distribution with entry points into a folder.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unrolled.models.cells.ops import Array, Cell, Ops, Weights, first, gate_shapes, initialise

Shapes = dict[str, tuple[int, ...]]


def uniform(rng: np.random.Generator, shapes: Shapes) -> dict[str, NDArray[np.float64]]:
    """Matrices within the root of their inputs, vectors of zeros."""
    found: dict[str, NDArray[np.float64]] = {}
    for name, shape in shapes.items():
        bound = 0.0 if len(shape) == 1 else shape[1] ** -0.5
        found[name] = rng.uniform(-bound, bound, shape)
    return found


# A peephole LSTM (Gers and Schmidhuber 2000): the gates see the memory through a weight for each unit.


def peephole_shapes(n_x: int, n_a: int) -> Shapes:
    return gate_shapes(n_x, n_a, ("u", "f", "c", "o")) | {f"p_{gate}": (n_a,) for gate in "ufo"}


def peephole_initialise(rng: np.random.Generator, n_x: int, n_a: int) -> dict[str, NDArray[np.float64]]:
    own = initialise(rng, n_x, n_a, ("u", "f", "c", "o"), {"f": 1.0})
    return own | {f"p_{gate}": rng.uniform(-0.1, 0.1, n_a) for gate in "ufo"}


def peephole_step(ops: Ops, w: Weights, state: tuple[Array, ...], x_t: Array) -> tuple[Array, ...]:
    a_prev, c_prev = state
    gamma_u = ops.sigmoid(ops.affine(w, "u", a_prev, x_t) + w["p_u"] * c_prev)
    gamma_f = ops.sigmoid(ops.affine(w, "f", a_prev, x_t) + w["p_f"] * c_prev)
    c_t = gamma_u * ops.tanh(ops.affine(w, "c", a_prev, x_t)) + gamma_f * c_prev
    gamma_o = ops.sigmoid(ops.affine(w, "o", a_prev, x_t) + w["p_o"] * c_t)
    return gamma_o * ops.tanh(c_t), c_t


PEEPHOLE = Cell(
    name="peephole",
    state=("a", "c"),
    shapes=peephole_shapes,
    initialise=peephole_initialise,
    step=peephole_step,
    output=first,
)


# A layer-normalised GRU (Ba et al., arXiv 1607.06450v1): each product is normalised, with a gain of its own.


def normalised_shapes(n_x: int, n_a: int) -> Shapes:
    found: Shapes = {}
    for gate in "ruc":
        found |= {f"U_{gate}": (n_a, n_a), f"W_{gate}": (n_a, n_x), f"b_{gate}": (n_a,)}
        found |= {f"g_{gate}": (n_a,), f"h_{gate}": (n_a,)}
    return found


def normalised_initialise(rng: np.random.Generator, n_x: int, n_a: int) -> dict[str, NDArray[np.float64]]:
    found = uniform(rng, normalised_shapes(n_x, n_a))
    return {name: value + 1.0 if name[0] in "gh" else value for name, value in found.items()}


def normal(ops: Ops, gain: Array, z: Array) -> Array:
    """z [batch, n_a] with mean 0 and deviation 1 over its units, times the gain."""
    centred = z - ops.mean(z)
    return gain * centred / ops.sqrt(ops.mean(centred * centred) + 1e-5)


def normalised_step(ops: Ops, w: Weights, state: tuple[Array, ...], x_t: Array) -> tuple[Array, ...]:
    (c_prev,) = state

    def gate(name: str, left: Array) -> Array:
        recurrent = normal(ops, w[f"g_{name}"], left @ w[f"U_{name}"].T)
        return recurrent + normal(ops, w[f"h_{name}"], ops.input(w[f"W_{name}"], x_t)) + w[f"b_{name}"]

    gamma_r, gamma_u = ops.sigmoid(gate("r", c_prev)), ops.sigmoid(gate("u", c_prev))
    return (gamma_u * ops.tanh(gate("c", gamma_r * c_prev)) + (1 - gamma_u) * c_prev,)


NORMALISED = Cell(
    name="gru-normalised",
    state=("c",),
    shapes=normalised_shapes,
    initialise=normalised_initialise,
    step=normalised_step,
    output=first,
)


# A minGRU (Feng et al., arXiv 2410.01201v3): neither gate nor candidate sees the state.


def minimal_shapes(n_x: int, n_a: int) -> Shapes:
    return {"W_u": (n_a, n_x), "b_u": (n_a,), "W_c": (n_a, n_x), "b_c": (n_a,)}


def minimal_step(ops: Ops, w: Weights, state: tuple[Array, ...], x_t: Array) -> tuple[Array, ...]:
    (c_prev,) = state
    gamma_u = ops.sigmoid(ops.input(w["W_u"], x_t) + w["b_u"])
    return (gamma_u * (ops.input(w["W_c"], x_t) + w["b_c"]) + (1 - gamma_u) * c_prev,)


MINIMAL = Cell(
    name="mingru",
    state=("c",),
    shapes=minimal_shapes,
    initialise=lambda rng, n_x, n_a: uniform(rng, minimal_shapes(n_x, n_a)),
    step=minimal_step,
    output=first,
)

CELLS = {"peephole": "PEEPHOLE", "gru-normalised": "NORMALISED", "mingru": "MINIMAL"}


def install(folder: Path) -> Path:
    """Write the distribution `other-cells` 1.2: this file as its module, and its entry points. For PYTHONPATH."""
    info = folder / "other_cells-1.2.dist-info"
    info.mkdir(parents=True)
    (folder / "other_cells.py").write_text(Path(__file__).read_text(encoding="utf-8"), encoding="utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-cells\nVersion: 1.2\n")
    lines = [f"{name} = other_cells:{cell}" for name, cell in CELLS.items()]
    (info / "entry_points.txt").write_text("\n".join(["[unrolled.cells]", *lines, ""]))
    return folder
