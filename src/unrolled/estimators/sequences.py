"""Convert X, as users of scikit-learn pass it, to plain sequences.

X may be a list, an array, a Series, a DataFrame or a generator.
A sequence is a text, a list of tokens, an array of numbers [T_x, n_x] (or [T_x]: one number per step), or a
file. Anything else is rejected. The error names the argument and the item (1-based), for example `X:2`.
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

TOKENS, NUMBERS, FILES = "tokens", "numbers", "files"  # the kinds of sequences


@runtime_checkable
class Frame(Protocol):
    """A DataFrame of any library."""

    @property
    def columns(self) -> Iterable[object]: ...

    def to_numpy(self) -> object: ...


@runtime_checkable
class HasArray(Protocol):
    """An object that NumPy can convert to an array, such as a Series or a tensor."""

    def __array__(self, dtype: object = None) -> object: ...


def items(values: object, name: str, wanted: str = "sequences") -> list[object]:
    """Return the items of an argument in order; the items of an array are its rows.

    Raises UsageError if the argument is not a list. wanted: the expected items, for the message.
    """
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
    """Convert an object to an array.

    Raises UsageError for complex numbers, masked values, a single value, other types than texts and numbers,
    and rows without features.
    """
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
    """Return the cells of a DataFrame with one column, or the rows of a DataFrame that contains only numbers.

    Raises UsageError for several columns with texts.
    """
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
    """Return whether any cell is a text."""
    return array.dtype.kind == "U" or (
        array.dtype.kind == "O" and any(isinstance(cell, str) for cell in array.flat)
    )


def missing(value: object) -> bool:
    """Return whether a value is a missing value: None, NaN, or NA or NaT of pandas."""
    if value is None:
        return True
    if isinstance(value, float | np.floating):
        return bool(np.isnan(value))
    pandas = sys.modules.get("pandas")
    return pandas is not None and (value is pandas.NA or value is pandas.NaT)


def texts(values: object, name: str) -> list[str]:
    """Return a list of texts as plain `str`. Raises UsageError if an item is not a text."""
    found: list[str] = []
    for number, one in enumerate(items(values, name, "texts"), 1):
        if not isinstance(one, str):
            what = "missing" if missing(one) else f"a {type(one).__name__}"
            raise UsageError(f"{name}:{number}: {what}", expected="a text")
        found.append(str.__str__(one))
    return found


def sequences(values: object, name: str) -> tuple[Sequence[object], str]:
    """Return the sequences of an argument, and their kind.

    The kind is TOKENS (also for texts), NUMBERS, FILES, or "" if all sequences are empty.
    Texts are returned as `str`, tokens as tuples, numbers as arrays [T_x, n_x], and files as paths.
    Raises UsageError for any other type, for missing values, and if the items have different kinds.
    """
    found = [sequence(one, f"{name}:{number}") for number, one in enumerate(items(values, name), 1)]
    kinds = [_kind(one) for one in found]
    first = next((number for number, kind in enumerate(kinds) if kind), None)
    kind = "" if first is None else kinds[first]
    for number, other in enumerate(kinds):
        if other not in ("", kind):
            what = f"{name}:{number + 1}: {other}, but {name}:{(first or 0) + 1} has {kind}"
            raise UsageError(what, expected="sequences of one kind")
    if kind == NUMBERS:
        found = [np.zeros((0, 1)) if not len(one) else one for one in found]
    return found, kind


def _kind(one: object) -> str:
    """Return the kind of a sequence; "" for an empty list, which fits every kind."""
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
    """Convert one sequence as described in `sequences`."""
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
            hint = "[X]; Reshape your data with X.reshape(1, -1) if it is one series"
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
    """Convert a list of tokens or numbers to a tuple of tokens or an array [T_x, n_x]."""
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
            f"{place}: steps of different widths", expected="the same count of numbers at each step"
        ) from None
    return _steps(array, place)


def _steps(array: Array, place: str) -> tuple[str, ...] | Array:
    """Convert an array of tokens [T_x] to a tuple, or check numbers [T_x] or [T_x, n_x]; returns [T_x, n_x].

    Integer arrays keep their type, because it determines the scale of audio samples.
    """
    if array.shape == (0,):
        return ()
    if _holds_text(array):
        return _tokens(list(array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array), place)
    if array.dtype.kind == "c":
        raise UsageError(f"Complex data not supported: {place} has complex numbers", expected="real numbers")
    try:
        numbers = array if array.dtype.kind in "iu" else array.astype(np.float64)
    except (TypeError, ValueError):
        raise UsageError(f"{place}: values that are not numbers", expected="texts or numbers") from None
    if numbers.ndim > 2:
        what = f"{place}: an array of shape {list(numbers.shape)}"
        raise UsageError(what, expected="[steps] or [steps, numbers per step]")
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
    """Return the tokens as plain `str`. Raises UsageError if a token is not a text."""
    found: list[str] = []
    for number, step in enumerate(steps, 1):
        if not isinstance(step, str):
            what = f"missing ({step})" if missing(step) else f"a {type(step).__name__}"
            raise UsageError(f"{place}: token {number} is {what}", expected="a text")
        found.append(str.__str__(step))
    return tuple(found)
