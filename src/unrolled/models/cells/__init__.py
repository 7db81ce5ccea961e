"""The recurrent cells: one file each, with the equation of the lecture; and the table `CELLS`."""

from __future__ import annotations

from dataclasses import replace

from unrolled.core import extensions
from unrolled.core.errors import UsageError, suggest
from unrolled.models.cells.gru import GRU
from unrolled.models.cells.gru_simple import GRU_SIMPLE
from unrolled.models.cells.lstm import LSTM
from unrolled.models.cells.ops import NUMPY, Array, Cell, Ops, Weights, advance, columns, gate_shapes, grouped
from unrolled.models.cells.rnn import RNN, RNN_RELU

__all__ = [
    "CELLS",
    "NUMPY",
    "Array",
    "Cell",
    "Ops",
    "Weights",
    "advance",
    "columns",
    "every",
    "find",
    "gate_shapes",
    "grouped",
    "require",
    "variants",
]

CELLS: dict[str, Cell] = {"rnn": RNN, "gru-simple": GRU_SIMPLE, "gru": GRU, "lstm": LSTM}


def every() -> tuple[Cell, ...]:
    """All cells, one for each activation; those of other packages too. Raises UsageError as `find`."""
    names = dict.fromkeys((*CELLS, *extensions.found("unrolled.cells")))
    return tuple(cell for name in names for cell in variants(name).values())


def variants(name: str) -> dict[str, Cell]:
    """The cells called `name` by their activation; empty if there is none. A cell of another package is loaded when its
    name is asked for first."""
    if name not in CELLS:
        _load(name)
    return {cell.activation: cell for cell in (*CELLS.values(), RNN_RELU) if cell.name == name}


def _load(name: str) -> None:
    found = extensions.load("unrolled.cells", name)
    if found is None:
        return
    if not isinstance(found, Cell) or found.name != name:
        raise UsageError(
            f"the entry point '{name}' of unrolled.cells is {found!r:.80}", expected=f"a Cell called '{name}'"
        )
    CELLS[name] = found


def require(name: str) -> None:
    """Raise UsageError, with the names there are, if there is no cell called `name`."""
    if not variants(name):
        known = dict.fromkeys((*CELLS, *extensions.found("unrolled.cells")))
        raise UsageError(f"unknown cell '{name}'", expected=", ".join(known), hint=suggest(name, known))


def find(name: str, activation: str = "tanh", zoneout: float = 0.0) -> Cell:
    """The cell called `name`; `activation` is g1 of the basic RNN, tanh or relu; zoneout: see `advance`.

    Raises UsageError for an unknown name, for relu with a cell whose equation fixes tanh, and for a zoneout that is
    no share below 1.
    """
    require(name)
    known = variants(name)
    if activation not in known:
        what = f"the cell '{name}' has no activation '{activation}'"
        raise UsageError(what, expected=" or ".join(known))
    if not 0.0 <= zoneout < 1.0:
        raise UsageError(f"zoneout is {zoneout}", expected="0 or more, below 1")
    cell = known[activation]
    return replace(cell, zoneout=zoneout) if zoneout else cell
