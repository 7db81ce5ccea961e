"""Open a model file: check all parts, restore the vocabulary and the network, choose an engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
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
from unrolled.models.network_spec import DecoderSpec, Embedding, NetworkSpec, at_every_step
from unrolled.models.spec_json import from_json as spec_from_json
from unrolled.models.tensor_shapes import shapes
from unrolled.models.wide.wide_part import WidePart, from_file, network_tensors, weights_with
from unrolled.tasks.input_kind import WideFeatures
from unrolled.tasks.inputs import Input, input_of
from unrolled.tasks.inputs.tokens import Reading
from unrolled.tasks.outputs import Output
from unrolled.tasks.outputs.sequence import PLAIN, GenerationOptions
from unrolled.tasks.wide_features import wide_features


@dataclass(frozen=True)
class Model:
    """An opened language model: the content of its file, its network, its vocabulary, and its engine.

    engine_name: the name of the engine in `ENGINES`.
    """

    file: ModelFile
    spec: NetworkSpec
    reading: Reading
    engine: Engine
    engine_name: str


def open_language_model(path: Path, engine: str = "numpy") -> Model:
    """Open the file of a language model. Checks that all parts fit together.

    engine: `numpy`; `int8` (int8 weights, single steps on native kernels); or `torch`, if it is installed.
    Raises UsageError if the file or the engine does not exist, or if the engine cannot run the model.
    Raises DataError if the file is damaged or its parts do not fit together.
    Raises MissingExtra if torch is not installed.
    """
    return language_model_from_file(model_file.load(path), path, engine)


def language_model_from_file(file: ModelFile, path: Path, engine: str = "numpy") -> Model:
    """Do the same as `open_language_model` for a file that is already read. path: for messages."""
    spec = spec_from_json(file.spec, path)
    model_file.expect_tensors(network_tensors(file), shapes(spec), path)
    labelled = "input" in file.learnt
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
    return Model(file, spec, reading, find_engine(engine)(spec, file.tensors), engine)


def find_engine(name: str) -> Callable[[NetworkSpec, Mapping[str, Array]], Engine]:
    """Return the constructor of an engine by its name.

    Raises UsageError for an unknown name. The constructor raises MissingExtra if torch is not installed.
    """
    if name not in ENGINES:
        raise UsageError(f"unknown engine '{name}'", expected=", ".join(ENGINES), hint=suggest(name, ENGINES))
    return ENGINES[name]


def find_decoder(name: str) -> Callable[[NetworkSpec, Mapping[str, Array]], Decoder]:
    """Return the constructor of an engine for encoder-decoders by its name.

    Raises the errors of `find_engine`.
    """
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
class Wide:
    """The wide part of an opened model. features: (input, x, encoded x) -> its features."""

    part: WidePart
    features: WideFeatures


@dataclass(frozen=True)
class Predictor:
    """An opened model of labelled sequences.

    stepwise: an engine with the same weights that answers after every step. It exists only if the model is
        unidirectional and its pooling is `last`; else None.
    decoder: the engine of an encoder-decoder; `engine` is then the engine of its encoder. Else None.
    decode_options: how an encoder-decoder searches and prints its answers.
    wide: the wide part; None if the model has none.
    """

    file: ModelFile
    spec: NetworkSpec
    input: Input
    output: Output
    engine: Engine
    stepwise: Engine | None = None
    decoder: Decoder | None = None
    decode_options: GenerationOptions = PLAIN
    wide: Wide | None = None

    @cached_property
    def weights(self) -> Mapping[str, Array]:
        """The tensors of the network; the transitions of a CRF include those of the wide part."""
        return weights_with(self.wide and self.wide.part, self.file.tensors)

    @property
    def config(self) -> Config:
        """The configuration of the training, which also says how the model reads files."""
        return config_from_json({**self.file.config, "task": self.file.task})


def open_trained(path: Path, engine: str = "numpy") -> Predictor:
    """Open the file of a model of labelled sequences. Checks that all parts fit together.

    engine: see `open_language_model`. Raises the errors of `open_language_model`.
    """
    return trained_from_file(model_file.load(path), path, engine)


def trained_from_file(file: ModelFile, path: Path, engine: str = "numpy") -> Predictor:
    """Do the same as `open_trained` for a file that is already read. path: for messages."""
    spec = spec_from_json(file.spec, path)
    tensors = network_tensors(file)
    model_file.expect_tensors(tensors, shapes(spec), path)
    given, asked = restore(file.task, file.learnt, path)
    try:
        config = config_from_json({**file.config, "task": file.task})
    except UsageError as error:
        what = f"the configuration in the model is wrong: {error.what}"
        raise DataError(what, file=path, expected=error.expected) from error
    head, one_answer = asked.head(config), spec.head.pooling is not None
    learnt = (given.n_x, given.ids, given.multi_hot, asked.n_y, type(head), head.pooling is not None)
    built = (spec.n_x, spec.input.ids, spec.input.several, spec.n_y, type(spec.head), one_answer)
    words = input_of(file.task).pretrained(given)
    rows = spec.input.vectors.rows if isinstance(spec.input, Embedding) and spec.input.vectors else None
    if learnt != built or rows != (None if words is None else len(words)):
        raise DataError(
            "the input and output in the model do not fit its network",
            file=path,
            hint="another copy of the file",
        )
    if isinstance(spec.head, DecoderSpec):
        decoder = find_decoder(engine)(spec, tensors)
        return Predictor(file, spec, given, asked, decoder.encoder, decoder=decoder)
    build = find_engine(engine)
    stepwise = None
    if spec.head.pooling == "last" and not spec.core.bidirectional:
        stepwise = build(at_every_step(spec), tensors)
    wide = wide_part(file, spec, config, path)
    return Predictor(file, spec, given, asked, build(spec, tensors), stepwise, wide=wide)


def wide_part(file: ModelFile, spec: NetworkSpec, config: Config, path: Path) -> Wide | None:
    """Return the wide part of a model; None if it has none. Raises DataError if it is damaged."""
    features = wide_features(config)
    if "wide" not in file.learnt:
        return None
    try:
        part = from_file(file.learnt["wide"], file.tensors, spec.n_y, spec.normalised)
    except DataError as error:
        raise DataError(
            error.what, file=path, expected=error.expected, hint="another copy of the file"
        ) from error
    if features is None:
        raise DataError(f"has a wide part, but its task '{file.task[:80]}' has no features for it", file=path)
    return Wide(part, features)
