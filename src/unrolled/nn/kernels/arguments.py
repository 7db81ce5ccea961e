"""Checks of what every kernel is given: do the sizes and the devices belong together?

Some operations of torch repeat what is too small, or read memory that was never written where devices are mixed. So the
kernels on torch need these checks as much as the native ones.
"""

from __future__ import annotations

from torch import Tensor

from unrolled.core.errors import UsageError
from unrolled.models.cells import Cell
from unrolled.nn.kernels.tensors import TensorState, TensorWeights


def check_shapes(cell: Cell, w: TensorWeights, x: Tensor, state: TensorState) -> None:
    """Raise UsageError unless the weights and the state have the sizes that belong together and to x."""
    if x.ndim != (3 if x.is_floating_point() else 2):
        raise UsageError(f"x is {x.dtype} {list(x.shape)}", expected="[T, batch, n_x], or ids [T, batch]")
    n_a = cell.units(w)
    n_x = x.shape[2] if x.ndim == 3 else cell.inputs(w)
    for name, shape in cell.shapes(max(1, n_x), n_a).items():
        if w[name].shape != shape:
            raise UsageError(f"{name} is {list(w[name].shape)}", expected=f"{list(shape)}")
    wanted = [[x.shape[1], n_a]] * len(cell.state)
    if len(state) != len(wanted) or any(s.shape != (x.shape[1], n_a) for s in state):
        raise UsageError(f"the state is {[list(s.shape) for s in state]}", expected=f"{wanted}")


def check_device(w: TensorWeights, x: Tensor, state: TensorState) -> None:
    """Raise UsageError unless the weights and the state are where x is."""
    device = x.device
    for name, tensor in w.items():
        if tensor.device != device:
            raise UsageError(f"{name} is on {tensor.device}", expected=f"{device}, where x is")
    for tensor in state:
        if tensor.device != device:
            raise UsageError(f"the state is on {tensor.device}", expected=f"{device}, where x is")
