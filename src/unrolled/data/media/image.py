"""Decode images with Pillow: one file, or a folder as a clip. Runs in the sandbox.

Metadata is applied: images are rotated to their orientation, transparent pixels become white, and 16 bits are
scaled to 8. Images that cannot be decoded correctly raise an error: values without a known scale (floats, 32
bits), and several images in one file. Colour profiles are not applied.
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
# Extensions of image formats that are not supported. Such files are reported, never ignored silently.
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
PIXELS = 4096 * 4096  # maximum pixels of an image in a file

_FORMATS = ("PNG", "JPEG", "MPO", "BMP", "DIB", "WEBP", "AVIF", "TIFF", "PPM", "JPEG2000")
_SIXTEEN = ("I;16", "I;16B", "I;16L", "I;16N")
_KEYED = ("1", "L", "P", "RGB")  # modes in which one colour can mean transparent
_DEPTHS = {"L;2": 85, "L;4": 17, "1": 255}  # factors that Pillow applies to pixels of 2, 4 and 1 bits
_TIFF_INVERTED, _WHITE_IS_ZERO = 262, 0
_WHITE = (255, 255, 255, 255)


def pictures(folder: Path) -> list[Path]:
    """Return the images in a folder in the natural order of their names: 2 comes before 10."""
    found = [child for child in folder.iterdir() if child.suffix.lower() in ENDINGS and child.name[0] != "."]
    return sorted(
        found, key=lambda path: [int(part) if part.isdigit() else part for part in _parts(path.name)]
    )


def read(path: str, side: int, colour: bool, longest: int) -> tuple[NDArray[np.uint8], dict[str, object]]:
    """Decode an image, or all images of a folder, to [T, side, side, channels]: grey, or red, green and blue.

    Returns the images and a dict with `at` and `count`, as for a video.

    Raises DataError for a file that is not an image, is damaged or too large, and for more than `longest`
    images. Raises MissingExtra without Pillow.
    """
    home = Path(path)
    files = pictures(home) if home.is_dir() else [home]
    if not files:
        raise DataError("no images in this folder", expected=", ".join(ENDINGS))
    if len(files) > longest:
        raise DataError(f"{len(files):,} images", expected=f"at most {longest:,}", hint="--longest")
    found = np.stack([_picture(file, side, colour) for file in files])
    return found, {"at": list(range(len(files))), "count": len(files)}


def line(path: str, height: int, longest: int) -> tuple[NDArray[np.uint8], dict[str, object]]:
    """Decode an image of a text line to grey [height, w]. The width w keeps the proportions.

    Raises the errors of `read`, and DataError if w is greater than `longest`.
    """
    grey = _opened(Path(path), "L", lambda width, tall: (max(1, round(width * height / tall)), height))
    if grey.shape[1] > longest:
        what, expected = f"{grey.shape[1]:,} columns at a height of {height}", f"at most {longest:,}"
        raise DataError(what, expected=expected, hint="an image with a single line, or --longest")
    return grey, {}


def _picture(file: Path, side: int, colour: bool) -> NDArray[np.uint8]:
    """Decode one image to [side, side, channels]."""
    return _opened(file, "RGB" if colour else "L", lambda *_: (side, side)).reshape(side, side, -1)


def _opened(file: Path, mode: str, sized: Callable[[int, int], tuple[int, int]]) -> NDArray[np.uint8]:
    """Decode an image upright and resized.

    mode: mode of Pillow, "RGB" or "L".  sized: returns the new (width, height) from the original width and
    height.
    """
    with need("video", "pillow"):
        from PIL import Image
    if file.suffix.lower() in UNREAD:
        raise DataError(f"{file.name}: {file.suffix} files are not supported", expected=", ".join(ENDINGS))
    # Pillow raises all of these errors for damaged files.
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
        Image.init()  # registers all formats; AVIF is registered only if Pillow was built with it
        known = [form for form in _FORMATS if form in Image.OPEN]
        # Pass a stream, not a path: Pillow 13 memory-maps a TIFF at a path and rotates its pixels wrongly.
        with open_regular(file) as stream, Image.open(stream, formats=known) as picture:
            _refuse(picture, file)
            shown = _upright(picture, mode)
            size = sized(shown.width, shown.height)
            if size[0] * size[1] > PIXELS:
                raise DataError(f"{file.name}: too wide for its height", expected="an image of a text line")
            small = shown.resize(size, Image.Resampling.BOX)
    except (*damage, struct.error, zlib.error, ZeroDivisionError, Image.DecompressionBombError) as error:
        raise DataError(
            f"{file.name}: not a readable image: {error!s:.200}", expected="a complete image"
        ) from error
    return np.asarray(small, np.uint8)


def _refuse(picture: ImageFile, file: Path) -> None:
    """Raise DataError for an image that is too large, that has several images, or whose scale is unknown."""
    if picture.width * picture.height > PIXELS:
        what = f"{file.name}: an image of {picture.width:,} x {picture.height:,}"
        raise DataError(what, expected=f"at most {PIXELS:,} pixels", hint="a smaller copy")
    count = getattr(picture, "n_frames", 1)
    if count > 1 and picture.format != "MPO":  # in an MPO file of a camera the second image is a preview
        what = f"{file.name}: {count:,} images in one file"
        raise DataError(what, expected="one image", hint="one file per image, or a video")
    values = {"F": "floats", "I": "32 bits or signed", "LAB": "LAB colours"}.get(picture.mode)
    if values and not (picture.mode == "I" and picture.format == "PPM"):  # a PPM in mode I has 16 bits
        what = f"{file.name}: its values are {values}, and their scale is unknown"
        raise DataError(what, expected="8 or 16 bits per value", hint="saving it as PNG")


def _upright(picture: ImageFile, mode: str) -> Picture:
    """Rotate an image to its orientation, put transparent pixels on white, and convert it to `mode`."""
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
        if isinstance(key, tuple) and max(key) > 255:  # the key has 16 bits, but Pillow read 8 bits per value
            turned.info["transparency"] = tuple(part >> 8 for part in key)
        if isinstance(key, int) and turned.mode in ("1", "L"):
            turned, turned.info["transparency"] = turned.convert("L"), key * (scale or 1)
    if turned.has_transparency_data:
        turned = turned.convert("RGBA")
        turned = Image.alpha_composite(Image.new("RGBA", turned.size, _WHITE), turned)
    return turned.convert(mode)


def _parts(name: str) -> list[str]:
    return re.split(r"(\d+)", name.lower())
