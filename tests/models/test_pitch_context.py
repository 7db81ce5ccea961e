"""What outputs are told by their neighbours: the formula by hand, the same on every engine, the same on every key."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from support.networks import spec_of
from support.tolerances import FLOAT32
from unrolled.core.errors import UsageError
from unrolled.models.engines.numpy_engine import NumpyEngine
from unrolled.models.initial_weights import initialise
from unrolled.models.pitch_context import AROUND, run
from unrolled.nn.architectures import build
from unrolled.nn.torch_engine import TorchEngine

N_Y, ROWS, SIZE = 40, 2, 3
SPEC = spec_of(n_x=ROWS * N_Y + 5, n_y=N_Y, n_a=6, ids=False, output="bits", neighbours=SIZE)


def steps(count: int) -> np.ndarray:
    return np.random.default_rng(1).random((count, SPEC.n_x)).astype(np.float32)


def test_the_formula_by_hand():
    p = {name: value.astype(np.float64) for name, value in initialise(SPEC, 0).items()}
    a, x = np.random.default_rng(0).random((4, SPEC.core.n_a)), steps(4)
    found = run(p, N_Y, a, x)
    for t in range(4):
        for k in range(N_Y):
            total = p["head.W_u"] @ a[t] + p["head.b_n"]
            for row in range(ROWS):
                for at in range(2 * AROUND + 1):
                    key = k - AROUND + at
                    if 0 <= key < N_Y:
                        total = total + p["head.W_n"][:, row * (2 * AROUND + 1) + at] * x[t, row * N_Y + key]
            assert found[t, k] == pytest.approx(p["head.v"] @ np.maximum(total, 0), rel=1e-6)


def test_engines_agree_in_sequences_and_steps():
    tensors, x = initialise(SPEC, 0), np.stack([steps(7), steps(7)[::-1]])
    slow, quick = NumpyEngine(SPEC, tensors), TorchEngine(SPEC, tensors)
    lengths = np.array([7, 4])
    for engine in (slow, quick):
        whole, _ = engine.run(x, lengths)
        assert np.abs(whole - quick.run(x, lengths)[0]).max() <= 10 * FLOAT32["forward"]
        state = engine.start(2)
        for t in range(4):
            answer, _, state = engine.step(state, x[:, t])
            assert np.abs(answer - whole[:, t]).max() <= 10 * FLOAT32["forward"]


def test_what_neighbours_say_moves_with_them():
    tensors = {name: torch.tensor(value) for name, value in initialise(SPEC, 0).items()}
    p = {name: value.numpy() for name, value in tensors.items()}
    x, a = np.zeros((3, SPEC.n_x), np.float32), np.ones((3, SPEC.core.n_a), np.float32)
    x[:, [15, 19, 22, N_Y + 20]] = 1  # far from both ends, beyond which there is nothing
    moved = np.roll(x, 2, axis=1)
    assert np.allclose(run(p, N_Y, a, x)[:, 2:-4], run(p, N_Y, a, moved)[:, 4:-2], atol=1e-6)


def test_gradients_reach_all_of_it():
    network = build(SPEC, seed=0)
    x = torch.from_numpy(np.stack([steps(5), steps(5)]))
    nats, _, _ = network.loss(x, (x[..., :N_Y] > 0.5).double())
    nats.backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None and float(weight.grad.abs().sum()) > 0, name


def test_only_keys_among_keys_have_neighbours():
    for wrong in ({"n_y": 99}, {"front": "time", "front_size": 4}):
        fine = {"n_x": 85, "n_y": 40, "n_a": 4, "ids": False, "output": "bits", "neighbours": 2}
        with pytest.raises(UsageError, match="neighbours"):
            spec_of(fine, wrong)
