"""Read folders of recordings: one folder per class, `NAME.txt` beside `NAME.wav`, or LibriSpeech's layout
(`*.trans.txt` with an id and its transcript per line; the id is the name of an audio file beside it).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from unrolled.core.errors import DataError, UsageError
from unrolled.core.types import Example, Place
from unrolled.core.values.example_values import as_path
from unrolled.data.fields import whole_number
from unrolled.data.file_names import extensions_there, find_file, tell_not_used
from unrolled.data.folder_files import files_below
from unrolled.data.media.audio import ENDINGS, UNREAD
from unrolled.data.read_request import ReadRequest, bad_row_handler
from unrolled.data.records import bare_lines, no_examples

TRANSCRIPTS = ".trans.txt"

TARGETS = ("label", "text", None)  # that a folder of recordings can have


def folders(paths: Sequence[Path], wanted: ReadRequest) -> Iterator[Example]:
    """The examples of folders, recordings in the order of their paths; an id is a path within its folder. Columns are
    ignored: a model may know them from the table that it was trained on.

    Raises UsageError where what is asked for cannot stand in folders, DataError where there is nothing; up to
    `skip_bad` recordings without a transcript, and transcripts without a recording, are left out. `noted` is told of
    other files.
    """
    _refuse(wanted)
    bad, found = bad_row_handler(wanted), False
    for path in paths:
        files = list(files_below(path))
        sounds = [child for child in files if child.suffix.lower() in ENDINGS]
        if not sounds:
            raise _no_recordings(path, files)
        lists = [child for child in files if child.name.endswith(TRANSCRIPTS)] if wanted.asks.written else []
        used = set(lists or sounds)
        for example in _listed(lists) if lists else (_one(sound, path, wanted) for sound in sounds):
            if isinstance(example, DataError):
                bad(example)
                continue
            found = True
            sound = as_path(example.x)
            used |= {sound, _text_of(sound)}
            yield example
        tell_not_used(path, (child for child in files if child not in used), wanted)
    if not found:
        raise no_examples(paths, "not one recording with what is asked of it", "recordings")


def _no_recordings(folder: Path, files: Sequence[Path]) -> DataError:
    unread = any(child.suffix.lower() in UNREAD for child in files)
    hint = "converting them: ffmpeg -i OLD NEW.flac" if unread else None
    expected = f"files {', '.join(ENDINGS)}, not {extensions_there(files)}"
    return DataError("no recordings", file=folder, expected=expected, hint=hint)


def files(paths: Sequence[Path], wanted: ReadRequest) -> Iterator[Example]:
    """Recordings by themselves, and the transcript beside each (`NAME.txt`) where one is asked for."""
    _refuse(wanted)
    for path in paths:
        example = _one(path, path.parent, wanted)
        if isinstance(example, DataError):
            raise example
        yield example


def _refuse(wanted: ReadRequest) -> None:
    if not wanted.content.sound:
        raise UsageError("sounds are for audio", expected=f"files of {wanted.kind}", hint="audio:label")
    if wanted.target not in TARGETS:
        raise UsageError(f"sounds in folders have no {wanted.target}", expected="a table")


def _one(sound: Path, folder: Path, wanted: ReadRequest) -> Example | DataError:
    """A recording, and what its folder or the text beside it says."""
    place, name = Place(sound, 1), str(sound.relative_to(folder))
    if wanted.target is None:
        return Example(sound, None, place, name)
    if wanted.asks.one_class:
        if sound.parent == folder:
            return DataError(
                "stands in no class's folder", file=sound, line=1, expected="a folder for each class"
            )
        return Example(sound, whole_number(sound.relative_to(folder).parts[0]), place, name)
    text = _text_of(sound)
    if not text.is_file():
        return DataError("has no transcript", file=sound, line=1, expected=f"{text.name} beside it")
    said = " ".join(" ".join(line for _, line in bare_lines(text)).split())
    return Example(sound, said, place, name)


def _listed(lists: Sequence[Path]) -> Iterator[Example | DataError]:
    """The recordings that the lists of LibriSpeech name."""
    for path in lists:
        for number, line in bare_lines(path):
            key, _, text = line.strip().partition(" ")
            if not key:
                continue
            every = (find_file(path.parent / f"{key}{ending}") for ending in ENDINGS)
            sound = next((one for one in every if one.is_file()), None)
            if sound is None:
                yield DataError(f"no sound {key[:80]!r}", file=path, line=number, expected="one beside it")
            else:
                yield Example(sound, text.strip(), Place(path, number), key)


def _text_of(sound: Path) -> Path:
    """Where the transcript of a recording stands."""
    return find_file(sound.with_suffix(".txt"))
