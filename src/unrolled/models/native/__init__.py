"""Call the native kernels from Python, without torch. `library()` returns None if they were not compiled."""

from __future__ import annotations

from unrolled.models.native.library import (
    FORCED,
    NAMES,
    Backward,
    Entropy,
    Forward,
    Library,
    Sequences,
    flushing_denormals,
    forced,
    knows,
    libraries,
    library,
    running,
    share_threads,
    using,
)
from unrolled.models.native.sequence import Whole, whole
from unrolled.models.native.step import Steps, steps

__all__ = [
    "FORCED",
    "NAMES",
    "Backward",
    "Entropy",
    "Forward",
    "Library",
    "Sequences",
    "Steps",
    "Whole",
    "flushing_denormals",
    "forced",
    "knows",
    "libraries",
    "library",
    "running",
    "share_threads",
    "steps",
    "using",
    "whole",
]
