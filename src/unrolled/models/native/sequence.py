"""Run whole sequences of one layer in one direction on NumPy arrays, without gradients, in one thread."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from unrolled.core.errors import UsageError
from unrolled.core.types import Array
from unrolled.models.cells import Cell, input_product
from unrolled.models.native.library import Forward, Library, Sequences
from unrolled.models.native.pointers import address


@dataclass(frozen=True, eq=False)
class Whole:
    """One layer in one direction.

    W: [row, n_a + n_x], b: [row], where row = gates * n_a. The gates follow one another.
    """

    library: Library
    cell: Cell
    W: Array
    b: Array
    n_a: int

    def run(self, x: Array, state: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...]]:
        """Run one sequence: ids [T] or numbers [T, n_x], and the state before -> a [T, n_a], the state after.

        The arrays of a state are [1, n_a]. Raises UsageError for a state of another size.
        """
        n_a, steps, row = self.n_a, len(x), len(self.b)
        gates = np.ascontiguousarray(input_product(self.W[:, n_a:], x), np.float32)  # [T, row]
        a, after = np.empty((steps, n_a), np.float32), tuple(np.array(s, np.float32) for s in state)
        relevant = np.empty((1, n_a), np.float32)
        floats = self.library.work(self.cell, 1, n_a, 1)
        work = np.empty(floats, np.float32)
        of = Sequences(self.library.code(self.cell), 1, 0, steps, 1, n_a)
        of.W_a, of.ld_W = address("W", self.W, (row, self.W.shape[1])), self.W.shape[1]
        of.zoneout = self.cell.zoneout
        call = Forward(of, False, address("b", self.b, (row,)), address("W_x x", gates, (steps, row)))
        call.a = address("a", a, (steps, n_a))
        call.state = (ctypes.c_void_p * 2)(*(address("the state", s, (1, n_a)) for s in after))
        call.relevant, call.work = (
            address("gamma_r * c", relevant, (1, n_a)),
            address("work", work, (floats,)),
        )
        self.library.functions.unrolled_run_forward(call)
        return a, after


def whole(library: Library, cell: Cell, tensors: Mapping[str, Array], prefix: str) -> Whole:
    """Return the layer whose tensors are called `prefix`.W_c and so on, in float32.

    Raises UsageError if the sizes of the tensors do not match.
    """
    W, b = (
        np.concatenate([tensors[f"{prefix}.{kind}_{gate}"] for gate in cell.gates], dtype=np.float32)
        for kind in "Wb"
    )
    n_a, gates = len(b) // len(cell.gates), len(cell.gates)
    if len(W) != len(b) or len(b) != gates * n_a or W.shape[1] <= n_a:
        raise UsageError(
            f"the weights {prefix} are {list(W.shape)} and {list(b.shape)}",
            expected=f"[{len(b)}, more than {n_a}] and [{len(b)}]",
        )
    return Whole(library, cell, W, b, n_a)
