"""Streaming audio: a unidirectional model processes chunks; the result equals that of the whole recording.

What it remembers between them is an `Ear`: samples that fill no window yet, frames that fill no step yet, the running
mean and the network's state.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import UsageError
from unrolled.core.types import Answer, State
from unrolled.data.features import log_mel, normalization
from unrolled.data.media.audio import resampler
from unrolled.inference.open_model import Trained
from unrolled.models.decoding.ctc import best_path
from unrolled.tasks.inputs.audio import AudioInput
from unrolled.tasks.outputs.ctc import Transcript

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Ear:
    """What was heard and not answered yet, and what is remembered of what was.

    resample: brings samples to the model's rate; it has a memory of its own, so an ear is used once.
    """

    resample: Any
    rest: Array  # samples
    usual: normalization.Running
    frames: Array  # [T, bands], fewer than make a step
    state: State
    heard: int = 0  # frames in all


def begin(model: Trained, rate: int | None = None) -> Ear:
    """An ear for samples of this rate (None: the model's own). Raises UsageError where a model has to hear the end
    first."""
    given = model.input
    if not isinstance(given, AudioInput):
        raise UsageError("this model does not read sound", expected="one of audio")
    if model.spec.bidirectional or given.normalise != "running" or model.spec.architecture != "many-to-many":
        what = "this model hears the whole before it answers"
        raise UsageError(what, expected="one trained with --no-bidirectional", hint="Transcriber.predict")
    usual = normalization.started(given.mean, given.deviation)
    nothing = np.zeros((0, given.bands), np.float32)
    resample = resampler(rate or given.rate, given.rate)
    return Ear(resample, np.zeros(0, np.float32), usual, nothing, model.engine.start(1))


def hear(model: Trained, ear: Ear, samples: Array, *, last: bool = False) -> tuple[Array, Ear]:
    """The network's answers to what these samples complete, [T, n_y], and the ear after them."""
    given = model.input
    assert isinstance(given, AudioInput)
    sound = ear.resample(given.samples(samples), last)
    frames, rest = log_mel.frames(given.mel, ear.rest, sound)
    if last and len(rest) and not ear.heard + len(frames):  # shorter than a window in all
        frames, rest = log_mel.log_mel(given.mel, rest), rest[:0]
    x, usual = normalization.running(ear.usual, frames)
    x = np.concatenate([ear.frames, x])
    ready = len(x) if last else len(x) - len(x) % _stride(model)
    heard = ear.heard + len(frames)
    if not ready:
        answers, state = np.zeros((0, model.spec.n_y), np.float32), ear.state
    else:
        found, state = model.engine.run(x[None, :ready], None, ear.state)
        answers = found[0]
    return answers, Ear(ear.resample, rest, usual, x[ready:], state, heard)


def transcribe(
    model: Trained, chunks: Iterable[Array], rate: int | None = None, top: int = 1
) -> Iterator[Any]:
    """An Answer after each chunk: the text so far by the best path, and at the end, of all, by the search."""
    asked = model.output
    if not isinstance(asked, Transcript):
        raise UsageError("this model does not say texts", expected="one of transcribe")
    ear, parts = begin(model, rate), list[Array]()
    for chunk in chunks:
        answers, ear = hear(model, ear, chunk)
        parts.append(answers)
        text = asked.text(best_path(np.concatenate(parts)))
        yield Answer(text, {"text": text, "final": False})
    answers, ear = hear(model, ear, np.zeros(0, np.float32), last=True)
    found = asked.answer(np.concatenate([*parts, answers]), (), top, model.file.tensors)
    yield Answer(found.text, {**found.record, "final": True})


def _stride(model: Trained) -> int:
    """Frames that make a step."""
    return next(stride for stride in range(1, 64) if model.spec.steps(stride + 1) > 1)
