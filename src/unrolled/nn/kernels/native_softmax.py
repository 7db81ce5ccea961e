"""The output layer with its cross-entropy on the native kernels, in float32 on the CPU, for the exact softmax.

The logits [N, n_y] are the largest array of a language model's step. Here they are read and written once: the kernel
adds the bias, takes the loss and leaves the gradient in their place, row by row while a row is in the cache; and what
comes from behind, one number for the sum of losses, goes into the products as their factor.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from unrolled.models import native
from unrolled.models.native import Library
from unrolled.nn.kernels.native_sequence import scratch, threads_for

EXPONENTIAL = 64  # multiplications that take as long as what is done to one logit


def fits(a: Tensor, W: Tensor, b: Tensor, y: Tensor) -> bool:
    """Whether the kernel computes this: float32 on the CPU, and targets there are."""
    return bool(len(y)) and all(t.dtype == torch.float32 and t.device.type == "cpu" for t in (a, W, b))


def cross_entropy(library: Library, a: Tensor, W: Tensor, b: Tensor, y: Tensor) -> Tensor:
    """The sum of -log softmax(W a + b)[y] in nats: a [N, features], W [n_y, features], b [n_y], y [N] int64 within n_y.

    The gradient can be had once, and not that of the gradient. Raises IndexError for a target that is no output.
    """
    if int(y.min()) < 0 or int(y.max()) >= len(b):
        raise IndexError(
            f"targets reach from {int(y.min())} to {int(y.max())}, outputs from 0 to {len(b) - 1}"
        )
    train = torch.is_grad_enabled() and any(t.requires_grad for t in (a, W, b))
    return _CrossEntropy.apply(library, train, a, W, b, y)


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, library: Library, train: bool, a: Tensor, W: Tensor, b: Tensor, y: Tensor
    ) -> Tensor:
        z = a @ W.T  # [N, n_y]
        (rows, n_y), y, b = z.shape, y.contiguous(), b.contiguous()
        nats, d_b = a.new_empty(rows), torch.empty_like(b)
        threads = threads_for(rows * n_y * EXPONENTIAL)
        call = native.Entropy(threads, rows, n_y, train, z.data_ptr(), b.data_ptr(), y.data_ptr())
        call.nats, call.d_b, call.work = (
            nats.data_ptr(),
            d_b.data_ptr(),
            scratch("work", threads * n_y).data_ptr(),
        )
        library.functions.unrolled_cross_entropy(call)
        if train:
            ctx.save_for_backward(a, W, z, d_b)
        return nats.sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *d_outputs: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride] (by its decorator)
        a, W, d_z, d_b = ctx.saved_tensors
        factor = float(d_outputs[0])
        nothing = a.new_zeros(())
        d_a = torch.addmm(nothing, d_z, W, beta=0, alpha=factor) if ctx.needs_input_grad[2] else None
        d_W = torch.addmm(nothing, d_z.T, a, beta=0, alpha=factor) if ctx.needs_input_grad[3] else None
        return None, None, d_a, d_W, d_b * factor, None
