"""Make the description of a network (`NetworkSpec`) from a configuration."""

from __future__ import annotations

from unrolled.core.config import Config
from unrolled.core.errors import UsageError
from unrolled.models.network_spec import (
    Classes,
    CoreSpec,
    Embedding,
    FrontSpec,
    InputSpec,
    NetworkSpec,
    OneHot,
    Vectors,
    WordVectors,
    output_layer,
)
from unrolled.tasks.inputs import Input
from unrolled.tasks.outputs import Output


def language_network(config: Config, n: int) -> NetworkSpec:
    """Return the network of a language model over n tokens, from a configuration with all options set."""
    model = config.model
    given = Embedding(n, model.embedding) if model.embedding else OneHot(n)
    layer = output_layer(model.softmax, tied=bool(model.tie))
    return NetworkSpec(given, _core(config, bidirectional=False), Classes(n, layer))


def labelled_network(
    config: Config, given: Input, asked: Output, vectors: WordVectors | None = None
) -> NetworkSpec:
    """Return the network for a fitted input and output, from a configuration with all options set.

    vectors: the size of the pretrained vectors, or None.
    Raises UsageError for options that exclude each other.
    """
    core = _core(config, bidirectional=bool(config.model.bidirectional))
    return NetworkSpec(_input(config, given, vectors), core, asked.head(config))


def _core(config: Config, *, bidirectional: bool) -> CoreSpec:
    model = config.model
    return CoreSpec(
        model.hidden or 1,
        model.cell,
        model.activation,
        model.layers or 1,
        bidirectional,
        config.training.zoneout,
    )


def _input(config: Config, given: Input, vectors: WordVectors | None) -> InputSpec:
    model = config.model
    if given.ids:
        if model.embedding:
            return Embedding(given.n_x, model.embedding, given.multi_hot, vectors)
        if vectors is not None:
            what = "--vectors needs an embedding beside it, for the words without a vector"
            raise UsageError(what, expected="an embedding above 0", hint="--embedding 64")
        if given.multi_hot:
            what = "--affixes needs an embedding, because each word then has several ids"
            raise UsageError(what, expected="an embedding above 0", hint="--no-affixes")
        return OneHot(given.n_x)
    kind = model.front or "none"
    front = None if kind == "none" else FrontSpec(kind, model.front_size or 1)
    return Vectors(given.n_x, front)
