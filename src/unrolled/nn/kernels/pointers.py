"""Memory for native calls: check tensors before their addresses are passed to C, and reuse scratch arrays.

C cannot check an address. So every call into the native library passes only addresses from `address`. One
check costs about a microsecond.
"""

from __future__ import annotations

import ctypes
import math
import threading
from collections.abc import Sequence

import torch
from torch import Tensor

from unrolled.core.errors import UsageError


def address(what: str, tensor: Tensor, shape: tuple[int, ...], kind: torch.dtype = torch.float32) -> int:
    """Return the address of `tensor`, for a C function that reads or writes exactly `shape` elements.

    what: the name of the tensor in error messages. Raises UsageError unless the tensor has this shape and
    type, is contiguous and is in the memory of the CPU.
    """
    if (
        tensor.dtype is not kind
        or tensor.shape != shape
        or not tensor.is_cpu
        or not tensor.is_contiguous()
        or tensor.is_neg()  # the numbers in memory have the opposite sign
    ):
        order = "" if tensor.is_contiguous() else ", not contiguous"
        raise UsageError(
            f"{what} is {tensor.dtype} {list(tensor.shape)} on {tensor.device}{order}",
            expected=f"contiguous {kind} {list(shape)} on the CPU",
        )
    return tensor.data_ptr()


def addresses(what: str, tensors: Sequence[Tensor], shape: tuple[int, ...]) -> object:
    """Return the addresses of at most two tensors of the same shape as a C array `void *[2]`.

    Raises as `address`.
    """
    return (ctypes.c_void_p * 2)(*[address(what, tensor, shape) for tensor in tensors])


class _Own(threading.local):
    """Scratch arrays of each thread, by purpose.

    Allocating them in every call would take longer than some calls.
    """

    def __init__(self) -> None:
        self.arrays: dict[str, Tensor] = {}

    def room(self, what: str, floats: int) -> Tensor:
        """Return an array of at least this number of floats."""
        found = self.arrays.get(what)
        if found is None or found.shape[0] < floats:
            # Type and device are explicit, because torch's defaults may be different.
            found = self.arrays[what] = torch.empty(floats, dtype=torch.float32, device="cpu")
        return found


_own = _Own()


def scratch(what: str, *shape: int) -> Tensor:
    """Return an array of this shape with arbitrary content.

    It belongs to this thread. It is valid until the next call with the same purpose `what` in this thread.
    """
    floats = math.prod(shape)
    return _own.room(what, floats)[:floats].view(shape)
