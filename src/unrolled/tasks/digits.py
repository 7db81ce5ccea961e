"""Numbers as text for people, with as many digits as their own precision asks for."""

from __future__ import annotations

import math

MOST = 17  # digits of a double


def shown(value: float, precision: float, least: int = 6) -> str:
    """A number with at least `least` significant digits, and so many that `precision` is seen: digits down to a
    hundredth of it. precision: how far the number may be off; 0 or not finite: not known."""
    digits = least
    if math.isfinite(value) and value and math.isfinite(precision) and precision > 0:
        # Digits before the point, and behind it those down to a hundredth of the precision.
        digits = math.floor(math.log10(abs(value))) - math.floor(math.log10(precision)) + 3
    return f"{value:.{min(MOST, max(least, digits))}g}"
