"""Find the number of units that gives a variant the same number of parameters as the others."""

from __future__ import annotations

from collections.abc import Callable

MOST_UNITS = 65_536


def nearest(size: Callable[[int], int], target: int) -> int:
    """The number from 1 up whose size, which grows with it, is nearest to the target; the smaller of equals."""
    low, high = 1, 2
    while size(high) < target and high < MOST_UNITS:
        low, high = high, 2 * high
    while high - low > 1:
        half = (low + high) // 2
        low, high = (half, high) if size(half) < target else (low, half)
    return min((low, high), key=lambda units: abs(size(units) - target))
