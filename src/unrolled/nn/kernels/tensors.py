"""Functions for all kernels: checks of arguments, the product of weights and input, and the mode of torch.

Some operations of torch repeat (broadcast) an array that is too small. Others read uninitialised memory if
devices are mixed. So the torch kernels need these checks as much as the native kernels.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from torch.nn import functional as F

from unrolled.core.errors import UsageError
from unrolled.models.cells import Cell

TensorWeights = Mapping[str, Tensor]
TensorState = tuple[Tensor, ...]


def input_product(W_x: Tensor, x: Tensor) -> Tensor:
    """Return W_x x, [..., rows of W_x]. x: numbers [..., n_x], or ids [...] whose columns are looked up."""
    if x.is_floating_point():
        return x @ W_x.T
    # With few columns, transposing the matrix is faster than gathering scattered numbers.
    few = W_x.shape[1] <= x.numel()
    found = F.embedding(x.clamp_min(0), W_x.T.contiguous() if few else W_x.T)
    zeros = x < 0
    if is_recorded() or bool(zeros.any()):  # a recorded graph must not depend on the values of x
        return found.masked_fill(zeros.unsqueeze(-1), 0.0)
    return found


def is_recorded() -> bool:
    """Return whether torch records or transforms the operations of this call.

    This is the case for torch.export, torch.jit.trace, the ONNX exporter, torch.func transforms, fake tensors
    and other dispatch modes. They see only torch operations. A native kernel would be missing in the record,
    without an error.
    """
    return (
        torch.compiler.is_exporting()  # first: the strict exporter cannot trace the others
        or torch._C._len_torch_dispatch_stack() > 0  # pyright: ignore[reportPrivateUsage] (torch has no public name)
        or torch._C._are_functorch_transforms_active()  # pyright: ignore[reportPrivateUsage] (the same)
        or torch.jit.is_tracing()
    )


def is_transformed() -> bool:
    """Return whether a torch.func transform (grad, vmap, jvp) is active.

    torch's LSTM and RNN do not support all of them.
    """
    if torch.compiler.is_exporting():
        return False
    return torch._C._are_functorch_transforms_active()  # pyright: ignore[reportPrivateUsage] (torch has no public name)


def autocasts(device: str) -> bool:
    """Return whether torch.autocast is active for this type of device."""
    if device != "cpu" and not torch.amp.is_autocast_available(device):
        return False
    return torch.is_autocast_enabled(device)


def without_autocast(device: str) -> AbstractContextManager[object]:
    """Inside this context, torch.autocast is off for this type of device.

    Products then keep the type of their operands.
    """
    return torch.autocast(device, enabled=False) if autocasts(device) else nullcontext()


def check_shapes(cell: Cell, w: TensorWeights, x: Tensor, state: TensorState) -> None:
    """Raise UsageError unless the sizes of the weights, the state and x match."""
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
    """Raise UsageError unless the weights and the state are on the device of x."""
    device = x.device
    for name, tensor in w.items():
        if tensor.device != device:
            raise UsageError(f"{name} is on {tensor.device}", expected=f"{device}, as x")
    for tensor in state:
        if tensor.device != device:
            raise UsageError(f"the state is on {tensor.device}", expected=f"{device}, as x")
