"""Open a model file: check all parts, rebuild the vocabulary and the network, choose an engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from unrolled.core.config import Config
from unrolled.core.config import from_json as config_from_json
from unrolled.core.errors import DataError, UnrolledError, UsageError, need, suggest
from unrolled.core.types import Array
from unrolled.datasets.example_dataset import restore
from unrolled.models import model_file
from unrolled.models.engines import Decoder, Engine
from unrolled.models.engines.numpy_decoder import NumpyDecoder
from unrolled.models.engines.numpy_engine import NumpyEngine
from unrolled.models.model_file import ModelFile
from unrolled.models.network_spec import DecoderSpec, NetworkSpec, at_every_step
from unrolled.models.spec_json import from_json as spec_from_json
from unrolled.models.tensor_shapes import shapes
from unrolled.tasks.inputs import Input
from unrolled.tasks.inputs.tokens import Reading
from unrolled.tasks.outputs import Output
from unrolled.tasks.outputs.sequence import PLAIN, GenerationOptions


@dataclass(frozen=True)
class Model:
    """An opened model: what its file holds, the network's specification, how it reads text, and its engine."""

    file: ModelFile
    spec: NetworkSpec
    reading: Reading
    engine: Engine


def open_language_model(path: Path, engine: str = "numpy") -> Model:
    """Open a model file, every part of it checked against the others.

    engine: `numpy`, `int8` (native single steps on weights of eight bits), or `torch` where it is installed. Raises
    UsageError (no such file or engine, or one that cannot run it), DataError (damaged, or parts that do not fit),
    MissingExtra (torch).
    """
    return language_model_from_file(model_file.load(path), path, engine)


def language_model_from_file(file: ModelFile, path: Path, engine: str = "numpy") -> Model:
    """As `open_language_model`, of a file that was read already; `path` is for messages."""
    spec = spec_from_json(file.spec, path)
    model_file.expect_tensors(file, shapes(spec), path)
    labelled = set(file.learnt) == {"input", "output"}
    if labelled or not spec.reads_forward or not spec.input.ids:
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


def find_engine(name: str) -> Callable[[NetworkSpec, Mapping[str, Array]], Engine]:
    """The engine of a name. Raises UsageError for an unknown one, MissingExtra where torch is not installed."""
    if name not in ENGINES:
        raise UsageError(f"unknown engine '{name}'", expected=", ".join(ENGINES), hint=suggest(name, ENGINES))
    return ENGINES[name]


def find_decoder(name: str) -> Callable[[NetworkSpec, Mapping[str, Array]], Decoder]:
    """The engine of an encoder-decoder, by its name. Raises as `find_engine`."""
    find_engine(name)
    return DECODERS[name]


def _torch(spec: NetworkSpec, tensors: Mapping[str, Array]) -> Engine:
    with need("train", "torch"):
        from unrolled.nn.torch_engine import TorchEngine
    return TorchEngine(spec, tensors)


def _int8(spec: NetworkSpec, tensors: Mapping[str, Array]) -> Engine:
    return NumpyEngine(spec, tensors, bits=8)


def _torch_decoder(spec: NetworkSpec, tensors: Mapping[str, Array]) -> Decoder:
    with need("train", "torch"):
        from unrolled.nn.torch_decoder import TorchDecoder
    return TorchDecoder(spec, tensors)


def _int8_decoder(spec: NetworkSpec, tensors: Mapping[str, Array]) -> Decoder:
    return NumpyDecoder(spec, tensors, bits=8)


ENGINES: dict[str, Callable[[NetworkSpec, Mapping[str, Array]], Engine]] = {
    "numpy": NumpyEngine,
    "int8": _int8,
    "torch": _torch,
}
DECODERS: dict[str, Callable[[NetworkSpec, Mapping[str, Array]], Decoder]] = {
    "numpy": NumpyDecoder,
    "int8": _int8_decoder,
    "torch": _torch_decoder,
}


@dataclass(frozen=True)
class Predictor:
    """An opened model of labelled sequences. stepwise: of one that answers from the last step of many, reading forward
    alone, the same weights asked at every step; None of any other.
    decoder: of an encoder-decoder (`engine` is that of its encoder); wish: how its answers are found and told."""

    file: ModelFile
    spec: NetworkSpec
    input: Input
    output: Output
    engine: Engine
    stepwise: Engine | None = None
    decoder: Decoder | None = None
    wish: GenerationOptions = PLAIN

    @property
    def config(self) -> Config:
        """How it was trained, and how it reads files."""
        return config_from_json({**self.file.config, "task": self.file.task})


def open_trained(path: Path, engine: str = "numpy") -> Predictor:
    """Open a model file, every part of it checked against the others; raises as `open_language_model`."""
    return trained_from_file(model_file.load(path), path, engine)


def trained_from_file(file: ModelFile, path: Path, engine: str = "numpy") -> Predictor:
    """As `open_trained`, of a file that was read already; `path` is for messages."""
    spec = spec_from_json(file.spec, path)
    model_file.expect_tensors(file, shapes(spec), path)
    given, asked = restore(file.task, file.learnt, path)
    try:
        config = config_from_json({**file.config, "task": file.task})
    except UsageError as error:
        what = f"the configuration in the model is wrong: {error.what}"
        raise DataError(what, file=path, expected=error.expected) from error
    head, one_answer = asked.head(config), spec.head.pooling is not None
    learnt = (given.n_x, given.ids, given.multi_hot, asked.n_y, type(head), head.pooling is not None)
    built = (spec.n_x, spec.input.ids, spec.input.several, spec.n_y, type(spec.head), one_answer)
    if learnt != built:
        raise DataError(
            "what the model learnt of its data does not fit its network",
            file=path,
            hint="another copy of the file",
        )
    if isinstance(spec.head, DecoderSpec):
        decoder = find_decoder(engine)(spec, file.tensors)
        return Predictor(file, spec, given, asked, decoder.encoder, decoder=decoder)
    build = find_engine(engine)
    stepwise = None
    if spec.head.pooling == "last" and not spec.core.bidirectional:
        stepwise = build(at_every_step(spec), file.tensors)
    return Predictor(file, spec, given, asked, build(spec, file.tensors), stepwise)
