"""Labelled sequences: from files to what is learnt of them and to data sets on disk; trained models on new ones.

Nothing here needs torch. What an input and an output kind know of their data stands in `inputs` and `outputs`; this
puts one of each together.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np

from unrolled.core.atomic_files import write_atomically
from unrolled.core.config import Config
from unrolled.core.errors import DataError, UsageError
from unrolled.core.hashing import hashed
from unrolled.core.types import Example, Place
from unrolled.data.features.log_mel import HOP, Mel
from unrolled.data.fields import as_intervals
from unrolled.data.media.audio import header
from unrolled.data.read_request import Wanted, parse_columns, tolerance
from unrolled.data.readers import find_reader, in_parallel, open_tunes, read_pairs
from unrolled.data.text.subword import SUBWORD
from unrolled.datasets.example_store import Examples, Row, open_examples, write_examples
from unrolled.datasets.prefetch import AT_ONCE, Opening
from unrolled.datasets.text_dataset import fingerprint, is_prepared, key_of
from unrolled.datasets.windows import cut, endings, forecasts, pieces, remembered, tunes
from unrolled.models.frontends import FRONTS
from unrolled.tasks.inputs import INPUTS, Input, InputKind
from unrolled.tasks.outputs import Output, find_output
from unrolled.tasks.outputs.ctc import refuse_infeasible, tidy
from unrolled.tasks.presets import find

NO_TAG = "O"  # of a frame in no stretch of time
SMALLEST = 200  # sequences; of fewer no part is held out unless asked for
_SPLIT = 7  # key of the chance that holds sequences out; the same for every seed, so that models compare


def _refuse(place: Place, error: DataError) -> None:
    raise error


@dataclass(frozen=True)
class Labelled:
    """Where examples come from, as often as they are asked for; `sha256` changes when they do. skipped: a line for each
    bad row that was left out, known when they have been read. bad: takes an example whose file proves broken when it is
    opened; raises its error where no more may be left out."""

    examples: Callable[[], Iterator[Example]]
    sha256: str
    skipped: Sequence[str] = ()
    bad: Callable[[Place, DataError], None] = _refuse


@dataclass(frozen=True)
class Ready:
    """What training sees: both ends of the model, and the parts on disk. about: the input, in words. skipped: a
    line for each bad row that was left out."""

    input: Input
    output: Output
    about: str
    train: Examples
    valid: Examples | None
    skipped: tuple[str, ...] = ()


def with_columns(paths: Sequence[Path], config: Config) -> Config:
    """The configuration with the columns of numbers, or of texts to be translated, by their names, as the first table
    has them: so every other one is read alike, whatever order its columns have and whatever else is in it. Raises what
    the readers raise."""
    found: list[tuple[str, ...]] = []
    next(iter(from_files(paths, config, named=found.append).examples()), None)
    given = config.data.columns
    preset = find(config.task)
    reads = INPUTS[preset.input].reads
    by_name = reads == "numbers" or (reads == "text" and find_output(preset.key).target == "text")
    if not by_name or not found:
        return config
    if (given and parse_columns(given).x) or any(
        set(name) & set(",+=") or not name.strip() for name in found[0]
    ):
        return config
    columns = ",".join([f"x={'+'.join(found[0])}", *([given] if given else [])])
    return replace(config, data=replace(config.data, columns=columns))


def from_files(
    paths: Sequence[Path],
    config: Config,
    *,
    asked: bool = True,
    named: Callable[[tuple[str, ...]], None] | None = None,
) -> Labelled:
    """Files of examples; `asked`: each must have its y.  named: told the columns of x that are found in a table.

    Raises what the readers raise, when the examples are asked for.
    """
    preset = find(config.task)
    told: list[str] = []

    def skip(place: Place, reason: str) -> None:
        line = f"{place}: {reason}"
        if line not in told:
            told.append(line)
        if len(told) > config.data.skip_bad:  # by a reader and for what is in a sound together
            what = f"{reason} (after {len(told) - 1:,} bad rows that were skipped)"
            raise DataError(what, file=place.file, line=place.line, hint=f"--skip-bad {len(told)}")

    def bad(place: Place, error: DataError) -> None:
        if len(told) >= config.data.skip_bad and f"{place}: {error.what}" not in told:
            raise error
        skip(place, error.what)

    reads = INPUTS[preset.input].reads
    heard, seen = reads == "audio", reads in ("frames", "images")
    ahead = (
        config.data.horizon is not None or preset.output == "next"
    )  # the series itself tells what is asked
    target = "next" if ahead else find_output(preset.key).target if asked else None
    if reads == "tune":
        target = None  # y is the genre, where there is one
    wanted = Wanted(kind=reads, target=target, skip_bad=config.data.skip_bad, skipped=skip, named=named)
    wanted = parse_columns(config.data.columns, wanted) if config.data.columns else wanted

    def examples() -> Iterator[Example]:
        if target == "text" and reads == "text" and in_parallel(paths):
            yield from read_pairs(paths, wanted)
            return
        for reader, group in groupby(paths, find_reader):
            yield from reader(list(group), wanted)  # files of a kind together: they share skip_bad

    if reads == "tune":
        return Labelled(
            remembered(lambda: tunes(open_tunes(examples(), wanted), asked)), fingerprint(paths), told
        )
    if preset.output == "next" and asked:
        return Labelled(lambda: pieces(examples(), config.data.history), fingerprint(paths), told)
    if config.data.horizon:
        horizon, history = config.data.horizon, config.data.history
        if asked:
            return Labelled(lambda: forecasts(examples(), horizon, history), fingerprint(paths), told)
        return Labelled(lambda: endings(examples(), history), fingerprint(paths), told)
    if heard and asked:  # else each has its answer, or an error for one
        digest = fingerprint(paths) + _sounds(examples())
        return Labelled(
            lambda: audible(examples(), wanted, config),
            hashlib.sha256(digest.encode()).hexdigest(),
            told,
            bad,
        )
    digest = fingerprint(paths) + (_sounds(examples()) if seen and asked else "")
    return Labelled(examples, digest, told, bad)


def audible(examples: Iterable[Example], wanted: Wanted, config: Config) -> Iterator[Example]:
    """Those whose sound has a header that can be, and is long enough for its text; others are bad rows. Raises
    DataError where none is left."""
    bad, found = tolerance(wanted), False
    for example in examples:
        try:
            example = _checked(example, wanted, config)
        except DataError as error:
            bad(_of_row(error, example.place))
            continue
        found = True
        yield example
    if not found:
        raise DataError("no examples: not one sound that can be used", expected="sounds")


def _checked(example: Example, wanted: Wanted, config: Config) -> Example:
    """The example of a sound; its stretches of time become a tag a frame. Raises DataError for what cannot be."""
    told = header(Path(str(example.x)))
    frames = Mel(told.rate, 1).frames(told.samples)
    if wanted.target == "text" and config.data.unit != SUBWORD:  # of pieces not cut yet it is told later
        front = FRONTS.get(config.model.front or "none")
        stride = front.stride if front else 1
        text = tidy(str(example.y or ""), lower=config.data.lower)
        refuse_infeasible([ord(one) for one in text], -(-frames // stride), HOP * stride, example.place)
    if wanted.target == "tags":
        tags = [NO_TAG] * frames
        for begin, end, name in as_intervals(str(example.y or ""), example.place):
            first, last = round(begin / HOP), min(frames, round(end / HOP))
            tags[first:last] = [name] * max(0, last - first)
        return replace(example, y=tuple(tags))
    return example


def _of_row(error: DataError, place: Place) -> DataError:
    """What is wrong with a sound, as a fault of the row that names it."""
    what = error.what if error.file in (None, place.file) else f"{error.file}: {error.what}"
    return DataError(what, file=place.file, line=place.line, expected=error.expected, hint=error.hint)


def _sounds(examples: Iterable[Example]) -> str:
    """SHA-256 over the sounds that a table names, which its own bytes do not tell."""
    return fingerprint([example.x for example in examples if isinstance(example.x, Path)])


def from_lists(x: Sequence[Any], y: Sequence[Any], name: str = "X") -> Labelled:
    """Sequences in memory, with their y (or None) as the output kind wants it; their number stands for a line."""
    digest = hashlib.sha256()

    def examples() -> Iterator[Example]:
        for number, (one, target) in enumerate(zip(x, y, strict=True), 1):
            yield Example(one, target, Place(Path(name), number))

    for example in examples():
        if isinstance(example.x, np.ndarray):
            digest.update(
                f"{example.x.dtype} {example.x.shape}".encode() + np.ascontiguousarray(example.x).tobytes()
            )
        listed = None if isinstance(example.x, np.ndarray) else np.asarray(example.x).tolist()
        digest.update(repr((listed, example.y)).encode("utf-8", "surrogatepass"))
    return Labelled(examples, digest.hexdigest())


def prepare(data: Labelled, valid: Labelled | None, config: Config, folder: Path) -> Ready:
    """Learn both ends from the training part and encode all parts into `folder`, or open what is there already.

    Where no validation part is given, `hold_out` of the sequences are, drawn by a fixed rule; none of fewer than 200.
    Of forecasts and series it is the last, and windows whose y reaches into them are nobody's.
    """
    preset = find(config.task)
    encoding = [asdict(config.data), asdict(config.model), config.task, config.training.window]
    key = key_of(data.sha256, valid.sha256 if valid else None, encoding)
    index = folder / "prepared.json"
    if not is_prepared(index, key):
        folder.mkdir(parents=True, exist_ok=True)
        index.unlink(missing_ok=True)
        write_atomically(index, json.dumps({"key": key} | _write(data, valid, config, folder)).encode())
    content = json.loads(index.read_text(encoding="utf-8"))
    ends = (
        INPUTS[preset.input].restore(content["input"]),
        find_output(preset.key).restore(content["output"]),
        content["about"],
    )
    again = opening(ends[0], INPUTS[preset.input])
    whole, skipped = open_examples(folder / "train", again), tuple(content["skipped"])
    if valid is not None:
        return Ready(*ends, whole, open_examples(folder / "valid", again), skipped)
    held = np.array(content["held"], dtype=np.int64)
    if not len(held):
        return Ready(*ends, whole, None, skipped)
    kept = np.setdiff1d(np.arange(len(whole)), held)
    if config.data.horizon:
        kept = kept[kept <= held[0] - config.data.horizon]
    return Ready(*ends, whole.select(kept), whole.select(held), skipped)


def _write(data: Labelled, valid: Labelled | None, config: Config, folder: Path) -> dict[str, Any]:
    preset = find(config.task)
    count = sum(1 for _ in data.examples())
    held = np.zeros(0, np.int64) if valid is not None else held_out(count, config)
    out = set(held.tolist())

    def learnt_from() -> Iterator[Example]:
        return (example for number, example in enumerate(data.examples()) if number not in out)

    input_kind, output_kind = INPUTS[preset.input], find_output(preset.key)
    given, about = input_kind.learn(learnt_from(), config.data)
    # So that a class that is only in the part held out does not stop the training.
    known = data.examples() if output_kind.of_all else learnt_from()
    asked = output_kind.learn(known, config.data, config.model)
    again, room = opening(given, input_kind), config.data.cache * 2**20
    lost: list[int] = []
    window = config.training.window if input_kind.cut else None
    counts: list[int] = []  # rows of each example
    read = cut(rows(opened(data, given, input_kind, lost), given, asked), window, counts)
    write_examples(folder / "train", read, targets=asked.targets, room=room, opening=again)
    if valid is not None:
        read = cut(rows(opened(valid, given, input_kind), given, asked), window, [])
        write_examples(folder / "valid", read, targets=asked.targets, room=room, opening=again)
    held = held[~np.isin(held, lost)]
    held -= np.searchsorted(np.array(lost, np.int64), held)  # those behind a lost one have moved up
    ends = np.cumsum([0, *counts]).tolist()
    held = np.array([row for i in held.tolist() for row in range(ends[i], ends[i + 1])], dtype=np.int64)
    return {
        "input": given.to_json(),
        "output": asked.to_json(),
        "about": about,
        "held": held.tolist(),
        "skipped": [*data.skipped, *(valid.skipped if valid else ())],
    }


def rows(examples: Iterable[Example], given: Input, asked: Output) -> Iterator[Row]:
    """The examples as a network reads them."""
    for example in examples:
        x, y = given.encode(example.x, example.place), example.y
        if example.source and asked.targets == "each" and y:
            y = tuple(
                y[min(t, len(y) - 1)] for t in range(len(x))
            )  # resampled, there may be a frame more or less
        yield Row(x, asked.encode(y, len(x), example.place), example.place, example.source)


def opening(given: Input, kind: InputKind) -> Opening | None:
    """How a file becomes x once more; None of a kind that opens none."""
    open_one = kind.opened
    if open_one is None:
        return None
    return lambda path, place: given.encode(open_one(given, Example(path, None, place)).x, place)


def opened(data: Labelled, given: Input, kind: InputKind, lost: list[int] | None = None) -> Iterator[Example]:
    """The examples with what their files hold, where they are files that the kind opens: a few threads open them ahead,
    in their order, and memory holds no more than those few. Of the broken ones `data.bad` is told, and `lost` their
    numbers."""
    open_one = kind.opened
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
                    data.bad(place, _of_row(error, place))
                    (lost if lost is not None else []).append(number)
                    continue
                yield example
        finally:
            for _, _, future in waiting:
                future.cancel()


def held_out(count: int, config: Config) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The numbers of the sequences that are held out for validation, sorted: drawn, the same for every seed; of
    windows and pieces of series the last."""
    preset, share = find(config.task), config.data.hold_out
    pieces = preset.output == "next" and INPUTS[preset.input].reads == "numbers"
    if not share or count < (2 if pieces else SMALLEST):
        return np.zeros(0, np.int64)
    some = int(count * share) if pieces else max(1, int(count * share))
    if pieces or config.data.horizon:
        return np.arange(count - some, count)
    order = np.argsort(hashed((_SPLIT,), np.arange(count)), kind="stable")
    return np.sort(order[:some])


def restore(task: str, learnt: Mapping[str, Any], file: Path) -> tuple[Input, Output]:
    """Both ends of a model file. Raises DataError, naming the file, where they are damaged."""
    try:
        preset = find(task)
        if preset.stream:
            raise DataError(
                f"is a language model (its task is '{task}')", expected="a model of labelled data"
            )
        if set(learnt) != {"input", "output"}:
            raise DataError("what the model learnt of its data is damaged", expected="input, output")
        given = INPUTS[preset.input].restore(learnt["input"])
        return given, find_output(preset.key).restore(learnt["output"])
    except (DataError, UsageError) as error:
        raise DataError(error.what, file=file, expected=error.expected) from error
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataError("what the model learnt of its data is damaged", file=file) from error
