"""The front ends of models/frontends in torch, for batches and with gradients."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from unrolled.data.features.video_frames import shape
from unrolled.models.frontends import Sizes
from unrolled.models.frontends.image_conv import DARK, layers
from unrolled.models.frontends.image_conv import STRIDE as EVERY
from unrolled.models.frontends.image_conv import WIDTH as AROUND
from unrolled.models.frontends.time_conv import STRIDE, WIDTH, left
from unrolled.models.network_spec import NetworkSpec
from unrolled.nn.embedding_and_head import Parameters


def front(
    spec: NetworkSpec, p: Parameters, x: Tensor, lengths: Tensor | None, past: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Run the front end: x [batch, T, n_x] -> (outputs [batch, T_out, size], past [batch, past]).

    past: the last inputs, which the next call needs; None is zeros. lengths: [batch], None is T for all rows.
    Inputs in the padding are treated as zeros.
    """
    assert spec.front is not None
    if lengths is not None:
        beyond = torch.arange(x.shape[1], device=x.device) >= lengths.unsqueeze(1)  # [batch, T]
        x = x.masked_fill(beyond.unsqueeze(2), 0.0)
    return RUN[spec.front.kind](spec.front_sizes, p, x, lengths, past)


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


def _frames(
    sizes: Sizes, p: Parameters, x: Tensor, lengths: Tensor | None, past: Tensor | None
) -> tuple[Tensor, Tensor]:
    batch, steps, n_x = x.shape
    side, channels = shape(n_x)
    deviation, mean = torch.std_mean(x, dim=2, correction=0, keepdim=True)
    a = ((x - mean) / (deviation + DARK)).view(-1, side, side, channels).permute(0, 3, 1, 2)
    for number, (_, channels, out) in enumerate(layers(sizes), 1):
        weight = p[f"front.W_{number}"].view(out, channels, AROUND, AROUND)
        a = F.relu(F.conv2d(a, weight, p[f"front.b_{number}"], stride=EVERY, padding=AROUND // 2))
    flat = a.permute(0, 2, 3, 1).reshape(batch, steps, -1)  # [batch, T, side * side * channels]
    return F.relu(F.linear(flat, p["front.W"], p["front.b"])), x.new_zeros(batch, 0)


Run = Callable[[Sizes, Parameters, Tensor, Tensor | None, Tensor | None], tuple[Tensor, Tensor]]
RUN: dict[str, Run] = {"time": _time, "frames": _frames}
