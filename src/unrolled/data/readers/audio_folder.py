"""Read folders of recordings in one of three layouts.

- One folder per class.
- A transcript `NAME.txt` next to each `NAME.wav` (or another audio format).
- The layout of LibriSpeech: each line of `*.trans.txt` has an id and a transcript; the id is the name of an
  audio file in the same folder, without its extension.
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

TARGETS = ("label", "text", None)  # supported targets


def folders(paths: Sequence[Path], wanted: ReadRequest) -> Iterator[Example]:
    """Yield the recordings of folders, in the order of their paths.

    The id of a recording is its path in the folder (LibriSpeech layout: the id of its line). Requested
    columns are ignored: they may come from a model that was trained on a table.

    Up to `skip_bad` recordings without a transcript or class folder, and transcripts without a recording, are
    skipped. Other files are reported to `wanted.noted`.

    Raises UsageError if folders of recordings cannot contain the requested x or y. Raises DataError if a
    folder has no recordings, or no recording has the requested y.
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
        raise no_examples(paths, "no recording has the requested y", "recordings")


def _no_recordings(folder: Path, files: Sequence[Path]) -> DataError:
    unread = any(child.suffix.lower() in UNREAD for child in files)
    hint = "converting them: ffmpeg -i OLD NEW.flac" if unread else None
    expected = f"files {', '.join(ENDINGS)}, not {extensions_there(files)}"
    return DataError("no recordings", file=folder, expected=expected, hint=hint)


def files(paths: Sequence[Path], wanted: ReadRequest) -> Iterator[Example]:
    """Yield single files as recordings, each with the transcript next to it (`NAME.txt`) if y is text.

    Raises DataError if the transcript is missing, or if y is a class.
    """
    _refuse(wanted)
    for path in paths:
        example = _one(path, path.parent, wanted)
        if isinstance(example, DataError):
            raise example
        yield example


def _refuse(wanted: ReadRequest) -> None:
    if not wanted.content.sound:
        raise UsageError(
            "recordings can only be read as audio", expected=f"files of {wanted.kind}", hint="audio:label"
        )
    if wanted.target not in TARGETS:
        raise UsageError(f"recordings in folders have no {wanted.target}", expected="a table")


def _one(sound: Path, folder: Path, wanted: ReadRequest) -> Example | DataError:
    """Return a recording.

    Its y is the name of its folder (class) or the text file next to it (transcript).
    """
    place, name = Place(sound, 1), str(sound.relative_to(folder))
    if wanted.target is None:
        return Example(sound, None, place, name)
    if wanted.asks.one_class:
        if sound.parent == folder:
            return DataError(
                "is not in the folder of a class", file=sound, line=1, expected="one folder per class"
            )
        return Example(sound, whole_number(sound.relative_to(folder).parts[0]), place, name)
    text = _text_of(sound)
    if not text.is_file():
        return DataError("has no transcript", file=sound, line=1, expected=f"{text.name} in the same folder")
    said = " ".join(" ".join(line for _, line in bare_lines(text)).split())
    return Example(sound, said, place, name)


def _listed(lists: Sequence[Path]) -> Iterator[Example | DataError]:
    """Yield the recording of each line of LibriSpeech lists, or a DataError if it is missing."""
    for path in lists:
        for number, line in bare_lines(path):
            key, _, text = line.strip().partition(" ")
            if not key:
                continue
            every = (find_file(path.parent / f"{key}{ending}") for ending in ENDINGS)
            sound = next((one for one in every if one.is_file()), None)
            if sound is None:
                yield DataError(
                    f"no recording {key[:80]!r}",
                    file=path,
                    line=number,
                    expected="an audio file in the same folder",
                )
            else:
                yield Example(sound, text.strip(), Place(path, number), key)


def _text_of(sound: Path) -> Path:
    """Return the path of the transcript of a recording: the same name with the extension .txt."""
    return find_file(sound.with_suffix(".txt"))
