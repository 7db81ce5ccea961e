"""Videos and pictures to arrays, in a process apart: sizes, rates, folders of pictures, and files made to do harm."""

from __future__ import annotations

import os
import random
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from clips import draw, look, pictures, write
from unrolled.core.errors import DataError
from unrolled.data import sandbox
from unrolled.data.media import image, video

GREY = {"side": 16, "colour": False, "rate": 10.0, "longest": 400}


def ramp(path: Path, count: int, rate: int) -> Path:
    """A clip whose brightness tells which picture it is."""
    levels = np.linspace(20, 235, count).astype(np.uint8)
    write(path, [np.full((32, 48, 3), level, np.uint8) for level in levels], rate)
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ramp(tmp_path_factory.mktemp("clips") / "ramp.mp4", 60, 30)


@pytest.mark.parametrize("ending", [".mp4", ".avi"])
@pytest.mark.parametrize("rate", [10.0, 15.0, 60.0, 0.0])
def test_the_rate_is_as_asked(tmp_path: Path, ending: str, rate: float):
    path = ramp(tmp_path / f"a{ending}", 60, 30)  # two seconds
    frames, about = video.read(str(path), 16, False, rate, 400)
    wanted = np.arange(60) if not rate else np.floor(np.arange(round(2 * rate)) / rate * 30 + 1e-6)
    assert about["count"] == 60 and about["at"] == wanted.astype(int).tolist()
    assert frames.shape == (len(wanted), 16, 16, 1)
    true = np.linspace(20, 235, 60)[wanted.astype(int)]
    assert np.abs(frames.mean(axis=(1, 2, 3)) - true).max() < 12  # what the codec and the range of grey leave


def test_colours_and_places_stay(tmp_path: Path):
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:32, :32, 0], picture[32:, 32:, 2] = 230, 230  # red above on the left, blue below on the right
    write(tmp_path / "c.mp4", [picture] * 5, 10)
    frames, _ = video.read(str(tmp_path / "c.mp4"), 8, True, 0, 400)
    assert frames.shape == (5, 8, 8, 3)
    assert frames[2, 1, 1].argmax() == 0 and frames[2, 6, 6].argmax() == 2 and frames[2, 1, 6].max() < 40


def test_a_folder_of_pictures_is_a_clip_in_the_order_of_numbers(tmp_path: Path):
    for number in (1, 2, 10):
        Image.new("L", (20, 30), number * 20).save(tmp_path / f"p{number}.png")
    Image.new("RGB", (9, 9), (250, 0, 0)).save(tmp_path / "p11.jpg")
    frames, about = image.read(str(tmp_path), 16, False, 400)
    assert frames[:3, 0, 0, 0].tolist() == [20, 40, 200] and len(frames) == 4
    assert about == {"at": [0, 1, 2, 3], "count": 4}
    alone, _ = image.read(str(tmp_path / "p11.jpg"), 16, True, 400)
    assert alone.shape == (1, 16, 16, 3) and alone[0, 5, 5, 0] > 200 > 60 > alone[0, 5, 5, 1]


def test_apart_gives_the_same_bits(clip: Path):
    here, _ = video.read(str(clip), **GREY)
    there, about = sandbox.run_in_subprocess("unrolled.data.media.video:read", {"path": str(clip), **GREY})
    assert np.array_equal(here, there) and about["count"] == 60


def test_longer_than_the_limit_is_refused(clip: Path):
    with pytest.raises(DataError, match="more than 5 frames"):
        video.read(str(clip), 16, False, 10.0, 5)


def harmful(folder: Path, clip: Path) -> dict[str, Path]:
    """Files that were made to do harm, or by a disk."""
    whole = clip.read_bytes()
    avi = ramp(folder / "whole.avi", 60, 30).read_bytes()
    Image.new("L", (8, 8)).save(folder / "small.gif")
    gif = (folder / "small.gif").read_bytes()
    giant = gif.replace(struct.pack("<HH", 8, 8), struct.pack("<HH", 65_535, 65_535))
    contents = {
        "empty.mp4": b"",
        "text.mp4": b"this is no video\n" * 40,
        "page.avi": b"<!DOCTYPE html><html></html>" * 20,
        "half.mp4": whole[: len(whole) // 2],
        "half.avi": avi[: len(avi) // 2],
        "giant.gif": giant,
        "list.mp4": b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n#EXT-X-ENDLIST\n",
        "concat.avi": b"ffconcat version 1.0\nfile /etc/passwd\n",
        "zeros.mp4": bytes(100_000),
        "zip.mkv": b"PK\x03\x04" + bytes(1000),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return {name: folder / name for name in contents}


def test_harmful_files_end_in_our_error(tmp_path: Path, clip: Path):
    for name, path in harmful(tmp_path, clip).items():
        with pytest.raises(DataError) as told:
            sandbox.run_in_subprocess(
                "unrolled.data.media.video:read", {"path": str(path), **GREY}, sandbox.Limits(20, 1 << 29)
            )
        assert len(str(told.value)) < 400, name


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n" + bytes(50), b"%!PS-Adobe\n"])
def test_harmful_pictures_end_in_our_error(tmp_path: Path, content: bytes):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(DataError, match="not a readable image"):
        image.read(str(tmp_path / "a.png"), 16, False, 400)


def test_a_picture_that_swells_is_refused(tmp_path: Path):
    Image.new("1", (9_000, 9_000)).save(tmp_path / "bomb.png")
    assert (tmp_path / "bomb.png").stat().st_size < 200_000
    with pytest.raises(DataError, match="9,000 x 9,000"):
        image.read(str(tmp_path / "bomb.png"), 16, False, 400)


def test_limits_hold_and_the_next_file_is_read():
    sandbox.close()

    def ask(what: str, seconds: float = 60.0):
        return sandbox.run_in_subprocess(
            "support.hostile_decoder:decode", {"path": what}, sandbox.Limits(seconds, 1 << 28)
        )

    array, about = ask("fine")
    assert array.tolist() == [[0, 1, 2], [3, 4, 5]] and about["pid"] != os.getpid()
    for what, said in (("swell", "256 MB"), ("wrong", "KeyError")):
        with pytest.raises(DataError, match=said):
            ask(what)
    assert ask("print")[1] == about  # in the same process, whatever was printed
    for what, seconds, said in (("crash", 60.0, "SIGABRT"), ("hang", 0.5, "more than 0.5 seconds")):
        with pytest.raises(DataError, match=said):
            ask(what, seconds)
        assert ask("fine")[1]["pid"] != about["pid"]


def mutant(content: bytes, chance: random.Random) -> bytes:
    """A file with bytes changed, cut out, doubled, or its end lost."""
    found = bytearray(content)
    for _ in range(chance.choice((1, 3, 30))):
        if len(found) < 40:  # hardly anything is left to change
            break
        at, size = chance.randrange(len(found)), chance.randint(1, 40)
        match chance.choice(("flip", "flip", "ones", "cut", "double", "end")):
            case "flip":
                found[at] ^= 1 << chance.randrange(8)
            case "ones":
                found[at : at + 4] = b"\xff" * len(found[at : at + 4])
            case "cut":
                del found[at : at + size]
            case "double":
                found[at:at] = found[at : at + size]
            case _:
                del found[max(40, at) :]
    return bytes(found)


def bounded(folder: Path, numbers: range) -> int:
    """How many mutants were read all the same; the others ended in our error, all of them in bounded time."""
    sources: list[bytes] = []
    for ending in (".mp4", ".avi"):
        chance = random.Random(4)
        how = look(chance)
        path = folder / f"source{ending}"
        write(path, pictures(("sit",), how, chance)[0][:25], how.rate)
        sources.append(path.read_bytes())
    read = 0
    for number in numbers:
        path = folder / f"mutant{('.mp4', '.avi')[number % 2]}"
        path.write_bytes(mutant(sources[number % 2], random.Random(number)))
        try:
            frames, _ = sandbox.run_in_subprocess(
                "unrolled.data.media.video:read", {"path": str(path), **GREY}, sandbox.Limits(20, 1 << 29)
            )
        except DataError as error:
            assert "more than 20 seconds" not in error.what, number
            continue
        assert frames.shape[1:] == (16, 16, 1) and len(frames) <= 400
        read += 1
    return read


def test_a_few_mutants_are_bounded(tmp_path: Path):
    bounded(tmp_path, range(6))


@pytest.mark.slow
def test_five_hundred_mutants_are_bounded(tmp_path: Path):
    assert 0 < bounded(tmp_path, range(500)) < 500


def test_the_pairs_are_the_same_pictures_in_the_other_order():
    how = look(random.Random(1))
    for first, second in (("sit", "stand"), ("open", "close")):
        for step in range(5):
            one, other = draw(first, step / 4, how), draw(second, 1 - step / 4, how)
            assert np.array_equal(np.asarray(one), np.asarray(other))


CORNERS = np.kron(np.array([[40, 100], [160, 220]], np.uint8), np.ones((24, 32), np.uint8))[..., None]


def lasting(packets: list[av.Packet], times: list[int], last: int) -> list[av.Packet]:
    """Packets that say how long their pictures are seen."""
    for packet in packets:
        assert packet.pts is not None and packet.time_base is not None
        number = times.index(round(packet.pts * packet.time_base * 1000))
        packet.duration = round(Fraction([*times[1:], last][number] - times[number], 1000) / packet.time_base)
    return packets


def moments(
    path: Path, times: list[int], last: int, degrees: int = 0, flips: tuple[bool, bool] = (False, False)
) -> Path:
    """A video whose pictures have these times in milliseconds; the last is seen until `last`; picture i has level
    20 + 15 i in its four corners, which are unlike."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.codec_context.qmin = stream.codec_context.qmax = 2
        if degrees or any(flips):
            stream.set_display_rotation(degrees, *flips)
        for number, time in enumerate(times):
            made = np.repeat(CORNERS // 4 + 15 * number, 3, axis=2).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(made, "rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(lasting(stream.encode(frame), times, last))
        container.mux(lasting(stream.encode(), times, last))
    return path


@pytest.mark.property
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    gaps=st.lists(st.integers(15, 900), min_size=1, max_size=9),
    rate=st.sampled_from([4.0, 10.0, 25.0]),
    turned=st.sampled_from([0, 90, 180, 270]),
    flips=st.tuples(st.booleans(), st.booleans()),
)
def test_times_rotation_and_mirroring_of_a_phone_s_video(
    tmp_path: Path, gaps: list[int], rate: float, turned: int, flips: tuple[bool, bool]
):
    times = np.cumsum([0, *gaps]).tolist()
    path = moments(tmp_path / "a.mp4", times[:-1], times[-1], turned, flips)
    found, about = video.read(str(path), 8, False, rate, 1000)
    asked = [i / rate for i in range(1000) if i / rate < times[-1] / 1000 - 1e-6]
    wanted = [max(n for n, time in enumerate(times[:-1]) if time / 1000 <= moment + 1e-6) for moment in asked]
    assert about["at"] == wanted and about["count"] == len(gaps)
    seen = np.rot90(np.array([[40, 100], [160, 220]]), turned // 90)
    seen = seen[:, ::-1] if flips[0] else seen
    seen = seen[::-1] if flips[1] else seen
    corners = found[:, 1::5, 1::5, 0][:, :2, :2]
    expected = np.array([seen // 4 + 15 * number for number in wanted])
    assert np.abs(corners.astype(int) - expected).max() < 9


def test_an_odd_angle_is_refused_by_name(tmp_path: Path):
    path = moments(tmp_path / "a.mp4", [0, 100], 200, 30)
    with pytest.raises(DataError, match="rotated by an unsupported angle"):
        video.read(str(path), 8, False, 0, 10)


@pytest.mark.parametrize(
    ("delays", "at"), [((100, 100, 2000), [0, 1] + [2] * 20), ((2000, 100, 100), [0] * 20 + [1, 2])]
)
def test_every_picture_of_a_gif_is_seen_as_long_as_it_says(
    tmp_path: Path, delays: tuple[int, ...], at: list[int]
):
    shown = [Image.new("L", (9, 9), 80 * number) for number in range(3)]
    path = tmp_path / "a.gif"
    shown[0].save(path, save_all=True, append_images=shown[1:], duration=delays)
    assert video.read(str(path), 8, False, 10.0, 100)[1]["at"] == at


def test_what_is_transparent_in_a_gif_is_white(tmp_path: Path):
    picture = Image.new("P", (16, 16), 0)
    picture.putpalette([0, 0, 0, 10, 10, 10])
    picture.paste(1, (0, 0, 8, 16))
    picture.save(tmp_path / "a.gif", transparency=0)
    found, _ = video.read(str(tmp_path / "a.gif"), 8, False, 0, 10)
    assert found[0, 4, 1, 0] < 30 and found[0, 4, 6, 0] == 255


def test_pictures_that_an_edit_list_hides_are_neither_shown_nor_missed(tmp_path: Path):
    whole = ramp(tmp_path / "whole.mp4", 120, 30)
    with av.open(str(whole)) as source, av.open(str(tmp_path / "cut.mp4"), "w") as made:
        stream = source.streams.video[0]
        copy = made.add_stream_from_template(stream)
        assert stream.time_base is not None
        begin, end = (round(moment / stream.time_base) for moment in (0.3, 0.6))
        for packet in source.demux(stream):
            if packet.dts is not None and packet.pts is not None and packet.pts < end:
                packet.pts, packet.dts, packet.stream = packet.pts - begin, packet.dts - begin, copy
                made.mux(packet)
    _, about = video.read(str(tmp_path / "cut.mp4"), 8, False, 0, 500)
    assert 7 <= about["count"] <= 12


def test_a_damaged_packet_is_refused_with_its_place(tmp_path: Path):
    path = ramp(tmp_path / "a.mp4", 100, 25)
    with av.open(str(path)) as source:
        places = [(packet.pos, packet.size) for packet in source.demux(video=0) if packet.size]
    content = bytearray(path.read_bytes())
    begin, size = places[50]
    assert begin is not None
    content[begin : begin + size] = bytes(size)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"damaged.*\(at frame (49|5\d)\)"):
        video.read(str(path), 8, False, 0, 500)


def encoded(path: Path, codec: str, pictures: np.ndarray) -> None:
    """Twenty pictures a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=20)
        stream.width, stream.height, stream.pix_fmt = pictures.shape[2], pictures.shape[1], "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())


def test_a_picture_that_the_decoder_had_to_guess_is_refused(tmp_path: Path):
    path = tmp_path / "a.mp4"
    noise = np.random.default_rng(0).integers(0, 255, (30, 48, 64, 3), np.uint8)
    encoded(path, "mpeg4", noise)
    with av.open(str(path)) as source:
        places = [(packet.pos, packet.size) for packet in source.demux(video=0) if packet.size]
    content = bytearray(path.read_bytes())
    begin, size = places[12]  # a picture of its own: MPEG-4 writes one in twelve
    assert begin is not None and size > 60
    content[begin + size // 2 : begin + size // 2 + 30] = bytes(30)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"damaged.*\(at frame 1\d\)"):
        video.read(str(path), 8, False, 0, 500)


def test_half_of_a_video_whose_header_counts_no_pictures_is_refused(tmp_path: Path):
    path = tmp_path / "a.webm"
    encoded(path, "libvpx", np.random.default_rng(0).integers(0, 255, (60, 48, 64, 3), np.uint8))
    content = path.read_bytes()
    assert len(video.read(str(path), 8, False, 0, 500)[0]) == 60
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"truncated: claims 3\.\d+ seconds, has [012]\."):
        video.read(str(path), 8, False, 0, 500)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted in /proc")
def test_many_videos_by_one_process_take_no_more_threads(tmp_path: Path):
    path = moments(tmp_path / "a.mp4", list(range(0, 1200, 100)), 1200, 90)
    sandbox.close()
    counts: list[int] = []
    for _ in range(6):
        sandbox.run_in_subprocess("unrolled.data.media.video:read", {"path": str(path), **GREY})
        worker = sandbox._idle.queue[0].pid  # pyright: ignore[reportPrivateUsage]
        counts.append(len(list(Path(f"/proc/{worker}/task").iterdir())))
    assert counts[-1] == counts[0] < 10
