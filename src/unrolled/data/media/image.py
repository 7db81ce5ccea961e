"""Decode images with Pillow: one file, or a folder as a clip. Runs in the sandbox.

Metadata is honoured: orientation turns a picture, what is transparent becomes white, 16 bits become 8 by their scale.
What cannot be honoured is refused by name: values without a scale (floats, 32 bits), several pictures in one file.
Colour profiles are not applied.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import DataError, need
from unrolled.core.regular_files import open_regular

if TYPE_CHECKING:
    from PIL.Image import Image as Picture
    from PIL.ImageFile import ImageFile

ENDINGS = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".webp", ".avif"),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".jpx"),
)
# Pictures that are known but not read: they are named, never left out in silence.
UNREAD = (
    ".heic",
    ".heif",
    ".psd",
    ".svg",
    ".eps",
    ".ico",
    ".tga",
    ".dng",
    ".cr2",
    ".nef",
    ".arw",
    ".xcf",
    ".jxl",
)
PIXELS = 4096 * 4096  # of a picture in the file

_FORMATS = ("PNG", "JPEG", "MPO", "BMP", "DIB", "WEBP", "AVIF", "TIFF", "PPM", "JPEG2000")
_SIXTEEN = ("I;16", "I;16B", "I;16L", "I;16N")
_KEYED = ("1", "L", "P", "RGB")  # modes in which one colour may stand for what is transparent
_DEPTHS = {"L;2": 85, "L;4": 17, "1": 255}  # what a pixel of fewer bits is multiplied by when it is read
_TIFF_INVERTED, _WHITE_IS_ZERO = 262, 0
_WHITE = (255, 255, 255, 255)


def pictures(folder: Path) -> list[Path]:
    """The pictures in a folder in the order of their names, in which numbers count as numbers: 2 before 10."""
    found = [child for child in folder.iterdir() if child.suffix.lower() in ENDINGS and child.name[0] != "."]
    return sorted(
        found, key=lambda path: [int(part) if part.isdigit() else part for part in _parts(path.name)]
    )


def read(path: str, side: int, colour: bool, longest: int) -> tuple[NDArray[np.uint8], dict[str, object]]:
    """A picture, or each one of a folder, [T, side, side, channels]: grey, or red, green and blue.

    Beside them `at` and `count` as of a video. Raises DataError for what is no picture, damaged or too large, or more
    pictures than `longest`, MissingExtra without Pillow.
    """
    home = Path(path)
    files = pictures(home) if home.is_dir() else [home]
    if not files:
        raise DataError("no pictures in this folder", expected=", ".join(ENDINGS))
    if len(files) > longest:
        raise DataError(f"{len(files):,} pictures", expected=f"at most {longest:,}", hint="--longest")
    found = np.stack([_picture(file, side, colour) for file in files])
    return found, {"at": list(range(len(files))), "count": len(files)}


def line(path: str, height: int, longest: int) -> tuple[NDArray[np.uint8], dict[str, object]]:
    """A picture of a line, grey, [height, w], its width in proportion. Raises as `read`, and for w over `longest`."""
    grey = _opened(Path(path), "L", lambda width, tall: (max(1, round(width * height / tall)), height))
    if grey.shape[1] > longest:
        what, expected = f"{grey.shape[1]:,} columns at a height of {height}", f"at most {longest:,}"
        raise DataError(what, expected=expected, hint="a line of its own, or --longest")
    return grey, {}


def _picture(file: Path, side: int, colour: bool) -> NDArray[np.uint8]:
    """[side, side, channels]"""
    return _opened(file, "RGB" if colour else "L", lambda *_: (side, side)).reshape(side, side, -1)


def _opened(file: Path, mode: str, sized: Callable[[int, int], tuple[int, int]]) -> NDArray[np.uint8]:
    """A picture in this mode, as people see it, in the size that `sized` makes of its own."""
    with need("video", "pillow"):
        from PIL import Image
    if file.suffix.lower() in UNREAD:
        raise DataError(f"{file.name}: {file.suffix} is not read", expected=", ".join(ENDINGS))
    # Pillow raises all of these over damaged files.
    damage = (
        OSError,
        SyntaxError,
        ValueError,
        TypeError,
        LookupError,
        EOFError,
        AttributeError,
        OverflowError,
    )
    try:
        Image.init()  # registers all formats; AVIF is there only if Pillow was built with it
        known = [form for form in _FORMATS if form in Image.OPEN]
        # A stream, not a name: of a name Pillow 13 maps a TIFF into memory, and turns its pixels wrongly.
        with open_regular(file) as stream, Image.open(stream, formats=known) as picture:
            _refuse(picture, file)
            shown = _upright(picture, mode)
            size = sized(shown.width, shown.height)
            if size[0] * size[1] > PIXELS:
                raise DataError(f"{file.name}: far wider than high", expected="a picture of a line")
            small = shown.resize(size, Image.Resampling.BOX)
    except (*damage, struct.error, zlib.error, ZeroDivisionError, Image.DecompressionBombError) as error:
        raise DataError(
            f"{file.name}: not a readable picture: {error!s:.200}", expected="a whole one"
        ) from error
    return np.asarray(small, np.uint8)


def _refuse(picture: ImageFile, file: Path) -> None:
    """Raise DataError for a picture that is too large, or whose metadata cannot be honoured."""
    if picture.width * picture.height > PIXELS:
        what = f"{file.name}: a picture of {picture.width:,} x {picture.height:,}"
        raise DataError(what, expected=f"at most {PIXELS:,} pixels", hint="a smaller copy")
    count = getattr(picture, "n_frames", 1)
    if count > 1 and picture.format != "MPO":  # a camera's MPO has a preview behind its photo
        what = f"{file.name}: {count:,} pictures in one file"
        raise DataError(what, expected="one picture", hint="a file for each, or a video")
    values = {"F": "floats", "I": "32 bits or signed", "LAB": "LAB colours"}.get(picture.mode)
    if values and not (picture.mode == "I" and picture.format == "PPM"):  # which has 16 bits
        what = f"{file.name}: its values are {values}, and their scale is not known"
        raise DataError(what, expected="8 or 16 bits a value", hint="saving it as PNG")


def _upright(picture: ImageFile, mode: str) -> Picture:
    """The picture as it is to be seen: turned by its orientation, on white where it is transparent."""
    from PIL import Image, ImageOps
    from PIL.TiffImagePlugin import TiffImageFile

    scale = _DEPTHS.get(str(picture.tile[0][3])) if picture.tile and picture.format == "PNG" else None
    inverted = isinstance(picture, TiffImageFile) and picture.tag_v2.get(_TIFF_INVERTED) == _WHITE_IS_ZERO
    key = picture.info.get("transparency")
    turned = ImageOps.exif_transpose(picture)
    if turned.mode in _SIXTEEN or turned.mode == "I":
        values = np.asarray(turned).astype(np.int32)
        levels = (np.clip(values, 0, 65535) * 255 + 32767) // 65535
        levels = 255 - levels if inverted else levels
        levels = np.where(values == key, 255, levels) if isinstance(key, int) else levels
        return Image.fromarray(levels.astype(np.uint8)).convert(mode)
    if key is not None and turned.mode in _KEYED:
        if isinstance(key, tuple) and max(key) > 255:  # of 16 bits, of which eight were read
            turned.info["transparency"] = tuple(part >> 8 for part in key)
        if isinstance(key, int) and turned.mode in ("1", "L"):
            turned, turned.info["transparency"] = turned.convert("L"), key * (scale or 1)
    if turned.has_transparency_data:
        turned = turned.convert("RGBA")
        turned = Image.alpha_composite(Image.new("RGBA", turned.size, _WHITE), turned)
    return turned.convert(mode)


def _parts(name: str) -> list[str]:
    return re.split(r"(\d+)", name.lower())
