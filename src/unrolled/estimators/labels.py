"""Convert classes and tags from Python values to the names in a model, and back.

A model file stores the name of each class as a text. An estimator returns classes with the type that y had in
`fit`: texts, whole numbers, reals or bools. The notes of the model file store the name of this type, a key of
`TYPES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import SupportsInt

import numpy as np

from unrolled.core.errors import DataError, UsageError
from unrolled.core.types import Array
from unrolled.data.fields import parse_number
from unrolled.estimators.sequences import items, missing

# From the name of a class in a model file to its value.
TYPES: dict[str, Callable[[str], object]] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": ("False", "True").index,
}


@dataclass(frozen=True, eq=False)
class Classes:
    """The classes of a model.

    values: [classes] in the order of np.unique.  names: [classes] their names in the model, in the same
    order.
    type: a key of TYPES.
    """

    values: Array
    names: tuple[str, ...]
    type: str

    def of(self, names: Iterable[str | None]) -> Array:
        """Return [N] the values of the names.

        The name of an empty sequence is None. Its value is "" if classes are texts, None otherwise.
        """
        index = {name: number for number, name in enumerate(self.names)}
        found = [None if name is None else index[name] for name in names]
        if None not in found:
            return self.values[np.array(found, np.int64)]
        blank = "" if self.type == "str" else None
        some = [blank if number is None else self.values[number] for number in found]
        return np.array(some, str if self.type == "str" else object)

    def names_of(self, values: Iterable[object]) -> tuple[str, ...]:
        """Return the name of each value. Values may have another type: 1.0 and True are equal to 1."""
        known: dict[object, str] = dict(zip(self.values.tolist(), self.names, strict=True))
        return tuple(known.get(one, name_of(one)) for one in values)


def classes_of(names: list[str], type_: object) -> Classes:
    """Return the classes of a model from their names.

    Raises DataError if the type in the notes of the model file is damaged.
    """
    try:
        values = np.array([TYPES[str(type_)](name) for name in names])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            "the type of the classes in the model file is damaged", expected=", ".join(TYPES)
        ) from error
    values = values.astype(bool) if type_ == "bool" else values
    order = np.argsort(values, kind="stable")
    return Classes(values[order], tuple(names[number] for number in order.tolist()), str(type_))


def labels(values: object, name: str) -> Array:
    """Return [N] classes: texts, whole numbers, reals without a fraction, or bools.

    Raises UsageError if an item is not a class, if an item is missing, or if texts and numbers are mixed.
    """
    found = items(values, name, "classes")
    for number, one in enumerate(found, 1):
        refuse(one, f"{name}:{number}")
    return checked(found, name, lambda number: f"{name}:{number + 1}")


def checked(found: Sequence[object], name: str, place: Callable[[int], str]) -> Array:
    """Return [N] classes as an array of one type. Raises UsageError if texts and numbers are mixed.

    place: returns the name of an item for messages, from its index (0-based).
    """
    first: dict[str, int] = {}
    for number, one in enumerate(found):
        first.setdefault(type_of(one), number)
    if "str" in first and len(first) > 1:
        other = next(number for kind, number in first.items() if kind != "str")
        what = f"{place(first['str'])} is a text and {place(other)} is a number"
        raise UsageError(what, expected=f"one type in {name}")
    if "str" in first:
        return np.array([str.__str__(one) for one in found if isinstance(one, str)], object).astype(str)
    return np.array(found)


def refuse(one: object, place: str) -> None:
    """Raise UsageError if the value is not a class."""
    if missing(one):
        what = "None" if one is None else "Input y contains NaN"
        raise UsageError(f"{place}: missing: {what}", expected="a class")
    if type_of(one) == "":
        raise UsageError(f"{place}: a {type(one).__name__}", expected="a text, a whole number or a bool")
    if isinstance(one, Real) and not isinstance(one, Integral) and float(one) != np.floor(float(one)):
        what = f"{place}: {one} is a continuous number (Unknown label type: continuous)"
        raise UsageError(what, expected="classes", hint="Regressor for numbers")
    if isinstance(one, Real) and not np.isfinite(float(one)):
        raise UsageError(f"{place}: Input y contains infinity", expected="classes")


def type_of(one: object) -> str:
    """Return the type of a class, a key of TYPES; "" if the value is not a class."""
    if isinstance(one, bool | np.bool_):
        return "bool"
    return next(
        (name for name, kind in (("str", str), ("int", Integral), ("float", Real)) if isinstance(one, kind)),
        "",
    )


def name_of(one: object) -> str:
    """Return the name of a class for the model. 1.0 and 1 have the same name."""
    if isinstance(one, str):
        return str.__str__(one)
    if type_of(one) == "bool":
        return str(bool(one))
    assert isinstance(one, SupportsInt)  # `refuse` has rejected all other types
    return str(int(one))


def equal(one: object, other: object) -> bool:
    """Return whether two classes are equal, independent of their types: 1, 1.0, True and "1" are equal."""
    if isinstance(one, str) and not isinstance(other, str):
        return _names(one, other)
    if isinstance(other, str) and not isinstance(one, str):
        return _names(other, one)
    return bool(one == other)


def _names(text: str, value: object) -> bool:
    """Return whether a text is a written form of this number or bool."""
    if not isinstance(value, Real | np.bool_):
        return False
    return text == name_of(value) or parse_number(text) == float(value)
