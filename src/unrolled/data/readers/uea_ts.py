"""Read .ts files (also gzipped) of the UEA and UCR archives of time series.

A file has header lines that begin with `@`, then one series per line.

Commas separate the values of a dimension, colons separate the dimensions. The class or the value to predict
comes last. The keywords of the header are case-insensitive. Lines that begin with `#` are comments.

A missing value (`?` or NaN, allowed by `@missing true` in the header) is replaced by the previous known value
of its dimension. Later values are not used, because they are not yet known if values arrive one by one.
Exception: missing values at the start of a series are replaced by the first known value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from unrolled.core.errors import DataError, UsageError, suggest
from unrolled.core.types import Example, Floats, Place
from unrolled.core.values.example_values import shape
from unrolled.data.fields import not_a_number, parse_number, whole_number
from unrolled.data.read_request import ReadRequest, bad_row_handler
from unrolled.data.records import bare_lines, no_examples, regular_files

_TAGS = (
    "@problemname",
    "@timestamps",
    "@missing",
    "@univariate",
    "@dimension",
    "@dimensions",
    "@equallength",
    "@serieslength",
    "@classlabel",
    "@targetlabel",
    "@data",
)


@dataclass(frozen=True)
class _Header:
    """The settings of the @ lines. None: not set."""

    missing: bool = False
    dimensions: int | None = None
    equal: bool = False
    length: int | None = None
    classes: tuple[str, ...] | None = None
    target: bool = False
    data: bool = False


def read(paths: Sequence[Path], wanted: ReadRequest) -> Iterator[Example]:
    """Yield the series of files, in order, each with its line.

    x: [T_x, dimensions] float64.
    y: the class as text, or one real number in a file with `@targetLabel true`.
    Up to `skip_bad` bad series are skipped.

    Raises UsageError if a file does not exist, or if the request does not fit .ts files. Raises StorageError
    if a file cannot be read. Raises DataError for:
    - an empty file, no examples, or an invalid header;
    - a header without the requested target (classes or values to predict);
    - series with time stamps, or values that are not finite numbers;
    - a number of dimensions that differs from the header or, if it is not declared, from the first series;
    - dimensions of one series with different lengths;
    - with `@equalLength true`, a length that differs from the header or, if it is not declared, from the
      first series;
    - a class that is not declared.
    """
    if not wanted.content.numeric:
        raise UsageError(".ts files hold numbers, not texts", expected="numbers:label or numbers:number")
    if wanted.asks.each:
        raise UsageError(
            ".ts files hold one class per series, not one tag per step", expected="numbers:label"
        )
    if wanted.x or wanted.y or wanted.id or wanted.by:
        raise UsageError(".ts files have no columns", expected="no --columns")
    bad = bad_row_handler(wanted)
    found = False
    for path in regular_files(paths, "a header of @ lines and series"):
        for example in _series(path, wanted, bad):
            found = True
            yield example
    if not found:
        raise no_examples(paths, "no series", "a line @data and one series on each line after it")


def _series(path: Path, wanted: ReadRequest, bad: Callable[[DataError], bool]) -> Iterator[Example]:
    header = _Header()
    for number, line in bare_lines(path, wanted.files.encoding):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        place = Place(path, number)
        if not header.data:
            if not line.startswith("@"):
                raise _error(f"{line[:30]!r} before @data", "a header of @ lines", place)
            header = _headed(header, line, place)
            if header.data:
                _check_target(header, wanted, place)
            continue
        try:
            example = _example(line, header, place)
        except DataError as error:
            if not bad(error) or wanted.keep_bad:
                yield Example(None, None, place, fault=error)
            continue
        if header.dimensions is None or (header.equal and header.length is None):
            steps, dimensions = shape(example.x)
            header = replace(header, dimensions=dimensions, length=steps if header.equal else None)
        yield replace(example, y=None) if wanted.asks.ahead else example


def _headed(header: _Header, line: str, place: Place) -> _Header:
    """Return the header with the settings of one more line."""
    tag, *words = line.split()
    match tag.lower():
        case "@problemname":
            return header
        case "@timestamps":
            if _flag(tag, words, place):
                expected, hint = "values at equal time steps", "resampling the series, with @timeStamps false"
                raise _error("series with time stamps, (time, value)", expected, place, hint)
            return header
        case "@missing":
            return replace(header, missing=_flag(tag, words, place))
        case "@univariate":
            return replace(header, dimensions=1) if _flag(tag, words, place) else header
        case "@dimension" | "@dimensions":
            return replace(header, dimensions=_count(tag, words, place))
        case "@equallength":
            return replace(header, equal=_flag(tag, words, place))
        case "@serieslength":
            return replace(header, length=_count(tag, words, place))
        case "@classlabel":
            if _flag(tag, words[:1], place):
                if len(words) < 2:
                    raise _error("@classLabel true without classes", "the class names after it", place)
                return replace(header, classes=tuple(words[1:]))
            return header
        case "@targetlabel":
            return replace(header, target=_flag(tag, words[:1], place))
        case "@data":
            return replace(header, data=True)
        case name:
            raise _error(f"unknown {tag[:30]!r}", "a header line of a .ts file", place, suggest(name, _TAGS))


def _flag(tag: str, words: list[str], place: Place) -> bool:
    if len(words) != 1 or words[0].lower() not in ("true", "false"):
        raise _error(f"{tag} {' '.join(words)[:30]}", "true or false", place)
    return words[0].lower() == "true"


def _count(tag: str, words: list[str], place: Place) -> int:
    text = words[0] if len(words) == 1 else ""
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text)):
        raise _error(f"{tag} {' '.join(words)[:30]}", "a whole number, 1 or more", place)
    return int(text)


def _check_target(header: _Header, wanted: ReadRequest, place: Place) -> None:
    """Raise DataError if the header does not declare the requested target."""
    if header.target and header.classes is not None:
        raise _error("@classLabel and @targetLabel are both true", "one of them", place)
    if wanted.asks.one_class and header.classes is None:
        hint = "numbers:number" if header.target else None
        raise _error("series without classes", "@classLabel true and the classes", place, hint)
    if wanted.asks.reals and not header.target:
        hint = "numbers:label" if header.classes is not None else None
        raise _error("series without a value to predict", "@targetLabel true", place, hint)


def _example(line: str, header: _Header, place: Place) -> Example:
    *dimensions, last = line.split(":")
    y: str | tuple[float, ...] | None = None
    if header.classes is not None:
        y = last.strip()
        if y not in header.classes:
            shown = " ".join(header.classes[:20]) + " ..." * (len(header.classes) > 20)
            what, expected = f"class {y[:40]!r} is not declared", f"one of {shown} at the end of the line"
            raise _error(what, expected, place, suggest(y[:40], header.classes))
        y = whole_number(y)
    elif header.target:
        value = parse_number(last)
        if value is None:
            raise not_a_number(last, "the value to predict", place)
        y = (value,)
    else:
        dimensions.append(last)
    known = header.dimensions
    if not dimensions or (known is not None and len(dimensions) != known):
        expected = f"{known}" if known is not None else "at least 1, and the class"
        raise _error(f"{len(dimensions)} dimensions", expected, place)
    columns = [_values(text, number, header, place) for number, text in enumerate(dimensions, 1)]
    for number, column in enumerate(columns, 1):
        expected = header.length if header.equal and header.length is not None else len(columns[0])
        if len(column) != expected:
            raise _error(f"dimension {number} has {len(column):,} values", f"{expected:,}", place)
    return Example(np.stack(columns, axis=1), y, place)


def _values(text: str, dimension: int, header: _Header, place: Place) -> Floats:
    """Return the values of one dimension, [T_x], with missing values filled."""
    if text.lstrip().startswith("("):
        hint = "resampling the series"
        raise _error("a value with a time stamp, (time, value)", "values at equal time steps", place, hint)
    texts = text.split(",")
    values = list(map(parse_number, texts))
    if None not in values:
        return np.array(values, dtype=np.float64)
    known: list[float] = [value for value in values if value is not None]
    filled: list[float] = []
    for position, (value, written) in enumerate(zip(values, texts, strict=True), 1):
        if value is None:
            where = f"value {position:,} of dimension {dimension}"
            if written.strip().lower() not in ("?", "nan"):
                raise not_a_number(written, where, place)
            if not header.missing:
                raise _error(f"{where} is missing", "@missing true in the header", place)
            if not known:
                raise _error(f"dimension {dimension} has only missing values", "at least one value", place)
            value = filled[-1] if filled else known[0]
        filled.append(value)
    return np.array(filled, dtype=np.float64)


def _error(what: str, expected: str, place: Place, hint: str | None = None) -> DataError:
    return DataError(what, file=place.file, line=place.line, expected=expected, hint=hint)
