"""The optimizers against plain NumPy transcriptions in float64, Muon's matrices by singular value decomposition."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unrolled.core.config import TrainConfig
from unrolled.training.optimizers import (
    ITERATIONS,
    QUINTIC,
    ROWS,
    Group,
    Optimizer,
    adamw,
    make,
    muon,
    orthogonal,
)

NAMES = ("embedding.E", "core.0.forward.W_c", "core.0.forward.W_u", "core.0.forward.b_c", "head.W_ya")
CONFIG = TrainConfig(lr=0.01)


def by_svd(matrix: np.ndarray) -> np.ndarray:
    """The iteration on the singular values alone, between their vectors."""
    u, s, vt = np.linalg.svd(matrix, full_matrices=False)
    s = s / (s**4).sum() ** 0.25  # the Schatten 4-norm
    for _ in range(ITERATIONS):
        s = QUINTIC[0] * s + QUINTIC[1] * s**3 + QUINTIC[2] * s**5
    return (u * s) @ vt


@given(st.integers(1, 4), st.integers(1, 24), st.integers(1, 40), st.integers(0, 1000))
def test_orthogonal_is_the_iteration_on_singular_values(count, rows, columns, seed):
    matrices = np.random.default_rng(seed).standard_normal((count, rows, columns))
    found = orthogonal(torch.tensor(matrices)).numpy()
    np.testing.assert_allclose(found, np.stack([by_svd(m) for m in matrices]), atol=1e-10)


@pytest.mark.parametrize("shape", [(64, 96), (96, 64), (48, 48)])
def test_orthogonal_is_near_the_exact_polar_factor(shape):
    rng = np.random.default_rng(1)
    u, _, vt = np.linalg.svd(rng.standard_normal(shape), full_matrices=False)
    matrix = (u * np.geomspace(1.0, 0.1, min(shape))) @ vt  # condition number 10
    polar = u @ vt
    for dtype in (torch.float64, torch.float32):
        found = orthogonal(torch.tensor(matrix, dtype=dtype).unsqueeze(0))[0].double().numpy()
        values = np.linalg.svd(found, compute_uv=False)
        assert values.min() > 0.5 and values.max() < 1.3
        assert np.abs(u.T @ found @ vt.T - np.diag(np.diag(u.T @ found @ vt.T))).max() < 1e-4, "same vectors"
        assert (found * polar).sum() / np.linalg.norm(found) / np.linalg.norm(polar) > 0.97


def test_orthogonal_of_zeros_is_zeros():
    assert not orthogonal(torch.zeros(2, 5, 3)).any()


@given(st.integers(1, 20), st.integers(1, 20), st.integers(-149, 126), st.integers(0, 1000))
def test_an_update_is_never_larger_than_a_full_step_however_small_or_large_the_gradient(
    rows, columns, exponent, seed
):
    """Squares of float32 underflow below 1e-19, fourth powers below 1e-9: gradients of a loss that is nearly zero."""
    matrix = np.random.default_rng(seed).uniform(-1, 1, (1, rows, columns)).astype(np.float32)
    found = orthogonal(torch.from_numpy(np.ldexp(matrix, exponent).astype(np.float32)))
    assert torch.isfinite(found).all()
    assert float(torch.linalg.matrix_norm(found, 2)) < 1.3
    if exponent > -20:  # a power of two changes no digit of the answer
        assert torch.equal(found, orthogonal(torch.from_numpy(matrix)))
    if exponent < -30:  # noise: smaller steps the smaller it is
        whole = float(torch.linalg.matrix_norm(orthogonal(torch.from_numpy(matrix)), 2))
        assert float(torch.linalg.matrix_norm(found, 2)) < whole * 2.0 ** (exponent + 35)


def test_muon_does_not_move_far_while_gradients_vanish():
    """As at the end of a training whose loss is zero: weights that are sound stay so."""
    rng = np.random.default_rng(6)
    gates = [torch.tensor(rng.standard_normal((8, 12)), dtype=torch.float32) for _ in range(4)]
    before = [gate.clone() for gate in gates]
    optimizer = Optimizer((Group(gates, 0.0, lr=0.01),), muon)
    for number in range(400):
        for gate in gates:
            gate.grad = torch.tensor(rng.standard_normal(gate.shape) * 10.0 ** -(number / 9 + 6)).float()
        optimizer.step()
    for gate, old in zip(gates, before, strict=True):
        assert torch.isfinite(gate).all()
        assert float((gate - old).abs().max()) < 400 * 0.2 * 0.01 * 12**0.5


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_muon_is_nesterov_then_orthogonal_in_the_size_of_an_adam_step(decay):
    rng = np.random.default_rng(2)
    shape, lr, momentum = (12, 30), 0.02, 0.95
    gates = [torch.tensor(rng.standard_normal(shape)) for _ in range(3)]
    expected = [gate.numpy().copy() for gate in gates]
    average = [np.zeros(shape) for _ in gates]
    optimizer = Optimizer((Group(gates, decay, lr),), partial(muon, momentum=momentum))
    for _ in range(4):
        for index, gate in enumerate(gates):
            gradient = rng.standard_normal(shape)
            gate.grad = torch.tensor(gradient)
            average[index] = momentum * average[index] + (1 - momentum) * gradient
            nesterov = momentum * average[index] + (1 - momentum) * gradient
            expected[index] *= 1 - lr * decay
            expected[index] -= lr * 0.2 * math.sqrt(max(shape)) * by_svd(nesterov)
        optimizer.step()
    for gate, wanted in zip(gates, expected, strict=True):
        np.testing.assert_allclose(gate.numpy(), wanted, atol=1e-10)


@pytest.mark.parametrize("rows", [ROWS, 2 * ROWS, 2 * ROWS + 1])
def test_tall_gates_are_orthogonal_by_blocks_of_rows(rows):
    rng, columns = np.random.default_rng(4), 300
    gates = [torch.zeros(rows, columns, dtype=torch.float64) for _ in range(2)]
    for gate in gates:
        gate.grad = torch.tensor(rng.standard_normal((rows, columns)))
    Optimizer((Group(gates, 0.0, lr=1.0),), partial(muon, momentum=0.0)).step()
    tall = -(-rows // -(-rows // ROWS))  # 256, 256, 171
    for gate in gates:
        parts = [gate.grad.numpy()[at : at + tall] for at in range(0, rows, tall)]
        padded = [np.vstack([part, np.zeros((tall - len(part), columns))]) for part in parts]
        expected = np.vstack([by_svd(part) for part in padded])[:rows]
        np.testing.assert_allclose(gate.numpy(), -0.2 * math.sqrt(columns) * expected, atol=1e-10)


def weights() -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(3)
    shapes = {name: (4,) if ".b_" in name else (4, 6) for name in NAMES}
    return {name: torch.tensor(rng.standard_normal(shape)) for name, shape in shapes.items()}


def test_muon_takes_the_recurrent_matrices_and_adamw_the_rest():
    named = weights()
    recurrent, others = make(named.items(), CONFIG)
    taken = [id(weight) for group in recurrent.groups for weight in group.weights]
    assert taken == [id(named["core.0.forward.W_c"]), id(named["core.0.forward.W_u"])]
    rest = [id(weight) for group in others.groups for weight in group.weights]
    assert sorted(taken + rest) == sorted(map(id, named.values()))
    assert recurrent.update is muon
    assert others.update is adamw


def test_matrices_decay_whatever_steps_them_and_vectors_do_not():
    named = weights()
    for optimizer in make(named.items(), replace(CONFIG, weight_decay=0.1)):
        for group in optimizer.groups:
            assert group.weight_decay == (0.1 if group.weights[0].ndim > 1 else 0.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("name", "momentum", "decay"),
    [("adamw", 0.0, 0.0), ("adamw", 0.0, 0.1), ("sgd", 0.0, 0.0), ("sgd", 0.9, 0.1)],
)
def test_adamw_and_sgd_compute_the_bits_of_torch(name, momentum, decay, dtype):
    """Fifty steps with rates that change, gradients of many sizes, and a weight without gradient at first."""
    config = replace(CONFIG, optimizer=name, momentum=momentum, weight_decay=decay)
    ours = {key: value.to(dtype).requires_grad_() for key, value in weights().items()}
    theirs = {key: value.detach().clone().requires_grad_() for key, value in ours.items()}
    (optimizer,) = make(ours.items(), config)
    groups = [
        {"params": [w for w in theirs.values() if w.ndim > 1], "weight_decay": decay},
        {"params": [w for w in theirs.values() if w.ndim <= 1], "weight_decay": 0.0},
    ]
    reference = (
        torch.optim.AdamW(groups, lr=0.01, betas=(0.9, 0.99), fused=True)
        if name == "adamw"
        else torch.optim.SGD(groups, lr=0.01, momentum=momentum)
    )
    rng = np.random.default_rng(5)
    for number in range(50):
        for key, weight in ours.items():
            gradient = torch.tensor(
                rng.standard_normal(weight.shape) * 10.0 ** rng.integers(-12, 3), dtype=dtype
            )
            late = key == "head.W_ya" and number < 5
            weight.grad, theirs[key].grad = (None, None) if late else (gradient, gradient.clone())
        for group, other in zip(optimizer.groups, reference.param_groups, strict=True):
            group.lr = other["lr"] = 0.01 * math.cos(number / 40)
        optimizer.step()
        reference.step()
        assert all(torch.equal(weight, theirs[key]) for key, weight in ours.items()), number


def test_a_step_is_the_same_after_its_state_was_copied_to_another_optimizer():
    named = weights()
    rng = np.random.default_rng(7)
    first = make(named.items(), replace(CONFIG, weight_decay=0.1))
    for _ in range(3):
        for weight in named.values():
            weight.grad = torch.tensor(rng.standard_normal(weight.shape))
        for optimizer in first:
            optimizer.step()
    copies = {key: value.detach().clone() for key, value in named.items()}
    second = make(copies.items(), replace(CONFIG, weight_decay=0.1))
    for optimizer, other in zip(first, second, strict=True):
        for state, empty in zip(optimizer.states(), other.states(), strict=True):
            empty.update({key: value.clone() for key, value in state.items()})
    for key, weight in named.items():
        copies[key].grad = weight.grad
    for optimizer in (*first, *second):
        optimizer.step()
    assert all(torch.equal(copies[key], weight) for key, weight in named.items())


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_adamw_and_sgd_are_their_formulas(name):
    config = replace(CONFIG, optimizer=name, momentum=0.9, weight_decay=0.1)
    named = weights()
    expected = {key: value.numpy().copy() for key, value in named.items()}
    first = {key: np.zeros(value.shape) for key, value in expected.items()}
    second = {key: np.zeros(value.shape) for key, value in expected.items()}
    (optimizer,) = make(named.items(), config)
    rng = np.random.default_rng(4)
    for number in range(1, 5):
        for key, weight in named.items():
            gradient = rng.standard_normal(weight.shape)
            weight.grad = torch.tensor(gradient)
            decay = 0.1 if weight.ndim > 1 else 0.0  # matrices only
            if name == "sgd":  # decay is part of the gradient (torch's SGD)
                first[key] = 0.9 * first[key] + gradient + decay * expected[key]
                if number == 1:
                    first[key] = gradient + decay * expected[key]
                expected[key] -= 0.01 * first[key]
                continue
            expected[key] *= 1 - 0.01 * decay
            first[key] = 0.9 * first[key] + 0.1 * gradient
            second[key] = 0.99 * second[key] + 0.01 * gradient**2
            corrected = np.sqrt(second[key] / (1 - 0.99**number)) + 1e-8
            expected[key] -= 0.01 * first[key] / (1 - 0.9**number) / corrected
        optimizer.step()
    for key, weight in named.items():
        np.testing.assert_allclose(weight.numpy(), expected[key], atol=1e-10)
