"""Prepare a comparison: split the data once, and choose the scoring that all models and baselines share."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unrolled.analysis.compare import count_models, run_baselines, verdict
from unrolled.analysis.compare.run_baselines import BaselineResult, Baselines
from unrolled.analysis.compare.verdict import Answers, Scoring
from unrolled.core.atomic_files import storage_error, temporary_folder
from unrolled.core.config import Config, DataConfig
from unrolled.core.errors import DataError, UsageError
from unrolled.core.types import Array, Example, Floats
from unrolled.core.values.example_values import elements
from unrolled.core.values.json_values import as_list_of, as_number
from unrolled.data.readers import read_documents
from unrolled.data.text.tokenize import of_characters
from unrolled.datasets import example_dataset, example_source, fingerprint, text_dataset
from unrolled.datasets.example_batches import batches_by_length
from unrolled.datasets.example_dataset import PreparedData
from unrolled.datasets.example_source import ExampleSource
from unrolled.datasets.example_store import EncodedExample, write_examples
from unrolled.datasets.hold_out import drawn, ends, windows_of_series
from unrolled.datasets.text_dataset import Prepared
from unrolled.inference import predictor
from unrolled.inference.open_model import Predictor, open_language_model, open_trained
from unrolled.tasks.outputs import output_of
from unrolled.tasks.presets import find
from unrolled.training import language_job, supervised_job
from unrolled.training.job import TrainingJob

FIFTH = 0.2  # fraction of the data that is held out and scored if there are no --valid and --test files
FEWEST, SHORTEST = 10, 100  # minimum number of sequences, and of characters of a text, to hold out a fifth
TIMED = 32  # items answered one by one to measure the time per item
CONTEXT = 5  # context length, in characters, of the strongest character model among the baselines
_SPLIT = (
    31  # hash key of the random split: the split depends only on the index of a sequence, not on the seed
)
# Field of the answer in the record of each output kind.
_ANSWERS = {"label": "label", "tags": "tags", "number": "value"}


@dataclass(frozen=True)
class Files:
    """The files of a comparison, as the user named them."""

    data: tuple[Path, ...]
    valid: tuple[Path, ...] = ()
    test: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Benchmark:
    """The data and the scoring of a comparison.

    about: description of the scored set.  data: fingerprints of the training and the validation set.
    scored: fingerprint of the scored set.
    job: returns the training job of a configuration; its data section must have no blanks.
    answers: returns the answers of a model file to all scored items, and the milliseconds per single item
    (None if the items are lines of one text).
    baselines: returns the baselines.
    """

    about: str
    data: Mapping[str, str | None]
    scored: str
    job: Callable[[Config], TrainingJob]
    scoring: Scoring
    answers: Callable[[Path], tuple[Answers, float | None]]
    baselines: Callable[[], Baselines]


def make_benchmark(config: Config, units: Sequence[str], files: Files, folder: Path) -> Benchmark:
    """Return the data and the scoring of a comparison.

    config: its data section must have no blanks.  units: the units that are compared.
    folder: the prepared data are written there.
    Raises the errors of the readers before any training starts.
    """
    if find(config.task).stream:
        return _of_text(config, units, files, folder)
    return _of_examples(config, files, folder)


def _of_examples(config: Config, files: Files, folder: Path) -> Benchmark:
    preset, kind = find(config.task), output_of(config.task)
    if preset.output not in _ANSWERS and kind.scored is None:
        raise UsageError(f"compare cannot score {config.task}", hint="unrolled evaluate")
    config = example_source.with_columns(files.data, config)
    train, valid, scored, about = _parts(config, files)
    gold = tuple(scored.examples())

    @cache
    def ready(data: DataConfig) -> PreparedData:
        own = replace(config, data=data)
        found = example_dataset.prepare(train, valid, own, folder / "data" / (data.unit or "numbers"))
        for example in gold:  # an example that cannot be scored raises before any training starts
            x = found.input.encode(example.x, example.place)
            if not kind.asks.one_class:  # a class unknown to training is no error; it counts as wrong
                found.output.encode(example.y, len(x), example.place)
        return found

    def job(variant: Config) -> TrainingJob:
        variant = replace(variant, data=replace(variant.data, columns=config.data.columns))
        return supervised_job.assemble(variant, ready(variant.data))

    if kind.scored is None:
        tell = _field(_ANSWERS[preset.output])
        scoring = SCORINGS[preset.output](gold, ready(config.data).output.to_json())
    else:
        name, higher = kind.scored
        tell, scoring = _figure(name), verdict.of_figure(name, higher)
    own = bool(example_source.wanted_of(config).y)
    return Benchmark(
        about=f"{about}: {len(gold):,} {scoring.items}",
        data={"train": train.sha256, "valid": valid.sha256 if valid else None},
        scored=scored.sha256,
        job=job,
        scoring=scoring,
        answers=partial(_answers, gold, tell),
        baselines=lambda: run_baselines.of_examples(
            preset.kinds, config.data.horizon, train.examples, gold, own=own
        ),
    )


def _parts(config: Config, files: Files) -> tuple[ExampleSource, ExampleSource | None, ExampleSource, str]:
    """Return the training set, the validation set, the scored set, and a description of the scored set.

    The validation set is None if it is held out of the training set.
    """
    whole = example_source.from_files(files.data, config)
    others = files.test or files.valid
    if not others:
        kept, out = split(whole, config.data.horizon)
        return kept, None, out, _fifth_named(config.data.horizon)
    valid = example_source.from_files(files.valid, config) if files.test and files.valid else None
    return whole, valid, example_source.from_files(others, config), _named(others)


def _named(paths: Sequence[Path]) -> str:
    return f"scored on {', '.join(str(path) for path in paths[:3])}{' ...' if len(paths) > 3 else ''}"


def _fifth_named(horizon: int | None) -> str:
    return f"scored on {'the last fifth of the windows of each series' if horizon else 'a held-out fifth of the data'}"


def split(whole: ExampleSource, horizon: int | None) -> tuple[ExampleSource, ExampleSource]:
    """Split off a fifth of the examples. Return the other examples, and the fifth.

    The fifth is random but always the same. For forecasts it is the end of each series.
    Raises DataError if there are too few examples, and the errors of the reader.
    """
    windows = windows_of_series(whole.examples())
    count, out = sum(windows), int(sum(windows) * FIFTH)
    if count < FEWEST:
        raise DataError(f"{count} sequences are too few to hold out a fifth", hint="--test FILE")
    parts = ends(windows, out, horizon, _SPLIT) if horizon else drawn(count, out, _SPLIT)
    if not len(parts.held):
        raise DataError("the series are too short to hold out the end of each", hint="--test FILE")
    asked, kept = np.zeros(count, np.bool_), np.zeros(count, np.bool_)
    asked[parts.held], kept[parts.train(count)] = True, True
    return _some(whole, kept, "kept"), _some(whole, asked, "held out")


def _some(whole: ExampleSource, chosen: NDArray[np.bool_], name: str) -> ExampleSource:
    """Return the chosen examples. chosen: mask, [examples]."""

    def examples() -> Iterator[Example]:
        return (example for example, one in zip(whole.examples(), chosen, strict=True) if one)

    return ExampleSource(examples, hashlib.sha256(f"{name} of {whole.sha256}".encode()).hexdigest())


def _score_labels(gold: Sequence[Example], known: Mapping[str, object]) -> Scoring:
    return verdict.of_labels(
        [str(one.y) for one in gold], as_list_of(str, known["classes"]), ordinal=bool(known["ordinal"])
    )


def _score_tags(gold: Sequence[Example], known: Mapping[str, object]) -> Scoring:
    return verdict.of_tags([tuple(map(str, elements(one.y))) for one in gold], str(known["scheme"]))


def _score_numbers(gold: Sequence[Example], known: Mapping[str, object]) -> Scoring:
    return verdict.of_numbers(np.array([one.y for one in gold], dtype=np.float64))


# The scoring of each output kind. `known` is the fitted output, as in its model file.
SCORINGS: dict[str, Callable[[Sequence[Example], Mapping[str, object]], Scoring]] = {
    "label": _score_labels,
    "tags": _score_tags,
    "number": _score_numbers,
}


# Returns the answer to score, from an example and the output [T or 1, n_y] of the network.
Tell = Callable[[Predictor, Example, Floats], object]


def _field(key: str) -> Tell:
    """Return a function that scores one field of the record of the answer."""

    def tell(model: Predictor, example: Example, answer: Floats) -> object:
        return model.output.to_answer(answer, (), 1, model.weights).record[key]

    return tell


def _figure(name: str) -> Tell:
    """Return a function that computes one figure of the output for a single example."""

    def tell(model: Predictor, example: Example, answer: Floats) -> float:
        y = model.output.encode(example.y, len(answer), example.place)
        return as_number(model.output.figures([y], [answer], model.weights).get(name))

    return tell


def _answers(gold: Sequence[Example], tell: Tell, path: Path) -> tuple[Answers, float | None]:
    """Return the answers of a model to all items, computed in batches, and the milliseconds per single item.

    The time is measured on the NumPy engine.
    """
    model = open_trained(path, "torch")
    found: list[object] = [None] * len(gold)
    nothing = np.zeros((), np.int64)
    with temporary_folder() as folder:
        encoded = (_encoded(model, one, nothing) for one in gold)
        part = write_examples(folder, encoded, targets="one")
        for batch, numbers in batches_by_length(part, predictor.ROWS):
            outcomes = predictor.run_batch(model, part, batch, numbers)
            for row, number, length in zip(outcomes, numbers.tolist(), batch.lengths.tolist(), strict=True):
                own = row[: length if model.output.targets == "each" else 1]
                found[number] = tell(model, gold[number], own)
    alone, few = open_trained(path), gold[:TIMED]
    began = time.perf_counter()
    for example in few:
        predictor.answer(alone, example, 1)
    return found, 1e3 * (time.perf_counter() - began) / len(few)


def _encoded(model: Predictor, example: Example, y: Array) -> EncodedExample:
    """Return an example with encoded x and the features of the wide part."""
    x = model.input.encode(example.x, example.place)
    features = None if model.wide is None else model.wide.features(model.input, example.x, x)
    return EncodedExample(x, y, example.place, features=features)


def _of_text(config: Config, units: Sequence[str], files: Files, folder: Path) -> Benchmark:
    if config.data.encoding is not None:
        raise UsageError("compare reads only texts in UTF-8", hint="iconv -f NAME -t UTF-8 FILE")
    learnt_from, chosen_on, asked, about = text_parts(files, folder)
    scored = count_models.read_text(asked, lower=config.data.lower)
    lower = config.data.lower

    @cache
    def ready(data: DataConfig) -> Prepared:
        documents = data.documents or "file"
        valid = text_dataset.from_files(chosen_on, documents) if chosen_on else None
        home = folder / "data" / (data.unit or "char")
        return text_dataset.prepare(text_dataset.from_files(learnt_from, documents), valid, data, home)

    @cache
    def text() -> count_models.Text:
        return count_models.training_text(read_documents(learnt_from, "file"), lower=lower)

    @cache
    def counts() -> count_models.CharacterModel:
        return count_models.count_letters(text().joined, 0)

    def answers(path: Path) -> tuple[Answers, float | None]:
        model = open_language_model(path, "torch")
        with temporary_folder() as home:
            costs = count_models.model_costs(model.engine, model.reading, asked, scored, counts(), home)
        return costs, None

    characters = scored.characters
    return Benchmark(
        about=f"{about}: {len(scored.lines):,} lines, {int(characters.sum()):,} characters",
        data={
            "train": fingerprint.fingerprint(learnt_from),
            "valid": fingerprint.fingerprint(chosen_on) if chosen_on else None,
        },
        scored=fingerprint.fingerprint(asked),
        job=lambda config: language_job.assemble(config, ready(config.data)),
        scoring=verdict.of_lines(characters),
        answers=answers,
        baselines=lambda: _text_baselines(text(), scored, units),
    )


def _text_baselines(train: count_models.Text, scored: count_models.Text, units: Sequence[str]) -> Baselines:
    def baseline(name: str, costs: Callable[[], count_models.Costs]) -> BaselineResult:
        began = time.perf_counter()
        found = costs()
        return BaselineResult(name, found, time.perf_counter() - began)

    found: dict[str, Callable[[], BaselineResult]] = {
        "letters_alike": partial(
            baseline, "all letters equally likely", partial(count_models.uniform_costs, train, scored)
        ),
        "letter_counts": partial(
            baseline, "counts of letters", partial(count_models.letter_costs, train, scored, 0)
        ),
        "letter_contexts": partial(
            baseline,
            f"counts of letters after {CONTEXT} letters",
            partial(count_models.letter_costs, train, scored, CONTEXT),
        ),
    }
    for unit in units:
        if not of_characters(unit):
            name = "counts of words" if unit == "word" else "counts of words (split at white space)"
            found[f"{unit}_counts"] = partial(
                baseline, name, partial(count_models.word_costs, train, scored, unit)
            )
    return found


def text_parts(
    files: Files, folder: Path
) -> tuple[tuple[Path, ...], tuple[Path, ...], tuple[Path, ...], str]:
    """Return the parts and the description as `_parts` does, as files and folders of text.

    If there are no validation files, the validation set is held out of the training set.
    """
    if files.test:
        return files.data, files.valid, files.test, _named(files.test)
    if files.valid:
        return files.data, (), files.valid, _named(files.valid)
    kept, out = _cut(files.data, folder / "text")
    return (kept,), (), (out,), "scored on the last fifth of the text"


def _cut(paths: Sequence[Path], folder: Path) -> tuple[Path, Path]:
    """Copy the text into two folders: the last fifth, which starts at a line, into the second one."""
    source = text_dataset.from_files(paths, "file")
    if source.characters < SHORTEST:
        what = f"{source.characters} characters are too few to hold out a fifth"
        raise DataError(what, file=paths[0], hint="--test FILE")
    cut, begin, number = int(source.characters * (1 - FIFTH)), 0, 0
    parts = folder / "kept", folder / "held-out"
    try:
        for part in parts:
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
        for document in source.documents():
            number += document.first
            text, at = document.text, min(max(0, cut - begin), len(document.text))
            if 0 < at < len(text):
                at = text.rfind("\n", 0, at) + 1 or at
            for part, some in zip(parts, (text[:at], text[at:]), strict=True):
                if some:
                    with (part / f"{number:06}.txt").open("a", encoding="utf-8", newline="") as file:
                        file.write(some)
            begin += len(text)
    except OSError as error:
        raise storage_error(error, folder, 0) from error
    return parts
