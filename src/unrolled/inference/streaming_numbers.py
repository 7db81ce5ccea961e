"""Process a series of numbers in chunks: a unidirectional model answers after each step.

The answers do not depend on how the steps are divided into chunks. Steps are counted from 1, as in all
answers. A `Stream` is kept between chunks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from unrolled.core.errors import UsageError
from unrolled.core.types import Answer, Array, State
from unrolled.inference.open_model import Predictor
from unrolled.models.engines import Engine
from unrolled.models.network_spec import Crf
from unrolled.tasks.digits import shown
from unrolled.tasks.inputs.numbers import NumberInput, filled
from unrolled.tasks.outputs.next_numbers import NATS, NextNumbers


@dataclass(frozen=True, eq=False)
class Stream:
    """The state of a stream.

    steps: number of steps so far.
    last: [1, n_x] the last step, with missing numbers filled; [0, n_x] before the first step.
    predicted: [1, n_y] the network's answer to the last step; [0, n_y] before the first step.
    """

    state: State
    steps: int
    last: Array
    predicted: Array


def begin(model: Predictor) -> Stream:
    """Return the state of a stream before its first step.

    Raises UsageError if the model does not read numbers, or if it needs the whole series.
    """
    if not isinstance(model.input, NumberInput):
        raise UsageError("this model does not read numbers", expected="a model of numbers")
    nothing = np.zeros((0, model.input.n_x))
    return Stream(_engine(model).start(1), 0, nothing, np.zeros((0, model.spec.n_y), np.float32))


def read(model: Predictor, stream: Stream, chunk: object) -> tuple[list[Answer], Stream]:
    """Return the answers to the steps of a chunk, and the new state.

    chunk: [T, n_x] numbers in the units of the training data. NaN is a missing number; it is filled with the
        last number before it.
    The record of each answer has the number of its `step`. A model of the next step adds:
    - `surprise`: how improbable the step was, in nats; None for the first step and if a number is missing.
    - `anomaly`: whether the surprise is above the threshold; None if the model has no threshold.
    - `next`: the predicted next step.
    Any other model returns its answer for the series up to this step.
    Raises DataError for another number of columns, and for infinite numbers.
    """
    assert isinstance(model.input, NumberInput)
    engine, rows = _engine(model), np.asarray(chunk, dtype=np.float64)
    if not len(model.input.encode(rows)):
        return [], stream
    known = filled(np.concatenate([stream.last, rows]), np.array(model.input.mean))
    x = model.input.encode(known)[len(stream.last) :]
    found, state = engine.run(x[None], None, stream.state)
    answers: Array = found[0]
    told = (
        _surprises(model.output, stream, rows, answers)
        if isinstance(model.output, NextNumbers)
        else [
            model.output.to_answer(answers[t : t + 1], rows[t : t + 1], 1, model.file.tensors)
            for t in range(len(x))
        ]
    )
    numbered = [
        replace(answer, record={"step": number, **answer.record})
        for number, answer in enumerate(told, stream.steps + 1)
    ]
    return numbered, Stream(state, stream.steps + len(x), known[-1:], answers[-1:])


def _engine(model: Predictor) -> Engine:
    """Return the engine that answers after every step. Raises UsageError if there is none."""
    if model.decoder is not None:
        what = "this model reads the whole series before it writes a text"
        raise UsageError(what, expected="a model that answers with classes, numbers or tags")
    path = isinstance(model.spec.head, Crf)
    engine = model.engine if model.spec.reads_forward and not path else model.stepwise
    if engine is None or model.spec.steps(2) != 2:
        options = (
            "--no-bidirectional" if model.spec.head.pooling is None else "--no-bidirectional --pooling last"
        )
        options += " --no-crf" if path else ""
        raise UsageError(
            "this model needs the whole series before it answers", expected=f"a model trained with {options}"
        )
    return engine


def _surprises(asked: NextNumbers, stream: Stream, rows: Array, answers: Array) -> list[Answer]:
    """Return for each step of a chunk its surprise, whether it is an anomaly, and the predicted next step."""
    before = len(stream.last)  # 0 or 1
    seen, predicted = np.concatenate([stream.last, rows]), np.concatenate([stream.predicted, answers])
    surprise = asked.surprise(predicted, seen)[before:]
    told: list[Answer] = []
    for nats, values in zip(surprise.tolist(), asked.values(answers).tolist(), strict=True):
        known = None if np.isnan(nats) else nats
        anomaly = None if known is None or asked.threshold is None else known > asked.threshold
        record = {"surprise": known, "anomaly": anomaly, "next": values}
        told.append(Answer("-" if known is None else shown(known, NATS, least=4), record))
    return told
