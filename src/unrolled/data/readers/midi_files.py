"""Read tunes from MIDI files, folders of MIDI files (one subfolder per genre), or tables of file names."""

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
    """Yield the tunes of files and folders, in the order of their names.

    y is the genre: the name of the first folder below a path of `paths`. It is None for files directly in
    that path, and for paths that are files. Other files are reported to `wanted.noted`. Up to `skip_bad`
    damaged files are skipped; with `keep_bad` they become examples with their faults.

    Raises UsageError if the request is not for tunes or a path does not exist. Raises DataError if there are
    no tunes. Raises the errors of reading a tune.
    """
    if not wanted.content.parsed:
        raise UsageError(
            "MIDI files contain tunes", file=paths[0], expected="a task that reads tunes, such as compose"
        )
    bad = bad_row_handler(wanted)
    found = False
    for path in paths:
        for file, genre in _files(path, wanted):
            for example in _tune(file, genre, Place(file, 1), file.stem, bad, keep=wanted.keep_bad):
                found = True
                yield example
    if not found:
        raise no_examples(paths, "no readable tune", "MIDI files (.mid, .midi)")


def load(rows: Iterable[Example], wanted: ReadRequest) -> Iterator[Example]:
    """Load the MIDI files that the rows of a table name in x. y is the genre.

    Paths are relative to the folder of the table. Rows whose x is not a file name pass unchanged.
    """
    bad = bad_row_handler(wanted)
    for row in rows:
        if not isinstance(row.x, str):
            yield row
            continue
        name, genre = str(row.x).strip(), None if row.y is None else str(row.y).strip()
        file = find_file(row.place.file.parent / name)
        if not name or not file.is_file():
            what = f"no such file: {name[:80]!r}"
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
    """Yield the tune of a file. A damaged file yields nothing, or, with `keep`, an example with its fault."""
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
    """Yield each MIDI file with its genre."""
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
