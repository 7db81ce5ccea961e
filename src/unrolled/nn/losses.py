"""Masked losses: a target of -1 or NaN is ignored.

They return sums, so that any group of targets can be averaged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F

from unrolled.core.errors import UsageError
from unrolled.models import native
from unrolled.models.layer_equations import cluster, factors, logits
from unrolled.models.network_spec import (
    Bits,
    Classes,
    Crf,
    Ctc,
    HeadSpec,
    NetworkSpec,
    Reals,
)
from unrolled.models.tensor_shapes import cutoffs
from unrolled.nn.crf_loss import crf_nll
from unrolled.nn.embedding_and_head import TORCH_LAYERS, Parameters
from unrolled.nn.kernels import native_softmax

ORDINAL = 2.0  # the soft target of a class falls by this many nats per class of distance from the true class


@dataclass(frozen=True)
class Criterion:
    """Options of the training loss. Validation uses the defaults (PLAIN).

    label_smoothing: fraction of the target that is spread evenly over all outputs
        (Szegedy et al., arXiv 1512.00567v3).
    class_weights: [n_y], or empty for equal weights.
    ordinal: the classes are ordered, and classes near the true class get a part of the target
        (soft labels for ordinal regression, Diaz and Marathe 2019, CVPR).
    first: weight of the first target of sequences that begin with x^<1> = 0; other targets have weight 1.
    rows: [batch] factor of each row's loss in the current batch, or None.
    """

    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] = ()
    ordinal: bool = False
    first: float = 1.0
    rows: Tensor | None = field(default=None, compare=False)

    @property
    def needs_all(self) -> bool:
        """Whether the loss needs the log-probabilities of all classes, not only of the true class."""
        return bool(self.label_smoothing or self.class_weights or self.ordinal)


PLAIN = Criterion()


def loss(
    spec: NetworkSpec,
    p: Parameters,
    a: Tensor,
    y: Tensor,
    lengths: Tensor | None,
    criterion: Criterion = PLAIN,
) -> tuple[Tensor, int]:
    """Return the sum of the loss over all targets, and the number of targets.

    a: features [batch, T, features] or [batch, features]. With `criterion.rows`, the loss of each row is
    multiplied by its weight, but the number of targets is not.
    """
    one_loss = LOSSES[type(spec.head)]
    if criterion.rows is None:
        return one_loss(spec, p, a, y, lengths, criterion)
    # Group the rows by weight. So every loss, including the native ones, computes an unweighted sum.
    order = criterion.rows.argsort()
    values, counts = criterion.rows[order].unique_consecutive(return_counts=True)
    sizes: list[int] = counts.tolist()
    ends = [None] * len(sizes) if lengths is None else lengths[order].split(sizes)
    total, count = a.new_zeros(()), 0
    for weight, own, asked_of, end in zip(
        values, a[order].split(sizes), y[order].split(sizes), ends, strict=True
    ):
        nats, targets = one_loss(spec, p, own, asked_of, end, criterion)
        total, count = total + weight * nats, count + targets
    return total, count


def _classes(
    spec: NetworkSpec, p: Parameters, a: Tensor, y: Tensor, lengths: Tensor | None, criterion: Criterion
) -> tuple[Tensor, int]:
    """Return the sum of the cross-entropy in nats, and the number of targets. y: [batch, T] or [batch]."""
    rows, targets = asked(a, y)  # [N, features], [N]
    return cross_entropy(spec, p, rows, targets, criterion), len(targets)


def _path(
    spec: NetworkSpec, p: Parameters, a: Tensor, y: Tensor, lengths: Tensor | None, criterion: Criterion
) -> tuple[Tensor, int]:
    """Return the sum of -log p of the true path of each row, in nats, and the number of steps.

    Steps are counted, not paths, so that the loss is comparable with other losses. A row with an ignored step
    has no true path and is left out.
    """
    lengths = torch.full(y.shape[:1], y.shape[1]) if lengths is None else lengths
    whole = (y >= 0).sum(1) == lengths  # [batch]
    a, y, lengths = a[whole], y[whole], lengths[whole]
    scores = logits(TORCH_LAYERS, spec, p, a)  # [batch, T, n_y]
    nats = crf_nll(scores, y, lengths, p["crf.T"], p["crf.begin"], p["crf.end"])
    return nats, int((y >= 0).sum())


def _numbers(
    spec: NetworkSpec, p: Parameters, a: Tensor, y: Tensor, lengths: Tensor | None, criterion: Criterion
) -> tuple[Tensor, int]:
    """Return half the squared error, summed over all targets and divided by n_y, and the number of targets.

    y: [batch, T, n_y] or [batch, n_y]; NaN is ignored.
    """
    there = ~y.isnan().any(-1)  # [batch, T] or [batch]
    error = logits(TORCH_LAYERS, spec, p, a[there]) - y[there].to(a.dtype)  # [N, n_y]
    return 0.5 * (error * error).sum() / spec.n_y, int(there.sum())


def _alignments(
    spec: NetworkSpec, p: Parameters, a: Tensor, y: Tensor, lengths: Tensor | None, criterion: Criterion
) -> tuple[Tensor, int]:
    """Return the CTC loss and the number of targets.

    The loss is -log of the sum over all alignments of y (Graves et al. 2006, ICML). The sums are computed in
    float64.

    y: [batch, T_y] classes; class 0 is the blank. An empty y counts as one target. A row with too few steps
    for its y has no alignment. Its loss would be infinite, so it is left out.
    """
    steps = torch.full(y.shape[:1], a.shape[1]) if lengths is None else lengths
    there = y >= 0
    counts = there.sum(1)  # [batch]
    y = y.gather(1, torch.argsort(~there, dim=1, stable=True))  # move ignored targets to the end
    again = ((y[:, 1:] == y[:, :-1]) & (y[:, 1:] >= 0)).sum(1)
    fits = (counts + again <= steps) & (steps > 0)
    if not bool(fits.any()):
        return a.sum() * 0.0, 0
    a, y, steps, counts = a[fits], y[fits].clamp_min(0), steps[fits], counts[fits]
    log_probs = F.log_softmax(logits(TORCH_LAYERS, spec, p, a).double(), dim=-1).transpose(
        0, 1
    )  # [T, batch, n_y]
    nats = F.ctc_loss(log_probs, y, steps, counts, blank=0, reduction="sum")
    return nats, int(counts.clamp_min(1).sum())


def _bits(
    spec: NetworkSpec, p: Parameters, a: Tensor, y: Tensor, lengths: Tensor | None, criterion: Criterion
) -> tuple[Tensor, int]:
    """Return -log p of independent bits, in nats and summed over n_y, and the number of targets.

    y: [batch, T, n_y] or [batch, n_y], each 0 or 1; NaN is ignored.
    """
    there = ~y.isnan().any(-1)  # [batch, T] or [batch]
    scores = logits(TORCH_LAYERS, spec, p, a[there])  # [N, n_y] log-odds
    return F.binary_cross_entropy_with_logits(scores, y[there].to(a.dtype), reduction="sum"), int(there.sum())


LOSSES: dict[
    type[HeadSpec],
    Callable[[NetworkSpec, Parameters, Tensor, Tensor, Tensor | None, Criterion], tuple[Tensor, int]],
] = {Classes: _classes, Reals: _numbers, Bits: _bits, Crf: _path, Ctc: _alignments}


def asked(a: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return the features [N, n] and targets [N] of the steps that are not ignored.

    a: [batch, T, n], y: [batch, T]; or, with one target per sequence, a: [batch, n], y: [batch].
    """
    if y.ndim == 2:
        # Time-major, as the kernels return it. So the reshape copies nothing.
        a, y = a.transpose(0, 1), y.T
    flat, targets = a.reshape(-1, a.shape[-1]), y.reshape(-1).long()  # [T * batch, n], [T * batch]
    where = (targets >= 0).nonzero().squeeze(1)  # [N]
    if len(where) == len(targets):
        return flat, targets
    return flat.index_select(0, where), targets[where]


def cross_entropy(
    spec: NetworkSpec, p: Parameters, a: Tensor, y: Tensor, criterion: Criterion = PLAIN
) -> Tensor:
    """Return the sum of -log softmax(head(a))[y] in nats. a: [N, features], y: [N].

    Raises UsageError if the criterion needs all outputs and the head is an adaptive softmax, which never
    computes them.
    """
    adaptive = isinstance(spec.head, Classes) and spec.head.layer == "adaptive"
    if not adaptive and not (criterion.class_weights or criterion.ordinal):
        a, W, b = factors(TORCH_LAYERS, spec, p, a)
        library = native.library()
        if library is not None and native_softmax.fits(a, W, b, y):
            nats = native_softmax.cross_entropy(library, a, W, b, y)
        else:
            nats = F.cross_entropy(F.linear(a, W, b), y, reduction="sum")
        share = criterion.label_smoothing
        return nats + share * _above_the_mean(a, W, b, y) if share else nats
    z = logits(TORCH_LAYERS, spec, p, a)  # [N, n_y]: one product
    if adaptive:
        if criterion.needs_all:
            what = "label smoothing, class weights and ordered classes need all outputs"
            raise UsageError(what, hint="--softmax exact")
        return _adaptive(spec, p, a, z, y)
    weights = z.new_tensor(criterion.class_weights) if criterion.class_weights else None
    smoothing = criterion.label_smoothing
    if not criterion.ordinal:
        return F.cross_entropy(z, y, weights, reduction="sum", label_smoothing=smoothing)
    away = (torch.arange(spec.n_y, device=y.device) - y.unsqueeze(1)).abs()  # [N, n_y]
    soft = F.softmax(-ORDINAL * away.to(z.dtype), dim=1)
    soft = soft * (weights[y].unsqueeze(1) if weights is not None else 1.0)
    return F.cross_entropy(z, soft, reduction="sum", label_smoothing=smoothing)


def _above_the_mean(a: Tensor, W: Tensor, b: Tensor, y: Tensor) -> Tensor:
    """Return the sum of z_y - mean(z) over the rows of a [N, features], with z = W a + b.

    This is how much the cross-entropy of a uniform target exceeds that of the target y. It is computed
    without logits.
    """
    rows = F.embedding(y, W) - W.mean(0)  # [N, features]
    return (a * rows).sum() + b[y].sum() - len(y) * b.mean()


def _adaptive(spec: NetworkSpec, p: Parameters, a: Tensor, z: Tensor, y: Tensor) -> Tensor:
    """Return the loss of the adaptive softmax (Grave et al., arXiv 1609.04309v3).

    The probability of a rare output is the probability of its cluster times its probability within the
    cluster.
    """
    ends = cutoffs(spec.n_y)
    first, total = y, z.new_zeros(())
    for i, (begin, end) in enumerate(pairwise(ends)):
        where = ((y >= begin) & (y < end)).nonzero().squeeze(1)  # [M]
        first = first.index_fill(0, where, ends[0] + i)
        rows = cluster(TORCH_LAYERS, p, i, a.index_select(0, where))  # [M, end - begin]
        total = total + F.cross_entropy(rows, y[where] - begin, reduction="sum")
    return total + F.cross_entropy(z, first, reduction="sum")
