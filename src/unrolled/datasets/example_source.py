"""Sources of labelled examples: files or lists in memory, with the columns and the bad rows that were found."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from unrolled.core.config import Config
from unrolled.core.errors import DataError
from unrolled.core.types import Example, Place
from unrolled.data.read_request import Wanted, parse_columns
from unrolled.data.readers import find_reader, in_parallel, open_tunes, read_pairs
from unrolled.datasets.audio_checks import audible
from unrolled.datasets.fingerprint import fingerprint, fingerprint_examples
from unrolled.datasets.windows import endings, forecasts, pieces, remembered, tunes
from unrolled.tasks.inputs import INPUTS
from unrolled.tasks.outputs import find_output
from unrolled.tasks.presets import find


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


def _sounds(examples: Iterable[Example]) -> str:
    """SHA-256 over the sounds that a table names, which its own bytes do not tell."""
    return fingerprint([example.x for example in examples if isinstance(example.x, Path)])


def from_lists(
    x: Sequence[Any], y: Sequence[Any], name: str = "X", weights: Sequence[float] | None = None
) -> Labelled:
    """Sequences in memory, with their y (or None) as the output kind takes it; messages give the number of a sequence
    as its line. weights: how much each counts in training, None: all alike."""
    counted = [1.0] * len(x) if weights is None else weights

    def examples() -> Iterator[Example]:
        for number, (one, target, weight) in enumerate(zip(x, y, counted, strict=True), 1):
            yield Example(one, target, Place(Path(name), number), weight=weight)

    return Labelled(examples, fingerprint_examples(examples()))
