"""Repeated examples within a part and between parts: what is compared and how it is shown."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from unrolled.core.regular_files import open_regular
from unrolled.core.types import Place


def comparable(x: Any) -> Any:
    """What makes a sequence the same as another: of a file its bytes."""
    if isinstance(x, Path):
        with open_regular(x) as file:
            return hashlib.file_digest(file, "sha256").digest()
    return x.strip() if isinstance(x, str) else x


def nearby(first: Place, place: Place) -> str:
    """Another place, for people who know this one."""
    return f"line {first.line}" if first.file == place.file else str(first)


def beginning(x: Any) -> str:
    """A sequence for people, in one line."""
    if isinstance(x, np.ndarray):
        return f"{len(x):,} steps"
    if isinstance(x, Path):
        return str(x)
    return " ".join((x if isinstance(x, str) else " ".join(x[:30])).split())[:60]


def shown(y: Any) -> str:
    """A target as a short text."""
    return (
        repr(y)[:40] if isinstance(y, str) else "its tags" if y and isinstance(y[0], str) else "its numbers"
    )
