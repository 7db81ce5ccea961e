"""How the kernels want a layer's weights: the gates interleaved vector by vector, as csrc/unrolled.h says of a row."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..cells import Cell
from .library import Library, Rows

Array = NDArray[Any]


def move_rows(
    library: Library,
    cell: Cell,
    shape: tuple[int, int],
    parts: Sequence[int],
    joined: tuple[int, int],
    *,
    back: bool = False,
    threads: int = 1,
) -> None:
    """Copy the rows of each gate's W [n_a, n], of this shape, and of each gate's b [n_a] to their places in the joined
    W [row, n] and b [row], or back. Lanes past n_a become zeros there.

    parts: addresses of the W of each gate, then of each b; joined: those of both. All contiguous float32.
    """
    n_a, columns = shape
    pointers = (ctypes.c_void_p * len(parts))(*parts)
    call = Rows(library.code(cell), threads, n_a, columns, pointers, *joined, back)
    library.functions.unrolled_move_rows(call)


def interleave(library: Library, cell: Cell, Ws: Sequence[Array], bs: Sequence[Array]) -> tuple[Array, Array]:
    """W [n_a, n] and b [n_a] of each gate -> [row, n] and [row], float32. Lanes past n_a are zeros."""
    parts = [np.ascontiguousarray(part, np.float32) for part in (*Ws, *bs)]
    n_a, columns = parts[0].shape
    rows = library.row(cell, n_a)
    W, b = np.empty((rows, columns), np.float32), np.empty(rows, np.float32)
    addresses = [part.ctypes.data for part in parts]
    move_rows(library, cell, (n_a, columns), addresses, (W.ctypes.data, b.ctypes.data))
    return W, b


def groups(cell: Cell, joined: Array) -> list[Array]:
    """The rows of each group of gates in joined [row, ...]: views."""
    views: list[Array] = []
    begin, size = 0, len(joined) // sum(len(group) for group in cell.groups)
    for group in cell.groups:
        views.append(joined[begin : begin + size * len(group)])
        begin += size * len(group)
    return views
