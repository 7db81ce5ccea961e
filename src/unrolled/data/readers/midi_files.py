"""Read tunes: MIDI files, folders of them with one folder per genre, or tables that name them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from unrolled.core.errors import DataError, UsageError
from unrolled.core.types import Example, Place
from unrolled.data.file_names import find_file, tell_not_used
from unrolled.data.folder_files import files_below
from unrolled.data.media.midi import read_midi
from unrolled.data.read_request import ReadRequest, bad_row_handler
from unrolled.data.records import no_examples, regular_files

ENDINGS = (".mid", ".midi", ".kar")
UNREAD = (".rmi", ".musicxml", ".mxl", ".abc", ".mscz", ".mscx", ".gp", ".gp5", ".gpx")


def read(paths: Sequence[Path], wanted: ReadRequest) -> Iterator[Example]:
    """The tunes of files and folders, in the order of their names; y is the genre: the name of the folder within the
    folder that was given, None for files right in it.

    `noted` is told of other files. Raises UsageError where no tunes are asked for or a path is not there, DataError
    where there are none, and what reading one raises; up to `skip_bad` damaged ones are left out, or kept with their
    faults where `keep_bad` is set.
    """
    if not wanted.content.parsed:
        raise UsageError(
            "MIDI files hold tunes", file=paths[0], expected="compose, or another input of notes"
        )
    bad = bad_row_handler(wanted)
    found = False
    for path in paths:
        for file, genre in _files(path, wanted):
            for example in _tune(file, genre, Place(file, 1), file.stem, bad, keep=wanted.keep_bad):
                found = True
                yield example
    if not found:
        raise no_examples(paths, "not one tune that can be read", "MIDI files (.mid, .midi)")


def load(rows: Iterable[Example], wanted: ReadRequest) -> Iterator[Example]:
    """The tunes that the rows of a table name as x, relative to the table; y is the genre. Tunes stay as they are."""
    bad = bad_row_handler(wanted)
    for row in rows:
        if not isinstance(row.x, str):
            yield row
            continue
        name, genre = str(row.x).strip(), None if row.y is None else str(row.y).strip()
        file = find_file(row.place.file.parent / name)
        if not name or not file.is_file():
            what = f"there is no file {name[:80]!r}"
            error = DataError(what, file=row.place.file, line=row.place.line)
            if wanted.keep_bad:
                yield replace(row, x=None, y=None, fault=error)
            else:
                bad(error)
            continue
        yield from _tune(file, genre or None, row.place, row.id, bad, keep=wanted.keep_bad)


def _tune(
    file: Path,
    genre: str | None,
    place: Place,
    key: str | None,
    bad: Callable[[DataError], bool],
    *,
    keep: bool,
) -> Iterator[Example]:
    """The tune of a file; of a damaged one none, or, to keep it, an example with its fault."""
    try:
        tune = read_midi(file)
    except DataError as error:
        what = error.what if place.file == file else f"{file.name}: {error.what}"
        fault = DataError(what, file=place.file, line=place.line, expected=error.expected)
        if keep:
            yield Example(None, None, place, key, fault=fault)
        else:
            bad(fault)
        return
    yield Example(replace(tune, genre=genre), genre, place, key)


def _files(path: Path, wanted: ReadRequest) -> Iterator[tuple[Path, str | None]]:
    """Each MIDI file with its genre."""
    if not path.is_dir():
        yield from ((file, None) for file in regular_files([path], "a MIDI file"))
        return
    over: list[Path] = []
    for file in files_below(path):
        if file.suffix.lower() in ENDINGS:
            parts = file.relative_to(path).parts
            yield file, parts[0] if len(parts) > 1 else None
        else:
            over.append(file)
    tell_not_used(path, over, wanted)
