"""Read what users of scikit-learn pass as X into plain sequences: lists, arrays, Series, DataFrames and generators.

A sequence is a text, a list of tokens, an array of numbers [T_x, n_x] (or [T_x]: one number a step), or a file.
Anything else is rejected with an error that names the argument and the item, counted from 1 as in `X:2`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence, Set
from numbers import Number
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from unrolled.core.errors import UsageError
from unrolled.core.types import Array

TOKENS, NUMBERS, FILES = "tokens", "numbers", "files"  # what sequences may be


@runtime_checkable
class Frame(Protocol):
    """A DataFrame, of whichever library."""

    @property
    def columns(self) -> Iterable[object]: ...

    def to_numpy(self) -> object: ...


@runtime_checkable
class HasArray(Protocol):
    """What NumPy makes an array of: a Series, a tensor."""

    def __array__(self, dtype: object = None) -> object: ...


def items(values: object, name: str, wanted: str = "sequences") -> list[object]:
    """The items of an argument, in their order; rows of an array. Raises UsageError for what is no list of `wanted`."""
    expected = f"a list of {wanted}"
    _refuse_sparse(values, name)
    match values:
        case None:
            raise UsageError(f"{name} is None", expected=expected)
        case str() | bytes() | Path():
            raise UsageError(f"{name} is one {type(values).__name__}", expected=expected, hint=f"[{name}]")
        case Mapping() | Set() | Number():
            raise UsageError(f"{name} is a {type(values).__name__}", expected=expected)
        case list() | tuple():
            return list(values)
        case Frame():
            return _rows(values, name)
        case HasArray():
            array = as_array(values, name)
            return list(
                array[:, 0] if array.ndim == 2 and array.shape[1] == 1 and _holds_text(array) else array
            )
        case Iterable():
            return list(values)
        case _:
            raise UsageError(f"{name} is a {type(values).__name__}", expected=expected)


def as_array(values: object, name: str) -> Array:
    """An array of whatever has one. Raises UsageError for complex and masked ones, and for a single value."""
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise UsageError(f"{name} has masked values", expected="no missing values")
    array = np.asarray(values)
    if array.ndim == 0:
        raise UsageError(f"{name} is a {type(values).__name__}", expected="a list, or an array of items")
    if array.dtype.kind == "c":
        raise UsageError(f"Complex data not supported: {name} has complex numbers", expected="real numbers")
    if array.dtype.kind not in "OUbiuf":
        raise UsageError(f"{name} has values of type {array.dtype}", expected="texts or numbers")
    if array.ndim > 1 and array.shape[1] == 0:
        raise UsageError(
            f"{name} has 0 feature(s) (shape={array.shape}) while a minimum of 1 is required.",
            expected="sequences with steps",
        )
    return array


def _refuse_sparse(values: object, name: str) -> None:
    sparse = sys.modules.get("scipy.sparse")
    if sparse is not None and sparse.issparse(values):
        what = f"{name} is a sparse matrix, and sparse data are not supported"
        raise UsageError(what, expected="a dense array", hint=f"{name}.toarray()")


def _rows(frame: Frame, name: str) -> list[object]:
    """The cells of a DataFrame of one column, or the rows of one with numbers alone."""
    names = [str(column) for column in frame.columns]
    array = as_array(frame.to_numpy(), name)
    if len(names) == 1:
        return list(array[:, 0])
    if _holds_text(array):
        listed = ", ".join(names[:8]) + (" ..." if len(names) > 8 else "")
        what = f"{name} is a table of {len(names)} columns: {listed}"
        raise UsageError(what, expected="one column of texts", hint=f"{name}[{names[0]!r}]")
    return list(array)


def _holds_text(array: Array) -> bool:
    """Whether any cell is a text."""
    return array.dtype.kind == "U" or (
        array.dtype.kind == "O" and any(isinstance(cell, str) for cell in array.flat)
    )


def missing(value: object) -> bool:
    """Whether a value stands for "nothing is known": None, NaN, pandas' NA and NaT."""
    if value is None:
        return True
    if isinstance(value, float | np.floating):
        return bool(np.isnan(value))
    pandas = sys.modules.get("pandas")
    return pandas is not None and (value is pandas.NA or value is pandas.NaT)


def texts(values: object, name: str) -> list[str]:
    """A list of texts, as plain `str`. Raises UsageError for any item that is none."""
    found: list[str] = []
    for number, one in enumerate(items(values, name, "texts"), 1):
        if not isinstance(one, str):
            what = "missing" if missing(one) else f"a {type(one).__name__}"
            raise UsageError(f"{name}:{number}: {what}", expected="a text")
        found.append(str.__str__(one))
    return found


def sequences(values: object, name: str) -> tuple[Sequence[object], str]:
    """The sequences of an argument, and what they are: tokens (texts too), numbers or files; "" where all are empty.

    Texts come as `str`, tokens as tuples, numbers as arrays [T_x, n_x], files as paths. Raises UsageError for anything
    else, for missing values, and where the items are of different kinds.
    """
    found = [sequence(one, f"{name}:{number}") for number, one in enumerate(items(values, name), 1)]
    kinds = [_kind(one) for one in found]
    first = next((number for number, kind in enumerate(kinds) if kind), None)
    kind = "" if first is None else kinds[first]
    for number, other in enumerate(kinds):
        if other not in ("", kind):
            what = f"{name}:{number + 1}: {other}, where {name}:{(first or 0) + 1} has {kind}"
            raise UsageError(what, expected="sequences of one kind")
    if kind == NUMBERS:
        found = [np.zeros((0, 1)) if not len(one) else one for one in found]
    return found, kind


def _kind(one: object) -> str:
    """What a sequence is; "" for an empty list, which may be of any kind."""
    match one:
        case Path():
            return FILES
        case str() | (_, *_):
            return TOKENS
        case np.ndarray():
            return NUMBERS
        case _:
            return ""


def sequence(one: object, place: str) -> str | tuple[str, ...] | Array | Path:
    """One sequence; see `sequences`."""
    expected = "a text, a list of tokens, or an array of numbers"
    match one:
        case str():
            return str.__str__(one)
        case Path():
            return one
        case bytes():
            raise UsageError(f"{place}: a bytes object", expected=expected, hint=".decode()")
        case Mapping() | Set():
            raise UsageError(f"{place}: a {type(one).__name__}", expected=expected)
        case _ if missing(one):
            raise UsageError(f"{place}: missing ({one})", expected=expected)
        case Number():
            hint = "[X]; Reshape your data with X.reshape(1, -1) where it is one series"
            raise UsageError(f"{place}: a single number", expected=expected, hint=hint)
        case Frame():
            return _steps(as_array(one.to_numpy(), place), place)
        case HasArray():
            return _steps(as_array(one, place), place)
        case Iterable():
            return _listed(list(one), place)
        case _:
            raise UsageError(f"{place}: a {type(one).__name__}", expected=expected)


def _listed(steps: list[object], place: str) -> tuple[str, ...] | Array:
    """A list of tokens, or of numbers."""
    if not steps:
        return ()
    if any(isinstance(step, str) for step in steps):
        return _tokens(steps, place)
    for number, step in enumerate(steps, 1):
        if missing(step):
            raise UsageError(f"{place}: step {number} is missing ({step})", expected="a number")
    try:
        array = np.asarray(steps)
    except ValueError:
        raise UsageError(
            f"{place}: steps of different widths", expected="as many numbers at each step"
        ) from None
    return _steps(array, place)


def _steps(array: Array, place: str) -> tuple[str, ...] | Array:
    """An array of tokens [T_x], or of numbers [T_x] or [T_x, n_x]; whole numbers keep their type, which tells the scale
    of the samples of a recording."""
    if array.shape == (0,):
        return ()
    if _holds_text(array):
        return _tokens(list(array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array), place)
    if array.dtype.kind == "c":
        raise UsageError(f"Complex data not supported: {place} has complex numbers", expected="real numbers")
    try:
        numbers = array if array.dtype.kind in "iu" else array.astype(np.float64)
    except (TypeError, ValueError):
        raise UsageError(f"{place}: values that are no numbers", expected="texts or numbers") from None
    if numbers.ndim > 2:
        what = f"{place}: an array of shape {list(numbers.shape)}"
        raise UsageError(what, expected="[steps] or [steps, numbers a step]")
    numbers = numbers.reshape(-1, 1) if numbers.ndim == 1 else numbers
    wrong = np.argwhere(~np.isfinite(numbers))
    if len(wrong):
        step, column = wrong[0].tolist()
        value = "NaN" if np.isnan(numbers[step, column]) else "inf"
        raise UsageError(
            f"{place}: step {step + 1}, number {column + 1} is {value}", expected="a finite number"
        )
    return numbers


def _tokens(steps: Sequence[object], place: str) -> tuple[str, ...]:
    """Tokens as plain `str`."""
    found: list[str] = []
    for number, step in enumerate(steps, 1):
        if not isinstance(step, str):
            what = f"missing ({step})" if missing(step) else f"a {type(step).__name__}"
            raise UsageError(f"{place}: token {number} is {what}", expected="a text")
        found.append(str.__str__(step))
    return tuple(found)
