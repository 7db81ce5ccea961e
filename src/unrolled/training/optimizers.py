"""Optimizers (AdamW, SGD, and Muon for the recurrent matrices) and schedules of the learning rate.

AdamW and SGD compute the same bits as `torch.optim`. The classes of `torch.optim` are not used, because they
import `torch._dynamo`, which takes one to two seconds at each start.

Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/) replaces the momentum of a matrix with
the nearest matrix whose singular values are all one. For recurrent matrices, Muon needs about a third of
AdamW's steps (docs/log.md). torch.optim.Muon is not used, because it works in bfloat16, which is slow on a
CPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from unrolled.core.config import TrainConfig

BETAS, EPSILON = (0.9, 0.99), 1e-8  # of AdamW
MOMENTUM = 0.95  # of Muon
ROWS = 256  # maximum rows per block; a gate with more rows is made orthogonal in blocks, at half the cost
ITERATIONS = 3  # five iterations bring the singular values closer to one, but cost more than they gain
QUINTIC = (3.4445, -4.7750, 2.0315)  # a, b, c of the iteration a x + b x^3 + c x^5 (Jordan et al. 2024)
EXPONENTS = (-26, 126)  # range of the exponent of the power of two that a matrix is divided by


State = dict[str, Tensor]


@dataclass(eq=False)
class Group:
    """Weights with the same settings.

    lr: the learning rate of the next step; the loop sets it.
    state: for each weight, the arrays that the optimizer keeps from step to step, by name. They are created
        in the first step.
    """

    weights: list[Tensor]
    weight_decay: float
    lr: float = 0.0
    state: list[State] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.state = self.state or [{} for _ in self.weights]

    def with_gradients(self) -> list[tuple[Tensor, Tensor, State]]:
        """Return weight, gradient and state of each weight that has a gradient."""
        return [(w, w.grad, s) for w, s in zip(self.weights, self.state, strict=True) if w.grad is not None]


@dataclass(frozen=True, eq=False)
class Optimizer:
    """Groups of weights, and the function that updates a group with the gradients of its weights."""

    groups: tuple[Group, ...]
    update: Callable[[Group], None]

    @torch.no_grad()
    def step(self) -> None:
        """Do one step with the current gradients."""
        for group in self.groups:
            self.update(group)

    def states(self) -> list[State]:
        """Return the state of each weight, in the order of the groups. A change of it changes the optimizer."""
        return [state for group in self.groups for state in group.state]


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


def muon(group: Group, momentum: float = MOMENTUM) -> None:
    """Do one step of Muon on matrices with the same shape: the gates of a cell.

    Each gate is made orthogonal separately. A gate with many rows is split into blocks of rows. Each update
    has the size of an AdamW update, with root mean square 0.2 x lr. Weight decay works as in AdamW (Liu et
    al. 2025, arXiv 2502.16982v1).
    """
    given = group.with_gradients()
    nesterov: list[Tensor] = []  # the Nesterov momentum of each gate's gradient, [n_a, n_a + n_x]
    for gate, gradient, state in given:
        if not state:
            state["momentum"] = torch.zeros_like(gate)
        nesterov.append(gradient.lerp(state["momentum"].lerp_(gradient, 1 - momentum), momentum))
    for (gate, _, _), update in zip(given, _by_blocks(torch.stack(nesterov)), strict=True):
        gate.mul_(1 - group.lr * group.weight_decay).add_(update, alpha=-0.2 * group.lr)


def adamw(group: Group, betas: tuple[float, float] = BETAS, epsilon: float = EPSILON) -> None:
    """Do one step of AdamW (Loshchilov and Hutter, arXiv 1711.05101v3), as torch.optim.AdamW(fused=True)."""
    given = group.with_gradients()
    if not given:
        return
    for weight, _, state in given:
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(weight), torch.zeros_like(weight)
    steps = [state["step"] for _, _, state in given]
    torch._foreach_add_(steps, 1)  # pyright: ignore[reportPrivateUsage] (torch has no public fused version)
    torch._fused_adamw_(  # pyright: ignore[reportPrivateUsage] (torch.optim.AdamW calls it too)
        [weight for weight, _, _ in given],
        [gradient for _, gradient, _ in given],
        [state["exp_avg"] for _, _, state in given],
        [state["exp_avg_sq"] for _, _, state in given],
        [],
        steps,
        lr=group.lr,
        beta1=betas[0],
        beta2=betas[1],
        weight_decay=group.weight_decay,
        eps=epsilon,
        amsgrad=False,
        maximize=False,
    )


def sgd(group: Group, momentum: float) -> None:
    """Do one step of stochastic gradient descent with momentum, as torch.optim.SGD."""
    for weight, gradient, state in group.with_gradients():
        step = gradient.add(weight, alpha=group.weight_decay) if group.weight_decay else gradient
        if momentum and "momentum_buffer" in state:
            step = state["momentum_buffer"].mul_(momentum).add_(step)
        elif momentum:
            step = state["momentum_buffer"] = step.clone()
        weight.add_(step, alpha=-group.lr)


def make(named: Iterable[tuple[str, Tensor]], config: TrainConfig) -> tuple[Optimizer, ...]:
    """Return the optimizers of a network.

    named: pairs of name and weight; the weights `core.<layer>.<direction>.W_*` are recurrent.
    """
    return OPTIMIZERS[config.optimizer](dict(named), config)


def _adamw(weights: dict[str, Tensor], config: TrainConfig) -> tuple[Optimizer, ...]:
    return (Optimizer(_decayed(weights, config), adamw),)


def _sgd(weights: dict[str, Tensor], config: TrainConfig) -> tuple[Optimizer, ...]:
    return (Optimizer(_decayed(weights, config), partial(sgd, momentum=config.momentum)),)


def _muon(weights: dict[str, Tensor], config: TrainConfig) -> tuple[Optimizer, ...]:
    """Return Muon for the matrices of cells, and AdamW for all other weights.

    Matrices of the same cell with the same shape form a group.
    """
    cells: dict[tuple[str, torch.Size], list[Tensor]] = {}
    for name, weight in weights.items():
        if _in_a_cell(name) and weight.ndim == 2:
            cells.setdefault((name.rpartition(".")[0], weight.shape), []).append(weight)
    others = {name: weight for name, weight in weights.items() if not (_in_a_cell(name) and weight.ndim == 2)}
    decay, lr = config.weight_decay or 0.0, config.lr or 0.0
    groups = tuple(Group(gates, decay, lr) for gates in cells.values())
    return Optimizer(groups, muon), *_adamw(others, config)


def _in_a_cell(name: str) -> bool:
    """Return whether a weight belongs to a recurrent cell. The cell may be in an encoder or a decoder."""
    return "core" in name.split(".")[:2]


def _decayed(weights: dict[str, Tensor], config: TrainConfig) -> tuple[Group, ...]:
    """Return two groups: matrices with weight decay, and vectors without."""
    matrices = [weight for weight in weights.values() if weight.ndim > 1]
    vectors = [weight for weight in weights.values() if weight.ndim <= 1]
    lr = config.lr or 0.0
    return (Group(matrices, config.weight_decay or 0.0, lr), Group(vectors, 0.0, lr))


OPTIMIZERS: dict[str, Callable[[dict[str, Tensor], TrainConfig], tuple[Optimizer, ...]]] = {
    "muon": _muon,
    "adamw": _adamw,
    "sgd": _sgd,
}


def _cosine(share: float, warmup: float) -> float:
    """Return the factor of the learning rate: linear warm-up, then cosine decay to zero."""
    return (
        _rise(share, warmup)
        * 0.5
        * (1 + math.cos(math.pi * max(0.0, share - warmup) / max(1e-9, 1 - warmup)))
    )


def _one_cycle(share: float, warmup: float) -> float:
    """Return the factor of the learning rate of a one-cycle schedule (Smith and Topin, arXiv 1708.07120v3).

    It rises along a cosine for 30% of the training (or for a longer warm-up), then falls along a cosine.
    """
    top = max(warmup, 0.3)
    way = share / top if share < top else 1 - (share - top) / (1 - top)
    return (
        0.04 + 0.96 * 0.5 * (1 - math.cos(math.pi * way))
        if share < top
        else 0.5 * (1 - math.cos(math.pi * way))
    )


def _rise(share: float, warmup: float) -> float:
    return min(1.0, 0.05 + share / warmup) if warmup > 0 else 1.0


SCHEDULES: dict[str, Callable[[float, float], float]] = {
    "cosine": _cosine,
    "onecycle": _one_cycle,
    "plateau": _rise,
    "constant": _rise,
}
