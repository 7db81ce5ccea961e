"""Format numbers for messages, with a number of digits that fits their precision."""

from __future__ import annotations

import math

MOST = 17  # digits of a double


def shown(value: float, precision: float, least: int = 6) -> str:
    """Format a number with at least `least` significant digits, and with digits down to `precision` / 100.

    precision: how far the number may be off; 0 or not finite: unknown.
    """
    digits = least
    if math.isfinite(value) and value and math.isfinite(precision) and precision > 0:
        # Digits before the decimal point, plus digits after it down to a hundredth of the precision.
        digits = math.floor(math.log10(abs(value))) - math.floor(math.log10(precision)) + 3
    return f"{value:.{min(MOST, max(least, digits))}g}"
