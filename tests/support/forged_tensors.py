"""Files that no writer of ours would write, with a header checksum that is right all the same."""

from __future__ import annotations

import hashlib
import json
from typing import Any

START = '{"__metadata__":{"header_sha256":"'


def tensor(dtype: str, shape: list[Any], start: Any, stop: Any) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


def document(hashes: dict[str, Any], **changes: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {"kind": "model", "format": 1, "task": "t", "sha256": hashes}
    empty: dict[str, Any] = {key: {} for key in ("spec", "learnt", "config", "notes")}
    return plain | empty | changes


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def forge(tensors: str, data: bytes, inner: str, metadata: str = "") -> bytes:
    """A file whose header has `tensors` (JSON members after `__metadata__`) and `inner` as its document."""
    return seal(f'{START}{"0" * 64}","unrolled":{json.dumps(inner)}{metadata}}}{tensors}}}', data)


def seal(header: str, data: bytes = b"") -> bytes:
    """A file with this header, its checksum set where ours stands."""
    raw = header.encode()
    raw = raw[: len(START)] + sha256(raw).encode() + raw[len(START) + 64 :]
    return len(raw).to_bytes(8, "little") + raw + data


def whole(
    tensors: dict[str, dict[str, Any]], data: bytes, hashes: dict[str, Any] | None = None, **changes: Any
) -> bytes:
    """A file with these header entries over `data`; each tensor's checksum is right where its offsets can be."""
    if hashes is None:
        hashes = {name: sha256(data[slice(*_bounds(entry))]) for name, entry in tensors.items()}
    members = "".join(f",{json.dumps(name)}:{json.dumps(entry)}" for name, entry in tensors.items())
    return forge(members, data, json.dumps(document(hashes, **changes)))


def _bounds(entry: dict[str, Any]) -> tuple[int, int]:
    start, stop = entry["data_offsets"]
    return (start, stop) if type(start) is int and type(stop) is int else (0, 0)
