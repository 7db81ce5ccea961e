"""Weights of the rows of a batch: the loss of each row times its weight, for every kind of loss."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from support.networks import spec_of
from support.tolerances import FLOAT64
from unrolled.models.network_spec import Bits, Ctc, NetworkSpec, Reals
from unrolled.nn.architectures import Network, build
from unrolled.nn.losses import Criterion

TORCH = torch.float64
CLASSES = {"n_x": 6, "n_y": 4, "n_a": 5, "embedding": 3}
SERIES = {"n_x": 3, "n_y": 4, "n_a": 5, "ids": False}
SPECS = {
    "classes of one answer": spec_of(SERIES, architecture="many-to-one"),
    "classes of each step": spec_of(CLASSES),
    "numbers of one answer": spec_of(SERIES, architecture="many-to-one", output="numbers", n_y=2),
    "numbers of each step": spec_of(SERIES, output="numbers", n_y=2),
    "bits": spec_of(SERIES, output="bits", n_y=3),
    "a CRF": spec_of(SERIES, crf=True),
    "CTC": spec_of(SERIES, output="ctc"),
    "an encoder-decoder": spec_of(
        CLASSES,
        architecture="encoder-decoder",
        decoder_layers=1,
        attention="multiplicative",
        target_embedding=3,
    ),
    "an adaptive softmax": spec_of(CLASSES, n_x=300, n_y=300, softmax="adaptive"),
}
CRITERIA = {
    "plain": Criterion(),
    "smoothed": Criterion(label_smoothing=0.1),
    "ordered": Criterion(ordinal=True),
    "rare classes": Criterion(class_weights=(0.5, 1.0, 2.0, 0.7)),
    "first": Criterion(first=3.0),
}


def batch(spec: NetworkSpec, rows: int = 6) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """x, y and lengths of ragged rows, with what `spec` asks."""
    chance = np.random.default_rng(4)
    lengths = torch.tensor(chance.integers(2, 8, rows))
    steps = int(lengths.max())
    x = (
        torch.tensor(chance.integers(0, spec.n_x, (rows, steps)))
        if spec.input.ids
        else torch.tensor(chance.normal(size=(rows, steps, spec.n_x)))
    )
    past = torch.arange(steps) >= lengths[:, None]
    one = spec.head.pooling is not None
    if isinstance(spec.head, Reals | Bits):
        y = torch.tensor(chance.integers(0, 2, (rows, steps, spec.n_y)).astype(float))
        y = y[:, 0] if one else y.masked_fill(past[..., None], torch.nan)
        return x, y, lengths
    y = torch.tensor(chance.integers(1, spec.n_y, (rows, 2 if isinstance(spec.head, Ctc) else steps)))
    if isinstance(spec.head, Ctc):
        y[:, 1] = torch.where(y[:, 0] == 1, 2, 1)  # two classes that differ fit into two steps
        return x, y, lengths
    return x, y[:, 0] if one else y.masked_fill(past, -1), lengths


def cost(
    network: Network, parts: tuple[torch.Tensor, ...], criterion: Criterion
) -> tuple[float, int, list[torch.Tensor]]:
    """The loss, the number of targets, and the gradients."""
    x, y, lengths = parts
    nats, count, _ = network.loss(x, y, lengths, criterion=criterion)
    network.zero_grad()
    nats.backward()
    return (
        float(nats.detach()),
        count,
        [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in network.parameters()],
    )


def cases() -> list[tuple[str, str]]:
    """Each loss by the plain criterion; classes by each criterion."""
    found = [(name, "plain") for name in SPECS]
    found += [("classes of one answer", name) for name in ("smoothed", "ordered", "rare classes")]
    return [*found, ("classes of each step", "first"), ("classes of each step", "smoothed")]


@pytest.mark.parametrize(("name", "criterion"), cases())
def test_loss_and_gradient_are_the_weighted_sums_over_the_rows(name: str, criterion: str):
    spec, how = SPECS[name], CRITERIA[criterion]
    network = build(spec, seed=1).to(TORCH)
    parts = batch(spec)
    if criterion == "first":
        parts[0][:3, 0] = -1  # rows that begin with the vector of zeros
    weights = torch.tensor([0.25, 2.0, 1.0, 2.0, 0.25, 3.5])
    found, count, gradients = cost(network, parts, replace(how, rows=weights))
    alone = [cost(network, tuple(part[i : i + 1] for part in parts), how) for i in range(len(weights))]
    assert count == sum(targets for _, targets, _ in alone)
    expected = sum(float(w) * nats for w, (nats, _, _) in zip(weights, alone, strict=True))
    assert found == pytest.approx(expected, rel=1e-9)
    for number, gradient in enumerate(gradients):
        whole = sum(float(w) * own[2][number] for w, own in zip(weights, alone, strict=True))
        torch.testing.assert_close(gradient, whole, rtol=1e-7, atol=FLOAT64["gradient"])


@pytest.mark.parametrize("name", list(SPECS))
def test_weights_of_one_change_nothing(name: str):
    network, parts = build(SPECS[name], seed=1).to(TORCH), batch(SPECS[name])
    plain = cost(network, parts, Criterion())
    ones = cost(network, parts, Criterion(rows=torch.ones(6)))
    assert ones[0] == pytest.approx(plain[0], rel=1e-12) and ones[1] == plain[1]


def test_weights_run_on_the_native_kernels_too():
    spec = SPECS["classes of one answer"]
    network, (x, y, lengths) = build(spec, seed=1), batch(spec)
    parts = x.float(), y, lengths
    weights = torch.tensor([0.25, 2.0, 1.0, 2.0, 0.25, 3.5])
    found, _, _ = cost(network, parts, Criterion(rows=weights))
    exact, _, _ = cost(build(spec, seed=1).to(TORCH), batch(spec), Criterion(rows=weights))
    assert found == pytest.approx(exact, rel=1e-5)
