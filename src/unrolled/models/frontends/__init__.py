"""Front ends: layers before the recurrent layers, one file each, on NumPy; nn/frontends.py has them on torch.

A front makes of the steps x [T, n_x] of one sequence other steps [T_out, size], of which there may be fewer. Where the
network reads forward alone it sees no later step than the ones it makes one of, so a sequence may come in chunks: what
it remembers of earlier steps, `past`, travels with the network's state. Each chunk but the last must then have a
multiple of `stride` steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unrolled.core.types import Array
from unrolled.models.frontends import image_conv, time_conv
from unrolled.models.frontends.sizes import Sizes

__all__ = ["FRONTS", "Front", "Sizes"]


@dataclass(frozen=True)
class Front:
    """A front; the functions are given its sizes.

    stride: how many steps become one.  past: how many numbers of what came before it keeps from chunk to chunk.
    shapes: name and shape of each tensor, without `front.`.  initialise: their first values.
    run: its tensors, x [T, n_x] of one sequence and past [past] -> [ceil(T / stride), size] and the past after.
    """

    stride: int
    past: Callable[[Sizes], int]
    shapes: Callable[[Sizes], dict[str, tuple[int, ...]]]
    initialise: Callable[[Sizes, np.random.Generator], dict[str, NDArray[np.float64]]]
    run: Callable[[Sizes, Mapping[str, Array], Array, Array], tuple[Array, Array]]

    def steps(self, lengths: Any) -> Any:
        """How many steps it makes of so many: an int, an array or a tensor, and the same comes back."""
        return -(-lengths // self.stride)


FRONTS: dict[str, Front] = {
    "time": Front(time_conv.STRIDE, time_conv.past, time_conv.shapes, time_conv.initialise, time_conv.run),
    "frames": Front(1, lambda sizes: 0, image_conv.shapes, image_conv.initialise, image_conv.run),
}
