"""The fronts of fronts/ on torch, for whole batches: the same functions, with gradients."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from .fronts import Sizes
from .fronts.time import STRIDE, WIDTH, left
from .layers import Parameters
from .network import NetworkSpec


def front(
    spec: NetworkSpec, p: Parameters, x: Tensor, lengths: Tensor | None, past: Tensor | None
) -> tuple[Tensor, Tensor]:
    """What `spec.front` makes of x [batch, T, n_x] -> [batch, T_out, size], and its past [batch, past].

    What lies past a row's length is taken for zeros. None for lengths: all T; for past: zeros.
    """
    if lengths is not None:
        beyond = torch.arange(x.shape[1], device=x.device) >= lengths.unsqueeze(1)  # [batch, T]
        x = x.masked_fill(beyond.unsqueeze(2), 0.0)
    return RUN[spec.front](spec.front_sizes, p, x, lengths, past)


def _time(
    sizes: Sizes, p: Parameters, x: Tensor, lengths: Tensor | None, past: Tensor | None
) -> tuple[Tensor, Tensor]:
    batch, steps, n_x = x.shape
    before = left(sizes)
    kept = x.new_zeros(batch, 0) if past is None or not sizes.causal else past
    earlier = kept.view(batch, before, n_x) if kept.numel() else x.new_zeros(batch, before, n_x)
    after = WIDTH - STRIDE - before + steps % STRIDE
    seen = torch.cat([earlier, x, x.new_zeros(batch, after, n_x)], dim=1)
    if sizes.causal:
        ends = torch.full((batch,), steps, device=x.device) if lengths is None else lengths
        at = ends.unsqueeze(1) + torch.arange(before, device=x.device)  # [batch, before]
        kept = seen.gather(1, at.unsqueeze(2).expand(-1, -1, n_x)).flatten(1)
    if not steps:
        return x.new_zeros(batch, 0, sizes.size), kept
    windows = seen.unfold(1, WIDTH, STRIDE).flatten(2)  # [batch, T_out, n_x * WIDTH]
    return F.relu(F.linear(windows, p["front.W"], p["front.b"])), kept


Run = Callable[[Sizes, Parameters, Tensor, Tensor | None, Tensor | None], tuple[Tensor, Tensor]]
RUN: dict[str, Run] = {"time": _time}
