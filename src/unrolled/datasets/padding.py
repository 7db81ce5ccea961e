"""Pad sequences of different lengths to one array."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unrolled.core.types import Array


def pad(rows: Sequence[Array], fill: float, steps: int = 1, dtype: type[np.generic] | None = None) -> Array:
    """[rows, T, ...] of rows [T_i, ...], filled on the right; T is the longest T_i, at least `steps`.

    dtype: of the result; None for that of the rows.  There must be at least one row.
    """
    longest = max(steps, *(len(row) for row in rows))
    padded = np.full((len(rows), longest, *rows[0].shape[1:]), fill, dtype=dtype or rows[0].dtype)
    for number, row in enumerate(rows):
        padded[number, : len(row)] = row
    return padded
