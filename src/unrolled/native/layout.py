"""How the kernels want a layer's weights: the gates interleaved vector by vector, as csrc/unrolled.h says of a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..cells import Cell
from .library import Library

Array = NDArray[Any]


def interleave(library: Library, cell: Cell, parts: Sequence[Array]) -> Array:
    """A W [n_a, n] or b [n_a] of each gate -> [row, n] or [row], float32. Lanes past n_a are zeros."""
    n_a = len(parts[0])
    whole, over = divmod(n_a, library.width)
    make = np.zeros if over else np.empty
    made: Array = make((library.row(cell, n_a), *parts[0].shape[1:]), np.float32)
    for lanes, part in zip(_places(library, cell, made), parts, strict=True):
        lanes[:whole] = part[: whole * library.width].reshape(whole, library.width, *part.shape[1:])
        if over:
            lanes[whole, :over] = part[whole * library.width :]
    return made


def separate(library: Library, cell: Cell, joined: Array, n_a: int) -> list[Array]:
    """The inverse of `interleave`."""
    return [lanes.reshape(-1, *joined.shape[1:])[:n_a] for lanes in _places(library, cell, joined)]


def groups(cell: Cell, joined: Array) -> list[Array]:
    """The rows of each group of gates in joined [row, ...]: views."""
    views: list[Array] = []
    begin, size = 0, len(joined) // sum(len(group) for group in cell.groups)
    for group in cell.groups:
        views.append(joined[begin : begin + size * len(group)])
        begin += size * len(group)
    return views


def _places(library: Library, cell: Cell, joined: Array) -> list[Array]:
    """Where each gate stands in joined [row, ...]: views [vectors, W, ...]."""
    views: list[Array] = []
    for group, part in zip(cell.groups, groups(cell, joined), strict=True):
        vectors = part.reshape(-1, len(group), library.width, *joined.shape[1:])
        views += [vectors[:, g] for g in range(len(group))]
    return views
