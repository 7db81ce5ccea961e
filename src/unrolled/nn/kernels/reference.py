"""The reference kernel: the equation of a cell, step by step, in torch.

Every fast kernel is tested against it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from unrolled.models.cells import Cell, Ops, step_with_zoneout
from unrolled.nn.kernels.tensors import TensorState, TensorWeights, input_product


@runtime_checkable
class Kernel(Protocol):
    """A kernel: (cell, w, x, state, taken) -> (a, state), with gradients. dispatch.py has the details."""

    def __call__(
        self, cell: Cell, w: TensorWeights, x: Tensor, state: TensorState, taken: TensorState | None = None, /
    ) -> tuple[Tensor, TensorState]: ...


def _affine(w: TensorWeights, gate: str, a_prev: Tensor, x_t: Tensor) -> Tensor:
    W, b, n_a = w[f"W_{gate}"], w[f"b_{gate}"], a_prev.shape[-1]
    return a_prev @ W[:, :n_a].T + input_product(W[:, n_a:], x_t) + b


TORCH = Ops(
    affine=_affine,
    input=input_product,
    sigmoid=torch.sigmoid,
    tanh=torch.tanh,
    relu=torch.relu,
    concat=partial(torch.cat, dim=0),
    sqrt=torch.sqrt,
    mean=partial(torch.mean, dim=-1, keepdim=True),
)


def reference(
    cell: Cell, w: TensorWeights, x: Tensor, state: TensorState, taken: TensorState | None = None
) -> tuple[Tensor, TensorState]:
    """Compute the equation step by step, with one product per gate."""
    outputs: list[Tensor] = []
    for x_t, now in zip(x.unbind(0), step_by_step(taken, len(x)), strict=True):
        state = step_with_zoneout(cell, TORCH, w, state, x_t, now)
        outputs.append(cell.output(state))
    return torch.stack(outputs), state


def step_by_step(taken: TensorState | None, steps: int) -> Iterator[TensorState | None]:
    """Yield the fractions of the new states that each step uses (zoneout), or None if `taken` is None."""
    return itertools.repeat(None, steps) if taken is None else zip(*(t.unbind(0) for t in taken), strict=True)
