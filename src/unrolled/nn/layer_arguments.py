"""Check the arguments of a recurrent layer: two names for one argument, sizes, fractions."""

from __future__ import annotations

from typing import TypeVar

from unrolled.core.errors import UsageError

_Value = TypeVar("_Value", int, str)


def one(ours: str, value: _Value | None, theirs: str, other: _Value | None) -> _Value:
    """Return the value of an argument that has two names.

    Raises UsageError unless exactly one name is used.
    """
    if value is not None and other is not None:
        raise UsageError(f"{ours} and {theirs} are two names of one argument", expected="one of them")
    found = other if value is None else value
    if found is None:
        raise UsageError(f"{ours} is missing", expected=f"{ours} (or {theirs})")
    return found


def check_size(name: str, value: object) -> None:
    """Raise UsageError unless the value is a whole number, at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UsageError(f"{name} is {value!r}", expected="a whole number, at least 1")


def check_fraction(name: str, value: object) -> None:
    """Raise UsageError unless the value is a number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= 1.0:
        raise UsageError(f"{name} is {value!r}", expected="a fraction from 0 to 1")


def refuse_projection(proj_size: int) -> None:
    """Raise UsageError for a projection of the state."""
    if proj_size:
        raise UsageError(
            f"proj_size is {proj_size}: a projection of the state is not supported",
            expected="0",
            hint="a torch.nn.Linear after the layer",
        )
