"""Find examples that repeat within a part or between parts: what is compared, and how it is shown."""

from __future__ import annotations

import hashlib
from itertools import islice
from pathlib import Path

from unrolled.core.regular_files import open_regular
from unrolled.core.types import Place
from unrolled.core.values.example_values import elements


def comparable(x: object) -> object:
    """Return the content by which sequences are compared.

    For a file it is the digest of its bytes, for a text the text without white space around it.
    """
    if isinstance(x, Path):
        with open_regular(x) as file:
            return hashlib.file_digest(file, "sha256").digest()
    return x.strip() if isinstance(x, str) else x


def nearby(first: Place, place: Place) -> str:
    """Return the first place as text: only its line if both places are in the same file."""
    return f"line {first.line}" if first.file == place.file else str(first)


def shown(y: object) -> str:
    """Return a target as a short text."""
    if isinstance(y, str):
        return repr(y)[:40]
    return "these tags" if any(isinstance(one, str) for one in islice(elements(y), 1)) else "these numbers"
