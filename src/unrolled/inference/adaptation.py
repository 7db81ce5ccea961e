"""Adapt a language model to the text that it reads: the continuous cache, and the choice of its settings.

`models/engines/continuous_cache.py` computes the cache. `training/dynamic_evaluation.py` adapts the weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unrolled.core.atomic_files import temporary_folder
from unrolled.core.errors import UsageError
from unrolled.core.types import Array, Integers, delayed
from unrolled.data.readers import read_documents
from unrolled.data.text.vocabulary import UNK
from unrolled.datasets.token_batches import evaluation_batches
from unrolled.datasets.token_store import Store, write_store
from unrolled.inference.open_model import Model, find_engine
from unrolled.models.engines.continuous_cache import (
    CachedEngine,
    CacheOptions,
    Memory,
    empty,
    look_up,
    mixed,
)
from unrolled.models.layer_equations import NUMPY_LAYERS, outputs
from unrolled.models.network_spec import without_head
from unrolled.tasks.inputs.tokens import encode
from unrolled.tasks.outputs.next_token import Tally

THETA, WEIGHT = 20.0, 0.1  # without a text to tune on
DYNAMIC_WEIGHT = 0.03  # the same, if the weights of the network adapt too
THETAS = (0.0, 5.0, 10.0, 15.0, 20.0, 30.0)
WEIGHTS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4)
TUNED_ON = 20_000  # tokens; the settings are chosen on at most this many
CHUNK = 256  # steps per window of a text


@dataclass(frozen=True)
class CacheRequest:
    """A cache as the user asks for it. size: see `CacheOptions`.

    theta, weight: None: chosen on a text, or the default without one.
    Raises UsageError for values out of range.
    """

    size: int
    theta: float | None = None
    weight: float | None = None

    def __post_init__(self) -> None:
        _ = self.options()

    def options(self, weight: float = WEIGHT) -> CacheOptions:
        """Return the options without a text to tune on. weight: the default weight."""
        return CacheOptions(
            self.size,
            THETA if self.theta is None else self.theta,
            weight if self.weight is None else self.weight,
        )


@dataclass(frozen=True)
class Window:
    """Some steps of a document, as a network without a cache has read them.

    x: [T] ids, -1 is the vector of zeros. y: [T] targets. a: [T, features]. log_probs: [T, n_y].
    begins: whether the document begins here.
    """

    x: Integers
    y: Integers
    a: Array
    log_probs: Array
    begins: bool


def cache_request(size: int | None, theta: float | None, weight: float | None) -> CacheRequest | None:
    """Return the request of the options --cache, --cache-theta and --cache-weight; None without --cache.

    Raises UsageError if an option needs --cache, or for values out of range.
    """
    if size is not None:
        return CacheRequest(size, theta, weight)
    for name, value in (("theta", theta), ("weight", weight)):
        if value is not None:
            raise UsageError(f"--cache-{name} {value} without a cache", hint="--cache 2000")
    return None


def encoded(
    model: Model,
    folder: Path,
    files: Iterable[Path],
    encoding: str | None = None,
    documents: str | None = None,
) -> Store:
    """Write the ids of text files into a folder.

    documents: what a document is; None: the same as in the training of the model.
    Raises the errors of reading the files.
    """
    reading = model.reading
    found = read_documents(tuple(files), documents or reading.documents, encoding)
    ids = encode(found, reading.vocabulary, reading.unit, reading.lower)
    return write_store(folder, ids, len(reading.vocabulary))


def beginning(store: Store) -> Store:
    """Return the part of a text on which settings are chosen."""
    return store.slice(0, min(len(store), TUNED_ON))


def windows(model: Model, store: Store) -> Iterator[Window]:
    """Yield the windows of a text, in order. The weights do not change."""
    engine = find_engine(model.engine_name)(without_head(model.spec), model.file.tensors)
    state = None
    for batch in evaluation_batches(store, 1, CHUNK, 0):
        a, state = engine.run(batch.x, batch.lengths, engine.keep(state, batch.carry))
        log_probs = outputs(NUMPY_LAYERS, model.spec, model.file.tensors, a[0])
        yield Window(batch.x[0], batch.y[0], a[0], log_probs, not batch.carry[0])


def tally_windows(found: Iterable[Window], cache: CacheOptions | None) -> Tally:
    """Return the totals over the windows of a text, with or without a cache."""
    nats, tokens, right, unknown = 0.0, 0, 0, 0
    memory: Memory | None = None
    for window in found:
        log_probs = window.log_probs
        if cache is not None:
            if memory is None or window.begins:
                memory = empty(window.a.shape[1])
            pairs, memory = look_up(cache.size, memory, window.x, window.a)
            log_probs = mixed(cache, pairs, log_probs)
        nats -= float(_of_targets(log_probs, window.y).sum())
        tokens += len(window.y)
        right += int((log_probs.argmax(axis=1) == window.y).sum())
        unknown += int((window.y == UNK).sum())
    return Tally(nats, tokens, right, unknown)


def tune(request: CacheRequest, found: Iterable[Window], first: Memory | None = None) -> CacheOptions:
    """Return the theta and the weight with the lowest loss over the windows of a text.

    first: the cache at the beginning of each document; None: an empty cache.
    A value that the request names is not changed.
    """
    thetas = THETAS if request.theta is None else (request.theta,)
    weights = WEIGHTS if request.weight is None else (request.weight,)
    nats = dict.fromkeys(product(thetas, weights), 0.0)
    memory: Memory | None = None
    for window in found:
        if memory is None or window.begins:
            memory = empty(window.a.shape[1]) if first is None else first
        pairs, memory = look_up(request.size, memory, window.x, window.a)
        own = _of_targets(window.log_probs, window.y)
        if not len(pairs.tokens):
            continue  # without pairs, no setting changes anything
        hits = pairs.tokens == window.y[:, None]  # [T, pairs]
        for theta in thetas:
            shares = pairs.shares(theta)
            some, p = shares.any(axis=1), (shares * hits).sum(axis=1)
            for weight in weights:
                nats[theta, weight] += _nats(own[some], p[some], weight)
    theta, weight = min(nats, key=lambda key: nats[key])
    return CacheOptions(request.size, theta, weight)


def _nats(own: NDArray[np.float64], p: NDArray[np.float64], weight: float) -> float:
    """Return the loss of targets: [T] log-probabilities of the network, [T] probabilities of the cache."""
    with np.errstate(divide="ignore"):  # a probability of 0
        return -float(np.logaddexp(own + math.log1p(-weight), np.log(weight * p)).sum())


def _of_targets(log_probs: Array, y: Integers) -> NDArray[np.float64]:
    return np.take_along_axis(log_probs, np.asarray(y)[:, None], axis=1)[:, 0].astype(np.float64)


def with_cache(model: Model, cache: CacheOptions, first: Memory | None = None) -> Model:
    """Return the model with a cache. Its engine scores, predicts and samples with it.

    first: the cache at the beginning of each text; None: an empty cache.
    """
    build = find_engine(model.engine_name)
    return replace(model, engine=CachedEngine(model.spec, model.file.tensors, cache, build, first))


def with_adapted_cache(
    model: Model,
    request: CacheRequest,
    files: tuple[Path, ...] = (),
    encoding: str | None = None,
    documents: str | None = None,
    context: str = "",
    noted: Callable[[str], None] = lambda line: None,
) -> Model:
    """Return the model with a cache, whose settings are chosen on text files, if there are any.

    documents: what a document of these files is; None: the same as in the training of the model.
    context: a text that was read before: the cache of every text begins with its last pairs.
    noted: receives the chosen settings.
    """
    first = filled(model, request.size, context) if context else None
    cache = request.options()
    if files:
        with temporary_folder() as folder:
            text = beginning(encoded(model, folder, files, encoding, documents))
            cache = tune(request, windows(model, text), first)
        noted(f"chosen on the text of --tune: {as_flags(cache_settings(cache))}")
    return with_cache(model, cache, first)


def filled(model: Model, size: int, context: str) -> Memory:
    """Return a cache with the last `size` pairs of a text."""
    engine = CachedEngine(
        model.spec, model.file.tensors, CacheOptions(size, 0, 0), find_engine(model.engine_name)
    )
    x, state = delayed(model.reading.encode(context)), engine.start(1)
    for begin in range(0, len(x), CHUNK):
        _, state = engine.run(x[None, begin : begin + CHUNK], None, state)
    return engine.memories(state)[0]


def cache_settings(cache: CacheOptions | None) -> dict[str, float]:
    """Return the settings of a cache by the name of their option."""
    return {} if cache is None else {"cache-theta": cache.theta, "cache-weight": cache.weight}


def as_flags(chosen: Mapping[str, float]) -> str:
    """Return chosen settings as one line, such as `--cache-theta 20 --cache-weight 0.1`."""
    return " ".join(f"--{name} {value:g}" for name, value in chosen.items())
