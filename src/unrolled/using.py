"""A trained model of labelled sequences on new ones: answers and metrics. Nothing here needs torch."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import modelfile
from .buckets import in_order
from .config import Config, from_json
from .engines import Engine
from .errors import DataError
from .examples import write_examples
from .inputs import INPUTS, Input
from .labelled import Labelled, opened, restore, rows
from .modelfile import ModelFile
from .network import NetworkSpec, shapes
from .network import from_json as spec_from_json
from .outputs import Output
from .predict import find_engine
from .tasks import find
from .types import Answer, Example

ROWS = 32  # sequences side by side


@dataclass(frozen=True)
class Trained:
    """An opened model of labelled sequences. stepwise: of one that answers from the last step of many, reading forward
    alone, the same weights asked at every step; None of any other."""

    file: ModelFile
    spec: NetworkSpec
    input: Input
    output: Output
    engine: Engine
    stepwise: Engine | None = None

    @property
    def config(self) -> Config:
        """How it was trained, and how it reads files."""
        return from_json({**self.file.config, "task": self.file.task})


def open_trained(path: Path, engine: str = "numpy") -> Trained:
    """Open a model file, every part of it checked against the others; raises as `predict.open_model`."""
    return from_file(modelfile.load(path), path, engine)


def from_file(file: ModelFile, path: Path, engine: str = "numpy") -> Trained:
    """As `open_trained`, of a file that was read already; `path` is for messages."""
    spec = spec_from_json(file.spec, path)
    modelfile.expect_shapes(file, shapes(spec), path)
    given, asked = restore(file.task, file.learnt, path)
    told = (given.n_x, given.ids, given.multi_hot, asked.n_y, asked.output, asked.architecture, asked.crf)
    built = (spec.n_x, spec.ids, spec.multi_hot, spec.n_y, spec.output, spec.architecture, spec.crf)
    if told != built:
        raise DataError(
            "what the model learnt of its data does not fit its network",
            file=path,
            hint="another copy of the file",
        )
    build = find_engine(engine)
    stepwise = None
    if spec.architecture == "many-to-one" and spec.pooling == "last" and not spec.bidirectional:
        stepwise = build(replace(spec, architecture="many-to-many"), file.tensors)
    return Trained(file, spec, given, asked, build(spec, file.tensors), stepwise)


def outcome(model: Trained, x: Any, place: Any = None) -> NDArray[Any]:
    """What the network answers to one sequence: [T, n_y], or [1, n_y] from many to one; of a `stepwise` model what it
    would have answered after each step, [T, n_y]."""
    encoded = model.input.encode(x, place)
    steps = max(1, len(encoded))
    padded = np.full((1, steps, *encoded.shape[1:]), -1 if model.input.ids else 0, dtype=encoded.dtype)
    padded[0, : len(encoded)] = encoded
    if model.stepwise is not None and len(encoded):
        return model.stepwise.run(padded)[0][0]
    answers, _ = model.engine.run(padded, np.array([len(encoded)]))
    return answers[0, : answered(model, len(encoded))]


def answered(model: Trained, steps: int) -> int:
    """How many steps of an engine's answer to so many of x are true."""
    return 1 if model.output.targets == "one" else int(model.spec.steps(steps))


def answer(model: Trained, example: Example, top: int) -> Answer:
    """The answer to one sequence; a blank one gets a blank answer."""
    if isinstance(example.x, Path):
        return say(model, example, top)  # it is read there
    blank = not len(example.x) or (model.input.ids and not "".join(model.input.steps(example.x)).strip())
    return model.output.blank() if blank else say(model, example, top)


def say(model: Trained, example: Example, top: int) -> Answer:
    """What the network says of one sequence, be it empty."""
    steps = model.input.steps(example.x)
    answers, weights = outcome(model, example.x, example.place), model.file.tensors
    last = answers[-1:] if model.stepwise is not None else answers
    found = model.output.answer(last, steps, top, weights)
    record = {**found.record}
    if model.stepwise is not None:
        every = [model.output.answer(answers[t : t + 1], steps, 1, weights) for t in range(len(answers))]
        record["steps"] = [one.text for one in every]
    if model.input.ids:
        record["unknown"] = model.input.unknown(example.x)
    return replace(found, record=record)


def evaluate(model: Trained, data: Labelled) -> dict[str, Any]:
    """The metrics of the output over all examples, each of which must have its y."""
    with tempfile.TemporaryDirectory(prefix="unrolled-") as folder:
        read = opened(data, model.input, INPUTS[find(model.file.task).input])
        part = write_examples(
            Path(folder), rows(read, model.input, model.output), targets=model.output.targets
        )
        answers: list[Any] = [None] * len(part)
        for batch, numbers in in_order(part, ROWS):
            found, _ = model.engine.run(batch.x, batch.lengths)
            for row, number, length in zip(found, numbers.tolist(), batch.lengths.tolist(), strict=True):
                answers[number] = row[: answered(model, length)].copy()
        y = [part.row(number)[1] for number in range(len(part))]
        steps = int(part.lengths.sum())
        metrics = model.output.metrics(y, answers, model.file.tensors)
        unknown = _unknown_share(part.x, steps) if model.input.ids else {}
        skipped = {"skipped": len(data.skipped)} if data.skipped else {}
        return {**metrics, **unknown, "sequences": len(part), "steps": steps, **skipped}


def _unknown_share(x: NDArray[Any], steps: int) -> dict[str, float]:
    words = x.reshape(len(x), -1)[:, 0] if len(x) else x
    return {"unknown": float((words == 0).sum()) / max(1, steps)}
