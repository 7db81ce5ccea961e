"""Optimizers: AdamW and SGD of torch, and Muon for the recurrent matrices.

Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/) replaces the momentum of a matrix with
the nearest matrix whose singular values are all one. For recurrent matrices, Muon needs about a third of
AdamW's steps (docs/log.md). torch.optim.Muon is not used, because it works in bfloat16, which is slow on a
CPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.nn import functional as F

from unrolled.core.config import TrainConfig

Optimizer = torch.optim.Optimizer

ROWS = 256  # maximum rows per block; a gate with more rows is made orthogonal in blocks, at half the cost
ITERATIONS = 3  # five iterations bring the singular values closer to one, but cost more than they gain
QUINTIC = (3.4445, -4.7750, 2.0315)  # a, b, c of the iteration a x + b x^3 + c x^5 (Jordan et al. 2024)
EXPONENTS = (-26, 126)  # range of the exponent of the power of two that a matrix is divided by


def orthogonal(matrices: Tensor) -> Tensor:
    """Return approximately the nearest matrices to `matrices` whose singular values are all one.

    matrices: [count, rows, columns]; the result has the same shape.

    Each matrix is first scaled twice:

    - By a power of two, so that its largest entry is between 1/2 and 1. This is exact. Without it, the
      fourth powers in the norm would underflow when the loss is nearly zero.
    - By its Schatten 4-norm, which is closer to the largest singular value than the Frobenius norm.

    Matrices with entries below about 7.5e-9 are treated as noise: their singular values stay below one.
    AdamW's epsilon of 1e-8 has the same effect on its steps. Zeros stay zeros.
    """
    if matrices.shape[1] > matrices.shape[2]:
        return orthogonal(matrices.mT).mT
    a, b, c = QUINTIC
    largest = torch.linalg.vector_norm(matrices, torch.inf, dim=(1, 2), keepdim=True)
    exponent = torch.frexp(largest).exponent.clamp(*EXPONENTS)
    matrices = matrices * torch.ldexp(torch.ones_like(largest), -exponent)
    gram = matrices @ matrices.mT  # [count, rows, rows]
    # The squared Schatten 4-norm. It is at least 1/4 if the largest entry is at least 1/2.
    square = gram.norm(dim=(1, 2), keepdim=True).clamp(min=0.25)
    matrices, gram = matrices / square.sqrt(), gram / square
    for number in range(ITERATIONS):
        gram = matrices @ matrices.mT if number else gram
        matrices = torch.baddbmm(matrices, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), matrices, beta=a)
    return matrices


def _by_blocks(gates: Tensor) -> Tensor:
    """Make gates [count, n_a, n_a + n_x] orthogonal in blocks of at most ROWS rows.

    The root mean square of the result is 1.

    The blocks follow Khaled et al. 2025 (arXiv 2510.16981v1). Their method also uses whole matrices in some
    steps.
    """
    count, rows, columns = gates.shape
    blocks = -(-rows // ROWS)
    tall = -(-rows // blocks)
    padded = F.pad(gates, (0, 0, 0, blocks * tall - rows))  # rows of zeros stay zeros
    found = orthogonal(padded.view(count * blocks, tall, columns)) * math.sqrt(max(tall, columns))
    return found.view(count, blocks * tall, columns)[:, :rows]


class Muon(Optimizer):
    """Muon for groups of matrices with the same shape: the gates of a cell.

    Each gate is made orthogonal separately. A gate with many rows is split into blocks of rows. Each update
    has the size of an AdamW update, with root mean square 0.2 x lr. Weight decay works as in AdamW (Liu et
    al. 2025, arXiv 2502.16982v1).
    """

    def __init__(
        self, groups: list[list[Tensor]], lr: float, momentum: float = 0.95, weight_decay: float = 0.0
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__([{"params": group} for group in groups], defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] (torch overloads it)
        """Do one step with the current gradients. `closure` is ignored."""
        for group in self.param_groups:
            gates: list[Tensor] = group["params"]
            updates = _by_blocks(torch.stack([self._momentum(gate, group["momentum"]) for gate in gates]))
            for gate, update in zip(gates, updates, strict=True):
                gate.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-0.2 * group["lr"])

    def _momentum(self, gate: Tensor, momentum: float) -> Tensor:
        """Return the Nesterov momentum of the gate's gradient, [n_a, n_a + n_x]."""
        assert gate.grad is not None
        state = self.state[gate]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(gate)
        return gate.grad.lerp(state["momentum"].lerp_(gate.grad, 1 - momentum), momentum)


def make(named: Iterable[tuple[str, Tensor]], config: TrainConfig) -> tuple[Optimizer, ...]:
    """Return the optimizers of a network.

    named: pairs of name and weight; the weights `core.<layer>.<direction>.W_*` are recurrent.
    """
    weights = dict(named)
    return OPTIMIZERS[config.optimizer](weights, config)


def _adamw(weights: dict[str, Tensor], config: TrainConfig) -> tuple[Optimizer, ...]:
    groups = _decayed(weights, config)
    return (torch.optim.AdamW(groups, lr=config.lr or 0.0, betas=(0.9, 0.99), fused=True),)


def _sgd(weights: dict[str, Tensor], config: TrainConfig) -> tuple[Optimizer, ...]:
    return (torch.optim.SGD(_decayed(weights, config), lr=config.lr or 0.0, momentum=config.momentum),)


def _muon(weights: dict[str, Tensor], config: TrainConfig) -> tuple[Optimizer, ...]:
    """Return Muon for the matrices of cells, and AdamW for all other weights.

    Matrices of the same cell with the same shape form a group.
    """
    cells: dict[tuple[str, torch.Size], list[Tensor]] = {}
    for name, weight in weights.items():
        if _in_a_cell(name) and weight.ndim == 2:
            cells.setdefault((name.rpartition(".")[0], weight.shape), []).append(weight)
    others = {name: weight for name, weight in weights.items() if not (_in_a_cell(name) and weight.ndim == 2)}
    muon = Muon(list(cells.values()), config.lr or 0.0, weight_decay=config.weight_decay or 0.0)
    return muon, *_adamw(others, config)


def _in_a_cell(name: str) -> bool:
    """Return whether a weight belongs to a recurrent cell. The cell may be in an encoder or a decoder."""
    return "core" in name.split(".")[:2]


def _decayed(weights: dict[str, Tensor], config: TrainConfig) -> list[dict[str, object]]:
    """Return two parameter groups: matrices with weight decay, and vectors without."""
    matrices = [weight for weight in weights.values() if weight.ndim > 1]
    vectors = [weight for weight in weights.values() if weight.ndim <= 1]
    return [
        {"params": matrices, "weight_decay": config.weight_decay or 0.0},
        {"params": vectors, "weight_decay": 0.0},
    ]


OPTIMIZERS: dict[str, Callable[[dict[str, Tensor], TrainConfig], tuple[Optimizer, ...]]] = {
    "muon": _muon,
    "adamw": _adamw,
    "sgd": _sgd,
}
