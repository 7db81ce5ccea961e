"""Pictures that Pillow writes, in every mode, format and orientation, are read as people see them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from unrolled.core.errors import DataError
from unrolled.data.media import image

TURNS = {  # what a viewer does with the stored pixels, by the EXIF orientation
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}
LOSSLESS = {"png": {}, "tif": {}, "webp": {"lossless": True, "exact": True}}
SEARCH = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read(path: Path, colour: bool = False) -> np.ndarray:
    """[h, w] or [h, w, 3]: a picture in its own size."""
    return image._opened(path, "RGB" if colour else "L", lambda width, height: (width, height))


def oriented(picture: Image.Image, path: Path, orientation: int, **options: object) -> Path:
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.save(path, exif=exif, **options)
    return path


def blocks(seed: int, channels: int, low: int = 0, high: int = 256, dtype: type = np.uint8) -> np.ndarray:
    """[h, w, channels] of random values, wider than high."""
    chance = np.random.default_rng(seed)
    height, width = (int(n) for n in chance.integers(2, 9, 2))
    return chance.integers(low, high, (height, width + 9, channels)).astype(dtype)


def grey(rgb: np.ndarray) -> np.ndarray:
    return rgb.astype(np.float64) @ [0.299, 0.587, 0.114]


def on_white(rgba: np.ndarray) -> np.ndarray:
    share = rgba[..., 3:] / 255.0
    return rgba[..., :3] * share + 255 * (1 - share)


@pytest.mark.property
@SEARCH
@given(
    seed=st.integers(0, 10**6),
    ending=st.sampled_from([*LOSSLESS]),
    orientation=st.integers(1, 8),
    mode=st.sampled_from(["L", "LA", "RGB", "RGBA", "P", "1", "I;16"]),
)
def test_modes_and_orientations(tmp_path: Path, seed: int, ending: str, orientation: int, mode: str):
    wide = mode == "I;16"
    made = blocks(seed, 4, 0, 65536 if wide else 256, np.uint16 if wide else np.uint8)
    opaque = Image.fromarray(made[..., : 1 if wide else 3].squeeze())
    stored = opaque.convert(mode) if mode in ("P", "I;16") else Image.fromarray(made, "RGBA").convert(mode)
    if ending == "webp" and mode in ("1", "I;16", "P"):  # which WebP does not have
        return
    path = oriented(stored, tmp_path / f"a.{ending}", orientation, **LOSSLESS[ending])
    seen = made[..., 0] / 257 if wide else on_white(np.asarray(stored.convert("RGBA")).astype(np.float64))
    expected = TURNS[orientation](seen if wide else grey(seen))
    found = read(path)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=2)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "jfif"])
def test_a_photo_of_a_phone_is_upright(tmp_path: Path, ending: str, orientation: int):
    made = np.kron(np.array([[40, 100], [160, 220]], np.uint8), np.ones((8, 16), np.uint8))
    photo = Image.fromarray(made)
    path = oriented(photo, tmp_path / f"a.{ending}", orientation, quality=95, format="JPEG")
    np.testing.assert_allclose(read(path), TURNS[orientation](made), atol=3)
    clip, _ = image.read(str(path), 8, True, 10)
    assert clip.shape == (1, 8, 8, 3)


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "RGBX", "PA"])
def test_other_colour_models_become_what_pillow_makes_of_them(tmp_path: Path, mode: str):
    picture = Image.fromarray(blocks(1, 3, 60, 190), "RGB").convert("P" if mode == "PA" else mode)
    picture = picture.convert(mode) if mode == "PA" else picture
    path = tmp_path / "a.tif"
    picture.save(path)
    np.testing.assert_allclose(read(path, colour=True), np.asarray(picture.convert("RGB")), atol=1)


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_a_transparent_grey_of_few_bits_is_white(tmp_path: Path, depth: int):
    """A PNG of 1, 2 or 4 bits a pixel, written by hand, in which one value stands for what is transparent."""
    import struct
    import zlib

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    values, per = np.arange(8) % (1 << depth), 8 // depth
    rows = b"".join(
        b"\0" + bytes(int(sum(int(v) << (8 - depth * (i + 1)) for i, v in enumerate(part))) for part in line)
        for line in [values.reshape(-1, per)] * 2
    )
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 2, depth, 0, 0, 0, 0))
    body = chunk(b"tRNS", struct.pack(">H", 1)) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + head + body)
    expected = np.where(values == 1, 255, values * 255 // ((1 << depth) - 1))
    np.testing.assert_array_equal(read(tmp_path / "a.png"), np.stack([expected] * 2))


def test_writing_on_a_transparent_ground_stays_writing(tmp_path: Path):
    made = np.zeros((20, 60, 4), np.uint8)  # black everywhere, seen only where it is written
    made[5:15, 10:20, 3] = 255
    for mode in ("RGBA", "LA", "PA"):
        picture = (
            Image.fromarray(made, "RGBA").convert("LA") if mode != "RGBA" else Image.fromarray(made, "RGBA")
        )
        picture = picture.convert("RGBA").quantize() if mode == "PA" else picture
        picture.save(tmp_path / "a.png")
        found = read(tmp_path / "a.png")
        assert found[10, 15] == 0 and found[0, 0] == 255, mode


@pytest.mark.parametrize(("inverted", "expected"), [(1, [0, 128, 255]), (0, [255, 127, 0])])
def test_sixteen_bits_of_a_tiff_in_which_white_is_zero(tmp_path: Path, inverted: int, expected: list[int]):
    picture = Image.fromarray(np.array([[0, 32896, 65535]], np.uint16))
    picture.save(tmp_path / "a.tif", tiffinfo={262: inverted})
    np.testing.assert_allclose(read(tmp_path / "a.tif")[0], expected, atol=1)


def test_16_bits_of_a_pgm(tmp_path: Path):
    (tmp_path / "a.pgm").write_bytes(b"P5 3 1 65535\n" + np.array([0, 32896, 65535], ">u2").tobytes())
    np.testing.assert_allclose(read(tmp_path / "a.pgm")[0], [0, 128, 255], atol=1)


@pytest.mark.parametrize(
    ("name", "made", "told"),
    [
        ("float.tif", np.zeros((4, 4), np.float32), "its values are floats"),
        ("whole.tif", np.zeros((4, 4), np.int32), "its values are 32 bits or signed"),
    ],
)
def test_values_without_a_scale_are_refused_by_name(tmp_path: Path, name: str, made: np.ndarray, told: str):
    Image.fromarray(made).save(tmp_path / name)
    with pytest.raises(DataError, match=told) as error:
        read(tmp_path / name)
    assert name in str(error.value)


def test_several_pictures_in_a_file_are_refused_by_name(tmp_path: Path):
    one = Image.new("L", (9, 9))
    for name in ("a.tif", "a.webp", "a.png"):
        other = Image.new("L", (9, 9), 9)
        one.save(tmp_path / name, save_all=True, append_images=[other])
        with pytest.raises(DataError, match="2 images in one file"):
            read(tmp_path / name)


def test_jpeg_2000_is_read_and_its_damage_told(tmp_path: Path):
    made = blocks(3, 3)
    Image.fromarray(made, "RGB").save(tmp_path / "a.jp2")
    np.testing.assert_allclose(read(tmp_path / "a.jp2", colour=True), made, atol=1)
    whole = (tmp_path / "a.jp2").read_bytes()
    (tmp_path / "a.jp2").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"a\.jp2: not a readable image"):
        read(tmp_path / "a.jp2")


def test_known_pictures_that_are_not_read_are_named(tmp_path: Path):
    for ending in image.UNREAD:
        (tmp_path / f"a{ending}").write_bytes(b"anything")
        with pytest.raises(DataError, match=rf"a\{ending}: \{ending} files are not supported"):
            read(tmp_path / f"a{ending}")
