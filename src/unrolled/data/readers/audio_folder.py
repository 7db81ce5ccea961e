"""Read folders of recordings: one folder per class, `NAME.txt` beside `NAME.wav`, or LibriSpeech's layout
(`*.trans.txt` with an id and its transcript per line; the id is the name of an audio file beside it).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from unrolled.core.errors import DataError, UsageError
from unrolled.core.types import Example, Place
from unrolled.data.folder_files import files_below
from unrolled.data.media.audio import ENDINGS
from unrolled.data.read_request import Wanted, tolerance
from unrolled.data.records import bare_lines, no_examples

TRANSCRIPTS = ".trans.txt"


def folders(paths: Sequence[Path], wanted: Wanted) -> Iterator[Example]:
    """The examples of folders, sounds in the order of their paths; an id is a path within its folder. Columns, which a
    model may know of the table that it was trained on, are none of theirs.

    Raises UsageError where what is asked for cannot stand in folders, DataError where there is nothing; up to
    `skip_bad` sounds without a transcript, and transcripts without a sound, are left out.
    """
    _refuse(wanted)
    bad, found = tolerance(wanted), False
    for path in paths:
        sounds = [child for child in files_below(path) if child.suffix.lower() in ENDINGS]
        lists = [child for child in files_below(path) if child.name.endswith(TRANSCRIPTS)]
        if not sounds:
            raise DataError("no sounds", file=path, expected=f"files {', '.join(ENDINGS)}")
        if wanted.target == "text" and lists:
            examples = _listed(lists, wanted)
        else:
            examples = (_one(sound, path, wanted) for sound in sounds)
        for example in examples:
            if isinstance(example, DataError):
                bad(example)
                continue
            found = True
            yield example
    if not found:
        raise no_examples(paths, "not one sound with what is asked of it", "sounds")


def files(paths: Sequence[Path], wanted: Wanted) -> Iterator[Example]:
    """Sound files themselves; of a transcript beside them (`NAME.txt`) where one is asked for."""
    _refuse(wanted)
    for path in paths:
        example = _one(path, path.parent, wanted)
        if isinstance(example, DataError):
            raise example
        yield example


def _refuse(wanted: Wanted) -> None:
    if wanted.kind != "audio":
        raise UsageError("sounds are for audio", expected=f"files of {wanted.kind}", hint="audio:label")
    if wanted.target not in ("label", "text", None):
        raise UsageError(f"sounds in folders have no {wanted.target}", expected="a table")


def _one(sound: Path, folder: Path, wanted: Wanted) -> Example | DataError:
    """A sound, and what its folder or the text beside it says."""
    place, name = Place(sound, 1), str(sound.relative_to(folder))
    if wanted.target is None:
        return Example(sound, None, place, name)
    if wanted.target == "label":
        if sound.parent == folder:
            return DataError(
                "stands in no class's folder", file=sound, line=1, expected="a folder for each class"
            )
        return Example(sound, sound.relative_to(folder).parts[0], place, name)
    text = sound.with_suffix(".txt")
    if not text.is_file():
        return DataError("has no transcript", file=sound, line=1, expected=f"{text.name} beside it")
    said = " ".join(" ".join(line for _, line in bare_lines(text)).split())
    return Example(sound, said, place, name)


def _listed(lists: Sequence[Path], wanted: Wanted) -> Iterator[Example | DataError]:
    """The sounds that LibriSpeech's lists name."""
    for path in lists:
        for number, line in bare_lines(path):
            key, _, text = line.strip().partition(" ")
            if not key:
                continue
            every = (path.parent / f"{key}{ending}" for ending in ENDINGS)
            sound = next((one for one in every if one.is_file()), None)
            if sound is None:
                yield DataError(f"no sound {key[:80]!r}", file=path, line=number, expected="one beside it")
            else:
                yield Example(sound, text.strip(), Place(path, number), key)
