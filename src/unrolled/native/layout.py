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
    joined: int,
    *,
    back: bool = False,
    threads: int = 1,
) -> None:
    """Copy the rows of each gate's matrix [n_a, n], of this shape, to their places in joined [row, n], or back.

    parts, joined: addresses of contiguous float32 arrays. Lanes past n_a become zeros in joined.
    """
    n_a, columns = shape
    pointers = (ctypes.c_void_p * len(parts))(*parts)
    call = Rows(library.code(cell), threads, n_a, columns, pointers, joined, back)
    library.functions.unrolled_move_rows(call)


def interleave(library: Library, cell: Cell, parts: Sequence[Array]) -> Array:
    """A W [n_a, n] or b [n_a] of each gate -> [row, n] or [row], float32. Lanes past n_a are zeros."""
    whole = [np.ascontiguousarray(part, np.float32) for part in parts]
    made: Array = np.empty((library.row(cell, len(whole[0])), *whole[0].shape[1:]), np.float32)
    shape = len(whole[0]), made[0].size
    move_rows(library, cell, shape, [part.ctypes.data for part in whole], made.ctypes.data)
    return made


def groups(cell: Cell, joined: Array) -> list[Array]:
    """The rows of each group of gates in joined [row, ...]: views."""
    views: list[Array] = []
    begin, size = 0, len(joined) // sum(len(group) for group in cell.groups)
    for group in cell.groups:
        views.append(joined[begin : begin + size * len(group)])
        begin += size * len(group)
    return views
