"""Named tensors and one JSON document in a safetensors file, with checksums that detect every flipped bit.

Any safetensors reader can open the file. Layout:
1. The length of the header: 8 bytes, little-endian.
2. The header: canonical JSON. It begins with `__metadata__`, which has two keys:
   - `header_sha256`: the checksum of the whole header, with these 64 digits set to zero.
   - `unrolled`: a canonical JSON document with `kind`, `format`, a `sha256` per tensor, and the caller's
     keys.
3. The bytes of the tensors, without gaps.

Limits are checked before memory is allocated. Nothing in a file is ever executed.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from unrolled.core.atomic_files import opening_error
from unrolled.core.errors import DataError, NonFiniteError, UsageError
from unrolled.core.regular_files import open_regular
from unrolled.core.types import Array
from unrolled.core.values.json_values import as_object, as_plain

HEADER_LIMIT = 32 << 20  # bytes; enough for a vocabulary of about 1.5 million words
VALUE_LIMIT = 4_000_000  # commas in a header, which is about the number of values; each needs up to 60 bytes
CONTAINER_LIMIT = 100_000  # JSON lists and objects in a header; each needs 60 to 200 bytes of memory
DEPTH_LIMIT = 32  # nesting depth of JSON
NAME_LIMIT = 200  # characters of the name of a tensor
RANK_LIMIT = 8  # dimensions of a tensor
DTYPES = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U64": np.dtype("<u8"),
    "U32": np.dtype("<u4"),
    "U16": np.dtype("<u2"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
CODES = {dtype: code for code, dtype in DTYPES.items()}
STEPS = np.zeros(256, np.int8)
STEPS[[ord("["), ord("{")]], STEPS[[ord("]"), ord("}")]] = 1, -1
NAME = re.compile(r"[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*")
HEADER_START = b'{"__metadata__":{"header_sha256":"'
ZEROS = b"0" * 64

# The first bytes of other formats, for the message about a wrong file. The first match is reported.
FOREIGN = (
    (
        rb"PK\x03\x04.{26}[^/]{1,200}/(?:data\.pkl|version|byteorder|\.format_version)",
        "a PyTorch file (zip)",
    ),
    (rb"PK\x03\x04.{26}(?:metadata\.json|config\.json|model\.weights\.h5)", "a Keras file (zip)"),
    (rb"PK\x03\x04.{26}[^/]{1,200}\.npy", "a NumPy .npz file (zip)"),
    (rb"PK[\x03\x05]", "a zip archive"),
    (rb"\x80[\x02-\x05]\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8", "an old PyTorch file (pickle)"),
    (rb"\x80[\x02-\x05]|\((?:lp|dp|I)|c[\w.]+\n\w+\n|\]q|\}q", "a Python pickle"),
    (rb"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras .h5)"),
    (rb"GGUF", "a GGUF file"),
    (rb"\x08[\x01-\x14](?:\x12|\x1a|\x22|\x3a|\x42)", "an ONNX file"),
    (rb".{4}TFL3", "a TensorFlow Lite file"),
    (rb"\x93NUMPY", "a NumPy .npy file"),
    (rb"\x1f\x8b", "a gzip file"),
    (rb"RIFF.{4}WAVE", "a WAV file"),
    (rb"version https://git-lfs", "a Git LFS pointer"),
    (rb"\s*<(?i:!doctype|html)", "an HTML page"),
    (rb'\s*(?:\{\s*["}]|\[\s*[\]\[{"\-\dtfn])', "a JSON text"),
    (rb"[\t\n\r\x20-\x7e]{8}", "a text"),
)


@dataclass(frozen=True)
class Entry:
    """The position of a tensor in the file. start, stop: in bytes after the header."""

    name: str
    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]
    start: int
    stop: int


def canonical(document: object) -> str:
    """Return `document` as canonical JSON: sorted keys, no spaces, unescaped characters, finite numbers.

    Raises ValueError or TypeError for values that JSON does not have.
    """
    return json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def parse(data: bytes) -> object:
    """Parse `data` as JSON.

    Raises ValueError for duplicate keys, NaN, infinite numbers, deep nesting and too many values.
    """
    marks = np.frombuffer(data.replace(rb"\\", b"").replace(rb"\"", b""), np.uint8)
    in_string = np.bitwise_xor.accumulate((marks == ord('"')).view(np.uint8))
    steps = STEPS[marks[in_string == 0]]  # +1 at the start of a list or object, -1 at its end
    depth = int(np.cumsum(steps[steps != 0], dtype=np.int32).max(initial=0))
    if depth > DEPTH_LIMIT:
        raise ValueError(f"nested {depth:,} levels deep, at most {DEPTH_LIMIT} are allowed")
    containers, values = int((steps == 1).sum()), data.count(b",")
    if containers > CONTAINER_LIMIT or values > VALUE_LIMIT:
        raise ValueError(f"{containers:,} lists and {values:,} commas are more than unrolled ever writes")
    return json.loads(
        data.decode(), object_pairs_hook=_without_duplicates, parse_constant=_no_constant, parse_float=_finite
    )


def pack(
    kind: str, version: int, document: Mapping[str, object], tensors: Mapping[str, Array]
) -> list[bytes | memoryview]:
    """Return the pieces of a file, to be written one after the other.

    The bytes of the tensors are not copied.
    kind, version: the kind of the file, and its format version. document: the JSON document.
    Raises UsageError for names and tensors that the format does not support.
    Raises NonFiniteError with the name of the tensor if it contains NaN or infinity.
    """
    names = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))  # aligned without gaps
    arrays = {name: _storable(name, tensors[name]) for name in names}
    views = {name: array.reshape(-1).view(np.uint8).data for name, array in arrays.items()}
    hashes = {name: hashlib.sha256(view).hexdigest() for name, view in views.items()}
    entries: dict[str, object] = {}
    stop = 0
    for name, array in arrays.items():
        start, stop = stop, stop + array.nbytes
        entries[name] = {
            "dtype": CODES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [start, stop],
        }
    try:
        text = canonical({**document, "kind": kind, "format": version, "sha256": hashes})
        metadata = {"__metadata__": {"header_sha256": ZEROS.decode(), "unrolled": text}}
        raw = json.dumps(metadata | entries, ensure_ascii=False, separators=(",", ":")).encode()
        for part in (raw, text.encode()):
            parse(part)  # what `read` would refuse is not written either
    except (ValueError, TypeError) as error:
        raise UsageError(f"the {kind}'s header cannot be written as JSON: {error}") from error
    raw += b" " * (-len(raw) % 8)  # the data begins at a multiple of 8, as the reference writer does it
    if len(raw) > HEADER_LIMIT:
        what = f"the {kind}'s header takes {len(raw):,} bytes, at most {HEADER_LIMIT:,} are allowed"
        raise UsageError(what, hint="a smaller --vocab-size")
    start, stop = len(HEADER_START), len(HEADER_START) + len(ZEROS)
    raw = raw[:start] + hashlib.sha256(raw).hexdigest().encode() + raw[stop:]
    return [len(raw).to_bytes(8, "little"), raw, *views.values()]


def read(path: Path, kind: str, version: int) -> tuple[dict[str, object], dict[str, Array]]:
    """Read and verify a file. Return its document (without `kind` and `sha256`) and its tensors (read-only).

    version: the newest format version of this `kind` that the caller supports.
    Raises DataError if the file is damaged, with the name of the tensor or `header`. Raises UsageError if the
    file does not exist, StorageError if it cannot be read.
    """
    path = Path(path)
    try:
        with open_regular(path) as stream:
            raw = _header(stream, os.fstat(stream.fileno()).st_size, path)
            header, document = _documents(raw, path)
            _expect_kind(document, kind, version, path)
            size = os.fstat(stream.fileno()).st_size - 8 - len(raw)
            entries = _entries(header, document, size, path)
            data = stream.read(size)  # after the checks, so `size` is not larger than the file
    except OSError as error:
        raise opening_error(error, path) from error
    hashes = as_object(document["sha256"])  # `_entries` has checked that each tensor has one
    tensors = {entry.name: _tensor(entry, data, hashes[entry.name], path) for entry in entries}
    return {key: value for key, value in document.items() if key not in ("kind", "sha256")}, tensors


def begins_as_ours(start: bytes) -> bool:
    """Whether these are the first 64 bytes of a file in this format."""
    return start[8:].startswith(HEADER_START)


def damaged(what: str, file: Path, hint: str | None = "another copy of the file") -> DataError:
    """Return the error for a damaged file."""
    return DataError(f"is damaged: {what}", file=file, hint=hint)


def _storable(name: str, array: Array) -> Array:
    """Return `array` as a little-endian, contiguous array.

    Raises an error if it cannot be stored; see `pack`.
    """
    if not NAME.fullmatch(name) or len(name) > NAME_LIMIT or name == "__metadata__":
        raise UsageError(
            f"'{name[:80]}' is not a valid name of a tensor", expected="letters, digits and _, joined by dots"
        )
    array = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
    if array.dtype not in CODES or array.size == 0 or array.ndim > RANK_LIMIT:
        expected = f"at least one number of {', '.join(CODES.values())} in at most {RANK_LIMIT} dimensions"
        raise UsageError(f"tensor '{name}' is {array.dtype} {list(array.shape)}", expected=expected)
    if not _is_finite(array):
        raise NonFiniteError(f"tensor '{name}' holds NaN or infinity; not written")
    return array


def _is_finite(array: Array) -> bool:
    # Minimum and maximum propagate NaN, and need no second array of this size.
    return array.dtype.kind != "f" or bool(np.isfinite(array.min()) and np.isfinite(array.max()))


def _header(stream: BinaryIO, size: int, file: Path) -> bytes:
    """Return the raw header, after its checksum was verified."""
    start = stream.read(1024)
    if not start:
        raise DataError("empty file", file=file, expected="a file written by unrolled")
    length = int.from_bytes(start[:8], "little")
    # A single flipped bit cannot damage both the length and the brace after it. If both are wrong, this is
    # another format, not a damaged file.
    if len(start) < 8 or (length > min(HEADER_LIMIT, size - 8) and start[8:9] != b"{"):
        names = (name for pattern, name in FOREIGN if re.match(pattern, start, re.DOTALL))
        default = f"truncated after {size} bytes" if size < 8 else f"something that begins with {start[:8]!r}"
        what = f"not a file of unrolled: {next(names, default)}; no code in it was run"
        raise DataError(what, file=file, expected="a file written by unrolled")
    if length > HEADER_LIMIT:
        raise damaged(f"header claims {length:,} bytes, at most {HEADER_LIMIT:,} are allowed", file)
    if length > size - 8:
        raise damaged(
            f"header claims {length:,} bytes, the file has {max(0, size - 8):,} after it begins", file
        )
    raw = start[8 : 8 + length] + stream.read(max(0, length - (len(start) - 8)))
    stream.seek(8 + length)
    return _verified_header(raw, file)


def _verified_header(raw: bytes, file: Path) -> bytes:
    start, stop = len(HEADER_START), len(HEADER_START) + len(ZEROS)
    if not raw.startswith(HEADER_START):
        what = "its header is not one of unrolled: it is damaged, or a safetensors file of another program"
        raise DataError(what, file=file, expected="a file written by unrolled")
    if hashlib.sha256(raw[:start] + ZEROS + raw[stop:]).hexdigest().encode() != raw[start:stop]:
        raise damaged("header does not match its checksum", file)
    return raw


def _documents(raw: bytes, file: Path) -> tuple[dict[str, object], dict[str, object]]:
    """Return the header without `__metadata__`, and the document in `__metadata__`."""
    try:
        header = as_object(parse(raw))
        metadata = as_object(header.pop("__metadata__"))
        if metadata.keys() != {"header_sha256", "unrolled"}:
            raise ValueError("__metadata__ holds other keys than header_sha256 and unrolled")
        document = parse(as_plain(str, metadata["unrolled"]).encode())
        if not isinstance(document, dict):
            raise ValueError("its document is no JSON object")
    except (ValueError, TypeError, KeyError) as error:
        raise damaged(f"header is not as unrolled writes it: {error}", file) from error
    return header, document


def _expect_kind(document: dict[str, object], kind: str, version: int, file: Path) -> None:
    found, format_ = document.get("kind"), document.get("format")
    if found != kind:
        raise DataError(f"header says this is a {found!s:.40}, not a {kind}", file=file, expected=f"a {kind}")
    if type(format_) is not int or format_ < 1:
        raise damaged(f"header has {format_!r:.40} instead of a format version", file)
    if format_ > version:
        what = f"header says format {format_}; this release reads up to format {version}"
        raise DataError(what, file=file, hint="pip install --upgrade unrolled")


def _entries(header: dict[str, object], document: dict[str, object], size: int, file: Path) -> list[Entry]:
    """Return the tensors in the order of their bytes.

    They must fill the `size` bytes after the header exactly.
    """
    hashes = document.get("sha256")
    if type(hashes) is not dict or hashes.keys() != header.keys():
        raise damaged("header does not have exactly one checksum per tensor", file)
    entries = sorted((_entry(name, header[name], file) for name in header), key=lambda entry: entry.start)
    stop = 0
    for entry in entries:
        if entry.start != stop:
            trouble = "overlaps the one before" if entry.start < stop else "leaves a hole before it"
            raise damaged(f"tensor '{entry.name}' {trouble} ({entry.start:,}, not {stop:,})", file)
        stop = entry.stop
        if stop > size:
            what = (
                f"truncated: tensor '{entry.name}' ends at byte {stop:,} of the data, the file has {size:,}"
            )
            raise damaged(what, file)
    if stop < size:
        raise damaged(f"{size - stop:,} bytes follow the last tensor that the header names", file)
    return entries


def _entry(name: str, fields: object, file: Path) -> Entry:
    """Return one tensor of the header, after all its fields were checked."""
    if not NAME.fullmatch(name) or len(name) > NAME_LIMIT:
        raise damaged(f"header names a tensor {name[:80]!r}", file)
    if type(fields) is not dict or fields.keys() != {"dtype", "shape", "data_offsets"}:
        raise damaged(f"header: tensor '{name}' needs exactly dtype, shape and data_offsets", file)
    dtype, shape, offsets = DTYPES.get(str(fields["dtype"])), fields["shape"], fields["data_offsets"]
    if dtype is None:
        raise damaged(f"header: tensor '{name}' has the unknown dtype {fields['dtype']!r:.40}", file)
    if not (_are_integers(shape, 1) and len(shape) <= RANK_LIMIT):
        raise damaged(f"header: tensor '{name}' has the impossible shape {shape!r:.80}", file)
    if not (_are_integers(offsets, 0) and len(offsets) == 2 and offsets[0] % dtype.itemsize == 0):
        raise damaged(f"header: tensor '{name}' has the impossible data_offsets {offsets!r:.80}", file)
    start, stop = offsets
    if math.prod(shape) * dtype.itemsize != stop - start:  # integers of Python cannot overflow
        what = f"header: tensor '{name}' of {fields['dtype']} {shape} does not take {stop - start:,} bytes"
        raise damaged(what, file)
    return Entry(name, dtype, tuple(shape), start, stop)


def _are_integers(values: object, least: int) -> bool:
    return type(values) is list and all(type(value) is int and value >= least for value in values)


def _tensor(entry: Entry, data: bytes, sha256: object, file: Path) -> Array:
    view = memoryview(data)[entry.start : entry.stop]
    if len(view) < entry.stop - entry.start:
        raise damaged(f"truncated: tensor '{entry.name}' lost bytes while it was read", file)
    if hashlib.sha256(view).hexdigest() != sha256:
        raise damaged(f"tensor '{entry.name}' does not match its checksum", file)
    if entry.dtype.kind == "b" and np.frombuffer(view, np.uint8).max() > 1:
        raise damaged(f"tensor '{entry.name}' holds booleans other than 0 and 1", file)
    array = np.frombuffer(view, entry.dtype).reshape(entry.shape)
    if not _is_finite(array):
        raise damaged(f"tensor '{entry.name}' holds NaN or infinity", file)
    return array


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice[:80]!r} occurs twice")
    return members


def _no_constant(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is too large")
    return number
