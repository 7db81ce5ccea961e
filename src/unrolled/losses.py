"""Losses, masked: the target -1 asks nothing. Sums in nats, so that means over any grouping can be made of them."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor
from torch.nn import functional as F

from .errors import UsageError
from .layers import Parameters, head, tail
from .network import NetworkSpec, cutoffs


def asked(a: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The features and targets of the steps that are asked for: a [batch, T, n], y [batch, T] -> [N, n], [N].

    For one target a sequence: a [batch, n], y [batch].
    """
    if y.ndim == 2:
        a, y = a.transpose(0, 1), y.T  # time-major as the kernels left it: the reshape copies nothing
    flat, targets = a.reshape(-1, a.shape[-1]), y.reshape(-1).long()  # [T * batch, n], [T * batch]
    where = (targets >= 0).nonzero().squeeze(1)  # [N]
    if len(where) == len(targets):
        return flat, targets
    return flat.index_select(0, where), targets[where]


def cross_entropy(
    spec: NetworkSpec, p: Parameters, a: Tensor, y: Tensor, label_smoothing: float = 0.0
) -> Tensor:
    """Sum of -log softmax(head(a))[y] over a [N, features], y [N], in nats.

    label_smoothing: the share of the target that is spread evenly over all outputs (Szegedy et al.,
    arXiv 1512.00567v3); UsageError with the adaptive softmax, which never computes all outputs.
    """
    logits = head(spec, p, a)  # [N, n_y]: one product
    if spec.softmax == "exact":
        return F.cross_entropy(logits, y, reduction="sum", label_smoothing=label_smoothing)
    if label_smoothing:
        raise UsageError("label smoothing needs all outputs", hint="--softmax exact")
    return _adaptive(spec, p, a, logits, y)


def _adaptive(spec: NetworkSpec, p: Parameters, a: Tensor, logits: Tensor, y: Tensor) -> Tensor:
    """Grave et al., arXiv 1609.04309v3: a rare output is its cluster's probability times its own within it."""
    ends = cutoffs(spec.n_y)
    first, total = y, logits.new_zeros(())
    for i, (begin, end) in enumerate(pairwise(ends)):
        where = ((y >= begin) & (y < end)).nonzero().squeeze(1)  # [M]
        first = first.index_fill(0, where, ends[0] + i)
        rows = tail(p, i, a.index_select(0, where))  # [M, end - begin]
        total = total + F.cross_entropy(rows, y[where] - begin, reduction="sum")
    return total + F.cross_entropy(logits, first, reduction="sum")
