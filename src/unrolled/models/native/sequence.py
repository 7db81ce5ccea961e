"""Run whole sequences of one layer in one direction on NumPy arrays: no gradients, one thread."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unrolled.models.cells import Cell, columns
from unrolled.models.native.library import Forward, Library, Sequences

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Whole:
    """One layer in one direction. W: [row, n_a + n_x], b: [row], the gates one after the other."""

    library: Library
    cell: Cell
    W: Array
    b: Array
    n_a: int

    def run(self, x: Array, state: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...]]:
        """One sequence, ids [T] or numbers [T, n_x], and the state before, [1, n_a] each -> a [T, n_a], state after."""
        gates = np.ascontiguousarray(columns(self.W[:, self.n_a :], x), np.float32)  # [T, row]
        a, after = np.empty((len(x), self.n_a), np.float32), tuple(np.array(s, np.float32) for s in state)
        relevant = np.empty((1, self.n_a), np.float32)
        work = np.empty(self.library.work(self.cell, 1, self.n_a, 1), np.float32)
        of = Sequences(self.library.code(self.cell), 1, 0, len(x), 1, self.n_a)
        of.W_a, of.ld_W, of.zoneout = self.W.ctypes.data, self.W.shape[1], self.cell.zoneout
        call = Forward(of, False, self.b.ctypes.data, gates.ctypes.data, a.ctypes.data)
        call.state = (ctypes.c_void_p * 2)(*(s.ctypes.data for s in after))
        call.relevant, call.work = relevant.ctypes.data, work.ctypes.data
        self.library.functions.unrolled_run_forward(call)
        return a, after


def whole(library: Library, cell: Cell, tensors: Mapping[str, Array], prefix: str) -> Whole:
    """The layer whose tensors are called `prefix`.W_c and so on, in float32."""
    W, b = (
        np.concatenate([tensors[f"{prefix}.{kind}_{gate}"] for gate in cell.gates], dtype=np.float32)
        for kind in "Wb"
    )
    return Whole(library, cell, W, b, len(b) // len(cell.gates))
