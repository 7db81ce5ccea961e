"""What "equal" means in the tests: the largest absolute difference, one table for each dtype.

forward: values of two ways to compute the same sums. gradient: the same of gradients. padding: an item alone and in
a batch. oracle: against the independent transcription in float64 (so for float32 it holds the dtype's own rounding).
"""

from __future__ import annotations

import numpy as np

FLOAT64 = {"forward": 1e-12, "gradient": 1e-10, "padding": 1e-12, "oracle": 1e-12}
FLOAT32 = {"forward": 2e-6, "gradient": 1e-4, "padding": 1e-6, "oracle": 5e-6}

# A sum of numbers of size s is rounded by about eps * s at each addition; so is the exponent of its exponential.
ROUNDINGS = 16  # additions whose rounding errors may add up

TOLERANCES: dict[str, dict[str, float]] = {"float64": FLOAT64, "float32": FLOAT32}


def rounding(size: float) -> float:
    """The absolute tolerance in float64 for results that depend on sums of numbers up to `size`."""
    return max(FLOAT64["forward"], ROUNDINGS * float(np.finfo(np.float64).eps) * size)
