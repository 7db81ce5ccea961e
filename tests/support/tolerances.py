"""What "equal" means in the tests: the largest absolute difference, one table for each dtype.

forward: values of two ways to compute the same sums. gradient: the same of gradients. padding: an item alone and in
a batch. oracle: against the independent transcription in float64 (so for float32 it holds the dtype's own rounding).
"""

FLOAT64 = {"forward": 1e-12, "gradient": 1e-10, "padding": 1e-12, "oracle": 1e-12}
FLOAT32 = {"forward": 2e-6, "gradient": 1e-4, "padding": 1e-6, "oracle": 5e-6}

TOLERANCES: dict[str, dict[str, float]] = {"float64": FLOAT64, "float32": FLOAT32}
