"""Prepare labelled sequences for training: fit the input and the output, encode, hold out a validation set.

An input kind and an output kind know how to fit and encode their data. This file combines one of each.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unrolled.core.config import Config
from unrolled.core.errors import DataError, UsageError
from unrolled.core.types import Example, Place
from unrolled.core.values.example_values import as_sequence
from unrolled.core.values.json_values import as_list_of, as_object, as_plain
from unrolled.data.text.pretrained import PretrainedWords
from unrolled.datasets.audio_checks import error_of_row
from unrolled.datasets.example_source import ExampleSource
from unrolled.datasets.example_store import EncodedExample, Examples, open_examples, write_examples
from unrolled.datasets.fingerprint import require_unchanged
from unrolled.datasets.hold_out import NOTHING, Parts, drawn, ends, windows_of_series
from unrolled.datasets.prefetch import AT_ONCE, LoadFile
from unrolled.datasets.prepared_folder import VECTORS, key_of, reuse_or_make
from unrolled.datasets.windows import split_windows
from unrolled.tasks.input_kind import WideFeatures
from unrolled.tasks.inputs import INPUTS, Input, InputKind
from unrolled.tasks.outputs import Output, OutputKind, find_output
from unrolled.tasks.presets import find
from unrolled.tasks.wide_features import wide_features

SMALLEST = 200  # minimum number of sequences; with fewer, no validation set is held out
NAMED = 8  # maximum number of unseen names that are reported
LONGEST = 200_000  # maximum number of steps of a sequence that is not cut into windows
VECTORS_FILE = "vectors.npy"
_SPLIT = 7  # hash key of the validation split; the same for every seed, so that models can be compared


@dataclass(frozen=True)
class PreparedData:
    """Everything that training reads: the fitted input and output, and the encoded parts on disk.

    about: description of the input.
    valid: the validation set; None: there is none.
    skipped: one line for each bad row that was skipped.
    notes: one line for each decision made while reading.
    damaged: True if encoded data existed but had changed since it was written, so it was encoded again.
    unseen: names in the validation files that the training files do not have.
    drawn: whether the validation set was held out from the training files.
    vectors: [words, width] the pretrained vectors; None: there are none.
    """

    input: Input
    output: Output
    about: str
    train: Examples
    valid: Examples | None
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    damaged: bool = False
    unseen: tuple[str, ...] = ()
    drawn: bool = False
    vectors: NDArray[np.float16] | None = None


def prepare(data: ExampleSource, valid: ExampleSource | None, config: Config, folder: Path) -> PreparedData:
    """Fit input and output on the training set and encode all sets into `folder`.

    Encoded data in `folder` is reused if it belongs to the same source and configuration.

    If `valid` is None, the fraction `hold_out` of the sequences is held out for validation:
    - The choice is random but does not depend on the seed.
    - Nothing is held out if there are fewer than 200 sequences. The limit is 2 windows if the model predicts
      the next step of numbers.
    - For series, the end of each series is held out (`hold_out.ends`).
    """
    preset = find(config.task)
    encoding = [asdict(config.data), asdict(config.model), config.task, config.training.window]
    key = key_of(data.sha256, valid.sha256 if valid else None, encoding)
    sealed = reuse_or_make(folder, key, lambda: _write(data, valid, config, folder))
    content, damaged = sealed.content, sealed.damaged
    both = (
        INPUTS[preset.input].restore(as_object(content["input"])),
        find_output(preset.key).restore(as_object(content["output"])),
        as_plain(str, content["about"]),
    )
    again = file_loader(both[0], INPUTS[preset.input])
    whole = open_examples(folder / "train", again)
    skipped, notes = (tuple(as_list_of(str, content[key])) for key in ("skipped", "notes"))
    unseen, vectors = tuple(as_list_of(str, content.get("unseen", []))), _read_vectors(folder / VECTORS)
    ready = PreparedData(*both, whole, None, skipped, notes, damaged, unseen, vectors=vectors)
    if valid is not None:
        return replace(ready, valid=open_examples(folder / "valid", again))
    held = np.array(as_list_of(int, content["held"]), dtype=np.int64)
    if not len(held):
        return ready
    kept = Parts(held, np.array(as_list_of(int, content.get("unused", [])), dtype=np.int64)).train(len(whole))
    return replace(ready, train=whole.select(kept), valid=whole.select(held), drawn=True)


def _write(
    data: ExampleSource, valid: ExampleSource | None, config: Config, folder: Path
) -> dict[str, object]:
    preset = find(config.task)
    parts = NOTHING if valid is not None else held_out(windows_of_series(data.examples()), config)
    out = set(parts.held.tolist())

    def learnt_from() -> Iterator[Example]:
        return (example for number, example in enumerate(data.examples()) if number not in out)

    input_kind, output_kind = INPUTS[preset.input], find_output(preset.key)
    given, about = input_kind.learn(learnt_from(), config.data)
    _write_vectors(input_kind.pretrained(given), folder / VECTORS)
    # Classes are also learnt from the validation set: a class that is only there must not stop the training.
    known = data.examples() if output_kind.include_validation else learnt_from()
    asked = output_kind.learn(known, config.data, config.model)
    again, room = file_loader(given, input_kind), config.data.cache * 2**20
    lost, long = list[int](), list[int]()
    window = config.training.window if input_kind.windowed else None
    counts: list[int] = []  # number of windows of each example
    read = load_files(data, given, input_kind, lost)
    wide = wide_features(config)
    read = short_enough(encode_examples(read, given, asked, wide), longest_of(input_kind), data.bad, long)
    read = split_windows(read, window, counts) if window else read
    write_examples(folder / "train", read, targets=asked.targets, room=room, opening=again)
    if valid is not None:
        read = encode_examples(load_files(valid, given, input_kind), given, asked, wide)
        read = short_enough(read, longest_of(input_kind), valid.bad, [])
        read = split_windows(read, window, []) if window else read
        write_examples(folder / "valid", read, targets=asked.targets, room=room, opening=again)
    for part in (data, valid):
        require_unchanged(part and part.again, part.sha256 if part else "")
    unseen = _unseen(output_kind, asked, valid)
    return {
        "input": given.to_json(),
        "output": asked.to_json(),
        "about": about,
        "held": _rows_of(parts.held, (lost, long), counts),
        "unused": _rows_of(parts.unused, (lost, long), counts),
        "skipped": [*data.skipped, *(valid.skipped if valid else ())],
        "notes": [*data.notes.lines(), *(valid.notes.lines() if valid else ())],
        "unseen": unseen,
    }


def _write_vectors(pretrained: PretrainedWords | None, folder: Path) -> None:
    """Write the pretrained vectors into `folder`, or remove those of an earlier preparation."""
    file = folder / VECTORS_FILE
    file.unlink(missing_ok=True)
    if pretrained is not None and pretrained.values is not None:
        folder.mkdir(exist_ok=True)
        np.save(file, pretrained.values)


def _read_vectors(folder: Path) -> NDArray[np.float16] | None:
    file = folder / VECTORS_FILE
    return np.load(file) if file.exists() else None


def _unseen(kind: OutputKind, asked: Output, valid: ExampleSource | None) -> list[str]:
    """Return the first `NAMED` names in the validation files that the training files do not have."""
    if valid is None or kind.unseen_in is None:
        return []
    every = (name for one in valid.examples() for name in kind.unseen_in(asked, one.y or ()))
    return list(islice(_distinct(every), NAMED))


def _distinct(names: Iterable[str]) -> Iterator[str]:
    seen = set[str]()
    for name in names:
        if name not in seen:
            seen.add(name)
            yield name


def _rows_of(
    chosen: NDArray[np.int64], left_out: Iterable[Sequence[int]], counts: Sequence[int]
) -> list[int]:
    """Return the rows of the `chosen` examples in the encoded data set.

    left_out: for each filter, in order, the numbers of the examples that it dropped. A filter numbers the
        examples that the filter before it kept.
    counts: number of rows of each kept example; empty if each example is one row.
    """
    for numbers in left_out:
        chosen = chosen[~np.isin(chosen, numbers)]
        # The numbers after a dropped example become smaller.
        chosen = chosen - np.searchsorted(np.array(numbers, np.int64), chosen)
    if not counts:
        return chosen.tolist()
    starts = np.cumsum([0, *counts]).tolist()
    return [row for i in chosen.tolist() for row in range(starts[i], starts[i + 1])]


def longest_of(kind: InputKind) -> float:
    """Return the maximum number of steps of a sequence.

    The number is limited only if the kind does not cut sequences into windows: training then keeps a whole
    sequence in memory.
    """
    return math.inf if kind.windowed else LONGEST


def too_long(steps: int, longest: float, place: Place) -> DataError | None:
    """Return the error for a sequence with more steps than `longest`; None if it is not too long."""
    if steps <= longest:
        return None
    what, expected = f"a sequence of {steps:,} steps", f"at most {longest:,}"
    hint = "cutting it into shorter ones"
    return DataError(what, file=place.file, line=place.line, expected=expected, hint=hint)


def short_enough(
    read: Iterable[EncodedExample], longest: float, bad: Callable[[Place, DataError], None], lost: list[int]
) -> Iterator[EncodedExample]:
    """Yield the rows with at most `longest` steps.

    For each longer row, call `bad` and append the number of the row to `lost`. Raises the errors of `bad`.
    """
    for number, row in enumerate(read):
        error = too_long(len(row.x), longest, row.place)
        if error is None:
            yield row
        else:
            bad(row.place, error)
            lost.append(number)


def encode_examples(
    examples: Iterable[Example], given: Input, asked: Output, wide: WideFeatures | None = None
) -> Iterator[EncodedExample]:
    """Yield the examples with x and y encoded for the network. wide: computes the features of the wide part."""
    for example in examples:
        x, y = given.encode(example.x, example.place), example.y
        own = None if wide is None else wide(given, example.x, x)
        if example.source and asked.targets == "each" and y:
            tags = as_sequence(y)
            # After resampling, the number of frames may differ by one from the number of tags.
            y = tuple(tags[min(t, len(tags) - 1)] for t in range(len(x)))
        yield EncodedExample(
            x, asked.encode(y, len(x), example.place), example.place, example.source, example.weight, own
        )


def file_loader(given: Input, kind: InputKind) -> LoadFile | None:
    """Return a function that reads a file and encodes it as x; None if the input kind opens no files."""
    open_one = kind.load_file
    if open_one is None:
        return None
    return lambda path, place: given.encode(open_one(given, Example(path, None, place)).x, place)


def load_files(
    data: ExampleSource, given: Input, kind: InputKind, lost: list[int] | None = None
) -> Iterator[Example]:
    """Yield the examples in order, with the content of their files as x.

    Other input kinds yield them unchanged. A few threads read files ahead, so memory holds only a few files.
    For each file that cannot be decoded, call `data.bad` and append the number of the example to `lost`.
    Raises the errors of `data.bad`.
    """
    open_one = kind.load_file
    if open_one is None:
        yield from data.examples()
        return
    waiting: deque[tuple[int, Place, Future[Example]]] = deque()
    examples = enumerate(data.examples())
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            while True:
                for number, example in islice(examples, 2 * AT_ONCE - len(waiting)):
                    waiting.append((number, example.place, pool.submit(open_one, given, example)))
                if not waiting:
                    return
                number, place, future = waiting.popleft()
                try:
                    example = future.result()
                except DataError as error:
                    data.bad(place, error_of_row(error, place))
                    (lost if lost is not None else []).append(number)
                    continue
                yield example
        finally:
            for _, _, future in waiting:
                future.cancel()


def held_out(counts: Sequence[int], config: Config) -> Parts:
    """Choose the examples that are held out for validation: at random, or the ends of series.

    The choice does not depend on the seed.
    counts: number of windows of each series. If the examples are not windows: the number of all examples.
    """
    preset, share, count = find(config.task), config.data.hold_out, sum(counts)
    pieces = find_output(preset.key).ahead and INPUTS[preset.input].content.numeric
    if not share or count < (2 if pieces else SMALLEST):
        return NOTHING
    some = int(count * share) if pieces else max(1, int(count * share))
    if pieces or config.data.horizon:
        return ends(counts, some, config.data.horizon or 1, _SPLIT)
    return drawn(count, some, _SPLIT)


def restore(task: str, learnt: Mapping[str, object], file: Path) -> tuple[Input, Output]:
    """Restore the input and the output from a model file.

    Raises DataError with the file name if they are damaged.
    """
    try:
        preset = find(task)
        if preset.stream:
            raise DataError(
                f"is a language model (its task is '{task}')", expected="a model of labelled data"
            )
        if set(learnt) - {"wide"} != {"input", "output"}:
            raise DataError("the input and output in the model are damaged", expected="input, output")
        given = INPUTS[preset.input].restore(as_object(learnt["input"]))
        return given, find_output(preset.key).restore(as_object(learnt["output"]))
    except (DataError, UsageError) as error:
        raise DataError(error.what, file=file, expected=error.expected) from error
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataError("the input and output in the model are damaged", file=file) from error
