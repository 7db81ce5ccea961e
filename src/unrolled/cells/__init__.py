"""The recurrent cells: one file each, an equation of the lecture in the words of ops.py, and this table."""

from __future__ import annotations

from ..errors import UsageError, suggest
from .gru import GRU
from .gru_simple import GRU_SIMPLE
from .lstm import LSTM
from .ops import NUMPY, Array, Cell, Ops, Weights, columns, grouped
from .rnn import RNN, RNN_RELU

__all__ = ["CELLS", "NUMPY", "Array", "Cell", "Ops", "Weights", "columns", "find", "grouped"]

CELLS: dict[str, Cell] = {"rnn": RNN, "gru-simple": GRU_SIMPLE, "gru": GRU, "lstm": LSTM}


def find(name: str, activation: str = "tanh") -> Cell:
    """The cell called `name`; `activation` is g1 of the basic RNN, tanh or relu.

    Raises UsageError for an unknown name, and for relu with a cell whose equation fixes tanh.
    """
    variants = {(cell.name, cell.activation): cell for cell in (*CELLS.values(), RNN_RELU)}
    if name not in CELLS:
        raise UsageError(f"unknown cell '{name}'", expected=", ".join(CELLS), hint=suggest(name, CELLS))
    if (name, activation) not in variants:
        what = f"the cell '{name}' has no activation '{activation}'"
        raise UsageError(what, expected=" or ".join(a for n, a in variants if n == name))
    return variants[name, activation]
