"""Series of numbers as they come: a model that reads forward alone answers after each step.

The answers do not depend on how the steps are cut into chunks, and steps count from 1, as in all answers. What is
remembered between chunks is a `Stream`.
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
    """What is remembered of a series so far.

    steps: how many there were. last: [1, n_x], the last one, with missing numbers filled. foretold: [1, n_y], what the
    network answered to it. Both are empty before the first step.
    """

    state: State
    steps: int
    last: Array
    foretold: Array


def begin(model: Predictor) -> Stream:
    """The stream before its first step.

    Raises UsageError where the model does not read numbers, or has to read the whole series before it answers.
    """
    if not isinstance(model.input, NumberInput):
        raise UsageError("this model does not read numbers", expected="one of numbers")
    nothing = np.zeros((0, model.input.n_x))
    return Stream(_engine(model).start(1), 0, nothing, np.zeros((0, model.spec.n_y), np.float32))


def read(model: Predictor, stream: Stream, chunk: object) -> tuple[list[Answer], Stream]:
    """The answers to the steps of a chunk, [T, n_x] numbers in the units of the training data, and the stream after it.

    A number that is NaN is missing: it takes the last one before it. The record of each answer has the number of its
    `step`. A model of the next step says how surprising the step was (None for the first, and where a number is
    missing), whether this is an `anomaly` (None where the usual surprise is not known), and what it expects `next`; any
    other model says what it says of the series up to this step. Raises DataError for another number of columns, and for
    infinite numbers.
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
    """The engine that answers at every step. Raises UsageError where there is none."""
    if model.decoder is not None:
        what = "this model reads the whole series before it writes a text"
        raise UsageError(what, expected="one that answers with classes, numbers or tags")
    path = isinstance(model.spec.head, Crf)
    engine = model.engine if model.spec.reads_forward and not path else model.stepwise
    if engine is None or model.spec.steps(2) != 2:
        options = (
            "--no-bidirectional" if model.spec.head.pooling is None else "--no-bidirectional --pooling last"
        )
        options += " --no-crf" if path else ""
        raise UsageError(
            "this model reads the whole series before it answers", expected=f"one trained with {options}"
        )
    return engine


def _surprises(asked: NextNumbers, stream: Stream, rows: Array, answers: Array) -> list[Answer]:
    """How surprising each step of a chunk was, and what is expected next."""
    before = len(stream.last)  # 0 or 1
    seen, foretold = np.concatenate([stream.last, rows]), np.concatenate([stream.foretold, answers])
    surprise = asked.surprise(foretold, seen)[before:]
    told: list[Answer] = []
    for nats, values in zip(surprise.tolist(), asked.values(answers).tolist(), strict=True):
        known = None if np.isnan(nats) else nats
        anomaly = None if known is None or asked.threshold is None else known > asked.threshold
        record = {"surprise": known, "anomaly": anomaly, "next": values}
        told.append(Answer("-" if known is None else shown(known, NATS, least=4), record))
    return told
