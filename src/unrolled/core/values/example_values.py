"""Check the type of x and y of an example, which may have any type.

A wrong type raises TypeError: it is an error in the code, not in the user's data.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Sized
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from unrolled.core.types import Tune

T = TypeVar("T")


def length(x: object) -> int:
    """Return the number of steps, tokens, characters or notes of a sequence."""
    return len(_as(Sized, x))


def elements(y: object) -> Iterable[object]:
    """Return the steps, tokens or tags of a sequence; an empty sequence for None."""
    return () if y is None else _as(Iterable, y)


def shape(x: object) -> tuple[int, ...]:
    """Return the shape of an array of numbers, or of nested lists of numbers."""
    return np.asarray(x).shape


def beginning(x: object, characters: int) -> str:
    """Return the beginning of a sequence as one line of text: a text, tokens, a path, or the number of steps."""
    if isinstance(x, Tune):
        return f"{len(x):,} notes"
    if isinstance(x, np.ndarray):
        return f"{len(x):,} steps"
    if isinstance(x, Path):
        return str(x)
    # A token has one character or more, so later tokens cannot be part of the beginning.
    text = x if isinstance(x, str) else " ".join(map(str, islice(elements(x), characters + 1)))
    line = " ".join(text.split())
    return line if len(line) <= characters else line[: characters - 3] + "..."


def as_tune(x: object) -> Tune:
    """Return a tune unchanged."""
    return _as(Tune, x)


def as_path(x: object) -> Path:
    """Return a path unchanged."""
    return _as(Path, x)


def as_text(x: object) -> str | tuple[str, ...]:
    """Return a text, or the tokens of a sentence, unchanged."""
    return x if isinstance(x, str) else _as(tuple, x)


def as_words(x: object) -> list[str]:
    """Return the tokens of a sentence as a list."""
    return list(_as(Iterable, x))


def as_tags(y: object) -> Sequence[str | None]:
    """Return the tags, one per step, unchanged. A tag is None if it is unknown."""
    return _as(Sequence, y)


def as_sequence(y: object) -> Sequence[object]:
    """Return tokens, tags or numbers as a sequence with a length."""
    return y if isinstance(y, Sequence) else tuple(elements(y))


def _as(kind: type[T], value: object) -> T:
    if not isinstance(value, kind):
        raise TypeError(f"expected {kind.__name__}, found {type(value).__name__}")
    return value
