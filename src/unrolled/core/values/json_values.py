"""Read a value of JSON as the type that it must have.

A value of another type raises TypeError. The caller, who knows the file, says that the file is damaged.
"""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T", str, int, bool)


def as_object(value: object) -> dict[str, object]:
    """A JSON object; TypeError for anything else."""
    if not isinstance(value, dict):
        raise TypeError(f"expected an object, found {type(value).__name__}")
    return value


def as_list(value: object) -> list[object]:
    """A JSON list; TypeError for anything else."""
    if not isinstance(value, list):
        raise TypeError(f"expected a list, found {type(value).__name__}")
    return value


def as_list_of(kind: type[T], value: object) -> list[T]:
    """A JSON list of texts, of whole numbers or of truth values; TypeError for anything else."""
    return [as_plain(kind, one) for one in as_list(value)]


def as_plain(kind: type[T], value: object) -> T:
    """A text, a whole number or a truth value (which is no number here); TypeError for anything else."""
    if type(value) is not kind:
        raise TypeError(f"expected {kind.__name__}, found {type(value).__name__}")
    return value


def as_number(value: object) -> float:
    """A number, as it is written: an int stays an int; TypeError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"expected a number, found {type(value).__name__}")
    return value
