"""The weights of a layer in the layout of the step kernels: gates interleaved vector by vector (csrc/unrolled.h)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unrolled.core.types import Array
from unrolled.models.cells import Cell
from unrolled.models.native.library import Library


def interleave(library: Library, cell: Cell, parts: Sequence[Array]) -> list[Array]:
    """A part [n_a, ...] of each gate -> for each group of gates the joined [lanes, ...], float32."""
    own = dict(zip(cell.gates, parts, strict=True))
    found: list[Array] = []
    for group in cell.groups:
        stacked = np.stack([own[gate] for gate in group], axis=1).astype(np.float32)  # [n_a, gates, ...]
        n_a, gates, *rest = stacked.shape
        whole = n_a - n_a % library.width
        by_vector = stacked[:whole].reshape(-1, library.width, gates, *rest).swapaxes(1, 2)
        ends = by_vector.reshape(whole * gates, *rest), stacked[whole:].swapaxes(0, 1).reshape(-1, *rest)
        found.append(np.concatenate(ends))
    return found
