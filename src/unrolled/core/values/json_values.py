"""Check the type of values from JSON.

A wrong type raises TypeError. The caller knows the file, and reports that it is damaged.
"""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T", str, int, bool)


def as_object(value: object) -> dict[str, object]:
    """Return a JSON object. Raises TypeError for anything else."""
    if not isinstance(value, dict):
        raise TypeError(f"expected an object, found {type(value).__name__}")
    return value


def as_list(value: object) -> list[object]:
    """Return a JSON list. Raises TypeError for anything else."""
    if not isinstance(value, list):
        raise TypeError(f"expected a list, found {type(value).__name__}")
    return value


def as_list_of(kind: type[T], value: object) -> list[T]:
    """Return a JSON list of strings, integers or booleans. Raises TypeError for anything else."""
    return [as_plain(kind, one) for one in as_list(value)]


def as_plain(kind: type[T], value: object) -> T:
    """Return a string, an integer or a boolean.

    A boolean is not an integer. Raises TypeError for anything else.
    """
    if type(value) is not kind:
        raise TypeError(f"expected {kind.__name__}, found {type(value).__name__}")
    return value


def as_number(value: object) -> float:
    """Return a number; an int stays an int. Raises TypeError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"expected a number, found {type(value).__name__}")
    return value
