"""Prepare labelled sequences for training: learn the input and the output, encode, hold a part out.

An input kind and an output kind know how to learn and to encode their data; this file combines one of each.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unrolled.core.config import Config
from unrolled.core.errors import DataError, UsageError
from unrolled.core.types import Example, Place
from unrolled.core.values.example_values import as_sequence
from unrolled.core.values.json_values import as_list_of, as_object, as_plain
from unrolled.datasets.audio_checks import error_of_row
from unrolled.datasets.example_source import ExampleSource
from unrolled.datasets.example_store import EncodedExample, Examples, open_examples, write_examples
from unrolled.datasets.fingerprint import require_unchanged
from unrolled.datasets.hold_out import NOTHING, Parts, drawn, ends, windows_of_series
from unrolled.datasets.prefetch import AT_ONCE, LoadFile
from unrolled.datasets.prepared_folder import key_of, reuse_or_make
from unrolled.datasets.windows import split_windows
from unrolled.tasks.inputs import INPUTS, Input, InputKind
from unrolled.tasks.outputs import Output, OutputKind, find_output
from unrolled.tasks.presets import find

SMALLEST = 200  # sequences; of fewer no part is held out unless asked for
NAMED = 8  # unseen names that are told
LONGEST = 200_000  # steps of a sequence that is read as a whole
_SPLIT = 7  # key of the chance that holds sequences out; the same for every seed, so that models compare


@dataclass(frozen=True)
class PreparedData:
    """What training sees: both ends of the model, and the parts on disk. about: the input, in words. skipped: a
    line for each bad row that was left out. notes: a line for each decision while reading. damaged: encoded data were
    there but had changed since they were written, so they were encoded again. unseen: names in the validation part that
    training does not have."""

    input: Input
    output: Output
    about: str
    train: Examples
    valid: Examples | None
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    damaged: bool = False
    unseen: tuple[str, ...] = ()


def prepare(data: ExampleSource, valid: ExampleSource | None, config: Config, folder: Path) -> PreparedData:
    """Learn both ends from the training part and encode all parts into `folder`, or open what is there already.

    Where no validation part is given, `hold_out` of the sequences are held out, drawn by a fixed rule; none of fewer
    than 200. Of series it is the end of each (`hold_out.ends`).
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
    if valid is not None:
        part = open_examples(folder / "valid", again)
        return PreparedData(
            *both, whole, part, skipped, notes, damaged, tuple(as_list_of(str, content.get("unseen", [])))
        )
    held = np.array(as_list_of(int, content["held"]), dtype=np.int64)
    if not len(held):
        return PreparedData(*both, whole, None, skipped, notes, damaged)
    kept = Parts(held, np.array(as_list_of(int, content.get("unused", [])), dtype=np.int64)).train(len(whole))
    return PreparedData(*both, whole.select(kept), whole.select(held), skipped, notes, damaged)


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
    # So that a class that is only in the part held out does not stop the training.
    known = data.examples() if output_kind.include_validation else learnt_from()
    asked = output_kind.learn(known, config.data, config.model)
    again, room = file_loader(given, input_kind), config.data.cache * 2**20
    lost, long = list[int](), list[int]()
    window = config.training.window if input_kind.windowed else None
    counts: list[int] = []  # pieces of each example that is cut
    read = load_files(data, given, input_kind, lost)
    read = short_enough(encode_examples(read, given, asked), longest_of(input_kind), data.bad, long)
    read = split_windows(read, window, counts) if window else read
    write_examples(folder / "train", read, targets=asked.targets, room=room, opening=again)
    if valid is not None:
        read = encode_examples(load_files(valid, given, input_kind), given, asked)
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


def _unseen(kind: OutputKind, asked: Output, valid: ExampleSource | None) -> list[str]:
    """The first names in a validation part that training does not have."""
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
    """The rows of some examples.

    left_out: the numbers of the examples that each step of reading left out, one step after the other; a step counts
        those that the step before kept.
    counts: rows of each example that was kept; empty where each is one row.
    """
    for numbers in left_out:
        chosen = chosen[~np.isin(chosen, numbers)]
        # Examples after one that was left out have moved up.
        chosen = chosen - np.searchsorted(np.array(numbers, np.int64), chosen)
    if not counts:
        return chosen.tolist()
    starts = np.cumsum([0, *counts]).tolist()
    return [row for i in chosen.tolist() for row in range(starts[i], starts[i + 1])]


def longest_of(kind: InputKind) -> float:
    """How many steps a sequence may have: training holds a sequence in memory as a whole if it is not cut."""
    return math.inf if kind.windowed else LONGEST


def too_long(steps: int, longest: float, place: Place) -> DataError | None:
    """The error of a sequence with more steps than `longest`."""
    if steps <= longest:
        return None
    what, expected = f"a sequence of {steps:,} steps", f"at most {longest:,}"
    hint = "cutting it into shorter ones"
    return DataError(what, file=place.file, line=place.line, expected=expected, hint=hint)


def short_enough(
    read: Iterable[EncodedExample], longest: float, bad: Callable[[Place, DataError], None], lost: list[int]
) -> Iterator[EncodedExample]:
    """The rows of at most `longest` steps. `bad` gets the others, `lost` their numbers. Raises what `bad` raises."""
    for number, row in enumerate(read):
        error = too_long(len(row.x), longest, row.place)
        if error is None:
            yield row
        else:
            bad(row.place, error)
            lost.append(number)


def encode_examples(examples: Iterable[Example], given: Input, asked: Output) -> Iterator[EncodedExample]:
    """The examples as a network reads them."""
    for example in examples:
        x, y = given.encode(example.x, example.place), example.y
        if example.source and asked.targets == "each" and y:
            tags = as_sequence(y)
            # Resampled, there may be a frame more or less.
            y = tuple(tags[min(t, len(tags) - 1)] for t in range(len(x)))
        yield EncodedExample(
            x, asked.encode(y, len(x), example.place), example.place, example.source, example.weight
        )


def file_loader(given: Input, kind: InputKind) -> LoadFile | None:
    """How a file becomes x once more; None of a kind that opens none."""
    open_one = kind.load_file
    if open_one is None:
        return None
    return lambda path, place: given.encode(open_one(given, Example(path, None, place)).x, place)


def load_files(
    data: ExampleSource, given: Input, kind: InputKind, lost: list[int] | None = None
) -> Iterator[Example]:
    """The examples with what their files hold, where they are files that the kind opens: a few threads open them ahead,
    in their order, and memory holds no more than those few. Of the broken ones `data.bad` is told, and `lost` their
    numbers."""
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
    """The examples that are held out for validation, the same for every seed: drawn, or the ends of series.

    counts: how many windows each series has, or the number of all examples where they are no windows.
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
    """Both ends of a model file. Raises DataError, naming the file, where they are damaged."""
    try:
        preset = find(task)
        if preset.stream:
            raise DataError(
                f"is a language model (its task is '{task}')", expected="a model of labelled data"
            )
        if set(learnt) != {"input", "output"}:
            raise DataError("what the model learnt of its data is damaged", expected="input, output")
        given = INPUTS[preset.input].restore(as_object(learnt["input"]))
        return given, find_output(preset.key).restore(as_object(learnt["output"]))
    except (DataError, UsageError) as error:
        raise DataError(error.what, file=file, expected=error.expected) from error
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataError("what the model learnt of its data is damaged", file=file) from error
