"""The training job of labelled sequences."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unrolled.core.config import Config
from unrolled.core.errors import DataError
from unrolled.core.progress import counted
from unrolled.core.system import memory_left
from unrolled.core.types import Array, Batch, Floats, Place, Targets, Vary
from unrolled.data.vectors import format_of
from unrolled.datasets.example_batches import ExampleEpoch, batches_by_length
from unrolled.datasets.example_dataset import PreparedData, prepare
from unrolled.datasets.example_source import ExampleSource, from_files, with_columns, with_history
from unrolled.datasets.example_store import Examples
from unrolled.datasets.fingerprint import fingerprint
from unrolled.models.network_spec import DecoderSpec, NetworkSpec, WordVectors
from unrolled.models.tensor_shapes import VECTORS
from unrolled.models.wide.wide_part import to_file
from unrolled.nn.losses import Criterion
from unrolled.nn.torch_engine import TorchEngine
from unrolled.tasks.inputs import INPUTS, Input, input_of
from unrolled.tasks.outputs import find_output
from unrolled.tasks.presets import find
from unrolled.tasks.sizes import resolve_examples
from unrolled.tasks.text_unit import decided
from unrolled.training.budget import estimate_bytes
from unrolled.training.job import ENCODED_ANEW, Learnt, TrainingJob, TrainingRequest
from unrolled.training.loop import TrainingData
from unrolled.training.network_of_config import labelled_network
from unrolled.training.unknown_tokens import unknown_in_examples
from unrolled.training.wide.build import Problem, fit_wide

EVALUATED = 32  # sequences per validation batch
MEASURED = 2_000  # maximum number of validation sequences whose metrics are computed at each validation
LONG = 40  # steps of the core; sequences from this length on need first weights with a long memory
LONG_QUANTILE = 0.9
SHOWN = 200  # maximum characters of the column names in a message


def request(
    config: Config,
    data: ExampleSource,
    valid: ExampleSource | None,
    out: Path,
    *,
    resume: bool = False,
    force: bool = False,
    began: float | None = None,
    reading: float | None = None,
    told: tuple[str, ...] = (),
) -> TrainingRequest:
    """Return a request to train on labelled sequences. told: messages that are shown first.

    If the token unit of texts is not set, it is chosen from the data.
    """
    fingerprints = {"train": data.sha256, "valid": valid.sha256 if valid else None}
    if config.data.vectors is not None:
        path = Path(config.data.vectors)
        fingerprints["vectors"] = fingerprint(format_of(path).files(path))

    def job(filled: Config, folder: Path) -> TrainingJob:
        filled, unit = decided(config, filled, data.examples())
        return assemble(filled, prepare(data, valid, filled, folder), (*told, *unit))

    return TrainingRequest(config, fingerprints, job, out, resume, force, began, reading)


def request_from_files(
    config: Config,
    data: Sequence[Path],
    valid: Sequence[Path],
    test: Sequence[Path],
    out: Path,
    *,
    resume: bool = False,
    force: bool = False,
) -> TrainingRequest:
    """Return a request to train on files of labelled sequences.

    Test files are also read once, so that unusable files are reported before anything is written.
    """
    reading = time.monotonic()
    config, told = with_history(data, with_columns(data, config))
    for _ in from_files(test, config).examples() if test else ():
        pass
    held = from_files(valid, config) if valid else None
    source = from_files(data, config)
    return request(config, source, held, out, resume=resume, force=force, reading=reading, told=told)


def assemble(config: Config, ready: PreparedData, told: tuple[str, ...] = ()) -> TrainingJob:
    """Return the training job of prepared examples. told: messages that are shown first."""
    given, asked = ready.input, ready.output
    part, not_learnt = _measurable(config, ready.train, "training", ready)
    held, not_measured = ready.valid, ()
    if held is not None:
        held, not_measured = _measurable(config, held, "validation", ready)
    count, lengths = len(part), part.lengths
    steps, longest = int(lengths.sum()), int(lengths.argmax())
    config = resolve_examples(config, count, steps, given.n_x)
    model, training, kind = config.model, config.training, find_output(find(config.task).key)
    vectors = ready.vectors
    size = None if vectors is None else WordVectors(*vectors.shape)
    fixed: dict[str, Array] = {} if vectors is None else {VECTORS: vectors}
    spec = labelled_network(config, given, asked, size)
    _refuse_longest(spec, config, int(lengths[longest]), part.place(longest))
    vary, brief = _vary(config, given, asked.targets), kind.summarize
    batch_size = training.batch_size or 1
    held_steps = 0 if held is None else int(held.lengths.sum())
    fitted = fit_wide(Problem(part, held, asked, config, ready.drawn)) if model.wide else None

    def epoch(number: int) -> Sequence[Batch]:
        return ExampleEpoch(part, batch_size, training.seed, number, given.unk_candidates, vary)

    def spread(limit: int, most: int) -> Examples:
        """Return sequences of about `limit` steps, evenly spread over the validation set; at most `most`."""
        assert held is not None
        count = max(1, min(len(held), most, round(limit * len(held) / max(1, held_steps))))
        return held.select(np.linspace(0, len(held) - 1, count).astype(np.int64))

    def validation(limit: int) -> Iterable[Batch]:
        return (batch for batch, _ in batches_by_length(spread(limit, 1 << 62), EVALUATED))

    def measure(weights: Mapping[str, Array], limit: int) -> tuple[float, Mapping[str, float]]:
        assert kind.measure is not None
        some, weights = spread(limit, MEASURED), {**weights, **fixed}
        y, answers = held_answers(spec, weights, some, brief)
        if fitted is None:
            return kind.measure(asked, y, answers, weights)
        score, _ = kind.measure(asked, y, answers, weights)  # of the network, because it is what is trained
        _, shown = kind.measure(asked, y, *fitted.preview(y, answers, some, weights))
        _, alone = kind.measure(asked, y, *fitted.baseline.of_all(answers, some, weights))
        return score, {**shown, "baseline": next(iter(alone.values()))}

    def learnt(weights: Mapping[str, Array]) -> Learnt:
        settled, fields, tensors = asked, dict[str, object](), dict[str, Array]()
        y: Sequence[Array] = ()
        answers: Sequence[Floats] = ()
        about = ()
        if held is not None and not isinstance(spec.head, DecoderSpec):
            y, answers = held_answers(spec, weights, held, brief)
        if fitted is not None:
            done = fitted.complete(y, answers, weights)
            y, answers, about = y if done.y is None else done.y, done.answers, done.about
            fields["wide"], tensors = to_file(done.part)
        if answers:
            settled = asked.calibrate(y, answers, weights)
        return Learnt({"input": given.to_json(), "output": settled.to_json(), **fields}, tensors, about)

    criterion = Criterion(training.label_smoothing or 0.0, _weights(config, part, asked.n_y), model.ordinal)
    problem = TrainingData(
        epoch,
        validation if held is not None else None,
        part.place,
        criterion,
        enough=spec.head.enough,
        carries=False,
        measure=measure if held is not None and kind.measure is not None else None,
    )
    held_words = "nothing held out" if held is None else f"{len(held):,} for validation"
    return TrainingJob(
        config=config,
        spec=spec,
        problem=problem,
        valid_size=held_steps,
        step_size=batch_size * steps / count,
        about=(
            *((ENCODED_ANEW,) if ready.damaged else ()),
            *told,
            *(f"skipped {line}" for line in ready.skipped),
            *(f"note: {line}" for line in ready.notes),
            *not_learnt,
            *not_measured,
            *(unknown_in_examples(held) if held is not None and input_of(config.task).content.words else ()),
            *_columns(config.data.columns),
            f"{count:,} sequences of {steps:,} steps, {held_words}",
            ready.about,
            asked.describe(),
            *(() if fitted is None else fitted.about),
        ),
        step=counted(batch_size, "sequence"),
        unit=spec.head.loss_unit,
        learnt=learnt,
        notes={"train_sequences": count, "train_steps": steps},
        settling=0 if isinstance(spec.head, DecoderSpec) else held_steps,
        memory=_memory(spec, lengths),
        fixed=fixed,
    )


def held_answers(
    spec: NetworkSpec, weights: Mapping[str, Array], held: Examples, brief: Callable[[Array, Floats], Floats]
) -> tuple[list[Array], list[Floats]]:
    """Return y and the answer of the network for each validation sequence, after `brief` of the output kind."""
    engine = TorchEngine(spec, weights)
    y = [held.target(number) for number in range(len(held))]
    answers: list[Floats] = [np.zeros(0)] * len(held)
    for batch, numbers in batches_by_length(held, EVALUATED):
        found, _ = engine.run(batch.x, batch.lengths)
        ends = [1] * len(numbers) if held.targets == "one" else spec.steps(batch.lengths).tolist()
        for number, row, end in zip(numbers.tolist(), found, ends, strict=True):
            answers[number] = brief(y[number], row[:end])
    return y, answers


def _measurable(
    config: Config, part: Examples, name: str, ready: PreparedData
) -> tuple[Examples, tuple[str, ...]]:
    """Return the sequences of a set that have a meaningful loss, and a message about the others.

    name: the name of the set, "training" or "validation".
    Raises DataError if there are none: the loss would always be 0, so nothing could be learned.
    """
    can_measure = find_output(find(config.task).key).can_measure
    if can_measure is None or not len(part):
        return part, ()
    kept = [i for i in range(len(part)) if can_measure(ready.output, part.target(i))]
    lost = len(part) - len(kept)
    unseen = ", ".join(f"{one!r:.40}" for one in ready.unseen) if part is ready.valid else ""
    why = (
        f"the training set does not contain {unseen}" if unseen else "every step of a sequence needs a target"
    )
    if not kept:
        place = part.place(0)
        raise DataError(
            f"none of the {len(part):,} {name} sequences can be used: {why}",
            file=place.file,
            line=place.line,
            expected="targets that occur in the training set",
            hint="other files"
            if unseen
            else "--no-crf, which also learns from sequences in which some steps have no target",
        )
    if not lost and not unseen:
        return part, ()
    told = f"the {name} set has targets that are not in the training set ({unseen})" if unseen else why
    unused = f": {lost:,} of {len(part):,} sequences are not used" if lost else ""
    return part.select(np.array(kept, np.int64)), (told + unused,)


def _refuse_longest(spec: NetworkSpec, config: Config, steps: int, place: Place) -> None:
    """Raise DataError if the longest sequence alone needs too much memory. A smaller batch would not help.

    steps: number of steps of the longest sequence. place: its file and line, for the message.
    """
    needed, left = estimate_bytes(spec, config.training, steps), memory_left()
    if needed > left and needed > 2 * estimate_bytes(spec, config.training, 1):
        there = f"{left / 2**20:,.0f} MB are available"
        what = f"training on a sequence of {steps:,} steps takes about {needed / 2**20:,.0f} MB; {there}"
        raise DataError(what, file=place.file, line=place.line, hint="splitting it into shorter sequences")


def _memory(spec: NetworkSpec, lengths: NDArray[np.int64]) -> int:
    """Return the number of steps that the state must bridge: the length of all but the longest sequences.

    Only an answer from the last state depends on inputs that are far away. If sequences are short, the usual
    first weights learn as well.
    """
    if spec.head.pooling != "last":
        return 0
    steps = int(np.quantile(np.asarray(spec.steps(lengths)), LONG_QUANTILE))
    return steps if steps >= LONG else 0


def _columns(columns: str | None) -> tuple[str, ...]:
    """Return a message with the columns that are read, if they are chosen by name."""
    if not columns:
        return ()
    return (f"columns: {columns if len(columns) <= SHOWN else columns[:SHOWN] + '...'}",)


def _vary(config: Config, given: Input, targets: Targets) -> Vary | None:
    """Return the data augmentation of x and y, or None if the configuration does not request it."""
    vary = INPUTS[find(config.task).input].augmenter
    return vary(given, config.training.flip, targets == "each") if config.training.augment and vary else None


def _weights(config: Config, part: Examples, n_y: int) -> tuple[float, ...]:
    """Return the class weights [n_y]: 1 / sqrt(count of the class), scaled to mean 1 over the examples.

    A class without examples gets 0. Without `class_weights` in the configuration, the result is empty.
    """
    if not config.training.class_weights:
        return ()
    counts = np.bincount(part.y[part.rows], minlength=n_y)
    weights = np.where(counts > 0, np.maximum(counts, 1) ** -0.5, 0.0)
    return tuple((weights * counts.sum() / (weights * counts).sum()).tolist())
