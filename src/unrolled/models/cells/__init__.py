"""The recurrent cells, one file each with the equation of the lecture, and their table `CELLS`."""

from __future__ import annotations

from dataclasses import replace

from unrolled.core.errors import UsageError, suggest
from unrolled.core.extensions import Registry
from unrolled.models.cells.gru import GRU
from unrolled.models.cells.gru_simple import GRU_SIMPLE
from unrolled.models.cells.lstm import LSTM
from unrolled.models.cells.ops import (
    NUMPY,
    Array,
    Cell,
    Ops,
    Weights,
    fuse_gates,
    gate_shapes,
    input_product,
    step_with_zoneout,
)
from unrolled.models.cells.rnn import RNN, RNN_RELU

__all__ = [
    "CELLS",
    "NUMPY",
    "Array",
    "Cell",
    "Ops",
    "Weights",
    "every",
    "find",
    "fuse_gates",
    "gate_shapes",
    "input_product",
    "step_with_zoneout",
    "variants",
]

CELLS: Registry[Cell] = Registry(
    "unrolled.cells", Cell, {"rnn": RNN, "gru-simple": GRU_SIMPLE, "gru": GRU, "lstm": LSTM}
)


def every() -> tuple[Cell, ...]:
    """Return all cells, one per activation, also of other packages. Raises the errors of `variants`."""
    return tuple(cell for name in CELLS.names() for cell in variants(name).values())


def variants(name: str) -> dict[str, Cell]:
    """Return the cells called `name`, by activation.

    Raises UsageError, which lists the known names, if there is none.
    """
    if not CELLS.has(name):
        known = CELLS.names()
        raise UsageError(f"unknown cell '{name}'", expected=", ".join(known), hint=suggest(name, known))
    cell = CELLS[name]
    if cell.name != name:
        raise UsageError(f"the cell registered as '{name}' has the name '{cell.name}'", expected="one name")
    return {one.activation: one for one in (cell, RNN_RELU) if one.name == name}


def find(name: str, activation: str = "tanh", zoneout: float = 0.0) -> Cell:
    """Return the cell called `name`.

    activation: g1 of the basic RNN, tanh or relu. zoneout: see `step_with_zoneout`.

    Raises UsageError for an unknown name, for an activation that the cell does not have, and for a zoneout
    outside 0 <= zoneout < 1.
    """
    known = variants(name)
    if activation not in known:
        what = f"the cell '{name}' has no activation '{activation}'"
        raise UsageError(what, expected=" or ".join(known))
    if not 0.0 <= zoneout < 1.0:
        raise UsageError(f"zoneout is {zoneout}", expected="0 or more, below 1")
    cell = known[activation]
    return replace(cell, zoneout=zoneout) if zoneout else cell
