"""Choose the kernel that runs whole sequences of one cell in one direction.

A kernel is a function (cell, w, x, state, taken) -> (a, state) on tensors that are time-major inside the package (so
that a step is one contiguous block), gradients included:

    w       W_* [n_a, n_a + n_x], b_* [n_a]: the lecture's weights; gradients flow to them
    x       [T, batch, n_x] numbers, or [T, batch] ids of one-hot vectors (-1 is the vector of zeros)
    state   one array [batch, n_a] for each of cell.state: the state before the first step
    taken   zoneout while training: how much of each new state is taken, an array [T, batch, n_a] for each of
            cell.state; None is the mean, see step_with_zoneout
    a       [T, batch, n_a]: a_t of every step; and the state after the last

reference.py runs the equation as it is written; every other kernel is tested against it. torch_kernels.py uses torch
alone; it also runs where torch records the operations (export, ONNX, torch.func). `native_kernel_for` returns the
native kernels of native_sequence.py if they were built and support the call.
UNROLLED_KERNEL forces a kernel: reference, torch, or an instruction set of the native kernels (baseline, avx2, avx512).
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
    """The kernel for a sequence of so many steps if `native_kernel_for` has none. Raises UsageError if the name in
    UNROLLED_KERNEL is no kernel."""
    if not cell.groups:
        return reference
    if is_transformed():  # torch.func does not support torch's own layers under every transform
        return loop_hoisted
    forced = None if is_recorded() else native.forced()
    if forced == "reference" or (forced != "torch" and steps == 1):
        # At a single step the others only restack the weights, and oneDNN packs them anew at every call:
        # four times the time of the step itself.
        return reference
    return KERNELS.get(cell.name, loop_hoisted)


def alternatives(cell: Cell) -> tuple[str, ...]:
    """What may be quicker for this cell than what runs by itself, as UNROLLED_KERNEL would name it: torch's own layer,
    where it has one. Nothing where a kernel is forced."""
    has_a_layer = KERNELS.get(cell.name, loop_hoisted) is not loop_hoisted and not cell.zoneout
    return ("torch",) if has_a_layer and native.forced() is None and native.library() is not None else ()


def native_kernel_for(cell: Cell, w: TensorWeights, x: Tensor, state: TensorState) -> native.Library | None:
    """The native kernels to use for x [T, batch, ...]. None if `select_kernel` has the kernel: none is built, float64,
    another device, no rows, a single step, a call that torch records, or another kernel is forced. Raises UsageError as
    `select_kernel`."""
    if is_recorded():
        return None
    if len(x) == 1 and native.forced() not in native.NAMES:
        return None  # the weights would be packed for one use
    library = native.library()
    return library if library is not None and fits(cell, w, x, state) else None
