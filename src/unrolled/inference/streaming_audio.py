"""Answer a recording chunk by chunk, for models that read forward. All chunks together give the answer to the whole
recording.

Between chunks it keeps a `StreamState`: samples that fill no window yet, frames that fill no step yet, the running
mean, and the network's state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from unrolled.core.errors import UsageError
from unrolled.core.types import Answer, Array, Floats, State, Timeline
from unrolled.data.features import log_mel, loudness, normalization
from unrolled.data.media.audio import resampler
from unrolled.inference.open_model import Predictor
from unrolled.models.decoding.ctc import best_path
from unrolled.models.engines import Engine
from unrolled.models.engines.numpy_engine import NumpyEngine
from unrolled.models.layer_equations import NUMPY_LAYERS, outputs, pooling_scores
from unrolled.models.network_spec import without_head
from unrolled.tasks.inputs.audio import AudioInput
from unrolled.tasks.outputs.ctc import Transcript
from unrolled.tasks.outputs.label import Label


@dataclass(frozen=True, eq=False)
class StreamState:
    """What was heard and not answered yet, and what is remembered of what was.

    resample: brings samples to the model's rate; it has a memory of its own, so an ear is used once.
    engine: answers each step, [T, n_y]; of a model with one answer it gives the features that are pooled.
    """

    resample: Callable[[Floats, bool], Floats]
    rest: Array  # samples
    usual: normalization.RunningStats
    frames: Array  # [T, bands], fewer than make a step
    engine: Engine
    state: State
    heard: int = 0  # frames in all
    loudness: tuple[Array, ...] = ()  # dB of the frames so far


def begin(model: Predictor, rate: int | None = None) -> StreamState:
    """An ear for samples of this rate (None: the model's own). Raises UsageError where a model has to hear the end
    first."""
    given, spec = model.input, model.spec
    if not isinstance(given, AudioInput):
        raise UsageError("this model does not read recordings", expected="one of audio")
    if spec.core.bidirectional or given.normalise != "running":
        what = "this model hears the whole before it answers"
        raise UsageError(what, expected="one trained with --no-bidirectional", hint="Transcriber.predict")
    engine = model.engine
    if spec.head.pooling is not None:
        engine = NumpyEngine(without_head(spec), model.file.tensors)
    usual = normalization.initial_stats(given.mean, given.deviation)
    nothing = np.zeros((0, given.bands), np.float32)
    resample = resampler(rate or given.rate, given.rate)
    return StreamState(resample, np.zeros(0, np.float32), usual, nothing, engine, engine.start(1))


def process_chunk(
    model: Predictor, ear: StreamState, samples: Array, *, last: bool = False
) -> tuple[Array, StreamState]:
    """The network's answers to what these samples complete, [T, n_y], and the ear after them.

    samples: floats within -1 to 1, or int16 and the like; [n], or several channels, [n, channels], which are averaged.
    Raises DataError for others.
    """
    given = model.input
    assert isinstance(given, AudioInput)
    sound = ear.resample(given.samples(samples), last)
    frames, rest = log_mel.frames(given.mel, ear.rest, sound, ear.heard)
    if last and len(rest) and not ear.heard + len(frames):  # shorter than a window in all
        frames, rest = log_mel.log_mel(given.mel, rest), rest[:0]
    x, usual = normalization.normalize_running(ear.usual, frames)
    x = np.concatenate([ear.frames, x])
    ready = len(x) if last else len(x) - len(x) % _stride(model)
    answers, state = np.zeros((0, ear.engine.n_y), np.float32), ear.state
    if ready:
        found, state = ear.engine.run(x[None, :ready], None, ear.state)
        answers = found[0]
    heard, loud = ear.heard + len(frames), (*ear.loudness, loudness.of_frames(frames))
    return answers, StreamState(ear.resample, rest, usual, x[ready:], ear.engine, state, heard, loud)


def transcribe(
    model: Predictor, chunks: Iterable[Array], rate: int | None = None, top: int = 1
) -> Iterator[object]:
    """An Answer after each chunk: the text so far by the best path, and at the end, of all, by the search."""
    asked = model.output
    if not isinstance(asked, Transcript):
        raise UsageError("this model does not say texts", expected="one of transcribe")
    ear, parts = begin(model, rate), list[Array]()
    for chunk in chunks:
        answers, ear = process_chunk(model, ear, chunk)
        parts.append(answers)
        text = asked.text(best_path(np.concatenate(parts)))
        yield Answer(text, {"text": text, "final": False})
    answers, ear = process_chunk(model, ear, np.zeros(0, np.float32), last=True)
    when = Timeline(log_mel.HOP, ear.heard * log_mel.HOP, np.concatenate(ear.loudness))
    found = asked.to_answer(np.concatenate([*parts, answers]), when, top, model.file.tensors)
    yield Answer(found.text, {**found.record, "final": True})


def classify(
    model: Predictor, chunks: Iterable[Array], rate: int | None = None, top: int = 5
) -> Iterator[object]:
    """An Answer after each chunk: the class of all that was heard so far, blank before the first step; the last one is
    that of the whole. In the record also `seconds`, how much was heard."""
    if not isinstance(model.output, Label):
        raise UsageError("this model does not tell classes", expected="one of audio:label")
    ear, pool = begin(model, rate), _Pool(model)
    for chunk in chunks:
        features, ear = process_chunk(model, ear, chunk)
        pool.add(features)
        yield _class(model, ear, pool, top, final=False)
    features, ear = process_chunk(model, ear, np.zeros(0, np.float32), last=True)
    pool.add(features)
    yield _class(model, ear, pool, top, final=True)


def _class(model: Predictor, ear: StreamState, pool: _Pool, top: int, *, final: bool) -> Answer:
    tensors = model.file.tensors
    if pool.value is None:
        found = model.output.blank()
    else:
        log_probs = outputs(NUMPY_LAYERS, model.spec, tensors, pool.value)  # [1, n_y]
        found = model.output.to_answer(log_probs, (), top, tensors)
    return Answer(found.text, {**found.record, "seconds": ear.heard * log_mel.HOP, "final": final})


class _Pool:
    """The features of all steps so far as one vector, as the model pools them; its memory does not grow."""

    def __init__(self, model: Predictor) -> None:
        self._kind, self._tensors = model.spec.head.pooling, model.file.tensors
        self._weight, self._top = 0.0, -np.inf  # the sum of the steps' weights, less the highest score
        self.value: Array | None = None  # [1, features]

    def add(self, a: Array) -> None:
        """Further steps [T, features]."""
        if not len(a):
            return
        match self._kind:
            case "last":
                self.value = a[-1:]
            case "max":
                rows = a if self.value is None else np.concatenate([self.value, a])
                self.value = rows.max(axis=0, keepdims=True)
            case "mean":
                self._average(a, np.zeros(len(a)))
            case _:
                p = self._tensors
                self._average(a, pooling_scores(NUMPY_LAYERS, p, a))

    def _average(self, a: Array, scores: Array) -> None:
        """The mean of all steps, each weighted by the exponential of its score."""
        top = max(self._top, float(scores.max()))
        old, new = self._weight * np.exp(self._top - top) if self._weight else 0.0, np.exp(scores - top)
        weight = old + float(new.sum())
        before = 0.0 if self.value is None else self.value * (old / weight)
        self.value = (before + new[None] @ a / weight).astype(a.dtype)
        self._weight, self._top = weight, top


def _stride(model: Predictor) -> int:
    """Frames that make a step."""
    return 1 if model.spec.front is None else model.spec.front.front.stride
