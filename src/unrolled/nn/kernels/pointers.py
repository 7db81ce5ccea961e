"""The memory of native calls: check a tensor before its address goes to C, and keep arrays from call to call.

C cannot check an address. So every call into the native library passes addresses that come from `address`, which costs
about a microsecond.
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
    """The address of the first element of `tensor`, for a C function that reads or writes exactly `shape` elements.

    what: the name of the tensor in error messages. Raises UsageError unless the tensor has this shape and type, is
    contiguous and lies in the memory of the CPU.
    """
    if (
        tensor.dtype is not kind
        or tensor.shape != shape
        or not tensor.is_cpu
        or not tensor.is_contiguous()
        or tensor.is_neg()  # the numbers in memory have the wrong sign
    ):
        order = "" if tensor.is_contiguous() else ", not contiguous"
        raise UsageError(
            f"{what} is {tensor.dtype} {list(tensor.shape)} on {tensor.device}{order}",
            expected=f"contiguous {kind} {list(shape)} on the CPU",
        )
    return tensor.data_ptr()


def addresses(what: str, tensors: Sequence[Tensor], shape: tuple[int, ...]) -> object:
    """The addresses of at most two tensors of one shape, as the structs of C have them: `void *[2]`. Raises as
    `address`."""
    return (ctypes.c_void_p * 2)(*[address(what, tensor, shape) for tensor in tensors])


class _Own(threading.local):
    """Arrays of each thread, by their use: to allocate them anew takes longer than many a call."""

    def __init__(self) -> None:
        self.arrays: dict[str, Tensor] = {}

    def room(self, what: str, floats: int) -> Tensor:
        """At least so many."""
        found = self.arrays.get(what)
        if found is None or found.shape[0] < floats:
            # Spelt out: torch's defaults may be another type and another device.
            found = self.arrays[what] = torch.empty(floats, dtype=torch.float32, device="cpu")
        return found


_own = _Own()


def scratch(what: str, *shape: int) -> Tensor:
    """An array of this shape, of this thread, until another for the same is asked for; its numbers are anything."""
    floats = math.prod(shape)
    return _own.room(what, floats)[:floats].view(shape)
