"""Optimizers: AdamW and SGD of torch, and Muon for the recurrent matrices.

Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/) replaces the momentum of a matrix by the
nearest matrix whose singular values are all one. On recurrent matrices it needs about a third of AdamW's steps
(docs/log.md). torch.optim.Muon works in bfloat16, which is slow on a CPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.nn import functional as F

from unrolled.core.config import TrainConfig

Optimizer = torch.optim.Optimizer

ROWS = 256  # of a block at most: taller gates are made orthogonal in blocks of rows, at half the cost
ITERATIONS = 3  # five bring the singular values nearer to one, and cost more than they gain
QUINTIC = (3.4445, -4.7750, 2.0315)  # of the iteration a x + b x^3 + c x^5 (Jordan et al. 2024)
EXPONENTS = (-26, 126)  # of the powers of two that matrices are divided by before the iteration


def orthogonal(matrices: Tensor) -> Tensor:
    """Roughly the nearest matrices to `matrices` [count, rows, columns] whose singular values are all one.

    Each matrix is scaled twice first: by a power of two, so that its largest entry is between 1/2 and 1, and by its
    Schatten 4-norm, which is nearer to the largest singular value than Frobenius's. The power of two changes no digit,
    and without it the fourth powers in the norm would underflow where a loss is nearly zero. Matrices with entries
    of less than about 7.5e-9 are noise: their singular values stay below one, as AdamW's epsilon of 1e-8 makes its
    steps smaller. Zeros stay zeros.
    """
    if matrices.shape[1] > matrices.shape[2]:
        return orthogonal(matrices.mT).mT
    a, b, c = QUINTIC
    largest = torch.linalg.vector_norm(matrices, torch.inf, dim=(1, 2), keepdim=True)
    exponent = torch.frexp(largest).exponent.clamp(*EXPONENTS)
    matrices = matrices * torch.ldexp(torch.ones_like(largest), -exponent)
    gram = matrices @ matrices.mT  # [count, rows, rows]
    # The Schatten 4-norm, squared: at least 1/4, where the largest entry is at least 1/2.
    square = gram.norm(dim=(1, 2), keepdim=True).clamp(min=0.25)
    matrices, gram = matrices / square.sqrt(), gram / square
    for number in range(ITERATIONS):
        gram = matrices @ matrices.mT if number else gram
        matrices = torch.baddbmm(matrices, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), matrices, beta=a)
    return matrices


def _by_blocks(gates: Tensor) -> Tensor:
    """Gates [count, n_a, n_a + n_x] made orthogonal in blocks of at most ROWS rows, of root mean square 1.

    Blocks as in Khaled et al. 2025 (arXiv 2510.16981v1), who also do whole matrices now and then.
    """
    count, rows, columns = gates.shape
    blocks = -(-rows // ROWS)
    tall = -(-rows // blocks)
    padded = F.pad(gates, (0, 0, 0, blocks * tall - rows))  # rows of zeros stay zeros
    found = orthogonal(padded.view(count * blocks, tall, columns)) * math.sqrt(max(tall, columns))
    return found.view(count, blocks * tall, columns)[:, :rows]


class Muon(Optimizer):
    """Muon over groups of matrices of one shape: the gates of a cell, each by itself, tall ones in blocks of rows.

    Each step has the size of an AdamW step, root mean square 0.2 x lr, and weights decay as AdamW's do (Liu et al.
    2025, arXiv 2502.16982v1).
    """

    def __init__(
        self, groups: list[list[Tensor]], lr: float, momentum: float = 0.95, weight_decay: float = 0.0
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__([{"params": group} for group in groups], defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] (torch overloads it)
        """One step from the gradients as they stand."""
        for group in self.param_groups:
            gates: list[Tensor] = group["params"]
            updates = _by_blocks(torch.stack([self._momentum(gate, group["momentum"]) for gate in gates]))
            for gate, update in zip(gates, updates, strict=True):
                gate.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-0.2 * group["lr"])

    def _momentum(self, gate: Tensor, momentum: float) -> Tensor:
        """Nesterov's momentum of the gate's gradient, [n_a, n_a + n_x]."""
        assert gate.grad is not None
        state = self.state[gate]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(gate)
        return gate.grad.lerp(state["momentum"].lerp_(gate.grad, 1 - momentum), momentum)


def make(named: Iterable[tuple[str, Tensor]], config: TrainConfig) -> tuple[Optimizer, ...]:
    """The optimizers of a network: weights by name, of which `core.<layer>.<direction>.W_*` are recurrent."""
    weights = dict(named)
    return OPTIMIZERS[config.optimizer](weights, config)


def _adamw(weights: dict[str, Tensor], config: TrainConfig) -> tuple[Optimizer, ...]:
    groups = _decayed(weights, config)
    return (torch.optim.AdamW(groups, lr=config.lr or 0.0, betas=(0.9, 0.99), fused=True),)


def _sgd(weights: dict[str, Tensor], config: TrainConfig) -> tuple[Optimizer, ...]:
    return (torch.optim.SGD(_decayed(weights, config), lr=config.lr or 0.0, momentum=config.momentum),)


def _muon(weights: dict[str, Tensor], config: TrainConfig) -> tuple[Optimizer, ...]:
    """Muon for the matrices of cells, those of one cell and one shape in a group; AdamW for all other weights."""
    cells: dict[tuple[str, torch.Size], list[Tensor]] = {}
    for name, weight in weights.items():
        if _in_a_cell(name) and weight.ndim == 2:
            cells.setdefault((name.rpartition(".")[0], weight.shape), []).append(weight)
    others = {name: weight for name, weight in weights.items() if not (_in_a_cell(name) and weight.ndim == 2)}
    muon = Muon(list(cells.values()), config.lr or 0.0, weight_decay=config.weight_decay or 0.0)
    return muon, *_adamw(others, config)


def _in_a_cell(name: str) -> bool:
    """Whether a weight is a cell's: of the network, or of a part of an encoder-decoder."""
    return "core" in name.split(".")[:2]


def _decayed(weights: dict[str, Tensor], config: TrainConfig) -> list[dict[str, object]]:
    """Parameter groups: matrices decay, vectors do not."""
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
