"""Process a recording in chunks, with a unidirectional model. The result equals that of the whole recording.

A `StreamState` is kept between chunks. It has the samples that do not fill a window yet, the frames that do
not fill a step yet, the running statistics, and the state of the network.
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
    """The state of a stream: the input that is not processed yet, and the state of all components.

    resample: resamples to the sample rate of the model. It has a state of its own, so a `StreamState` can be
        used only once.
    engine: answers after each step, [T, n_y]. For a many-to-one model, it returns the features to be pooled.
    """

    resample: Callable[[Floats, bool], Floats]
    rest: Array  # samples that do not fill a window yet
    usual: normalization.RunningStats
    frames: Array  # [T, bands], frames that do not fill a step yet
    engine: Engine
    state: State
    heard: int = 0  # number of all frames so far
    loudness: tuple[Array, ...] = ()  # dB of the frames so far


def begin(model: Predictor, rate: int | None = None) -> StreamState:
    """Return the state of a stream before its first chunk.

    rate: sample rate of the chunks in Hz; None: the sample rate of the model.
    Raises UsageError if the model does not read audio, or if it needs the whole recording.
    """
    given, spec = model.input, model.spec
    if not isinstance(given, AudioInput):
        raise UsageError("this model does not read recordings", expected="a model of audio")
    if spec.core.bidirectional or given.normalise != "running":
        what = "this model needs the whole recording before it answers"
        raise UsageError(what, expected="a model trained with --no-bidirectional", hint="Transcriber.predict")
    engine = model.engine
    if spec.head.pooling is not None:
        engine = NumpyEngine(without_head(spec), model.file.tensors)
    usual = normalization.initial_stats(given.mean, given.deviation)
    nothing = np.zeros((0, given.bands), np.float32)
    resample = resampler(rate or given.rate, given.rate)
    return StreamState(resample, np.zeros(0, np.float32), usual, nothing, engine, engine.start(1))


def process_chunk(
    model: Predictor, stream_state: StreamState, samples: Array, *, last: bool = False
) -> tuple[Array, StreamState]:
    """Return the network's answers to the steps that these samples complete, [T, n_y], and the new state.

    samples: [n] or [n, channels]: floats from -1 to 1, or integers such as int16. Channels are averaged.
    last: whether this is the last chunk.
    Raises DataError for other samples.
    """
    given = model.input
    assert isinstance(given, AudioInput)
    sound = stream_state.resample(given.samples(samples), last)
    frames, rest = log_mel.frames(given.mel, stream_state.rest, sound, stream_state.heard)
    if (
        last and len(rest) and not stream_state.heard + len(frames)
    ):  # the whole recording is shorter than a window
        frames, rest = log_mel.log_mel(given.mel, rest), rest[:0]
    x, usual = normalization.normalize_running(stream_state.usual, frames)
    x = np.concatenate([stream_state.frames, x])
    ready = len(x) if last else len(x) - len(x) % _stride(model)
    answers, state = np.zeros((0, stream_state.engine.n_y), np.float32), stream_state.state
    if ready:
        found, state = stream_state.engine.run(x[None, :ready], None, stream_state.state)
        answers = found[0]
    heard, loud = stream_state.heard + len(frames), (*stream_state.loudness, loudness.of_frames(frames))
    return answers, StreamState(
        stream_state.resample, rest, usual, x[ready:], stream_state.engine, state, heard, loud
    )


def transcribe(
    model: Predictor, chunks: Iterable[Array], rate: int | None = None, top: int = 1
) -> Iterator[object]:
    """Yield an Answer after each chunk: the text so far, from the best path.

    The last Answer has the text of the whole recording, from the beam search.
    top: number of candidates in the record of the last Answer.
    """
    asked = model.output
    if not isinstance(asked, Transcript):
        raise UsageError("this model does not transcribe", expected="a model of transcribe")
    stream_state, parts = begin(model, rate), list[Array]()
    for chunk in chunks:
        answers, stream_state = process_chunk(model, stream_state, chunk)
        parts.append(answers)
        text = asked.text(best_path(np.concatenate(parts)))
        yield Answer(text, {"text": text, "final": False})
    answers, stream_state = process_chunk(model, stream_state, np.zeros(0, np.float32), last=True)
    when = Timeline(log_mel.HOP, stream_state.heard * log_mel.HOP, np.concatenate(stream_state.loudness))
    found = asked.to_answer(np.concatenate([*parts, answers]), when, top, model.file.tensors)
    yield Answer(found.text, {**found.record, "final": True})


def classify(
    model: Predictor, chunks: Iterable[Array], rate: int | None = None, top: int = 5
) -> Iterator[object]:
    """Yield an Answer after each chunk: the class of the recording so far, blank before the first step.

    The last Answer has the class of the whole recording. `seconds` in the record is the length of the
    recording so far. top: number of classes in the record.
    """
    if not isinstance(model.output, Label):
        raise UsageError("this model does not classify", expected="a model of audio:label")
    stream_state, pool = begin(model, rate), _Pool(model)
    for chunk in chunks:
        features, stream_state = process_chunk(model, stream_state, chunk)
        pool.add(features)
        yield _class(model, stream_state, pool, top, final=False)
    features, stream_state = process_chunk(model, stream_state, np.zeros(0, np.float32), last=True)
    pool.add(features)
    yield _class(model, stream_state, pool, top, final=True)


def _class(model: Predictor, stream_state: StreamState, pool: _Pool, top: int, *, final: bool) -> Answer:
    tensors = model.file.tensors
    if pool.value is None:
        found = model.output.blank()
    else:
        log_probs = outputs(NUMPY_LAYERS, model.spec, tensors, pool.value)  # [1, n_y]
        found = model.output.to_answer(log_probs, (), top, tensors)
    return Answer(found.text, {**found.record, "seconds": stream_state.heard * log_mel.HOP, "final": final})


class _Pool:
    """The features of all steps so far, pooled to one vector as in the model.

    Its memory use does not grow.
    """

    def __init__(self, model: Predictor) -> None:
        self._kind, self._tensors = model.spec.head.pooling, model.file.tensors
        self._weight, self._top = 0.0, -np.inf  # sum of exp(score - highest score), and the highest score
        self.value: Array | None = None  # [1, features]

    def add(self, a: Array) -> None:
        """Add steps, [T, features]."""
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
        """Update the mean of all steps. Each step is weighted by the exponential of its score."""
        top = max(self._top, float(scores.max()))
        old, new = self._weight * np.exp(self._top - top) if self._weight else 0.0, np.exp(scores - top)
        weight = old + float(new.sum())
        before = 0.0 if self.value is None else self.value * (old / weight)
        self.value = (before + new[None] @ a / weight).astype(a.dtype)
        self._weight, self._top = weight, top


def _stride(model: Predictor) -> int:
    """Return the number of frames per step."""
    return 1 if model.spec.front is None else model.spec.front.front.stride
