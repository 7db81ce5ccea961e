"""From many to one: each pooling by its equation, whatever stands behind the end of a row."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from support.networks import spec_of
from support.tolerances import FLOAT64
from unrolled.models.initial_weights import initialise
from unrolled.models.network_spec import NetworkSpec
from unrolled.nn.embedding_and_head import POOLS, pool


def pooled(pooling: str, both: bool) -> NetworkSpec:
    return spec_of(
        n_x=3,
        n_y=2,
        n_a=4,
        architecture="many-to-one",
        bidirectional=both,
        pooling=pooling,
        ids=False,
        embedding=0,
    )


def parameters(spec: NetworkSpec) -> dict[str, torch.Tensor]:
    chance = np.random.default_rng(1)
    return {
        name: torch.tensor(chance.normal(size=value.shape)) for name, value in initialise(spec, 0).items()
    }


def by_equation(pooling: str, spec: NetworkSpec, p: dict[str, torch.Tensor], a: np.ndarray) -> np.ndarray:
    """Of one sequence a [T, features], without padding."""
    if not len(a):
        return np.zeros(a.shape[1])
    if pooling == "first":
        return a[0]
    if pooling == "last":
        return np.concatenate([a[-1, : spec.core.n_a], a[0, spec.core.n_a :]])
    if pooling == "mean":
        return a.mean(axis=0)
    if pooling == "max":
        return a.max(axis=0)
    w, b, v = (p[f"pool.{name}"].numpy() for name in ("W_a", "b_a", "v"))
    scores = np.tanh(a @ w.T + b) @ v
    weights = np.exp(scores - scores.max())
    return weights / weights.sum() @ a


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("pooling", POOLS)
@given(lengths=st.lists(st.integers(0, 6), min_size=1, max_size=5), seed=st.integers(0, 9))
def test_each_row_is_pooled_by_its_equation_whatever_pads_it(
    pooling: str, both: bool, lengths: list[int], seed: int
):
    spec = pooled(pooling, both)
    p, chance = parameters(spec), np.random.default_rng(seed)
    steps, features = max(1, *lengths), spec.core.n_a * (2 if both else 1)
    a = np.zeros((len(lengths), steps, features))  # as the scan leaves it: zeros past each length
    for row, length in enumerate(lengths):
        a[row, :length] = chance.normal(size=(length, features))
    found = pool(spec, p, torch.tensor(a), torch.tensor(lengths)).numpy()
    for row, length in enumerate(lengths):
        expected = by_equation(pooling, spec, p, a[row, :length])
        assert np.abs(found[row] - expected).max() <= FLOAT64["forward"]


@pytest.mark.parametrize("pooling", POOLS)
def test_gradients_reach_true_steps_only_and_are_right(pooling: str):
    spec = pooled(pooling, both=False)
    p = {name: value.requires_grad_() for name, value in parameters(spec).items() if name.startswith("pool")}
    a = torch.randn(3, 5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor([5, 2, 3])
    a = torch.where(torch.arange(5)[None, :, None] < lengths[:, None, None], a, 0.0).requires_grad_()
    names = list(p)

    def run(a: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        return pool(spec, dict(zip(names, values, strict=True)), a, lengths)

    if pooling != "mean":  # the mean sums zeros past the end too, which no network changes
        (gradient,) = torch.autograd.grad(run(a, *p.values()).sum(), a)
        assert not gradient[1, 2:].any() and not gradient[2, 3:].any() and gradient[0].any()
    assert torch.autograd.gradcheck(run, (a, *p.values()))
