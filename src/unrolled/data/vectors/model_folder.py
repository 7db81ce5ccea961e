"""Folders of static embeddings, as Model2Vec writes them: `model.safetensors` and `tokenizer.json`.

Only the list of tokens is read from `tokenizer.json`. No code is run. Tokens that continue a word (`##ing`)
are left out. Layout of a safetensors file: the length of the header (8 bytes, little-endian), the header
(JSON: name -> dtype, shape, data_offsets), the bytes of the tensors.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from unrolled.core.atomic_files import opening_error
from unrolled.core.errors import DataError
from unrolled.core.regular_files import open_regular, require_regular
from unrolled.data.vectors.vector_format import Wanted, WordRow, as_row, require_width

TENSORS, TOKENS = "model.safetensors", "tokenizer.json"
HEADER_LIMIT = 1 << 20  # bytes; the header of a static model has a few hundred
TOKENS_LIMIT = 128 << 20  # bytes
TABLE, MAPPING, SCALES = "embeddings", "mapping", "weights"  # names of the tensors of Model2Vec
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4"}
CONTINUES, BEGINS = "##", "\u2581\u0120"  # marks of WordPiece; marks of SentencePiece and byte-level BPE
EXPECTED = f"a tensor '{TABLE}' [tokens, width] of floating-point numbers"

Tensors = Mapping[str, tuple[str, NDArray[np.generic]]]


def matches(path: Path) -> bool:
    """Whether the path is a folder."""
    return path.is_dir()


def files(path: Path) -> tuple[Path, ...]:
    """Return the two files that are read. Raises UsageError if one of them does not exist."""
    found = path / TENSORS, path / TOKENS
    for one in found:
        require_regular(one)
    return found


def read(path: Path, wanted: Wanted) -> Iterator[WordRow]:
    """Yield the wanted words and their vectors. The tensors are mapped, not read as a whole."""
    tensors_file, tokens_file = files(path)
    tokens, tensors = _tokens(tokens_file), _tensors(tensors_file)
    kind, table = tensors.get(TABLE, ("", np.zeros(0)))
    if table.ndim != 2 or kind[:1] == "I":
        raise DataError(f"there is no tensor '{TABLE}' of vectors", file=tensors_file, expected=EXPECTED)
    require_width(table.shape[1], tensors_file)
    rows = _per_token(tensors, MAPPING, "I", len(tokens), tensors_file)
    scales = _per_token(tensors, SCALES, "F", len(tokens), tensors_file)
    if rows is None and len(table) != len(tokens):
        what = f"the list has {len(tokens):,} tokens, but the tensor '{TABLE}' has {len(table):,} rows"
        raise DataError(what, file=tokens_file, expected="one token for each row")
    for number, token in enumerate(tokens):
        word = token[1:] if token[:1] and token[0] in BEGINS else token
        if not word or word.startswith(CONTINUES) or not _is_text(word) or not wanted(word):
            continue
        at = number if rows is None else int(rows[number])
        if not 0 <= at < len(table):
            what = f"the tensor '{MAPPING}' has the row {at:,} for {token!r:.80}"
            raise DataError(what, file=tensors_file, expected=f"0 to {len(table) - 1:,}")
        row = _numbers(kind, table[at]) * (1.0 if scales is None else float(scales[number]))
        yield word, as_row(word, row, tensors_file)


def _numbers(kind: str, row: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return numbers as float64. NumPy has no bfloat16: its bits are the upper half of a float32."""
    if kind == "BF16":
        return (row.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    return row.astype(np.float64)


def _is_text(word: str) -> bool:
    """Whether a word can be written as UTF-8. JSON can also contain halves of characters."""
    return word.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in word)


def _per_token(tensors: Tensors, name: str, kind: str, count: int, file: Path) -> NDArray[np.generic] | None:
    """Return a tensor with one number per token, or None if the file does not have it."""
    if name not in tensors:
        return None
    code, array = tensors[name]
    if array.shape != (count,) or code[:1] != kind:
        what = f"the tensor '{name}' is {code} {list(array.shape)}"
        raise DataError(what, file=file, expected=f"one number for each of {count:,} tokens")
    return array


def _tokens(file: Path) -> list[str]:
    """Return the tokens in the order of their ids."""
    wrong = DataError(
        "there is no list of tokens in it", file=file, expected="a tokenizer.json with model.vocab"
    )
    try:
        with open_regular(file) as stream:
            raw = stream.read(TOKENS_LIMIT + 1)
    except OSError as error:
        raise opening_error(error, file) from error
    if len(raw) > TOKENS_LIMIT:
        raise DataError(
            "too large for a list of tokens", file=file, expected=f"at most {TOKENS_LIMIT:,} bytes"
        )
    try:
        vocabulary = json.loads(raw)["model"]["vocab"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise wrong from error
    if isinstance(vocabulary, dict):  # token -> id
        ids = sorted((number, token) for token, number in vocabulary.items() if type(number) is int)
        if [number for number, _ in ids] != list(range(len(vocabulary))):
            raise DataError(
                "the ids of the tokens are wrong", file=file, expected="the numbers from 0 on, each once"
            )
        return [token for _, token in ids]
    if isinstance(vocabulary, list) and all(isinstance(one, list) and one for one in vocabulary):
        tokens = [one[0] for one in vocabulary]  # [token, score]
        if all(isinstance(token, str) for token in tokens):
            return tokens
    raise wrong


def _tensors(file: Path) -> Tensors:
    """Return name -> (dtype, mapped array) of the tensors whose dtype is in `DTYPES`."""
    try:
        with open_regular(file) as stream:
            size = file.stat().st_size
            length = int.from_bytes(stream.read(8), "little")
            if not 0 < length <= min(HEADER_LIMIT, size - 8):
                what = f"its header claims {length:,} bytes; the file has {size:,}"
                raise DataError(what, file=file, expected="a safetensors file of word vectors")
            header = json.loads(stream.read(length))
    except OSError as error:
        raise opening_error(error, file) from error
    except (ValueError, RecursionError) as error:
        raise DataError("its header is not JSON", file=file, expected="a safetensors file") from error
    if not isinstance(header, dict):
        raise DataError("its header is not a JSON object", file=file, expected="a safetensors file")
    found: dict[str, tuple[str, NDArray[np.generic]]] = {}
    for name in header.keys() - {"__metadata__"}:
        entry = header[name]
        code, shape, start, stop = _entry(name, entry, size - 8 - length, file)
        if code in DTYPES and stop > start:
            found[name] = code, np.memmap(file, DTYPES[code], "r", 8 + length + start, shape)
    return found


def _entry(name: str, entry: object, size: int, file: Path) -> tuple[str, tuple[int, ...], int, int]:
    """Return dtype, shape, start and stop of a tensor, after they were checked.

    size: number of bytes after the header.
    """
    fields = entry if isinstance(entry, dict) else {}
    code, shape, offsets = fields.get("dtype"), fields.get("shape"), fields.get("data_offsets")
    if isinstance(code, str) and _are_sizes(shape) and _are_sizes(offsets) and len(offsets) == 2:
        start, stop = offsets
        width = np.dtype(DTYPES[code]).itemsize if code in DTYPES else 0
        if start <= stop <= size and (not width or math.prod(shape) * width == stop - start):
            return code, tuple(shape), start, stop
    what = f"the header is wrong for the tensor {name!r:.80}, or the file is truncated"
    raise DataError(what, file=file, expected="a complete safetensors file")


def _are_sizes(values: object) -> TypeGuard[list[int]]:
    return isinstance(values, list) and all(type(one) is int and one >= 0 for one in values)
