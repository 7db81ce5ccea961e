"""Use the x and the y of an example, which may be of any type, as the type that a kind needs.

Another type raises TypeError: the code would be wrong, not the data of a user.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Sized
from pathlib import Path
from typing import TypeVar

import numpy as np

from unrolled.core.types import Tune

T = TypeVar("T")


def length(x: object) -> int:
    """The number of steps, tokens, characters or notes of a sequence."""
    return len(_as(Sized, x))


def elements(y: object) -> Iterable[object]:
    """The steps, tokens or tags of a sequence, one after the other; none of None."""
    return () if y is None else _as(Iterable, y)


def shape(x: object) -> tuple[int, ...]:
    """The shape of an array of numbers, or of lists of them."""
    return np.asarray(x).shape


def as_tune(x: object) -> Tune:
    """A tune, as it is."""
    return _as(Tune, x)


def as_path(x: object) -> Path:
    """The name of a file, as it is."""
    return _as(Path, x)


def as_text(x: object) -> str | tuple[str, ...]:
    """A text, or the tokens of a sentence, as they are."""
    return x if isinstance(x, str) else _as(tuple, x)


def as_words(x: object) -> list[str]:
    """The tokens of a sentence."""
    return list(_as(Iterable, x))


def as_tags(y: object) -> Sequence[str | None]:
    """A tag a step, as they are; None where it is not given."""
    return _as(Sequence, y)


def as_sequence(y: object) -> Sequence[object]:
    """Tokens, tags or numbers that can be counted."""
    return y if isinstance(y, Sequence) else tuple(elements(y))


def _as(kind: type[T], value: object) -> T:
    if not isinstance(value, kind):
        raise TypeError(f"expected {kind.__name__}, found {type(value).__name__}")
    return value
