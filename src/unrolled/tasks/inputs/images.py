"""Images of text lines: x^<t> is a column of the image. Only the height is learned.

An x is the file of a picture, or bytes [h, w].
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
FAINT = 4.0  # of 255, added to the deviation


@dataclass(frozen=True)
class ImageInput:
    """height: to which any picture is brought, its width in proportion.  longest: columns."""

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
        """Numbers a column."""
        return self.height

    def load_file(self, example: Example) -> Example:
        """The example with the picture of its file, [height, w] of bytes. Raises DataError, naming it, where it is
        broken."""
        if not isinstance(example.x, Path):
            return example
        wanted = {"height": self.height, "longest": self.longest}
        found, _ = sandbox.decode_file(example.x, example.place, "unrolled.data.media.image:line", wanted)
        return replace(example, x=found, source=example.x)

    def steps(self, x: object) -> object:
        """A picture has no words."""
        return ()

    def encode(self, x: object, place: Place | None = None) -> NDArray[np.float32]:
        """[w, height], what is rare above zero: writing, be it dark on light or light on dark."""
        if isinstance(x, Path):
            x = self.load_file(Example(x, None, place or Place(x, 1))).x
        picture = np.asarray(x)
        if picture.ndim != 2 or picture.dtype != np.uint8 or len(picture) != self.height:
            what = f"{picture.dtype} {list(picture.shape)} is no line"
            at = (place.file, place.line) if place else (None, None)
            raise DataError(what, file=at[0], line=at[1], expected=f"bytes [{self.height}, w]")
        columns = picture.T.astype(np.float64)
        columns = (columns - columns.mean()) / (columns.std() + FAINT)
        return (columns * (1.0 if (columns**3).mean() >= 0 else -1.0)).astype(np.float32)

    def unknown(self, x: object, encoded: Array) -> int:
        """Pictures know no `<UNK>`."""
        return 0

    def to_json(self) -> dict[str, object]:
        """What `image_input` reads."""
        return {"height": self.height, "longest": self.longest}


def image_input(value: Mapping[str, object]) -> ImageInput:
    """What `to_json` gave; raises DataError where it is damaged."""
    height, longest = value.get("height"), value.get("longest")
    if set(value) != {"height", "longest"} or type(height) is not int or type(longest) is not int:
        raise _damaged()
    return ImageInput(height, longest)


def learn_images(examples: Iterable[Example], config: DataConfig) -> tuple[ImageInput, str]:
    """How pictures are read, as the configuration has it. Raises DataError where there are none."""
    count = sum(1 for _ in examples)
    if not count:
        raise DataError("no examples: not one picture", expected="pictures")
    found = ImageInput(config.frame_size or HEIGHTS[1], config.longest or 1)
    return found, f"{count:,} pictures of lines, {found.height} high"


def _damaged() -> DataError:
    return DataError("how the model sees is damaged", expected="height, longest")
