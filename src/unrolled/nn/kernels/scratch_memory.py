"""Memory that a thread reuses from call to call, because allocating it again often takes longer than the call."""

from __future__ import annotations

import math
import threading

import torch
from torch import Tensor


class _Own(threading.local):
    """Arrays of each thread, by what they are for."""

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
