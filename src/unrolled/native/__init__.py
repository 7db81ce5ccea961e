"""The native kernels seen from Python. Nothing here needs torch; where nothing was compiled, `library()` is None."""

from __future__ import annotations

from .library import (
    FORCED,
    NAMES,
    Backward,
    Forward,
    Library,
    Sequences,
    forced,
    knows,
    libraries,
    library,
    running,
    use_threads,
)

__all__ = [
    "FORCED",
    "NAMES",
    "Backward",
    "Forward",
    "Library",
    "Sequences",
    "forced",
    "knows",
    "libraries",
    "library",
    "running",
    "use_threads",
]
