"""Check a NumPy array before its address goes to C, which cannot check it.

Every call into the library passes addresses that come from `address`. The check takes about a microsecond.
"""

from __future__ import annotations

import numpy as np

from unrolled.core.errors import UsageError
from unrolled.core.types import Array


def address(what: str, array: Array, shape: tuple[int, ...], kind: type = np.float32) -> int:
    """Return the address of the first element of `array`, for a C function.

    The function reads or writes exactly the elements of an array of `shape`.

    what: the name of the array in error messages. Raises UsageError unless the array has this shape and type
    and is contiguous in C order and aligned.
    """
    flags = array.flags
    if array.shape != shape or array.dtype != kind or not (flags.c_contiguous and flags.aligned):
        order = "" if flags.c_contiguous and flags.aligned else ", not contiguous or not aligned"
        raise UsageError(
            f"{what} is {array.dtype} {list(array.shape)}{order}",
            expected=f"contiguous {np.dtype(kind).name} {list(shape)}",
        )
    return int(array.ctypes.data)
