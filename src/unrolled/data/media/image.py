"""Decode images with Pillow: one file, or a folder as a clip. Runs in the sandbox."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import DataError, need
from unrolled.core.regular_files import open_regular

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".pgm")
PIXELS = 4096 * 4096  # of a picture in the file

_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "PPM")


def pictures(folder: Path) -> list[Path]:
    """The pictures in a folder in the order of their names, in which numbers count as numbers: 2 before 10."""
    found = [child for child in folder.iterdir() if child.suffix.lower() in ENDINGS and child.name[0] != "."]
    return sorted(
        found, key=lambda path: [int(part) if part.isdigit() else part for part in _parts(path.name)]
    )


def read(path: str, side: int, colour: bool, longest: int) -> tuple[NDArray[np.uint8], dict[str, Any]]:
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


def line(path: str, height: int, longest: int) -> tuple[NDArray[np.uint8], dict[str, Any]]:
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
    """A picture in this mode, of the size that is made of its own."""
    with need("video", "pillow"):
        from PIL import Image
    try:
        with open_regular(file) as stream, Image.open(stream, formats=_FORMATS) as picture:
            if picture.width * picture.height > PIXELS:
                what = f"{file.name}: a picture of {picture.width:,} x {picture.height:,}"
                raise DataError(what, expected=f"at most {PIXELS:,} pixels", hint="a smaller copy")
            size = sized(picture.width, picture.height)
            if size[0] * size[1] > PIXELS:
                raise DataError(f"{file.name}: far wider than high", expected="a picture of a line")
            small = picture.convert(mode).resize(size, Image.Resampling.BOX)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(
            f"{file.name}: not a readable picture: {error!s:.200}", expected="a whole one"
        ) from error
    return np.asarray(small, np.uint8)


def _parts(name: str) -> list[str]:
    return re.split(r"(\d+)", name.lower())
