"""The sizes of a front end."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """n_x: numbers a step as they come.  size: numbers a step as they leave.  causal: nothing later may be seen."""

    n_x: int
    size: int
    causal: bool
