"""Parts of recordings and videos: their names, and that a part is what stands there in the whole."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clips import write as write_clip
from support.tones import write
from unrolled.core.errors import DataError
from unrolled.core.types import Example, Place
from unrolled.data.media import audio, video
from unrolled.data.media_fragment import part_of, whole_of
from unrolled.data.read_request import ReadRequest
from unrolled.data.readers import find_reader
from unrolled.tasks.inputs.frames import FrameInput

PLACE = Place(Path("t.csv"), 2)


@pytest.mark.property
@given(st.integers(0, 10**7), st.integers(1, 10**7))
def test_names_of_parts_come_back(start: int, length: int):
    for path in (Path("a.wav"), Path("b#t=1/c d.mp4")):
        begin, end = start / 1000, (start + length) / 1000
        assert whole_of(part_of(path, begin, end)) == (path, begin, end)
        assert whole_of(part_of(path, begin, math.inf)) == (path, begin, math.inf)


def test_a_file_of_such_a_name_is_a_whole_one(tmp_path: Path):
    path = tmp_path / "a#t=1,2.wav"
    path.write_bytes(b"x")
    assert whole_of(path) == (path, 0.0, math.inf)
    assert whole_of(Path("a.wav")) == (Path("a.wav"), 0.0, math.inf)


@pytest.mark.property
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ending=st.sampled_from(["wav", "flac"]),
    unknown=st.booleans(),
    start=st.integers(0, 2900),
    length=st.integers(1, 3000),
)
def test_a_part_of_a_recording_is_that_part_of_the_whole(
    tmp_path: Path, ending: str, unknown: bool, start: int, length: int
):
    samples = np.random.default_rng(1).uniform(-0.5, 0.5, 3 * 8000).astype(np.float32)
    path = write(tmp_path / f"a.{ending}", samples, 8000)
    if unknown and ending == "flac":  # does not say how long it is
        content = bytearray(path.read_bytes())
        content[21] &= 0xF0
        content[22:26] = bytes(4)
        path.write_bytes(content)
    begin, end = start / 1000, min(3.0, (start + length) / 1000)
    part = part_of(path, begin, end)
    expected = samples[round(begin * 8000) : round(end * 8000)]
    assert audio.header(part).samples == len(expected)
    np.testing.assert_allclose(audio.read(part, 8000), expected, atol=1e-4)


@pytest.mark.parametrize(("start", "end"), [(3.5, 4.0), (1.0, 3.2), (2.0, 2.0)])
def test_a_part_that_is_not_there_is_refused(tmp_path: Path, start: float, end: float):
    path = write(tmp_path / "a.wav", np.zeros(3 * 8000, np.float32), 8000)
    with pytest.raises(DataError, match=r"in a recording of 3\.000"):
        audio.read(part_of(path, start, end), 8000)


def clip(folder: Path) -> Path:
    levels = np.linspace(20, 200, 40).astype(np.uint8)
    write_clip(folder / "a.mp4", [np.full((32, 32, 3), level, np.uint8) for level in levels], 10)
    return folder / "a.mp4"


@pytest.mark.parametrize("rate", [0.0, 5.0, 10.0])
@pytest.mark.parametrize(("start", "end"), [(0.0, 1.0), (1.5, 2.5), (3.0, math.inf)])
def test_a_part_of_a_video_is_that_part_of_the_whole(tmp_path: Path, rate: float, start: float, end: float):
    path = clip(tmp_path)
    whole, about = video.read(str(path), 8, False, rate, 100)
    kept = [i for i, time in enumerate(about["times"]) if start <= time < end]
    part, told = video.read(str(path), 8, False, rate, 100, start, None if math.isinf(end) else end)
    offset = np.arange(len(kept)) / rate if rate else np.array(about["times"])[kept] - start
    np.testing.assert_allclose(told["times"], offset, atol=1e-6)
    if rate in (0.0, 10.0):
        np.testing.assert_array_equal(part, whole[kept])
    assert len(part) == len(kept)


def test_start_and_end_columns_cut_and_stretches_count_from_the_start_of_the_part(tmp_path: Path):
    clip(tmp_path)
    write(tmp_path / "a.wav", np.zeros(3 * 8000, np.float32), 8000)
    table = tmp_path / "t.csv"
    table.write_text(
        "clip,start,end,tags\na.mp4,1,2,0.2-0.5 up\na.mp4,,,0.2-0.5 up; 3-9 down\na.mp4,3,,O O\n"
    )
    first, second, third = find_reader(table)([table], ReadRequest(kind="frames", target="tags"))
    given = FrameInput(8, False, 10.0, False, 100)
    opened = given.load_file(first)
    assert opened.y == ("O", "O", "up", "up", "up", "O", "O", "O", "O", "O") and len(opened.x) == 10
    assert given.load_file(second).y == ("O",) * 2 + ("up",) * 3 + ("O",) * 25 + ("down",) * 10
    with pytest.raises(DataError, match="one tag per frame for a part of a video"):
        given.load_file(third)
    table.write_text("audio,start,end,label\na.wav,0.5,1.5,x\na.wav,2,1,x\na.wav,a,1,x\n")
    skipped: list[str] = []
    wanted = ReadRequest(
        kind="audio", target="label", skip_bad=2, skipped=lambda place, what: skipped.append(what)
    )
    (only,) = find_reader(table)([table], wanted)
    assert audio.header(only.x).seconds == 1.0 and len(skipped) == 2


def test_stretches_for_pictures_without_times_are_refused(tmp_path: Path):
    from PIL import Image

    from unrolled.data.fields import Stretches

    (tmp_path / "p").mkdir()
    Image.new("L", (9, 9)).save(tmp_path / "p" / "1.png")
    given = FrameInput(8, False, 10.0, False, 100)
    with pytest.raises(DataError, match="time intervals for frames without times"):
        given.load_file(Example(tmp_path / "p", Stretches(((0, 1, "a"),)), PLACE))
