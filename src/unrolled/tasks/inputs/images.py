"""Images of text lines: x^<t> is a column of the image. Nothing is learned; all images get the same height.

x is a path of an image, or an array of bytes [h, w].
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unrolled.core.config import DataConfig
from unrolled.core.errors import DataError
from unrolled.core.types import Array, Example, Place
from unrolled.data import sandbox

HEIGHTS = (8, 256)
FAINT = (
    4.0  # added to the deviation of the pixels (0 to 255), so that noise in a blank image is not amplified
)


@dataclass(frozen=True)
class ImageInput:
    """The encoder of text lines.

    height: images are resized to this height; the width changes in proportion.
    longest: maximum number of columns.
    """

    height: int
    longest: int

    ids = False
    multi_hot = False
    unk_candidates = np.zeros(0, dtype=np.bool_)

    def __post_init__(self) -> None:
        if not HEIGHTS[0] <= self.height <= HEIGHTS[1] or self.longest < 1:
            raise _damaged()

    @property
    def n_x(self) -> int:
        """Numbers per column."""
        return self.height

    def load_file(self, example: Example) -> Example:
        """Return the example with the image of its file, [height, w] bytes.

        Raises DataError, with the name of the file, if the file is broken.
        """
        if not isinstance(example.x, Path):
            return example
        wanted = {"height": self.height, "longest": self.longest}
        found, _ = sandbox.decode_file(example.x, example.place, "unrolled.data.media.image:line", wanted)
        return replace(example, x=found, source=example.x)

    def steps(self, x: object) -> object:
        """Return (), because an image has no words."""
        return ()

    def encode(self, x: object, place: Place | None = None) -> NDArray[np.float32]:
        """Encode x as [w, height], standardised over the image.

        The sign is chosen so that the rarer brightness is positive. So ink is positive for dark text on a
        light background and for light text on a dark background.
        """
        if isinstance(x, Path):
            x = self.load_file(Example(x, None, place or Place(x, 1))).x
        picture = np.asarray(x)
        if picture.ndim != 2 or picture.dtype != np.uint8 or len(picture) != self.height:
            what = f"{picture.dtype} {list(picture.shape)} is not an image of a line"
            at = (place.file, place.line) if place else (None, None)
            raise DataError(what, file=at[0], line=at[1], expected=f"bytes [{self.height}, w]")
        columns = picture.T.astype(np.float64)
        columns = (columns - columns.mean()) / (columns.std() + FAINT)
        return (columns * (1.0 if (columns**3).mean() >= 0 else -1.0)).astype(np.float32)

    def unknown(self, x: object, encoded: Array) -> int:
        """Return 0, because images have no `<UNK>`."""
        return 0

    def to_json(self) -> dict[str, object]:
        """Return the JSON object that `image_input` reads."""
        return {"height": self.height, "longest": self.longest}


def image_input(value: Mapping[str, object]) -> ImageInput:
    """Create an ImageInput from the JSON object of `to_json`. Raises DataError if it is damaged."""
    height, longest = value.get("height"), value.get("longest")
    if set(value) != {"height", "longest"} or type(height) is not int or type(longest) is not int:
        raise _damaged()
    return ImageInput(height, longest)


def learn_images(examples: Iterable[Example], config: DataConfig) -> tuple[ImageInput, str]:
    """Create an ImageInput from the configuration; also returns a one-line description.

    Raises DataError if there are no images.
    """
    count = sum(1 for _ in examples)
    if not count:
        raise DataError("no examples: not one image", expected="images")
    found = ImageInput(config.frame_size or HEIGHTS[1], config.longest or 1)
    return found, f"{count:,} images of lines, {found.height} pixels high"


def _damaged() -> DataError:
    return DataError("the image settings in the model file are damaged", expected="height, longest")
