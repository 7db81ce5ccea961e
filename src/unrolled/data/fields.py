"""Convert one field of a table to a number, a label, tokens or a vector.

A field is text from CSV, or a value from JSON or Parquet. Numbers are written as in a program: `-3.5`,
`1e-3`. A measurement is missing if the field is empty, null in JSON, or a text of MISSING. Any other value,
including infinity, is rejected with the name of the column.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from pathlib import Path

import numpy as np

from unrolled.core.errors import DataError
from unrolled.core.types import Floats, Place
from unrolled.data.file_names import find_file
from unrolled.data.text.tokenize import split_words

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_INTERVAL = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*-\s*([0-9]+(?:\.[0-9]+)?)\s+(\S+)")
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+")
_GROUPED = re.compile(r"[+-]?[0-9]{1,3}(?:\.[0-9]{3})+(?:,[0-9]+)?")  # 1.234.567,8
_WHOLE = re.compile(r"([+-]?[0-9]+)(?:\.0*)?")
_SURROGATES = re.compile("[\ud800-\udfff]")
# Texts that mean that a measurement is missing, in lower case.
MISSING = frozenset(
    {
        *(
            "",
            "nan",
            "-nan",
            "nat",
            "n/a",
            "#n/a",
            "na",
            "#na",
            "<na>",
            "n.a.",
            "null",
            "none",
            "nil",
            "missing",
        ),
        *("?", "-", "--", "."),
    }
)
NO_TAG = "O"  # tag of a time outside all intervals
_LONG = 40  # maximum characters of a value in a message


def parse_number(text: str) -> float | None:
    """Parse a finite number; spaces and tabs around it are allowed.

    Return None for other text, such as `nan`, `1_000`, `3,5` and `1e999`.
    """
    text = text.strip(" \t")
    if _NUMBER.fullmatch(text) is None:
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def is_number(cell: object) -> bool:
    """Whether a field is a number, or a list (JSON) whose first value that is not missing is a number."""
    return _number(first_value(cell)) is not None


def first_value(cell: object) -> object:
    """Return the field itself; for a list its first value that is not missing, at any depth."""
    if not isinstance(cell, list):
        return cell
    return next((value for value in map(first_value, cell) if not is_missing(value)), None)


def is_missing(cell: object) -> bool:
    """Whether a field means that a measurement is missing."""
    return cell.strip().casefold() in MISSING if isinstance(cell, str) else is_empty(cell)


def is_decimal_comma(text: str) -> bool:
    """Whether a text is a number with a decimal comma: `3,5`, or `1.234,5` with points between thousands."""
    text = text.strip()
    return bool(_DECIMAL_COMMA.fullmatch(text) or (_GROUPED.fullmatch(text) and "," in text))


def with_decimal_point(text: str) -> str:
    """Rewrite a number with a decimal comma to a decimal point. Return any other text unchanged."""
    return text.replace(".", "").replace(",", ".") if is_decimal_comma(text) else text


def as_measure(cell: object, column: str, place: Place) -> float:
    """Convert a field to a finite number, or to NaN if it is missing.

    Raises DataError that names the row, the column and the value.
    """
    return math.nan if is_missing(cell) else as_number(cell, column, place)


def as_number(cell: object, column: str, place: Place) -> float:
    """Convert a field to a finite number. Raises DataError that names the row, the column and the value."""
    value = _number(cell)
    if value is None:
        raise not_a_number(cell, f"column {column!r}", place)
    return value


def not_a_number(cell: object, where: str, place: Place) -> DataError:
    """Return the error for a field that is not a number. Its hint is the number that was probably meant."""
    empty = is_empty(cell) and not isinstance(cell, float)
    what = f"{where} is empty" if empty else f"{where} has {_show(cell)}, which is not a number"
    hint = None
    if isinstance(cell, str) and cell:
        plain = unicodedata.normalize("NFKC", cell[:_LONG]).strip()
        if _DECIMAL_COMMA.fullmatch(plain):
            plain = plain.replace(",", ".")
        hint = plain if plain != cell and parse_number(plain) is not None else None
    return DataError(
        what, file=place.file, line=place.line, expected="a finite number such as 3.5", hint=hint
    )


def is_empty(cell: object) -> bool:
    """Whether a field is empty: null, only white space, or NaN (the missing value of Parquet)."""
    match cell:
        case str():
            return not cell.strip()
        case float():
            return math.isnan(cell)
        case _:
            return cell is None


def as_file(cell: object, column: str, place: Place, *, there: bool = True) -> Path:
    """Convert a field to the path of a file. A relative path is relative to the folder of the table.

    there: whether the file must exist. In prediction it is False: the code that opens the file reports the
    error.

    Raises DataError if the field is empty, or if the file must exist and does not.
    """
    name = as_text(cell, column, place).strip()
    path = find_file(place.file.parent / name)
    if name and "\0" not in name and (path.exists() or not there):
        return path
    raise DataError(
        f"no such file: {str(path)[:200]!r}" if name else f"column {column!r} has no file name",
        file=place.file,
        line=place.line,
        expected="a file",
        hint="a path relative to the table" if name else None,
    )


@dataclass(frozen=True)
class Stretches:
    """Tags of intervals of time: (start, end, tag), in seconds. The tag outside all intervals is `NO_TAG`.

    Iterating yields the tags.
    """

    marks: tuple[tuple[float, float, str], ...]

    def __iter__(self) -> Iterator[str]:
        """Iterate over `NO_TAG` and the tags of the intervals."""
        return iter((NO_TAG, *(tag for _, _, tag in self.marks)))

    def __len__(self) -> int:
        """Return the number of intervals plus one (for `NO_TAG`)."""
        return 1 + len(self.marks)

    def at(self, times: Sequence[float]) -> tuple[str, ...]:
        """Return the tag at each of these times. If intervals overlap, the last one in `marks` wins."""
        tags = [NO_TAG] * len(times)
        for start, end, tag in self.marks:
            for i, moment in enumerate(times):
                if start - 1e-6 <= moment < end - 1e-6:
                    tags[i] = tag
        return tuple(tags)


def are_intervals(cell: object) -> bool:
    """Whether a field has tags of intervals of time, not one tag per step."""
    return isinstance(cell, str) and _INTERVAL.match(cell.lstrip()) is not None


def as_intervals(text: str, place: Place) -> list[tuple[float, float, str]]:
    """Parse intervals such as `0.10-0.52 speech; 1-1.3 cough` to (start, end, tag), in seconds.

    Raises DataError if the text does not have this form, or an interval does not end after its start.
    """
    found: list[tuple[float, float, str]] = []
    for part in filter(None, (piece.strip() for piece in text.split(";"))):
        match = _INTERVAL.fullmatch(part)
        if match is None or float(match[1]) >= float(match[2]):
            raise DataError(
                f"{part[:_LONG]!r} is not an interval of time",
                file=place.file,
                line=place.line,
                expected="intervals such as 0.10-0.52 speech; 1-1.3 cough",
            )
        found.append((float(match[1]), float(match[2]), match[3]))
    return found


def as_text(cell: object, column: str, place: Place) -> str:
    """Convert a field to text. An empty field becomes "", a boolean `true` or `false`.

    Raises DataError for other types and for an unpaired surrogate.
    """
    match cell:
        case str():
            if not cell.isascii() and _SURROGATES.search(cell):
                raise _wrong(
                    column, f"has {_show(cell)} with an unpaired surrogate", "valid Unicode text", place
                )
            return cell
        case _ if is_empty(cell):
            return ""
        case bool():
            return "true" if cell else "false"
        case float() if cell.is_integer():  # a missing value turns a column of whole numbers into floats
            return str(int(cell))
        case int() | float() | Decimal() | date() | time():
            return str(cell)
        case _:
            raise _wrong(column, f"has {_show(cell)}", "a text", place)


def as_label(cell: object, column: str, place: Place, expected: str = "a class") -> str:
    """Convert a field to a name without white space around it. A whole number `1.0` becomes `1`.

    Raises DataError if the field is empty.
    """
    if is_empty(cell):
        raise _wrong(column, "is empty", expected, place)
    return whole_number(as_text(cell, column, place).strip())


def whole_number(name: str) -> str:
    """Return `1` for `1.0` and `1.`, and `0` for `-0`. Return any other name unchanged.

    Programs write `1.0` for a whole number if another value of the column is missing.
    """
    match = _WHOLE.fullmatch(name)
    if match is None:
        return name
    return match[1] if match[1].strip("+-0") else match[1].lstrip("+-")


def as_tokens(cell: object, column: str, place: Place) -> tuple[str, ...]:
    """Convert a field to tokens or tags. Each item of a list is a token; a text is split at white space.

    Raises DataError for a list with an empty item, and the errors of `as_text`.
    """
    if not isinstance(cell, list):
        return tuple(split_words(as_text(cell, column, place)))
    tokens = tuple(as_text(item, column, place) for item in cell)
    if not all(tokens):
        what = f"has an empty entry at position {tokens.index('') + 1}"
        raise _wrong(column, what, "a text in each entry", place)
    return tokens


def as_steps(cell: object, column: str, place: Place, *, one: bool) -> Floats:
    """Convert a field to measurements [T, n]. Missing measurements are NaN.

    A number becomes [1, 1], a list of T numbers [T, 1], a list of T lists of n numbers [T, n].
    one: the field is a single step, so a list of n numbers becomes [1, n].

    Raises DataError if a value is not a number, if the lists differ in length, or if there are no numbers.
    """
    if not isinstance(cell, list):
        return np.array([[as_measure(cell, column, place)]], dtype=np.float64)
    if one:
        cell = [cell]
    lists = [item if isinstance(item, list) else [item] for item in cell]
    wide = next((t for t, item in enumerate(lists) if len(item) != len(lists[0])), None)
    if wide is not None:
        what = f"has {len(lists[wide])} numbers at step {wide + 1} and {len(lists[0])} at step 1"
        raise _wrong(column, what, "the same number at each step", place)
    if not lists or not lists[0]:
        raise _wrong(column, "has no numbers", "at least one", place)
    return np.array([[as_measure(v, column, place) for v in item] for item in lists], dtype=np.float64)


def as_reals(cells: Sequence[object], columns: Sequence[str], place: Place) -> tuple[float, ...]:
    """Convert the fields of several columns to one tuple of numbers. A list contributes all its numbers.

    Raises DataError for a field that is not a number.
    """
    reals: list[float] = []
    for cell, column in zip(cells, columns, strict=True):
        items = cell if isinstance(cell, list) and cell else [cell]
        reals += [as_number(item, column, place) for item in items]
    return tuple(reals)


def _number(cell: object) -> float | None:
    match cell:
        case str():
            return parse_number(cell)
        case int() | float() | Decimal():
            try:
                value = float(cell)
            except (OverflowError, ValueError):  # the signalling NaN of Decimal raises ValueError
                return None
            return value if math.isfinite(value) else None
        case _:
            return None


def _show(cell: object) -> str:
    """Return a short form of a value for a message."""
    if isinstance(cell, str):
        return repr(cell[:_LONG])
    if isinstance(cell, list):
        return f"a list of {len(cell)}"
    if isinstance(cell, dict):
        return "an object"
    return f"bytes ({len(cell)})" if isinstance(cell, bytes) else str(cell)[:_LONG]


def _wrong(column: str, what: str, expected: str, place: Place) -> DataError:
    return DataError(f"column {column!r} {what}", file=place.file, line=place.line, expected=expected)
