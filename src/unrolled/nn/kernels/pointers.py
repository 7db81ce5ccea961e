"""Check a tensor before its address goes to C, which cannot check it.

Every call into the native library passes addresses that come from `address`. It costs about a microsecond.
"""

from __future__ import annotations

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
