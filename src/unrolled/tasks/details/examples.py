"""Show examples in tables and in JSON: where they are, and the beginning of their text."""

from __future__ import annotations

import numpy as np

from unrolled.core.types import Example
from unrolled.core.values.example_values import beginning

CHARACTERS = 200  # maximum number of characters of a text that is kept


def place_of(one: Example) -> dict[str, object]:
    """Return the place of an example as JSON: file, line, and id if it has one."""
    found: dict[str, object] = {"file": str(one.place.file), "line": one.place.line}
    return found if one.id is None else {**found, "id": one.id}


def place_text(one: Example) -> str:
    """Return the place of an example as text, with its id if it has one."""
    return str(one.place) if one.id is None else f"{one.place} ({one.id})"


def text_of(one: Example) -> str:
    """Return the beginning of the text, or the name of the file. It is empty for numbers."""
    return "" if isinstance(one.x, np.ndarray) else beginning(one.x, CHARACTERS)
