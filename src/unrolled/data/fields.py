"""Convert one field of a table (text from CSV, a value from JSON or Parquet) to a number, a label, tokens or a vector.

Numbers are written as in a program: `-3.5`, `1e-3`. A measurement may be missing: an empty field, JSON's null, or one
of MISSING. Anything else, infinity too, is rejected with the name of the column.
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
# How people and programs write that a measurement is missing, in lower case.
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
NO_TAG = "O"  # of a moment in no stretch of time
_LONG = 40  # characters of a value that a message shows


def parse_number(text: str) -> float | None:
    """A finite number from its text, spaces around it allowed, or None: `nan`, `1_000`, `3,5`, `1e999` are none."""
    text = text.strip(" \t")
    if _NUMBER.fullmatch(text) is None:
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def is_number(cell: object) -> bool:
    """Whether a field is a number, or, in JSON, a list whose first value that is not missing is one."""
    return _number(first_value(cell)) is not None


def first_value(cell: object) -> object:
    """The field itself; of a list the first value in it that is not missing."""
    if not isinstance(cell, list):
        return cell
    return next((value for value in map(first_value, cell) if not is_missing(value)), None)


def is_missing(cell: object) -> bool:
    """Whether a field says that a measurement is missing."""
    return cell.strip().casefold() in MISSING if isinstance(cell, str) else is_empty(cell)


def is_decimal_comma(text: str) -> bool:
    """Whether a text is a number with a decimal comma: `3,5`, or `1.234,5` with points between thousands."""
    text = text.strip()
    return bool(_DECIMAL_COMMA.fullmatch(text) or (_GROUPED.fullmatch(text) and "," in text))


def with_decimal_point(text: str) -> str:
    """A number with a decimal comma as it is written with a point; any other text as it is."""
    return text.replace(".", "").replace(",", ".") if is_decimal_comma(text) else text


def as_measure(cell: object, column: str, place: Place) -> float:
    """A field as a finite number, NaN if it is missing. Raises DataError naming row, column and value."""
    return math.nan if is_missing(cell) else as_number(cell, column, place)


def as_number(cell: object, column: str, place: Place) -> float:
    """A field as a finite number. Raises DataError naming row, column and value."""
    value = _number(cell)
    if value is None:
        raise not_a_number(cell, f"column {column!r}", place)
    return value


def not_a_number(cell: object, where: str, place: Place) -> DataError:
    """The error for what is no number, with the number it may have meant."""
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
    """Whether there is nothing in a field: null, white space, or the NaN that stands for nothing in Parquet."""
    match cell:
        case str():
            return not cell.strip()
        case float():
            return math.isnan(cell)
        case _:
            return cell is None


def as_file(cell: object, column: str, place: Place, *, there: bool = True) -> Path:
    """A field as the path of a file, relative to that of the table. Raises DataError if it names none, and, if `there`,
    if there is none: in prediction the code that opens it says so."""
    name = as_text(cell, column, place).strip()
    path = find_file(place.file.parent / name)
    if name and "\0" not in name and (path.exists() or not there):
        return path
    raise DataError(
        f"no such file: {str(path)[:200]!r}" if name else f"column {column!r} names no file",
        file=place.file,
        line=place.line,
        expected="a file",
        hint="a path relative to the table" if name else None,
    )


@dataclass(frozen=True)
class Stretches:
    """Tags as stretches of time, (start, end, tag) in seconds; elsewhere is `NO_TAG`. It iterates over the tags."""

    marks: tuple[tuple[float, float, str], ...]

    def __iter__(self) -> Iterator[str]:
        """The tags that are there, that of elsewhere among them."""
        return iter((NO_TAG, *(tag for _, _, tag in self.marks)))

    def __len__(self) -> int:
        """How many there are."""
        return 1 + len(self.marks)

    def at(self, times: Sequence[float]) -> tuple[str, ...]:
        """The tag at each of these moments; of stretches that overlap the last counts."""
        tags = [NO_TAG] * len(times)
        for start, end, tag in self.marks:
            for i, moment in enumerate(times):
                if start - 1e-6 <= moment < end - 1e-6:
                    tags[i] = tag
        return tuple(tags)


def are_intervals(cell: object) -> bool:
    """Whether a field has tags as stretches of time, and not a tag for each step."""
    return isinstance(cell, str) and _INTERVAL.match(cell.lstrip()) is not None


def as_intervals(text: str, place: Place) -> list[tuple[float, float, str]]:
    """`0.10-0.52 speech; 1-1.3 cough`: when something begins and ends, in seconds, and its name. Raises DataError."""
    found: list[tuple[float, float, str]] = []
    for part in filter(None, (piece.strip() for piece in text.split(";"))):
        match = _INTERVAL.fullmatch(part)
        if match is None or float(match[1]) >= float(match[2]):
            raise DataError(
                f"{part[:_LONG]!r} is no stretch of time",
                file=place.file,
                line=place.line,
                expected="stretches like 0.10-0.52 speech; 1-1.3 cough",
            )
        found.append((float(match[1]), float(match[2]), match[3]))
    return found


def as_text(cell: object, column: str, place: Place) -> str:
    """A field as a text; nothing is the empty text, a number or truth value as JSON writes it. Raises DataError."""
    match cell:
        case str():
            if not cell.isascii() and _SURROGATES.search(cell):
                raise _wrong(column, f"has {_show(cell)}, half of a character", "valid Unicode text", place)
            return cell
        case _ if is_empty(cell):
            return ""
        case bool():
            return "true" if cell else "false"
        case float() if (
            cell.is_integer()
        ):  # a whole number in a column of floats, because one of them was missing
            return str(int(cell))
        case int() | float() | Decimal() | date() | time():
            return str(cell)
        case _:
            raise _wrong(column, f"has {_show(cell)}", "a text", place)


def as_label(cell: object, column: str, place: Place, expected: str = "a class") -> str:
    """A field as a name, without white space around it; a whole number as `1`, also if it is written `1.0`.

    Raises DataError if it is empty.
    """
    if is_empty(cell):
        raise _wrong(column, "is empty", expected, place)
    return whole_number(as_text(cell, column, place).strip())


def whole_number(name: str) -> str:
    """`1` for `1.0` and `1.`, as programs write it once a value of the column was missing, and `0` for `-0`; any other
    name as it is."""
    match = _WHOLE.fullmatch(name)
    if match is None:
        return name
    return match[1] if match[1].strip("+-0") else match[1].lstrip("+-")


def as_tokens(cell: object, column: str, place: Place) -> tuple[str, ...]:
    """Tokens or tags: those of a list as they are, those of a text between spaces. Raises DataError."""
    if not isinstance(cell, list):
        return tuple(split_words(as_text(cell, column, place)))
    tokens = tuple(as_text(item, column, place) for item in cell)
    if not all(tokens):
        what = f"has an empty entry at position {tokens.index('') + 1}"
        raise _wrong(column, what, "a text in each", place)
    return tokens


def as_steps(cell: object, column: str, place: Place, *, one: bool) -> Floats:
    """A field as measurements [T, n]: a number is [1, 1], a list of numbers [T, 1], a list of T lists of n [T, n]. What
    is missing is NaN.

    one: the field is a single step, so that a list of n numbers is [1, n]. Raises DataError: no number, lists of
    different lengths, none at all.
    """
    if not isinstance(cell, list):
        return np.array([[as_measure(cell, column, place)]], dtype=np.float64)
    if one:
        cell = [cell]
    lists = [item if isinstance(item, list) else [item] for item in cell]
    wide = next((t for t, item in enumerate(lists) if len(item) != len(lists[0])), None)
    if wide is not None:
        what = f"has {len(lists[wide])} numbers at step {wide + 1} and {len(lists[0])} at step 1"
        raise _wrong(column, what, "as many at each", place)
    if not lists or not lists[0]:
        raise _wrong(column, "has no numbers", "one at least", place)
    return np.array([[as_measure(v, column, place) for v in item] for item in lists], dtype=np.float64)


def as_reals(cells: Sequence[object], columns: Sequence[str], place: Place) -> tuple[float, ...]:
    """The fields of some columns as numbers, those of a list one after the other. Raises DataError."""
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
            except (OverflowError, ValueError):  # Decimal has a NaN that raises
                return None
            return value if math.isfinite(value) else None
        case _:
            return None


def _show(cell: object) -> str:
    """A value for a message; of a deep one only the beginning."""
    if isinstance(cell, str):
        return repr(cell[:_LONG])
    if isinstance(cell, list):
        return f"a list of {len(cell)}"
    if isinstance(cell, dict):
        return "an object"
    return f"bytes ({len(cell)})" if isinstance(cell, bytes) else str(cell)[:_LONG]


def _wrong(column: str, what: str, expected: str, place: Place) -> DataError:
    return DataError(f"column {column!r} {what}", file=place.file, line=place.line, expected=expected)
