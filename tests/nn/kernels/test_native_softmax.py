"""The native cross-entropy against torch's in float64: values, gradients, masks around it, one and two threads."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from support.networks import spec_of
from support.tolerances import FLOAT32
from unrolled.models import native
from unrolled.models.initial_weights import initialise
from unrolled.models.layer_equations import logits
from unrolled.nn.embedding_and_head import TORCH_LAYERS
from unrolled.nn.kernels import native_sequence, native_softmax
from unrolled.nn.losses import cross_entropy

built = pytest.mark.parametrize("name", native.libraries())  # skipped where no compiler was at hand


pytestmark = pytest.mark.usefixtures("two_threads_however_small")


def problem(rows, features, n_y, seed=0, size=1.0):
    generator = torch.Generator().manual_seed(seed)
    a, W, b = (
        torch.randn(shape, generator=generator, dtype=torch.float64)
        for shape in ((rows, features), (n_y, features), (n_y,))
    )
    return [a, size * W, b], torch.randint(n_y, (rows,), generator=generator)


def compare(name, rows, features, n_y, seed=0, size=1.0):
    values, y = problem(rows, features, n_y, seed, size)
    double = [v.requires_grad_() for v in values]
    single = [v.detach().float().requires_grad_() for v in values]
    a, W, b = double
    z = F.linear(a, W, b)
    true = F.cross_entropy(z, y, reduction="sum")
    found = native_softmax.cross_entropy(native.libraries()[name], *single, y)
    # An eighth of the largest logit: what rounding the logits themselves to float32 may change.
    scale = max(1.0, float(true.detach()), float(z.detach().abs().max()) / 8)
    assert abs(float(found.detach()) - float(true.detach())) <= FLOAT32["oracle"] * scale
    (true * 0.7).backward()
    (found * 0.7).backward()
    for f, t in zip(single, double, strict=True):
        assert float((f.grad - t.grad).abs().max()) <= FLOAT32["gradient"] * max(
            scale, float(t.grad.abs().max())
        )
    with torch.no_grad():
        again = native_softmax.cross_entropy(native.libraries()[name], *single, y)
    assert abs(float(again) - float(true.detach())) <= FLOAT32["oracle"] * scale


@built
@settings(max_examples=15)
@given(
    rows=st.integers(1, 40),
    features=st.integers(1, 20),
    n_y=st.integers(1, 70),
    seed=st.integers(0, 1000),
    size=st.sampled_from([0.1, 1.0, 20.0]),
)
def test_values_and_gradients_are_those_of_the_softmax(name, rows, features, n_y, seed, size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native_sequence, "WORTH_THREADS", 0)
        compare(name, rows, features, n_y, seed, size)


@built
@pytest.mark.parametrize("n_y", [1, 2, 10_000])
def test_few_and_many_outputs(name, n_y):
    compare(name, 9, 30, n_y, size=0.3)


@built
def test_the_same_bits_every_time_and_twice_back(name):
    values, y = problem(31, 12, 45)
    single = [v.float().requires_grad_() for v in values]
    runs = []
    for _ in range(3):
        nats = native_softmax.cross_entropy(native.libraries()[name], *single, y)
        runs.append([nats, *torch.autograd.grad(nats, single, retain_graph=True)])
        runs.append([nats, *torch.autograd.grad(nats, single)])
    assert all(all(map(torch.equal, run, runs[0])) for run in runs)


@built
def test_nan_in_is_nan_out_and_an_impossible_target_is_infinite(name):
    values, y = problem(6, 4, 11)
    a, W, b = (v.float() for v in values)
    broken = a.clone()
    broken[3, 1] = float("nan")
    assert bool(native_softmax.cross_entropy(native.libraries()[name], broken, W, b, y).isnan())
    never = b.clone()
    never[y[0]] = float("-inf")
    assert float(native_softmax.cross_entropy(native.libraries()[name], a, W, never, y)) == float("inf")


@built
def test_a_target_that_is_no_output_is_refused(name):
    values, y = problem(6, 4, 11)
    single = [v.float() for v in values]
    y[2] = 11
    with pytest.raises(IndexError, match=r"targets range from .* to 11, but outputs from 0 to 10"):
        native_softmax.cross_entropy(native.libraries()[name], *single, y)


@built
@pytest.mark.parametrize(
    "more", [{}, {"tie": True}, {"tie": True, "embedding": 6}], ids=["plain", "tied", "projected"]
)
def test_the_loss_of_a_network_is_the_same_with_and_without(name, more, monkeypatch):
    spec = spec_of({"n_x": 19, "n_y": 19, "n_a": 8, "embedding": 8}, more)
    p = {k: torch.tensor(v, dtype=torch.float32, requires_grad=True) for k, v in initialise(spec, 0).items()}
    p = {k: v for k, v in p.items() if not k.startswith("core")}
    a, y = torch.randn(7, 8), torch.randint(19, (7,))
    found = []
    for kernel in ("torch", name):
        monkeypatch.setenv("UNROLLED_KERNEL", kernel)
        nats = cross_entropy(spec, p, a, y)
        found.append([nats, *torch.autograd.grad(nats, list(p.values()), allow_unused=True)])
    assert logits(TORCH_LAYERS, spec, p, a).shape == (7, 19)
    for f, t in zip(*found, strict=True):
        assert (f is None) == (t is None)
        assert f is None or float((f - t).detach().abs().max()) <= FLOAT32["gradient"]
