"""Sources of labelled examples: files or lists in memory, with the columns and the bad rows that were found."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from unrolled.core.config import Config
from unrolled.core.errors import DataError, UsageError
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
    opened; raises its error where no more may be left out. again: computes `sha256` once more, where they are in files.
    """

    examples: Callable[[], Iterator[Example]]
    sha256: str
    skipped: Sequence[str] = ()
    bad: Callable[[Place, DataError], None] = _refuse
    again: Callable[[], str] | None = None


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
    if config.data.horizon and reads != "numbers":
        raise UsageError(f"{config.task} has no use for 'horizon'", expected="it with numbers")
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

    def digest() -> str:
        own = fingerprint(paths)
        if reads == "tune" or ((heard or seen) and asked):
            return hashlib.sha256((own + _named(examples())).encode()).hexdigest()
        return own

    def labelled(made: Callable[[], Iterator[Example]], opens: bool = False) -> Labelled:
        return Labelled(made, digest(), told, bad if opens else _refuse, digest if asked else None)

    if reads == "tune":
        return labelled(remembered(lambda: tunes(open_tunes(examples(), wanted), asked)))
    if preset.output == "next" and asked:
        return labelled(lambda: pieces(examples(), config.data.history))
    if config.data.horizon:
        horizon, history = config.data.horizon, config.data.history
        if asked:
            return labelled(lambda: forecasts(examples(), horizon, history))
        return labelled(lambda: endings(examples(), history))
    if heard and asked:  # else each has its answer, or an error for one
        return labelled(lambda: audible(examples(), wanted, config), opens=True)
    return labelled(examples, opens=True)


def _named(examples: Iterable[Example]) -> str:
    """SHA-256 over the sounds, pictures or tunes that a table names, and over what is asked of them: neither is in the
    bytes of the files that were given."""
    digest = hashlib.sha256()
    for example in examples:
        name = example.x.strip() if isinstance(example.x, str) else example.x
        named = example.place.file.parent / name if name and isinstance(name, str) else name
        if isinstance(named, Path) and named.exists():
            digest.update(f"{fingerprint([named])}{example.y!r}\n".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def from_lists(x: Sequence[Any], y: Sequence[Any], name: str = "X") -> Labelled:
    """Sequences in memory, with their y (or None) as the output kind wants it; their number stands for a line."""

    def examples() -> Iterator[Example]:
        for number, (one, target) in enumerate(zip(x, y, strict=True), 1):
            yield Example(one, target, Place(Path(name), number))

    return Labelled(examples, fingerprint_examples(examples()))
