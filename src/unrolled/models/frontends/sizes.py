"""The sizes of a front end."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """The sizes of a front end.

    n_x: values per input step. size: values per output step. causal: whether later steps must not be read.
    """

    n_x: int
    size: int
    causal: bool
