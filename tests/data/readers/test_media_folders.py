"""Folders of recordings, clips, pictures and tunes: what is read, and that nothing is left out in silence."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from support.small_tunes import tune
from support.tones import sound, write
from unrolled.core.errors import DataError, UsageError
from unrolled.core.types import Example, Place
from unrolled.data.fields import as_file
from unrolled.data.file_names import find_file
from unrolled.data.media.midi import midi_bytes
from unrolled.data.read_request import ReadRequest
from unrolled.data.readers import UNREAD, find_reader


def files(folder: Path, *names: str) -> Path:
    """Empty files, in folders where their names have some."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def read(folder: Path, kind: str, target: str | None = "label") -> tuple[list[Example], list[str]]:
    """The examples of a folder, and what it told of files that are not read."""
    told: list[str] = []
    wanted = ReadRequest(kind=kind, target=target, noted=lambda place, what: told.append(what))  # pyright: ignore[reportArgumentType]
    return list(find_reader(folder)([folder], wanted)), told


def test_one_picture_among_videos_hides_none_and_is_told(tmp_path: Path):
    names = [f"{label}/{i}.mp4" for label in ("wave", "jump") for i in range(5)]
    files(tmp_path, *names, "wave/cover.jpg", "jump/notes.txt", "jump/.DS_Store")
    found, told = read(tmp_path, "frames")
    assert sorted((one.id, one.y) for one in found) == sorted((name, name.split("/")[0]) for name in names)
    assert told == ["2 files are not used: jump/notes.txt, wave/cover.jpg"]


def test_a_stray_picture_beside_folders_of_pictures_hides_none(tmp_path: Path):
    files(tmp_path, "a/1/1.png", "a/1/2.png", "a/2/1.jfif", "a/cover.jpg", "b/1.tif", "b/2.tif")
    found, told = read(tmp_path, "frames")
    assert [(one.id, one.y) for one in found] == [("a/1", "a"), ("a/2", "a"), ("b", "b")]
    assert told == ["1 file is not used: a/cover.jpg"]


def test_a_folder_without_clips_says_what_is_in_it(tmp_path: Path):
    files(tmp_path, "a/1.heic", "a/2.heic", "b/1.txt")
    with pytest.raises(DataError, match=r"no clips; expected .*, not 2 \.heic, 1 \.txt"):
        read(tmp_path, "frames")


@pytest.mark.parametrize("ending", ["jfif", "jpe", "tif", "tiff", "jp2", "pgm", "avif"])
def test_pictures_of_all_extensions_are_found(tmp_path: Path, ending: str):
    files(tmp_path, f"a.{ending}", f"deep/b.{ending.upper()}", "c.doc", ".hidden.png")
    found, told = read(tmp_path, "images", None)
    assert [one.id for one in found] == [f"a.{ending}", f"deep/b.{ending.upper()}"]
    assert told == ["1 file is not used: c.doc"]


def test_recordings_that_are_not_read_are_told(tmp_path: Path):
    files(tmp_path, "a/1.wav", "a/2.mp3", "b/3.m4a", "b/4.flac", "b/4.txt", "b/list.csv")
    found, told = read(tmp_path, "audio")
    assert [one.id for one in found] == ["a/1.wav", "a/2.mp3", "b/4.flac"]
    assert told == ["2 files are not used: b/3.m4a, b/list.csv"]
    only = files(tmp_path / "only", "1.m4a", "2.m4a")
    with pytest.raises(DataError, match=r"no recordings; expected .*, not 2 \.m4a; try .*ffmpeg"):
        read(only, "audio")


def test_a_recording_that_no_list_names_is_told(tmp_path: Path):
    for name in ("1", "2", "3"):
        write(tmp_path / f"{name}.flac", sound("ab"))
    (tmp_path / "some.trans.txt").write_text("1 AB\n3 BA\n")
    found, told = read(tmp_path, "audio", "text")
    assert [one.id for one in found] == ["1", "3"]
    assert told == ["1 file is not used: 2.flac"]


def test_tunes_and_what_is_none(tmp_path: Path):
    (tmp_path / "waltz").mkdir()
    (tmp_path / "waltz" / "a.kar").write_bytes(midi_bytes(tune("waltz", 1)))
    files(tmp_path, "waltz/a.abc", "README.md")
    found, told = read(tmp_path, "tune", None)
    assert [one.y for one in found] == ["waltz"]
    assert told == ["2 files are not used: README.md, waltz/a.abc"]


@pytest.mark.parametrize("ending", UNREAD)
def test_a_known_file_that_is_not_read_is_named(tmp_path: Path, ending: str):
    path = files(tmp_path, f"a{ending}") / f"a{ending}"
    with pytest.raises(UsageError, match=rf"\{ending} files are not supported; try "):
        find_reader(path)


@pytest.mark.parametrize("there", ["NFC", "NFD"])
@pytest.mark.parametrize("asked", ["NFC", "NFD"])
def test_accents_are_found_whichever_way_they_are_written(tmp_path: Path, there: str, asked: str):
    name = "café/Ångström ﬁx.wav"
    path = tmp_path / unicodedata.normalize(there, name)
    path.parent.mkdir()
    path.write_bytes(b"x")
    # Of a folder and a file in it either may be in either form.
    named = unicodedata.normalize(asked, name)
    assert as_file(named, "audio", Place(tmp_path / "t.csv", 2)).read_bytes() == b"x"
    assert find_file(tmp_path / named).read_bytes() == b"x"


def test_what_is_not_there_stays_what_it_was():
    for name in ("none.wav", "a\0b.wav", ""):
        assert find_file(Path(name)) == Path(name)


def test_a_missing_file_is_refused_in_training_and_left_to_the_opener_in_prediction(tmp_path: Path):
    place = Place(tmp_path / "t.csv", 2)
    assert as_file("none.wav", "audio", place, there=False) == tmp_path / "none.wav"
    for name, there in (("none.wav", True), ("a\0.wav", False), ("", False)):
        with pytest.raises(DataError):
            as_file(name, "audio", place, there=there)


def test_a_clip_is_the_pictures_in_the_order_of_their_numbers(tmp_path: Path):
    for number in (1, 2, 10):
        picture = Image.fromarray(np.full((9, 9), number * 20, np.uint8))
        (tmp_path / "a").mkdir(exist_ok=True)
        picture.save(tmp_path / "a" / f"p{number}.jfif", format="JPEG")
    found, told = read(tmp_path, "frames")
    assert [one.id for one in found] == ["a"] and told == []
