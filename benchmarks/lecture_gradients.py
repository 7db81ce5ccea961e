"""How far the gradient of a recurrent layer reaches, and what its gates do, for benchmarks/lecture.py."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.func import jacrev, vmap

from lecture_networks import Recurrent
from unrolled.models import cells
from unrolled.models.cells import Cell
from unrolled.nn.kernels.reference import TORCH

Weights = Mapping[str, Tensor]
States = tuple[Tensor, ...]


def cell_of(network: Recurrent) -> tuple[Cell, Weights]:
    """Return the cell of a network and its weights, without gradients."""
    found = network.layer.cells_by_torch_name()[0][1]()
    return cells.find(network.layer.cell_name), {name: value.detach() for name, value in found.items()}


def walk(network: Recurrent, x: Tensor) -> list[States]:
    """Return the states (`a`, or `a` and `c`) before the first step and after each step of x [batch, T_x]."""
    cell, w = cell_of(network)
    vectors = network.embedding(x).detach()
    states = [tuple(torch.zeros(len(x), network.layer.n_a) for _ in cell.state)]
    for x_t in vectors.unbind(1):
        states.append(cell.step(TORCH, w, states[-1], x_t))
    return states


def reach(network: Recurrent, x: Tensor) -> dict[str, list[float]]:
    """Return the size of d a^<T> / d a^<T-k> for k = 0, 1 ... T_x, and of d c^<T> / d c^<T-k> for an LSTM.

    The size is the Frobenius norm over the square root of n_a, so that the identity has the size 1. It is the
    mean over the rows of x [batch, T_x].
    """
    cell, w = cell_of(network)
    n_a, names = network.layer.n_a, cell.state
    states, vectors = walk(network, x), network.embedding(x).detach()

    def after(before: Tensor, x_t: Tensor) -> Tensor:
        """One step on the joined state [len(names) * n_a] of one row."""
        parts = tuple(part[None] for part in before.split(n_a))
        return torch.cat(cell.step(TORCH, w, parts, x_t[None]), dim=-1)[0]

    found: dict[str, list[float]] = {name: [] for name in names}
    chain = torch.eye(len(names) * n_a).expand(len(x), -1, -1)  # d state^<T> / d state^<T-k>
    for t in range(x.shape[1], -1, -1):
        for number, name in enumerate(names):
            own = slice(number * n_a, (number + 1) * n_a)
            found[name].append(float(torch.linalg.matrix_norm(chain[:, own, own]).mean() / n_a**0.5))
        if t:
            chain = chain @ vmap(jacrev(after))(torch.cat(states[t - 1], dim=-1), vectors[:, t - 1])
    return found


def gate(network: Recurrent, x: Tensor, name: str) -> Tensor:
    """Return all values of the gate `name` ("u", "f" ...) of a network over x [batch, T_x]."""
    _, w = cell_of(network)
    pairs = zip(walk(network, x)[:-1], network.embedding(x).detach().unbind(1), strict=True)
    values = [torch.sigmoid(TORCH.affine(w, name, state[0], x_t)) for state, x_t in pairs]
    return torch.stack(values).flatten()


def saturated(network: Recurrent, x: Tensor) -> float:
    """Return the share of all values of `a` over x [batch, T_x] that are above 0.9 or below -0.9."""
    cell, _ = cell_of(network)
    values = torch.stack([cell.output(state) for state in walk(network, x)[1:]])
    return float((values.abs() > 0.9).float().mean())
