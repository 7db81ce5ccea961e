"""Read labelled sequences for `check`: each file in its own encoding, and with the line of each step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from unrolled.analysis.check.cleaning import in_encoding, is_written_in_rows
from unrolled.analysis.check.findings import Findings
from unrolled.analysis.check.stats.report_types import TableRules
from unrolled.core.config import Config
from unrolled.core.errors import DataError, UsageError
from unrolled.core.types import Example, Place
from unrolled.data.delimited import find_dialect, swallowing
from unrolled.data.read_request import ReadRequest, extension
from unrolled.data.readers import (
    FORMATS,
    conll,
    find_reader,
    in_parallel,
    open_tunes,
    read_pairs,
)
from unrolled.data.table_files import DELIMITED
from unrolled.data.text.encoding import wrong_encoding
from unrolled.datasets.audio_checks import drop_bad_audio
from unrolled.datasets.windows import resampled

# Extensions of files that are not text and so have no encoding.
BINARY = {".npz", ".parquet"}.union(*(FORMATS[name].extensions for name in ("audio", "video", "midi")))


def guessed_encodings(paths: Sequence[Path]) -> dict[Path, str]:
    """Return the likely encoding of each text file that is not UTF-8."""
    found: dict[Path, str] = {}
    for path in paths:
        if path.is_file() and extension(path) not in BINARY:
            name = wrong_encoding(path)
            found |= {path: name} if name is not None else {}
    return found


def readable(
    paths: Sequence[Path], wanted: ReadRequest, config: Config, encodings: Mapping[Path, str]
) -> Iterator[Example]:
    """Yield the examples that can be read. Errors are reported later, when the part is examined."""
    for group in groups(paths, wanted):
        with suppress(DataError):
            own = in_encoding(wanted, encodings.get(group[0]))
            yield from (example for example, _ in located(group, own, config))


def groups(paths: Sequence[Path], wanted: ReadRequest) -> list[tuple[Path, ...]]:
    """Return the groups of files that are read together: pairs of parallel texts, else single files."""
    if not are_pairs(paths, wanted):
        return [(path,) for path in paths]
    return [tuple(paths[start : start + 2]) for start in range(0, len(paths), 2)]


def are_pairs(paths: Sequence[Path], wanted: ReadRequest) -> bool:
    """Return whether the files are parallel texts (two files per pair, aligned by line)."""
    return wanted.is_pair and in_parallel(paths, wanted)


def _read(group: Sequence[Path], wanted: ReadRequest) -> Iterator[Example]:
    return (
        read_pairs(group, wanted)
        if are_pairs(group, wanted)
        else find_reader(group[0], wanted)(group, wanted)
    )


def located(
    group: Sequence[Path], wanted: ReadRequest, config: Config
) -> Iterator[tuple[Example, tuple[int, ...]]]:
    """Yield the sequences of a group of files, each with the lines of its steps.

    The lines are empty if the steps have no lines of their own.
    """
    if not are_pairs(group, wanted) and find_reader(group[0], wanted) is conll.read:
        return ((sentence.example, sentence.lines) for sentence in conll.sentences(group, wanted))
    examples = _read(group, wanted)
    examples = drop_bad_audio(examples, wanted, config) if wanted.content.sound else examples
    examples = open_tunes(examples, wanted) if wanted.content.parsed else examples
    examples = resampled(examples, config.data.resample) if config.data.resample else examples
    return ((example, ()) for example in examples)


def table_rules(path: Path, wanted: ReadRequest, findings: Findings) -> TableRules:
    """Return the separator and the quoting of a text table. Add a finding for each suspicious row.

    A row is suspicious if a missing quote may have joined several rows into it.
    Returns an empty dictionary for other files and for tables that cannot be read.
    """
    try:
        if not is_written_in_rows(path, wanted) or extension(path) not in DELIMITED:
            return {}
        dialect = find_dialect(path, wanted.files)
        for line, count in swallowing(path, wanted.files):
            detail = f"{count:,} of its lines have the same number of fields as the header"
            findings.odd(
                "row that may contain other rows (is a quote missing? see --quoting)",
                Place(path, line),
                detail,
            )
    except (DataError, UsageError):
        return {}
    return {"separator": dialect.separator, "quotes": dialect.rule}
