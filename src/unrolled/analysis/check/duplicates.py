"""Repeated examples within a part and between parts: what is compared and how it is shown."""

from __future__ import annotations

import hashlib
from itertools import islice
from pathlib import Path

import numpy as np

from unrolled.core.regular_files import open_regular
from unrolled.core.types import Place
from unrolled.core.values.example_values import as_words, elements


def comparable(x: object) -> object:
    """What makes a sequence the same as another: of a file its bytes."""
    if isinstance(x, Path):
        with open_regular(x) as file:
            return hashlib.file_digest(file, "sha256").digest()
    return x.strip() if isinstance(x, str) else x


def nearby(first: Place, place: Place) -> str:
    """Another place, for people who know this one."""
    return f"line {first.line}" if first.file == place.file else str(first)


def beginning(x: object) -> str:
    """A sequence for people, in one line."""
    if isinstance(x, np.ndarray):
        return f"{len(x):,} steps"
    if isinstance(x, Path):
        return str(x)
    return " ".join((x if isinstance(x, str) else " ".join(as_words(x)[:30])).split())[:60]


def shown(y: object) -> str:
    """A target as a short text."""
    if isinstance(y, str):
        return repr(y)[:40]
    return "its tags" if any(isinstance(one, str) for one in islice(elements(y), 1)) else "its numbers"
