"""Read NumPy .npz archives: arrays `x`, `y`, and `lengths` or `offsets` for sequences of different lengths.

x has one of two layouts:
- [N, T, n_x], or [N, T] with one number per step.
- All sequences concatenated, [total, n_x] or [total], with `lengths` [N] or `offsets` [N + 1].

y is [N] or [N, k]. If each step has a tag, it is [total] or [N, T]. An array `id` [N] is passed on. The line
of a sequence is its number, from 1.

A pickle is never opened. The claimed size of an array is checked against its file before memory is allocated.
"""

from __future__ import annotations

import errno
import io
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from unrolled.core.atomic_files import storage_error, write_atomically
from unrolled.core.errors import DataError, UsageError, suggest
from unrolled.core.system import memory_left
from unrolled.core.types import Array, Example, Floats, Place
from unrolled.data.fields import whole_number
from unrolled.data.read_request import ReadRequest, bad_row_handler
from unrolled.data.records import no_examples, regular_files

_DEFLATE = 1032  # maximum bytes that one compressed byte can become (technical notes of zlib)
_LARGE, _DENSE = (
    1 << 30,
    100,
)  # maximum compression ratio of arrays over _LARGE bytes is _DENSE; measured numbers compress less
_HEADER = re.compile(
    r"\{'descr': *'([<>|=][a-zA-Z]\d*)', *'fortran_order': *(True|False), *'shape': *\(([\d, ]*)\),? *\}\s*"
)
_PLAIN = re.compile(r"b1|[iu][1248]|f[248]|U[1-9]\d{0,5}")
_DAMAGE = (  # errors of zipfile and NumPy for damaged or encrypted archives and unknown compression
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError),
    *(NotImplementedError, RuntimeError, ValueError, OverflowError),
)


@dataclass(frozen=True)
class _Arrays:
    """The arrays of one file.

    x: all sequences concatenated, [total, n_x]; sequence i is x[offsets[i]:offsets[i + 1]].  y, id:
    unchanged.
    """

    path: Path
    x: Array
    offsets: NDArray[np.int64]
    y: Array | None
    id: Array | None

    def __len__(self) -> int:
        return len(self.offsets) - 1


def read(paths: Sequence[Path], wanted: ReadRequest) -> Iterator[Example]:
    """Yield the sequences of archives, in order.

    wanted.x, wanted.y, wanted.id: names of other arrays.
    x: [T_x, n_x], float32 if the array has floats of at most 32 bits, else float64.
    y: a class as text (also for whole numbers), real numbers, or one tag per step. In prediction it depends
    on the type of the array: texts are classes, or tags if there is one per step; numbers are reals.

    Raises UsageError if a file does not exist or the request is for texts. Raises StorageError if a file
    cannot be read. Raises DataError for an empty file, no sequences, a file that is no archive, a damaged
    archive, arrays of Python objects, arrays that do not match each other or do not fit into memory, infinity
    in x, or NaN or infinity in y.
    """
    if not wanted.content.numeric:
        raise UsageError(".npz files hold numbers, not texts", expected="numbers:label, numbers:number ...")
    if len(wanted.x) > 1 or len(wanted.y) > 1 or wanted.by is not None:
        raise UsageError(
            ".npz files do not support several columns or by", expected="one array each: x=NAME,y=NAME"
        )
    bad = bad_row_handler(wanted)
    found = False
    for path in regular_files(paths, "an .npz archive"):
        arrays = _open(path, wanted)
        for number in range(len(arrays)):
            try:
                example = _example(arrays, number, wanted)
            except DataError as error:
                bad(error)
                continue
            found = True
            yield example
    if not found:
        raise no_examples(paths, "no sequences", "at least one in x")


def write(
    path: Path, x: Sequence[Floats], y: Sequence[str] | Sequence[Sequence[float]] | None = None
) -> None:
    """Write sequences [T_x, n_x] and their y (one class or one list of reals each) to an archive for `read`.

    The file is replaced atomically. Raises DataError if the sequences differ in width or x and y do not
    match, and StorageError if the file cannot be written.
    """
    if not x or len({part.shape[1:] for part in x}) != 1 or x[0].ndim != 2 or not all(map(len, x)):
        raise DataError(
            "no sequences, or sequences with different shapes", expected="[T_x, n_x] with T_x of 1 or more"
        )
    if y is not None and len(y) != len(x):
        raise DataError(f"{len(x):,} sequences and {len(y):,} y", expected="the same number")
    flat, lengths, stream = np.concatenate(x), [len(part) for part in x], io.BytesIO()
    if y is None:
        np.savez_compressed(stream, x=flat, lengths=lengths)
    else:
        np.savez_compressed(stream, x=flat, lengths=lengths, y=np.array(y))
    write_atomically(path, stream.getbuffer())


def _open(path: Path, wanted: ReadRequest) -> _Arrays:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            if len(entries) < len(archive.infolist()):
                raise _error(path, "two arrays have the same name", "each name once")

            def array(name: str | None) -> Array | None:
                return None if name not in entries else _array(path, archive, entries[name])

            x_name = wanted.x[0] if wanted.x else "x"
            x = array(x_name)
            if x is None:
                names = ", ".join(map(repr, list(entries)[:20])) or "none"
                what, hint = f"no array {x_name!r}", suggest(x_name, entries) or "--columns x=NAME"
                raise _error(path, what, f"one of {names}", hint)
            y = None if wanted.asks.ahead else array(wanted.y[0] if wanted.y else "y")
            if y is None and wanted.target is not None and not wanted.asks.ahead:
                hint = suggest(wanted.y[0], entries) if wanted.y else "--columns y=NAME"
                raise _error(path, "no array for y", repr(wanted.y[0] if wanted.y else "y"), hint)
            lengths, offsets, number = array("lengths"), array("offsets"), array(wanted.id or "id")
    except (OSError, *_DAMAGE) as error:
        if (
            isinstance(error, OSError) and error.errno != errno.EINVAL
        ):  # EINVAL: an impossible offset (damage)
            raise storage_error(error, path) from error
        hint = "np.savez(FILE, x=..., y=...)" if _is_one_array(path) else None
        raise _error(path, f"damaged, or no .npz archive: {error}", "a file of np.savez", hint) from error
    return _fitted(path, x, y, number, lengths, offsets)


def _is_one_array(path: Path) -> bool:
    """Whether a file is an .npy file (a single array)."""
    with path.open("rb") as file:
        return file.read(6) == b"\x93NUMPY"


def _array(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Array:
    """Read one array of an archive. Its claimed sizes are checked before memory is allocated."""
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & 1:
        raise _error(
            path,
            f"{info.filename} is encrypted or has an unknown compression",
            "a file of np.savez_compressed",
        )
    most = info.compress_size * (_DEFLATE if info.compress_type == zipfile.ZIP_DEFLATED else 1)
    if info.file_size > most + _DEFLATE:
        raise _error(path, f"{info.filename} claims {info.file_size:,} bytes", f"at most {most:,}")
    if info.file_size > _LARGE and info.file_size > _DENSE * info.compress_size:
        times = info.file_size // max(1, info.compress_size)
        what = f"{info.filename} unpacks to {info.file_size:,} bytes, {times:,} times its size"
        raise _error(
            path,
            what,
            f"at most {_DENSE} times",
            "np.savez, which does not compress, or several smaller files",
        )
    with archive.open(info) as entry:
        dtype, shape, order, header = _header(path, info.filename, entry.read)
        size = math.prod(shape) * dtype.itemsize
        if size != info.file_size - header:
            has = f"{info.file_size - header:,} bytes"
            raise _error(
                path, f"{info.filename} claims {size:,} bytes for {shape} {dtype}", f"{has}, as in the file"
            )
        if size * 2 > memory_left():
            hint = "several smaller files"
            raise _error(path, f"{info.filename} has {size:,} bytes", "free memory for twice that size", hint)
        data = entry.read(size)
        if len(data) < size or entry.read(1):
            raise _error(path, f"{info.filename} has {len(data):,} bytes, claims {size:,}", "a complete file")
    array = np.frombuffer(data, dtype=dtype).reshape(shape, order=order)
    if dtype.kind == "U" and size:
        points = np.frombuffer(data, dtype=np.dtype("u4").newbyteorder(dtype.byteorder))
        if ((points > 0x10FFFF) | ((points >= 0xD800) & (points < 0xE000))).any():
            raise _error(path, f"{info.filename} has invalid characters", "valid Unicode text")
    return array


def _header(
    path: Path, name: str, read: Callable[[int], bytes]
) -> tuple[np.dtype[np.generic], tuple[int, ...], Literal["F", "C"], int]:
    """Parse the header of an array as np.save writes it. Return type, shape, memory order and header length.

    Raises DataError for anything else.
    """
    start = read(8)
    wide = 2 if start[6:7] == b"\x01" else 4
    length = int.from_bytes(read(wide), "little")
    if start[:6] != b"\x93NUMPY" or start[6:7] not in (b"\x01", b"\x02", b"\x03") or length > 65_536:
        raise _error(path, f"{name} is not an array", "an array of np.savez")
    text = read(length).decode("latin-1")
    if "'|O'" in text:
        hint = "np.savez(FILE, x=np.concatenate(x), lengths=[len(s) for s in x], y=np.array(y, dtype=str))"
        raise _error(path, f"{name} holds Python objects, which are never opened", "numbers or texts", hint)
    match = _HEADER.fullmatch(text)
    if match is None or _PLAIN.fullmatch(match[1][1:]) is None:
        raise _error(path, f"{name} holds {text[:60].strip()!r}", "plain numbers or texts")
    shape = tuple(int(part) for part in match[3].replace(" ", "").split(",") if part)
    return np.dtype(match[1]), shape, "F" if match[2] == "True" else "C", 8 + wide + length


def _fitted(
    path: Path,
    x: Array,
    y: Array | None,
    number: Array | None,
    lengths: Array | None,
    offsets: Array | None,
) -> _Arrays:
    """Convert x to [total, n_x] with offsets, and check that the arrays match each other.

    Raises DataError if they do not.
    """
    if x.dtype.kind == "U":
        raise _error(path, "x holds texts", "numbers", "a table with a column text")
    if not x.size and x.shape[:1] != (0,):  # [N, 0] needs no memory, so its N could be arbitrarily large
        raise _error(path, f"x of shape {x.shape}", "1 number or more in each step")
    if lengths is not None and offsets is not None:
        raise _error(path, "both lengths and offsets", "one of them")
    if lengths is None and offsets is None:
        if x.ndim not in (2, 3):
            hint = "lengths=[...], if x has all sequences concatenated"
            raise _error(path, f"x of shape {x.shape}", "[N, T, n_x] or [N, T]", hint)
        ends = np.arange(x.shape[0] + 1, dtype=np.int64) * x.shape[1]
        x = x.reshape(x.shape[0] * x.shape[1], -1 if x.size else 1)
    else:
        if x.ndim not in (1, 2):
            raise _error(path, f"x of shape {x.shape} with lengths or offsets", "[total, n_x] or [total]")
        x = x.reshape(len(x), -1 if x.size else 1)
        ends = _offsets(path, lengths, offsets, len(x))
    count = len(ends) - 1
    if count and (np.diff(ends) < 1).any():
        empty = int(np.argmax(np.diff(ends) < 1)) + 1
        raise _error(path, "a sequence without steps", "1 step or more in each", line=empty)
    if number is not None and number.shape != (count,):
        raise _error(path, f"id of shape {number.shape}", f"({count},)")
    return _Arrays(path, x, ends, y, number)


def _offsets(path: Path, lengths: Array | None, offsets: Array | None, total: int) -> NDArray[np.int64]:
    name, array = ("lengths", lengths) if lengths is not None else ("offsets", offsets)
    assert array is not None
    if array.ndim != 1 or array.dtype.kind not in "iu" or (name == "offsets" and not len(array)):
        raise _error(path, f"{name} of shape {array.shape} {array.dtype}", "whole numbers [N]")
    wrong = (array > total) | (array < 0)
    if wrong.any():
        index = int(np.argmax(wrong))
        raise _error(path, f"{name}[{index}] is {array[index]}", f"0 to {total:,}, the steps in x")
    ends = np.concatenate([[0], np.cumsum(array.astype(np.int64))]) if name == "lengths" else array
    ends = ends.astype(np.int64)
    if ends[0] != 0 or ends[-1] != total:
        raise _error(
            path, f"{name} select steps {ends[0]:,} to {ends[-1]:,} of x", f"0 to {total:,}, all steps"
        )
    return ends


def _example(arrays: _Arrays, number: int, wanted: ReadRequest) -> Example:
    begin, end = int(arrays.offsets[number]), int(arrays.offsets[number + 1])
    place = Place(arrays.path, number + 1)
    narrow = arrays.x.dtype.kind == "f" and arrays.x.dtype.itemsize <= 4
    with np.errstate(invalid="ignore"):  # converting a signalling NaN would warn
        x = arrays.x[begin:end].astype(np.float32 if narrow else np.float64)
    if np.isinf(x).any():  # NaN is a missing number
        step, column = np.argwhere(np.isinf(x))[0].tolist()
        what = f"step {step + 1}, number {column + 1} of the sequence is {x[step, column]}"
        raise _error(arrays.path, what, "finite numbers, or NaN", line=number + 1)
    y = None if arrays.y is None else _y(arrays, arrays.y, number, slice(begin, end), wanted)
    key = None if arrays.id is None else _texts(arrays.id[number : number + 1], place)[0]
    return Example(x, y, place, key)


def _y(
    arrays: _Arrays, y: Array, number: int, steps: slice, wanted: ReadRequest
) -> str | tuple[str, ...] | tuple[float, ...] | None:
    """Return the target y of one sequence; None in prediction if y has none of the known shapes."""
    count, place = len(arrays), Place(arrays.path, number + 1)
    one, several = y.shape == (count,), y.ndim == 2 and len(y) == count
    each: Array | None = None  # one y per step
    if y.shape == (len(arrays.x),):
        each = y[steps]
    elif y.shape == (count, steps.stop - steps.start):
        each = y[number]
    asks, named = wanted.asks, y.dtype.kind == "U"
    if one and (asks.one_class or (wanted.target is None and named)):
        return _texts(y[number : number + 1], place)[0] if asks.one_class else str(y[number])
    if (one or several) and (asks.reals or (wanted.target is None and not named)):
        return _reals(y[number].reshape(-1), place)
    if each is not None and (asks.each or wanted.target is None):
        return _texts(each, place)
    if wanted.target is None:
        return None
    expected = f"({count},)" if asks.one_class else f"({count},) or ({count}, k)"
    expected = f"({len(arrays.x)},), one tag per step" if asks.each else expected
    raise _error(arrays.path, f"y of shape {y.shape}", expected)


def _texts(values: Array, place: Place) -> tuple[str, ...]:
    """Convert classes or tags to texts. Whole numbers and booleans are allowed, other numbers are not."""
    if values.dtype.kind == "f":
        if not (np.isfinite(values) & (np.floor(values) == values)).all():
            raise _error(
                place.file, "y holds reals or NaN", "classes: texts or whole numbers", line=place.line
            )
        return tuple(str(int(value)) for value in values)
    if values.dtype.kind == "b":  # the same names as in JSON and Parquet tables
        return tuple("true" if value else "false" for value in values)
    texts = tuple(whole_number(str(value)) for value in values)
    if not all(texts):
        raise _error(place.file, "y is empty", "a class", line=place.line)
    return texts


def _reals(values: Array, place: Place) -> tuple[float, ...]:
    if values.dtype.kind == "U" or not len(values) or not np.isfinite(values).all():
        shown = values.tolist()[:5]
        raise _error(place.file, f"y is {shown}", "finite numbers", line=place.line)
    return tuple(float(value) for value in values)


def _error(
    path: Path, what: str, expected: str, hint: str | None = None, line: int | None = None
) -> DataError:
    return DataError(what, file=path, line=line, expected=expected, hint=hint)
