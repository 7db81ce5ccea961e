"""Convert the description of a network to JSON and back, in the form of a model file.

{"input": {"kind": "embedding", "n_x": 900, "size": 32, "several": false},
 "core": {"n_a": 128, "cell": "lstm", ...},
 "head": {"kind": "classes", "n_y": 5, "layer": "full", "pooling": "last"}}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from types import NoneType
from typing import TypeVar, get_args, get_type_hints

from unrolled.core.errors import DataError, UsageError
from unrolled.models.network_spec import (
    AttentionSpec,
    Bits,
    Classes,
    CoreSpec,
    Crf,
    Ctc,
    DecoderSpec,
    Embedding,
    FrontSpec,
    HeadSpec,
    InputSpec,
    NetworkSpec,
    OneHot,
    Reals,
    Vectors,
    WordVectors,
)

INPUTS: dict[str, type[InputSpec]] = {"one-hot": OneHot, "embedding": Embedding, "vectors": Vectors}
HEADS: dict[str, type[HeadSpec]] = {
    "classes": Classes,
    "path": Crf,
    "alignment": Ctc,
    "reals": Reals,
    "bits": Bits,
    "decoder": DecoderSpec,
}
NESTED = (FrontSpec, AttentionSpec, WordVectors)
OPTIONAL = frozenset(("vectors",))  # fields of format 3: a file has them only if they are not None
PARTS = ("input", "core", "head")

Record = TypeVar("Record")
Json = Mapping[str, object]


def to_json(spec: NetworkSpec) -> dict[str, object]:
    """Return the description as a plain dict."""
    return {
        "input": {"kind": _kind_of(INPUTS, spec.input), **_written(asdict(spec.input))},
        "core": asdict(spec.core),
        "head": {"kind": _kind_of(HEADS, spec.head), **_written(asdict(spec.head))},
    }


def _written(values: Json) -> Json:
    """Return the fields that are written: all except those in `OPTIONAL` that are None."""
    return {name: value for name, value in values.items() if name not in OPTIONAL or value is not None}


def from_json(content: Json, file: object = None) -> NetworkSpec:
    """Return the description in `content`; the inverse of `to_json`.

    Raises DataError, which names `file`, if a part is missing, unknown or wrong.
    """
    _exactly(content, PARTS, "the description of the network", file)
    given, core, head = (_object(content[name], name, file) for name in PARTS)
    try:
        return NetworkSpec(
            _of_kind(given, INPUTS, "input", file),
            _read(core, CoreSpec, "core", file),
            _of_kind(head, HEADS, "head", file),
        )
    except UsageError as error:
        what = f"the description of the network is wrong: {error.what}"
        raise DataError(what, file=file, expected=error.expected) from error


def _kind_of(kinds: Mapping[str, type[object]], record: object) -> str:
    return next(name for name, kind in kinds.items() if type(record) is kind)


def _of_kind(content: Json, kinds: Mapping[str, type[Record]], name: str, file: object) -> Record:
    """Return a record of the class that the key "kind" names."""
    kind = content.get("kind")
    if not isinstance(kind, str) or kind not in kinds:
        raise DataError(
            f"the network's {name} has the unknown kind {kind!r:.80}", file=file, expected=", ".join(kinds)
        )
    own = {key: value for key, value in content.items() if key != "kind"}
    return _read(own, kinds[kind], name, file)


def _read(content: Json, kind: type[Record], name: str, file: object) -> Record:
    """Return a record of the class `kind`. `content` must have exactly its fields, each of the right type."""
    types = get_type_hints(kind)
    known = [field.name for field in fields(kind)]  # pyright: ignore[reportArgumentType] (all kinds are dataclasses)
    _exactly(
        content,
        [key for key in known if key not in OPTIONAL or key in content],
        f"the network's {name}",
        file,
    )
    values = {key: _value(content[key], types[key], f"{name}.{key}", file) for key in content}
    return kind(**values)


def _value(value: object, kind: object, name: str, file: object) -> object:
    """Return the value of a field: a plain value, None if the type allows it, or a nested record."""
    allowed = get_args(kind) or (kind,)
    if value is None and NoneType in allowed:
        return None
    nested = next((one for one in NESTED if one in allowed), None)
    if nested is not None:
        return _read(_object(value, name, file), nested, name, file)
    if type(value) not in allowed:
        expected = " or ".join(one.__name__ for one in allowed if isinstance(one, type))
        what = f"the description of the network has {value!r:.80} as '{name}'"
        raise DataError(what, file=file, expected=expected)
    return value


def _object(value: object, name: str, file: object) -> Json:
    if not isinstance(value, dict):
        what = f"the description of the network has {value!r:.80} as '{name}'"
        raise DataError(what, file=file, expected="an object")
    return {str(key): one for key, one in value.items()}


def _exactly(content: Json, known: tuple[str, ...] | list[str], where: str, file: object) -> None:
    for name in sorted(content.keys() ^ set(known)):
        word = "lacks" if name in known else "has an unknown"
        raise DataError(f"{where} {word} '{name[:80]}'", file=file)
