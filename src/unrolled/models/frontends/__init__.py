"""Front ends: layers between the input numbers and the recurrent layers, on NumPy. One file each.

nn/frontends.py has the same layers on torch.

A front end maps the steps x [T, n_x] of one sequence to output steps [T_out, size]. T_out may be less than T.

In a unidirectional network, an output step reads only its own `stride` steps of x and earlier steps. So a
sequence can be processed in chunks. The values that the front end keeps from earlier steps, `past`, are part
of the network's state. Each chunk except the last must have a multiple of `stride` steps.
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
    """The functions of a front end. The first argument of each function is the sizes of the front end.

    stride: number of input steps per output step.
    past: returns the number of values of earlier steps that are kept from chunk to chunk.
    shapes: returns the name (without `front.`) and shape of each tensor.
    initialise: returns the initial values of the tensors.
    run: takes the tensors, x [T, n_x] of one sequence and its past [past]. Returns the output
        [ceil(T / stride), size] and the new past.
    """

    stride: int
    past: Callable[[Sizes], int]
    shapes: Callable[[Sizes], dict[str, tuple[int, ...]]]
    initialise: Callable[[Sizes, np.random.Generator], dict[str, NDArray[np.float64]]]
    run: Callable[[Sizes, Mapping[str, Array], Array, Array], tuple[Array, Array]]

    def steps(self, lengths: Any) -> Any:
        """Return the number of output steps for `lengths` input steps: an int, an array or a tensor."""
        return -(-lengths // self.stride)


FRONTS: dict[str, Front] = {
    "time": Front(time_conv.STRIDE, time_conv.past, time_conv.shapes, time_conv.initialise, time_conv.run),
    "frames": Front(1, lambda sizes: 0, image_conv.shapes, image_conv.initialise, image_conv.run),
}
