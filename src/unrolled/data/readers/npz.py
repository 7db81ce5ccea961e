"""Read NumPy .npz archives: the arrays `x`, `y`, and `lengths` or `offsets` if the sequences differ in length.

x is [N, T, n_x] (or [N, T]: one number a step), or all sequences one after the other, [total, n_x] (or [total]), with
`lengths` [N] or `offsets` [N + 1].  y is [N] or [N, k], or [total] or [N, T] where a tag is asked of each step.
An `id` [N] is passed through. There are no lines: a sequence's place is its number from 1.

No pickle is ever opened, and no array is larger than what its file really holds.
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

_DEFLATE = 1032  # bytes at most that one compressed byte becomes (zlib's technical notes)
_LARGE, _DENSE = (
    1 << 30,
    100,
)  # bytes of an array that are looked at twice: how far real numbers are compressed
_HEADER = re.compile(
    r"\{'descr': *'([<>|=][a-zA-Z]\d*)', *'fortran_order': *(True|False), *'shape': *\(([\d, ]*)\),? *\}\s*"
)
_PLAIN = re.compile(r"b1|[iu][1248]|f[248]|U[1-9]\d{0,5}")
_DAMAGE = (  # what zipfile and NumPy raise for archives that are damaged, encrypted or packed in ways they do not know
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError),
    *(NotImplementedError, RuntimeError, ValueError, OverflowError),
)


@dataclass(frozen=True)
class _Arrays:
    """One file's arrays: x flat [total, n_x], sequence i being offsets[i] to offsets[i + 1]; y and id as found."""

    path: Path
    x: Array
    offsets: NDArray[np.int64]
    y: Array | None
    id: Array | None

    def __len__(self) -> int:
        return len(self.offsets) - 1


def read(paths: Sequence[Path], wanted: ReadRequest) -> Iterator[Example]:
    """The sequences of some archives, in order: x [T_x, n_x], float32 where the file has it, else float64.

    wanted.x, wanted.y and wanted.id name other arrays.  y: a class as text (whole numbers too), reals, or a tag a
    step; where nothing is asked it is what its type says, texts are classes, or tags if there is one a step.
    Raises UsageError (no such file, texts asked for), StorageError and DataError: empty file, no sequences, no
    archive, a damaged one, arrays of Python objects, arrays that do not fit each other or memory, NaN or infinity.
    """
    if not wanted.content.numeric:
        raise UsageError(".npz files hold numbers, not texts", expected="numbers:label, numbers:number ...")
    if len(wanted.x) > 1 or len(wanted.y) > 1 or wanted.by is not None:
        raise UsageError("several columns, or by, in an .npz file", expected="one array each: x=NAME,y=NAME")
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
        raise no_examples(paths, "no sequences", "one at least in x")


def write(
    path: Path, x: Sequence[Floats], y: Sequence[str] | Sequence[Sequence[float]] | None = None
) -> None:
    """Write sequences [T_x, n_x] and their y (classes or reals, one each) so that `read` gives them again.

    The file is replaced as a whole or not at all. Raises DataError where they do not fit each other, StorageError.
    """
    if not x or len({part.shape[1:] for part in x}) != 1 or x[0].ndim != 2 or not all(map(len, x)):
        raise DataError("sequences that differ in width, or none", expected="[T_x, n_x], T_x 1 or more")
    if y is not None and len(y) != len(x):
        raise DataError(f"{len(x):,} sequences and {len(y):,} y", expected="as many")
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
                raise _error(path, "an array is there twice", "each name once")

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
                raise _error(path, "no array to learn", repr(wanted.y[0] if wanted.y else "y"), hint)
            lengths, offsets, number = array("lengths"), array("offsets"), array(wanted.id or "id")
    except (OSError, *_DAMAGE) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # a place in the file that cannot be
            raise storage_error(error, path) from error
        hint = "np.savez(FILE, x=..., y=...)" if _is_one_array(path) else None
        raise _error(path, f"damaged, or no .npz archive: {error}", "what np.savez writes", hint) from error
    return _fitted(path, x, y, number, lengths, offsets)


def _is_one_array(path: Path) -> bool:
    """Whether this is an .npy file."""
    with path.open("rb") as file:
        return file.read(6) == b"\x93NUMPY"


def _array(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Array:
    """One array of an archive, of which every claim is checked before memory is taken for it."""
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & 1:
        raise _error(path, f"{info.filename} is encrypted or compressed otherwise", "np.savez_compressed")
    most = info.compress_size * (_DEFLATE if info.compress_type == zipfile.ZIP_DEFLATED else 1)
    if info.file_size > most + _DEFLATE:
        raise _error(path, f"{info.filename} claims {info.file_size:,} bytes", f"{most:,} at most")
    if info.file_size > _LARGE and info.file_size > _DENSE * info.compress_size:
        times = info.file_size // max(1, info.compress_size)
        what = f"{info.filename} unpacks to {info.file_size:,} bytes, {times:,} times its size"
        raise _error(
            path, what, f"at most {_DENSE} times", "np.savez, which does not compress, or several files"
        )
    with archive.open(info) as entry:
        dtype, shape, order, header = _header(path, info.filename, entry.read)
        size = math.prod(shape) * dtype.itemsize
        if size != info.file_size - header:
            has = f"{info.file_size - header:,} bytes"
            raise _error(path, f"{info.filename} claims {size:,} bytes for {shape} {dtype}", f"it has {has}")
        if size * 2 > memory_left():
            hint = "several smaller files"
            raise _error(path, f"{info.filename} takes {size:,} bytes", "room in memory for twice that", hint)
        data = entry.read(size)
        if len(data) < size or entry.read(1):
            raise _error(path, f"{info.filename} has {len(data):,} bytes, claims {size:,}", "a whole file")
    array = np.frombuffer(data, dtype=dtype).reshape(shape, order=order)
    if dtype.kind == "U" and size:
        points = np.frombuffer(data, dtype=np.dtype("u4").newbyteorder(dtype.byteorder))
        if ((points > 0x10FFFF) | ((points >= 0xD800) & (points < 0xE000))).any():
            raise _error(path, f"{info.filename} has what is no character", "valid Unicode text")
    return array


def _header(
    path: Path, name: str, read: Callable[[int], bytes]
) -> tuple[np.dtype[np.generic], tuple[int, ...], Literal["F", "C"], int]:
    """Type, shape, order and length of the header of an array, as np.save writes it; nothing else is let in."""
    start = read(8)
    wide = 2 if start[6:7] == b"\x01" else 4
    length = int.from_bytes(read(wide), "little")
    if start[:6] != b"\x93NUMPY" or start[6:7] not in (b"\x01", b"\x02", b"\x03") or length > 65_536:
        raise _error(path, f"{name} is not an array", "what np.savez writes")
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
    """The arrays with x flat, if they fit each other."""
    if x.dtype.kind == "U":
        raise _error(path, "x holds texts", "numbers", "a table with a column text")
    if not x.size and x.shape[:1] != (0,):  # [N, 0] takes no memory however large N is
        raise _error(path, f"x of shape {x.shape}", "1 number or more in each step")
    if lengths is not None and offsets is not None:
        raise _error(path, "both lengths and offsets", "one of them")
    if lengths is None and offsets is None:
        if x.ndim not in (2, 3):
            hint = "lengths=[...] beside it, if its sequences stand one after the other"
            raise _error(path, f"x of shape {x.shape}", "[N, T, n_x] or [N, T]", hint)
        ends = np.arange(x.shape[0] + 1, dtype=np.int64) * x.shape[1]
        x = x.reshape(x.shape[0] * x.shape[1], -1 if x.size else 1)
    else:
        if x.ndim not in (1, 2):
            raise _error(path, f"x of shape {x.shape} beside lengths or offsets", "[total, n_x] or [total]")
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
        raise _error(path, f"{name} go from {ends[0]:,} to {ends[-1]:,}", f"0 to {total:,}, the steps in x")
    return ends


def _example(arrays: _Arrays, number: int, wanted: ReadRequest) -> Example:
    begin, end = int(arrays.offsets[number]), int(arrays.offsets[number + 1])
    place = Place(arrays.path, number + 1)
    narrow = arrays.x.dtype.kind == "f" and arrays.x.dtype.itemsize <= 4
    with np.errstate(invalid="ignore"):  # a signalling NaN, which is told below
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
    """What is asked of one sequence."""
    count, place = len(arrays), Place(arrays.path, number + 1)
    one, several = y.shape == (count,), y.ndim == 2 and len(y) == count
    each: Array | None = None  # of its steps
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
    expected = f"({len(arrays.x)},), a tag a step" if asks.each else expected
    raise _error(arrays.path, f"y of shape {y.shape}", expected)


def _texts(values: Array, place: Place) -> tuple[str, ...]:
    """Classes or tags as texts; whole numbers among them, reals are none."""
    if values.dtype.kind == "f":
        if not (np.isfinite(values) & (np.floor(values) == values)).all():
            raise _error(
                place.file, "y holds reals or NaN", "classes: texts or whole numbers", line=place.line
            )
        return tuple(str(int(value)) for value in values)
    if values.dtype.kind == "b":  # as JSON and Parquet have them
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
