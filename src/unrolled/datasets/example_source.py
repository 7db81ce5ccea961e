"""Sources of labelled examples: files, or lists in memory. They also report the columns and the bad rows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, groupby
from pathlib import Path

import numpy as np

from unrolled.core.config import Config
from unrolled.core.errors import DataError, UsageError
from unrolled.core.options import HISTORY
from unrolled.core.types import Example, Place
from unrolled.data.features.season import find_period
from unrolled.data.file_names import find_file
from unrolled.data.folder_files import files_below
from unrolled.data.media_fragment import whole_of
from unrolled.data.read_request import FileOptions, ReadRequest, parse_columns
from unrolled.data.readers import find_reader, in_parallel, open_tunes, read_pairs
from unrolled.datasets.audio_checks import drop_bad_audio
from unrolled.datasets.fingerprint import fingerprint, fingerprint_examples
from unrolled.datasets.read_once import read_once
from unrolled.datasets.reading_notes import Notes
from unrolled.datasets.windows import forecast_windows, last_windows, next_step_windows, resampled, tunes
from unrolled.tasks.inputs import INPUTS
from unrolled.tasks.outputs import find_output
from unrolled.tasks.presets import find

MOST_HISTORY = 1_024  # longest season that is read by default, because training takes longer with more steps
MANY = 8  # seasons of a long series
WHOLE = 10_000_000  # steps; longer series are searched for a season in their end


def _refuse(place: Place, error: DataError) -> None:
    raise error


@dataclass(frozen=True)
class ExampleSource:
    """A source of examples.

    examples: yields the examples; it can be called any number of times.
    sha256: digest of the examples; it changes if the examples change.
    skipped: one line for each skipped bad row; complete after the examples have been read.
    bad: called for an example that turns out to be unusable after it was read (its file cannot be decoded, or
        it has too many steps). It raises the error if no more rows may be skipped.
    again: computes `sha256` again from the files; None for examples in memory.
    notes: notes about decisions made while the files were read.
    """

    examples: Callable[[], Iterator[Example]]
    sha256: str
    skipped: Sequence[str] = ()
    bad: Callable[[Place, DataError], None] = _refuse
    again: Callable[[], str] | None = None
    notes: Notes = field(default_factory=Notes)


def with_columns(paths: Sequence[Path], config: Config) -> Config:
    """Return the configuration with the names of the x columns that the first table has.

    Other tables can then have more columns, or the columns in another order. This applies to numbers and to
    pairs of texts. The configuration stays as it is if it names x columns already, or if a name cannot be
    written in `--columns`. Raises the errors of the readers.
    """
    found: list[tuple[str, ...]] = []
    next(iter(from_files(paths, config, named=found.append).examples()), None)
    given = config.data.columns
    preset = find(config.task)
    reads = INPUTS[preset.input].source_kind
    wanted = ReadRequest(kind=reads, target=find_output(preset.key).target)
    by_name = wanted.content.numeric or wanted.is_pair
    if not by_name or not found:
        return config
    if (given and parse_columns(given).x) or any(
        set(name) & set(",+=") or not name.strip() for name in found[0]
    ):
        return config
    columns = ",".join([f"x={'+'.join(found[0])}", *([given] if given else [])])
    return replace(config, data=replace(config.data, columns=columns))


def with_history(paths: Sequence[Path], config: Config) -> tuple[Config, tuple[str, ...]]:
    """Return the configuration with the number of steps that a forecast reads, and a message about it.

    The default is two seasons of the series, or one if the series has fewer than MANY of them. Nothing changes if the
    number is set, or without a horizon.
    Raises the errors of the readers.
    """
    if not config.data.horizon or config.data.history is not None:
        return config, ()
    everything = replace(config, data=replace(config.data, history=WHOLE))
    read = from_files(paths, everything, asked=False).examples()
    series = [np.asarray(one.x, dtype=np.float64) for one in read]
    period = find_period([x for x in series if len(x)] or [np.zeros((1, 1))], MOST_HISTORY)
    # With two seasons, the forecast can average them. A short series needs its steps as examples.
    seasons = 2 if 2 * period <= MOST_HISTORY and MANY * period <= max(map(len, series), default=0) else 1
    history = max(HISTORY, seasons * period)
    season = f"a season of {period:,} steps" if period > 1 else "no season"
    told = f"the series has {season}; a forecast reads the {history:,} steps before it (--history)"
    return replace(config, data=replace(config.data, history=history)), (told,)


def check_formats(paths: Sequence[Path], config: Config) -> None:
    """Check the formats before any file is read.

    Raises UsageError if no reader supports the format of a file, or if `--columns` is wrong.
    """
    wanted = wanted_of(config)
    if not (wanted.is_pair and in_parallel(paths, wanted)):
        for path in paths:
            find_reader(path, wanted)


def is_ahead(config: Config) -> bool:
    """Whether the targets are later steps of x itself: forecasts, and models of the next step."""
    return config.data.horizon is not None or find_output(find(config.task).key).ahead


def as_written(
    config: Config, options: FileOptions, columns: str | None = None, skip_bad: int | None = None
) -> Config:
    """Return the configuration of a model for files that are not written like its training files.

    columns, skip_bad: None: as in training.
    """
    data = replace(
        config.data,
        format=options.format,
        encoding=options.encoding,
        quoting=options.quoting,
        columns=config.data.columns if columns is None else columns,
        skip_bad=config.data.skip_bad if skip_bad is None else skip_bad,
    )
    return replace(config, data=data)


def wanted_of(config: Config, *, asked: bool = True) -> ReadRequest:
    """Return the request to the readers for a configuration. Raises UsageError for invalid columns.

    asked: whether y is needed; False for prediction.
    """
    preset, data = find(config.task), config.data
    reads = INPUTS[preset.input]
    target = "next" if is_ahead(config) else find_output(preset.key).target if asked else None
    if reads.content.parsed:
        target = None  # y is the genre of a tune, and it is optional
    files = FileOptions(data.format, data.encoding, data.quoting or "auto")
    wanted = ReadRequest(
        kind=reads.source_kind, target=target, skip_bad=data.skip_bad, files=files, asked=asked
    )
    wanted = parse_columns(data.columns, wanted) if data.columns else wanted
    if wanted.y and wanted.content.numeric and find_output(preset.key).ahead:
        raise UsageError(
            f"{config.task} has no use for y={'+'.join(wanted.y)}: it predicts every column of x",
            hint="numbers:number with --horizon, which forecasts y from x",
        )
    return wanted


def from_files(
    paths: Sequence[Path],
    config: Config,
    *,
    asked: bool = True,
    named: Callable[[tuple[str, ...]], None] | None = None,
    keep: Callable[[ReadRequest], ReadRequest] = lambda wanted: wanted,
) -> ExampleSource:
    """Return a source of the examples in files.

    asked: whether each example must have its y; False for prediction.
    named: called with the names of the x columns that are found in a table.
    keep: changes the request to the readers, for prediction.
    Raises UsageError for an invalid request. Raises the errors of the readers when the files are read.
    """
    told: list[str] = []
    notes = Notes()

    def skip(place: Place, reason: str) -> None:
        line = f"{place}: {reason}"
        if line not in told:
            told.append(line)
        if len(told) > config.data.skip_bad:  # bad rows and broken media files count together
            what = f"{reason} (after {len(told) - 1:,} bad rows that were skipped)"
            raise DataError(what, file=place.file, line=place.line, hint=f"--skip-bad {len(told)}")

    def bad(place: Place, error: DataError) -> None:
        if len(told) >= config.data.skip_bad and f"{place}: {error.what}" not in told:
            raise error
        skip(place, error.what)

    wanted = replace(wanted_of(config, asked=asked), skipped=skip, named=named, noted=notes.add)
    wanted = keep(wanted)
    if config.data.horizon and not wanted.content.numeric:
        raise UsageError(f"{config.task} has no use for 'horizon'", expected="it with numbers")

    def parse() -> Iterator[Example]:
        found = _read(paths, wanted, config)
        # Only numbers can be missing and have time stamps.
        return notes.watched(found) if wanted.content.numeric else found

    def digest(read: Callable[[], Iterator[Example]] = parse) -> str:
        if wanted.content.named and asked:
            own = fingerprint([path for path in paths if not path.is_dir()])
            return hashlib.sha256((own + _named(read())).encode()).hexdigest()
        own = fingerprint(paths, _unread(paths, read))
        return hashlib.sha256((own + _named(read())).encode()).hexdigest() if wanted.content.parsed else own

    read = read_once(parse) if asked else parse
    make = _sequences(read, wanted, config, asked=asked)
    return ExampleSource(make, digest(read), told, bad, digest if asked else None, notes)


def _read(paths: Sequence[Path], wanted: ReadRequest, config: Config) -> Iterator[Example]:
    """Yield the examples of the readers, resampled to a regular time grid if `--resample` is set."""
    examples = _from_readers(paths, wanted)
    return resampled(examples, config.data.resample) if config.data.resample else examples


def _from_readers(paths: Sequence[Path], wanted: ReadRequest) -> Iterator[Example]:
    if wanted.is_pair and in_parallel(paths, wanted):
        return read_pairs(paths, wanted)
    # A reader gets all files of its format in one call, because they share `skip_bad`.
    kinds = groupby(paths, lambda path: find_reader(path, wanted))
    return chain.from_iterable(reader(list(group), wanted) for reader, group in kinds)


def _sequences(
    read: Callable[[], Iterator[Example]], wanted: ReadRequest, config: Config, *, asked: bool
) -> Callable[[], Iterator[Example]]:
    """Return a function that yields the examples for the network: whole sequences, or windows of series."""
    data, content = config.data, wanted.content
    if content.parsed:
        return read_once(lambda: tunes(open_tunes(read(), wanted), asked))
    if data.horizon:
        horizon, history = data.horizon, data.past
        if asked:
            return lambda: forecast_windows(read(), horizon, history)
        return lambda: last_windows(read(), history)
    if is_ahead(config):
        return (lambda: next_step_windows(read(), data.past)) if asked else read
    if content.sound and asked:  # in prediction every row has an answer or an error, so none is dropped
        return lambda: drop_bad_audio(read(), wanted, config)
    return read


def _unread(paths: Sequence[Path], read: Callable[[], Iterator[Example]]) -> set[Path]:
    """Return the files in folders that contain no example. They may change without a change of the data."""
    below = {file for path in paths if path.is_dir() for file in files_below(path)}
    return below - {example.place.file for example in read()} if below else below


def _named(examples: Iterable[Example]) -> str:
    """Return the SHA-256 of the media files that the examples name, and of their y.

    It covers recordings, images, clips and tunes. The digest of the table does not cover their content.
    """
    digest = hashlib.sha256()
    for example in examples:
        name = example.x.strip() if isinstance(example.x, str) else example.x
        named = find_file(example.place.file.parent / name) if name and isinstance(name, str) else name
        if isinstance(named, Path) and whole_of(named)[0].exists():
            digest.update(f"{fingerprint([named])}{example.y!r}\n".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def from_lists(
    x: Sequence[object], y: Sequence[object], name: str = "X", weights: Sequence[float] | None = None
) -> ExampleSource:
    """Return a source of sequences in memory.

    y: the targets in the form of the output kind, or None for each.
    name: used as the file name in messages; the line is the number of the sequence, from 1.
    weights: the weight of each sequence in training; None: all are 1.
    Raises DataError if a number is missing (NaN). Only files may have missing numbers; these are reported.
    """
    for number, one in enumerate(x, 1):
        if isinstance(one, np.ndarray) and one.dtype.kind == "f" and np.isnan(one).any():
            raise DataError("a number is missing (NaN)", file=name, line=number, expected="finite numbers")
    counted = [1.0] * len(x) if weights is None else weights

    def examples() -> Iterator[Example]:
        for number, (one, target, weight) in enumerate(zip(x, y, counted, strict=True), 1):
            yield Example(one, target, Place(Path(name), number), weight=weight)

    return ExampleSource(examples, fingerprint_examples(examples()))
