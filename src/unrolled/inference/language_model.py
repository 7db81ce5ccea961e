"""Open a model file for use: the network, how it reads text, and an engine to run it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unrolled.core.errors import DataError, UnrolledError, UsageError, need, suggest
from unrolled.models import model_file
from unrolled.models.engines import Decoder, Engine
from unrolled.models.engines.numpy_decoder import NumpyDecoder
from unrolled.models.engines.numpy_engine import NumpyEngine
from unrolled.models.model_file import ModelFile
from unrolled.models.network_spec import NetworkSpec, from_json
from unrolled.models.tensor_shapes import shapes
from unrolled.tasks.inputs.tokens import Reading


@dataclass(frozen=True)
class Model:
    """An opened model: what its file holds, the network's specification, how it reads text, and its engine."""

    file: ModelFile
    spec: NetworkSpec
    reading: Reading
    engine: Engine


def open_model(path: Path, engine: str = "numpy") -> Model:
    """Open a model file, every part of it checked against the others.

    engine: `numpy`, `int8` (native single steps on weights of eight bits), or `torch` where it is installed. Raises
    UsageError (no such file or engine, or one that cannot run it), DataError (damaged, or parts that do not fit),
    MissingExtra (torch).
    """
    return from_file(model_file.load(path), path, engine)


def from_file(file: ModelFile, path: Path, engine: str = "numpy") -> Model:
    """As `open_model`, of a file that was read already; `path` is for messages."""
    spec = from_json(file.spec, path)
    model_file.expect_shapes(file, shapes(spec), path)
    labelled = set(file.learnt) == {"input", "output"}
    if labelled or spec.bidirectional or spec.architecture != "many-to-many" or not spec.ids:
        raise DataError(f"is no language model (its task is '{file.task[:80]}')", file=path)
    try:
        reading = Reading.from_json(file.learnt)
    except UnrolledError as error:
        raise DataError(error.what, file=path, expected=error.expected) from error
    n = len(reading.vocabulary)
    if not n == spec.n_x == spec.n_y:
        raise DataError(
            f"has {n:,} tokens in its vocabulary, {spec.n_x:,} inputs and {spec.n_y:,} outputs in its network",
            file=path,
            hint="another copy of the file",
        )
    return Model(file, spec, reading, find_engine(engine)(spec, file.tensors))


def find_engine(name: str) -> Callable[[NetworkSpec, Any], Engine]:
    """The engine of a name. Raises UsageError for an unknown one, MissingExtra where torch is not installed."""
    if name not in ENGINES:
        raise UsageError(f"unknown engine '{name}'", expected=", ".join(ENGINES), hint=suggest(name, ENGINES))
    return ENGINES[name]


def find_decoder(name: str) -> Callable[[NetworkSpec, Any], Decoder]:
    """The engine of an encoder-decoder, by its name. Raises as `find_engine`."""
    find_engine(name)
    return DECODERS[name]


def _torch(spec: NetworkSpec, tensors: Any) -> Engine:
    with need("train", "torch"):
        from unrolled.nn.torch_engine import TorchEngine
    return TorchEngine(spec, tensors)


def _int8(spec: NetworkSpec, tensors: Any) -> Engine:
    return NumpyEngine(spec, tensors, bits=8)


def _torch_decoder(spec: NetworkSpec, tensors: Any) -> Decoder:
    with need("train", "torch"):
        from unrolled.nn.torch_decoder import TorchDecoder
    return TorchDecoder(spec, tensors)


def _int8_decoder(spec: NetworkSpec, tensors: Any) -> Decoder:
    return NumpyDecoder(spec, tensors, bits=8)


ENGINES: dict[str, Callable[[NetworkSpec, Any], Engine]] = {
    "numpy": NumpyEngine,
    "int8": _int8,
    "torch": _torch,
}
DECODERS: dict[str, Callable[[NetworkSpec, Any], Decoder]] = {
    "numpy": NumpyDecoder,
    "int8": _int8_decoder,
    "torch": _torch_decoder,
}
