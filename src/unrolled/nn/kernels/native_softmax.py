"""The output layer and its cross-entropy with the native kernels: exact softmax in float32 on the CPU.

The logits [N, n_y] are the largest array in a training step of a language model. Here they are read and
written only once. Row by row, while a row is in the CPU cache, the kernel adds the bias, computes the loss
and overwrites the logits with their gradient. The incoming gradient is one number, because the loss is a sum.
It is applied as a factor of the matrix products.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from unrolled.core.errors import UsageError
from unrolled.models import native
from unrolled.models.native import Library
from unrolled.nn.kernels.native_sequence import threads_for
from unrolled.nn.kernels.pointers import address, scratch
from unrolled.nn.kernels.tensors import is_recorded, without_autocast

EXPONENTIAL = 64  # the work for one logit takes as long as this number of multiplications


def fits(a: Tensor, W: Tensor, b: Tensor, y: Tensor) -> bool:
    """Return whether the kernel supports the call: float32 on the CPU, and at least one target."""
    plain = all(t.dtype == torch.float32 and t.device.type == "cpu" for t in (a, W, b))
    return bool(len(y)) and plain and not is_recorded()


def cross_entropy(library: Library, a: Tensor, W: Tensor, b: Tensor, y: Tensor) -> Tensor:
    """Return the sum of -log softmax(W a + b)[y] in nats.

    a: [N, features]. W: [n_y, features]. b: [n_y]. y: [N] int64 targets, from 0 to n_y - 1.

    Gradients of gradients are computed by torch, which is slower. Raises IndexError for a target out of
    range, and UsageError if sizes or types do not match.
    """
    if W.shape != (len(b), a.shape[1]) or y.shape != (len(a),):
        found = f"W is {list(W.shape)}, b {list(b.shape)}, the targets {list(y.shape)}"
        raise UsageError(found, expected=f"[{len(b)}, {a.shape[1]}], [{len(b)}] and [{len(a)}]")
    if int(y.min()) < 0 or int(y.max()) >= len(b):
        raise IndexError(
            f"targets range from {int(y.min())} to {int(y.max())}, but outputs from 0 to {len(b) - 1}"
        )
    train = torch.is_grad_enabled() and any(t.requires_grad for t in (a, W, b))
    return _CrossEntropy.apply(library, train, a, W, b, y)


class _CrossEntropy(torch.autograd.Function):
    """The autograd function of the loss. `Any`: torch allows any attribute in the context of a function."""

    @staticmethod
    def forward(
        ctx: Any, library: Library, train: bool, a: Tensor, W: Tensor, b: Tensor, y: Tensor
    ) -> Tensor:
        with without_autocast("cpu"):
            z = a @ W.T  # [N, n_y]
        (rows, n_y), y, b = z.shape, y.contiguous(), b.contiguous()
        nats, d_b = a.new_empty(rows), torch.empty_like(b)
        threads = threads_for(rows * n_y * EXPONENTIAL)
        call = native.Entropy(threads, rows, n_y, train)
        call.z, call.b = address("W a", z, (rows, n_y)), address("b", b, (n_y,))
        call.y = address("the targets", y, (rows,), torch.int64)
        call.nats, call.d_b = address("nats", nats, (rows,)), address("the gradient of b", d_b, (n_y,))
        call.work = address("work", scratch("work", threads * n_y), (threads * n_y,))
        library.functions.unrolled_cross_entropy(call)
        if train:
            ctx.save_for_backward(a, W, b, y, z, d_b)
        return nats.sum()

    @staticmethod
    def backward(ctx: Any, *d_outputs: Tensor) -> tuple[Tensor | None, ...]:
        a, W, b, y, d_z, d_b = ctx.saved_tensors
        if torch.is_grad_enabled():  # set by create_graph=True: gradients of these gradients are needed
            return None, None, *_differentiable(a, W, b, y, d_outputs[0], ctx.needs_input_grad[2:5]), None
        factor = float(d_outputs[0])
        nothing = a.new_zeros(())
        with without_autocast("cpu"):
            d_a = torch.addmm(nothing, d_z, W, beta=0, alpha=factor) if ctx.needs_input_grad[2] else None
            d_W = torch.addmm(nothing, d_z.T, a, beta=0, alpha=factor) if ctx.needs_input_grad[3] else None
        return None, None, d_a, d_W, d_b * factor, None


def _differentiable(
    a: Tensor, W: Tensor, b: Tensor, y: Tensor, d_nats: Tensor, wanted: tuple[bool, ...]
) -> list[Tensor | None]:
    """Return the gradients of a, W and b in a form that can be differentiated again."""
    again = [t.view_as(t) for t in (a, W, b)]  # new tensors, in case one of them depends on another
    nats = F.cross_entropy(F.linear(*again), y, reduction="sum")
    leaves = [t for t, want in zip(again, wanted, strict=True) if want]
    found = iter(torch.autograd.grad(nats, leaves, d_nats, create_graph=True))
    return [next(found) if want else None for want in wanted]
