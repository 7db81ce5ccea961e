"""Find the number of units that gives each variant about the same number of parameters."""

from __future__ import annotations

from collections.abc import Callable

MOST_UNITS = 65_536


def nearest(size: Callable[[int], int], target: int) -> int:
    """Return the number of units n >= 1 for which size(n) is closest to the target.

    If two are equally close, return the smaller one. size: must grow with n.
    """
    low, high = 1, 2
    while size(high) < target and high < MOST_UNITS:
        low, high = high, 2 * high
    while high - low > 1:
        half = (low + high) // 2
        low, high = (half, high) if size(half) < target else (low, half)
    return min((low, high), key=lambda units: abs(size(units) - target))
