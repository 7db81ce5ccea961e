"""Use a trained model of labelled sequences: predict answers and evaluate. This works without torch."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unrolled.core.atomic_files import temporary_folder
from unrolled.core.types import (
    ZERO_INPUT_ID,
    Answer,
    Array,
    Batch,
    Example,
    Floats,
    Integers,
    Place,
    Timeline,
)
from unrolled.core.values.example_values import as_sequence, elements, length
from unrolled.datasets.example_batches import batches_by_length, pad
from unrolled.datasets.example_dataset import encode_examples, load_files
from unrolled.datasets.example_source import ExampleSource
from unrolled.datasets.example_store import Examples, write_examples
from unrolled.inference.open_model import Predictor
from unrolled.tasks.details.parts import Details, Evaluated
from unrolled.tasks.inputs import INPUTS, input_of
from unrolled.tasks.inputs.tokens import TokenInput
from unrolled.tasks.outputs import find_output
from unrolled.tasks.outputs.sequence import Found, Sequences, size
from unrolled.tasks.outputs.tags import Tags
from unrolled.tasks.presets import find

ROWS = 32  # batch size


def forward(model: Predictor, x: object, place: Place | None = None) -> Floats:
    """Return the output of the network for one sequence. Not for encoder-decoders.

    - many-to-many: [T, n_y].
    - many-to-one: [1, n_y].
    - many-to-one with `stepwise`: [T, n_y], the output after each step.
    """
    return _run(model, model.input.encode(x, place))


def _run(model: Predictor, encoded: Array) -> Floats:
    """Do the same as `forward` for an encoded x, [T, ...]."""
    padded = pad([encoded], ZERO_INPUT_ID if model.input.ids else 0)
    if model.stepwise is not None and len(encoded):
        return model.stepwise.run(padded)[0][0]
    answers, _ = model.engine.run(padded, np.array([len(encoded)]))
    return answers[0, : output_length(model, len(encoded))]


def _with_wide(model: Predictor, whole: object, x: object, encoded: Array, answers: Floats) -> Floats:
    """Return the answers of the whole model: those of the network, with the wide part added.

    whole: x as it was given.  x: the same after `_split`.  answers: [1, n_y], or one row per step with `stepwise`.
    """
    if model.wide is None or not len(answers):
        return answers
    pairs = [(whole, encoded)]
    if not model.wide.part.linear.each_step:  # also x up to each step but the last
        pairs = [(as_sequence(x)[:t], encoded[:t]) for t in range(1, len(answers))] + pairs
    return model.wide.part.add(answers, [model.wide.features(model.input, *pair) for pair in pairs])


def _generate(model: Predictor, examples: Sequence[Example], several: Sequence[object]) -> list[Answer]:
    """Return the answers of an encoder-decoder for a batch of examples.

    several: x of each example after `_split`.
    """
    assert model.decoder is not None
    encoded = [model.input.encode(x, example.place) for x, example in zip(several, examples, strict=True)]
    lengths = np.array([len(one) for one in encoded])
    padded = pad(encoded, ZERO_INPUT_ID if model.input.ids else 0)
    sizes, lines = [size(example.x) for example in examples], [example.place.line for example in examples]
    found = _sequences(model).find(model.decoder, padded, lengths, sizes, model.decode_options, lines)
    told = [
        _sequences(model).told(one, model.input.steps(x), model.decode_options)
        for one, x in zip(found, several, strict=True)
    ]
    return [
        replace(one, record={**one.record, **_unknown(model, x, ids)})
        for one, x, ids in zip(told, several, encoded, strict=True)
    ]


def _unknown(model: Predictor, x: object, encoded: Array) -> dict[str, int]:
    """Return how many tokens of x are unknown; an empty dictionary if x has no tokens."""
    return {"unknown": model.input.unknown(x, encoded)} if model.input.ids else {}


def _sequences(model: Predictor) -> Sequences:
    """Return the output of an encoder-decoder."""
    assert isinstance(model.output, Sequences)
    return model.output


def output_length(model: Predictor, steps: int) -> int:
    """Return the number of output steps for an x with `steps` steps. Later output steps are padding."""
    return 1 if model.output.targets == "one" else int(model.spec.steps(steps))


def answer(model: Predictor, example: Example, top: int) -> Answer:
    """Return the answer for one sequence; a blank answer if the sequence is blank.

    top: number of classes or candidates in the record of the answer.
    """
    x = _split(model, example.x)
    blank = not isinstance(x, Path) and _is_blank(model, x)  # a file is not read yet, so it is not blank
    return model.output.blank() if blank else _answer(model, example, x, top)


def _split(model: Predictor, x: object) -> object:
    """Split x into tokens if it is a text and the model reads tokens; else return x unchanged."""
    return tuple(model.input.steps(x)) if isinstance(x, str) and isinstance(model.input, TokenInput) else x


def _is_blank(model: Predictor, x: object) -> bool:
    """Whether x, after `_split`, has no steps or only white space."""
    if not model.input.ids:
        return not length(x)
    tokens = x if isinstance(x, tuple) else elements(model.input.steps(x))
    return not "".join(map(str, tokens)).strip()


def answers(model: Predictor, examples: Sequence[Example]) -> list[Answer]:
    """Return the answers of an encoder-decoder for a batch of sequences."""
    several = [_split(model, example.x) for example in examples]
    asked = [number for number, x in enumerate(several) if not _is_blank(model, x)]
    found = [model.output.blank()] * len(examples)
    if asked:
        told = _generate(model, [examples[number] for number in asked], [several[number] for number in asked])
        for number, one in zip(asked, told, strict=True):
            found[number] = one
    return found


def network_answer(model: Predictor, example: Example, top: int) -> Answer:
    """Return the answer for one sequence. A blank sequence goes through the network too."""
    return _answer(model, example, _split(model, example.x), top)


def _answer(model: Predictor, example: Example, x: object, top: int) -> Answer:
    """Return the answer for an example. x: its x after `_split`."""
    if model.decoder is not None:
        return _generate(model, [example], [x])[0]
    kind = INPUTS[find(model.file.task).input]
    if kind.load_file is not None:
        example = kind.load_file(model.input, example)
        x = example.x
    steps = model.input.steps(x) if kind.timeline is None else kind.timeline(model.input, example)
    encoded, weights = model.input.encode(x, example.place), model.weights
    unknown = _unknown(model, x, encoded)
    answers = _with_wide(model, example.x, x, encoded, _run(model, encoded))
    last = answers[-1:] if model.stepwise is not None else answers
    found = model.output.to_answer(last, steps, top, weights)
    record = {**found.record}
    if isinstance(steps, Timeline) and steps.length:
        record["seconds"] = round(steps.length, 3)
    if model.stepwise is not None:
        every = [model.output.to_answer(answers[t : t + 1], steps, 1, weights) for t in range(len(answers))]
        record["steps"] = [one.text for one in every]
    return replace(found, record={**record, **unknown})


def step_probabilities(model: Predictor, example: Example) -> NDArray[np.float64]:
    """Return the probability of each tag at each step, [T_x, n_y]. With a CRF, it is summed over all paths.

    A blank sequence has no steps.
    """
    assert isinstance(model.output, Tags)
    x = _split(model, example.x)
    if not isinstance(x, Path) and _is_blank(model, x):
        return np.zeros((0, model.output.n_y))
    return model.output.probabilities(forward(model, x, example.place), model.weights)


@dataclass(frozen=True)
class Evaluation:
    """The results of a model on a data set.

    metrics: the metrics of the output kind, and the size of the data.
    details: the details of the output kind; None: it has none, or they were not requested.
    """

    metrics: Mapping[str, object]
    details: Details | None = None


def evaluate(model: Predictor, data: ExampleSource) -> dict[str, object]:
    """Return the metrics of the output over all examples. Each example must have its y."""
    return dict(evaluate_in_detail(model, data, detailed=False).metrics)


def evaluate_in_detail(model: Predictor, data: ExampleSource, *, detailed: bool = True) -> Evaluation:
    """Return the metrics and the details of the output over all examples. Each example must have its y.

    detailed: whether to compute the details.
    """
    kind = find_output(find(model.file.task).key)
    asked = (
        model.output
        if kind.meeting is None
        else kind.meeting(model.output, (one.y or () for one in data.examples()))
    )
    lost: list[int] = []
    with temporary_folder() as folder:
        read = load_files(data, model.input, INPUTS[find(model.file.task).input], lost)
        wide = None if model.wide is None else model.wide.features
        part = write_examples(folder, encode_examples(read, model.input, asked, wide), targets=asked.targets)
        found = part_answers(model, part) if model.decoder is None else _searched(model, part, data)
        y = (
            [part.target(number) for number in range(len(part))]
            if model.decoder is None
            else [one.y for one in data.examples()]
        )
        steps = int(part.lengths.sum())
        metrics = asked.figures(y, found, model.weights)
        unknown = (
            _unknown_share(model, part.x, steps)
            if model.input.ids and input_of(model.file.task).content.words
            else {}
        )
        skipped = {"skipped": len(data.skipped)} if data.skipped else {}
        missing = {"missing": data.notes.missing} if data.notes.missing else {}  # missing numbers of x
        metrics = {**metrics, **unknown, "sequences": len(part), "steps": steps, **missing, **skipped}
        if not detailed or kind.details is None:
            return Evaluation(metrics)
        all_of_it = Evaluated(
            y, found, model.weights, model.config, lambda numbers: _chosen(data, lost, numbers)
        )
        return Evaluation(metrics, kind.details(asked, all_of_it))


def _chosen(data: ExampleSource, lost: Collection[int], numbers: Collection[int]) -> dict[int, Example]:
    """Return the examples with these numbers. lost: the examples that were dropped, which have no number."""
    dropped, wanted = set(lost), set(numbers)
    kept = (one for at, one in enumerate(data.examples()) if at not in dropped)
    return {number: one for number, one in enumerate(kept) if number in wanted}


def run_batch(model: Predictor, part: Examples, batch: Batch, numbers: Integers) -> Floats:
    """Return the outputs of the model for a batch of a part, [batch, T or 1, n_y].

    numbers: [batch] the numbers of the sequences in the part.
    """
    found, _ = model.engine.run(batch.x, batch.lengths)
    if model.wide is None:
        return found
    wide, features = model.wide.part, [part.features(number) for number in numbers.tolist()]
    if not wide.linear.each_step:
        return wide.add(found[:, 0], features)[:, None]
    for row, own, steps in zip(found, features, batch.lengths.tolist(), strict=True):
        row[:steps] = wide.add(row[:steps], [own])
    return found


def part_answers(model: Predictor, part: Examples) -> list[Floats]:
    """Return the answer of the model to each sequence of a part, after `summarize` of the output kind."""
    answers: list[Floats] = [np.zeros(0)] * len(part)
    brief = find_output(find(model.file.task).key).summarize
    for batch, numbers in batches_by_length(part, ROWS):
        found = run_batch(model, part, batch, numbers)
        for row, number, steps in zip(found, numbers.tolist(), batch.lengths.tolist(), strict=True):
            answers[number] = brief(part.target(number), row[: output_length(model, steps)].copy())
    return answers


def _searched(model: Predictor, part: Examples, data: ExampleSource) -> list[Found]:
    """Return the candidates of an encoder-decoder for each sequence of a part.

    Each has also the negative log-probability of the true y, and its number of tokens.
    """
    assert model.decoder is not None
    sizes, output = [size(one.x) for one in data.examples()], _sequences(model)
    answers: list[Found] = [Found(())] * len(part)
    for batch, order in batches_by_length(part, ROWS):
        numbers = order.tolist()
        found = output.find(
            model.decoder, batch.x, batch.lengths, [sizes[n] for n in numbers], model.decode_options, numbers
        )
        costs = output.cost(model.decoder, batch.x, batch.lengths, [part.target(n) for n in numbers])
        for number, one, (nats, tokens) in zip(numbers, found, costs, strict=True):
            answers[number] = replace(one, nats=nats, tokens=tokens)
    return answers


def _unknown_share(model: Predictor, x: Array, steps: int) -> dict[str, float]:
    """Return the fraction of unknown tokens. x: the encoded tokens of all examples."""
    return {"unknown": (model.input.unknown(None, x) if len(x) else 0) / max(1, steps)}
