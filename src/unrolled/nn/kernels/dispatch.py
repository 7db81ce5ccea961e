"""Choose the kernel that runs whole sequences of one cell in one direction.

A kernel is a function (cell, w, x, state, taken) -> (a, state) that supports gradients. Its tensors are
time-major, so that each step is a contiguous block:

    w       W_* [n_a, n_a + n_x], b_* [n_a]: the lecture's weights, which get gradients
    x       [T, batch, n_x] numbers, or [T, batch] ids of one-hot vectors (-1 is the vector of zeros)
    state   one array [batch, n_a] for each of cell.state: the state before the first step
    taken   for zoneout in training: the fraction of each new state that is used, an array [T, batch, n_a] for
            each of cell.state; None: the mean of the random draws, see step_with_zoneout
    a       [T, batch, n_a]: a_t of every step
    state   (returned) the state after the last step

- reference.py computes the equation of the cell directly. All other kernels are tested against it.
- torch_kernels.py uses only torch. It also works when torch records the operations (export, ONNX,
  torch.func).
- native_sequence.py uses the native kernels. `native_kernel_for` returns them if they were compiled and
  support the call.

The variable UNROLLED_KERNEL forces a kernel: reference, torch, or an instruction set of the native kernels
(baseline, avx2, avx512).
"""

from __future__ import annotations

from torch import Tensor

from unrolled.models import native
from unrolled.models.cells import Cell
from unrolled.nn.kernels.native_sequence import fits
from unrolled.nn.kernels.reference import Kernel, reference
from unrolled.nn.kernels.tensors import TensorState, TensorWeights, is_recorded, is_transformed
from unrolled.nn.kernels.torch_kernels import KERNELS, loop_hoisted


def select_kernel(cell: Cell, steps: int) -> Kernel:
    """Return the kernel for a sequence of this number of steps if `native_kernel_for` returns None.

    Raises UsageError if the name in UNROLLED_KERNEL is unknown.
    """
    if not cell.groups:
        return reference
    if is_transformed():  # torch.func does not support torch's own layers under every transform
        return loop_hoisted
    forced = None if is_recorded() else native.forced()
    if forced == "reference" or (forced != "torch" and steps == 1):
        # For a single step, the reference is the fastest. The other kernels first copy the weights, and
        # oneDNN packs them again in every call, which takes four times as long as the step itself.
        return reference
    return KERNELS.get(cell.name, loop_hoisted)


def alternatives(cell: Cell) -> tuple[str, ...]:
    """Return the names (as in UNROLLED_KERNEL) of kernels that may be faster than the default for this cell.

    This is "torch" if torch has a built-in layer for the cell. It is empty if a kernel is forced.
    """
    has_a_layer = KERNELS.get(cell.name, loop_hoisted) is not loop_hoisted and not cell.zoneout
    return ("torch",) if has_a_layer and native.forced() is None and native.library() is not None else ()


def native_kernel_for(cell: Cell, w: TensorWeights, x: Tensor, state: TensorState) -> native.Library | None:
    """Return the native kernels for x [T, batch, ...], or None if `select_kernel` must choose the kernel.

    It is None in these cases: no native kernels were compiled, float64, another device, no rows, a single
    step, a call that torch records, or another kernel is forced. Raises UsageError as `select_kernel`.
    """
    if is_recorded():
        return None
    if len(x) == 1 and native.forced() not in native.NAMES:
        return None  # packing the weights is not worth it for one step
    library = native.library()
    return library if library is not None and fits(cell, w, x, state) else None
