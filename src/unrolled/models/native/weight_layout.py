"""Arrange the weights of a layer for the step kernels, gates interleaved by vectors (csrc/unrolled.h)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unrolled.core.types import Array
from unrolled.models.cells import Cell
from unrolled.models.native.library import Library


def interleave(library: Library, cell: Cell, parts: Sequence[Array]) -> list[Array]:
    """Interleave the parts of the gates: [n_a, ...] each -> [lanes, ...] for each group of gates, float32."""
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
