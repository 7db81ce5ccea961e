"""The loss of a linear-chain CRF: the negative log-likelihood of the true tags, with its gradient.

The gradient of log Z is the expected count of each tag and of each pair of tags. A forward and a backward
pass compute these counts, so autograd is not needed. The sums are computed in float64 by
models/decoding/crf.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from unrolled.core.errors import DataError
from unrolled.core.types import Array
from unrolled.models.decoding import crf


@dataclass(frozen=True, eq=False)
class _Gold:
    """The positions of the true tags.

    rows, steps, tags: [N] row, step and tag at each position.
    pairs: two arrays [M]: the first and the second tag of each pair of neighbouring tags.
    """

    rows: NDArray[np.int64]
    steps: NDArray[np.int64]
    tags: NDArray[np.int64]
    pairs: tuple[NDArray[np.int64], NDArray[np.int64]]


def crf_nll(
    emissions: Tensor, tags: Tensor, lengths: Tensor, transitions: Tensor, begin: Tensor, end: Tensor
) -> Tensor:
    """Return the sum over the sentences of log Z - s(y) in nats, a float64 scalar.

    models/decoding/crf.py has the equation.

    emissions: [batch, T, n_y].
    tags: [batch, T] the true tags; values beyond the lengths are ignored.
    lengths: [batch], 0 is allowed.
    transitions: [n_y, n_y] (from, to).
    begin, end: [n_y].

    The four kinds of scores get gradients, which are exactly 0 in the padding. Gradients of gradients are not
    supported. Everything is computed on the CPU.

    The constraints of the tag scheme are not applied. So a true sequence that breaks the scheme has a finite
    loss. Scores that are not finite give NaN. Training then stops with an error that contains the lines of
    the batch.

    Raises DataError if a step within the lengths has no tag.
    """
    scores = (emissions, transitions, begin, end)
    if not all(bool(torch.isfinite(part).all()) for part in scores):
        return sum(
            (part.double().sum() * torch.nan for part in scores), start=emissions.new_zeros(()).double()
        )
    return _NLL.apply(torch.is_grad_enabled(), tags, lengths, *scores)


def _array(tensor: Tensor) -> Array:
    return tensor.detach().cpu().numpy()


def _gold(tags: Array, lengths: Array, n_y: int) -> _Gold:
    inside = np.arange(tags.shape[1]) < lengths[:, None]  # [batch, T]
    rows, steps = inside.nonzero()
    found = tags[rows, steps].astype(np.int64)
    for i in np.flatnonzero((found < 0) | (found >= n_y))[:1].tolist():
        what = f"step {steps[i] + 1} of item {rows[i] + 1} has the tag {found[i]}"
        raise DataError(what, expected=f"one of 0 to {n_y - 1}")
    later = np.flatnonzero(steps > 0)
    return _Gold(rows, steps, found, (found[later - 1], found[later]))


class _NLL(torch.autograd.Function):
    """The forward pass computes the loss and its gradients; the backward pass only scales the gradients.

    `Any`: torch allows any attribute in the context of a function.
    """

    @staticmethod
    def forward(
        ctx: Any,
        graded: bool,
        tags: Tensor,
        lengths: Tensor,
        emissions: Tensor,
        transitions: Tensor,
        begin: Tensor,
        end: Tensor,
    ) -> Tensor:
        e, n = _array(emissions), _array(lengths)
        chain = crf.chain(_array(transitions), _array(begin), _array(end))
        gold = _gold(_array(tags), n, len(chain.begin))
        last = n[n > 0] - 1
        true = e[gold.rows, gold.steps, gold.tags].sum(dtype=np.float64) + chain.transitions[gold.pairs].sum()
        first = gold.tags[gold.steps == 0]
        final = gold.tags[gold.steps == n[gold.rows] - 1]
        true += chain.begin[first].sum() + chain.end[final].sum()
        if not graded:
            log_z = crf.log_partitions(e, n, chain)
            return torch.tensor(log_z.sum() - true, dtype=torch.float64, device=emissions.device)
        expected = crf.expectations(e, n, chain)
        steps = expected.tags  # [batch, T, n_y] expected counts; the next line subtracts the true counts
        steps[gold.rows, gold.steps, gold.tags] -= 1
        np.subtract.at(expected.pairs, gold.pairs, 1)
        ends = steps[np.flatnonzero(n > 0), last].sum(0)
        begins = steps[:, 0].sum(0) if steps.shape[1] else np.zeros(len(chain.begin))
        ctx.gradients = [
            torch.from_numpy(np.ascontiguousarray(g)).to(part)
            for g, part in zip(
                (steps, expected.pairs, begins, ends), (emissions, transitions, begin, end), strict=True
            )
        ]
        nats = expected.log_partition.sum() - true
        return torch.tensor(nats, dtype=torch.float64, device=emissions.device)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]  # the decorator hides its names
        ctx: Any, *grads: Tensor
    ) -> tuple[Tensor | None, ...]:
        scaled = [gradient * grads[0].to(gradient.dtype) for gradient in ctx.gradients]
        return None, None, None, *scaled
