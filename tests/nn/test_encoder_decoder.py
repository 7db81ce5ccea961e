"""The encoder-decoder: NumPy = torch = training's own loss; padding and company; gradients; what makes no sense."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from support.networks import spec_of
from unrolled.core.errors import UsageError
from unrolled.models.decoding.forced_decoding import forced_decode
from unrolled.models.engines.numpy_decoder import NumpyDecoder
from unrolled.models.initial_weights import initialise
from unrolled.models.network_spec import NetworkSpec, decoder_spec
from unrolled.models.tensor_shapes import shapes
from unrolled.nn.architectures import build
from unrolled.nn.scan import Dropouts
from unrolled.nn.torch_decoder import TorchDecoder

BASE = {
    "n_x": 11,
    "n_y": 9,
    "n_a": 12,
    "layers": 2,
    "bidirectional": True,
    "embedding": 8,
    "architecture": "encoder-decoder",
    "attention": "multiplicative",
    "decoder_layers": 2,
    "target_embedding": 7,
}
SPEC = spec_of(BASE)
CELLS = ("lstm", "gru", "gru-simple", "rnn")
ATTENTIONS = (
    ("none", False),
    ("additive", False),
    ("multiplicative", False),
    ("additive", True),
    ("multiplicative", True),
)
SPECS = [
    spec_of(
        BASE,
        cell=cell,
        attention=attention,
        feeding=feeding,
        bidirectional=cell in ("lstm", "rnn"),
        decoder_layers=1 + (cell != "gru"),
        tie=cell == "gru",
        target_embedding=12 if cell == "gru" else 7,
    )
    for cell, (attention, feeding) in itertools.product(CELLS, ATTENTIONS)
]
BARE = spec_of(BASE, embedding=0, target_embedding=0, attention="none")
SHARED = spec_of(BASE, n_x=9, embedding=12, target_embedding=12, tie=True, shared=True)
IDS = [
    f"{cell}-{attention}{'-fed' * feeding}"
    for cell, (attention, feeding) in itertools.product(CELLS, ATTENTIONS)
]


def data(spec: NetworkSpec, seed: int = 0) -> tuple[Any, Any, Any]:
    """x [4, 6] of lengths 6, 3, 1, 0 and y [4, 5] of lengths 5, 3, 5, 2."""
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, spec.n_x, (4, 6)), rng.integers(0, spec.n_y, (4, 5))
    lengths = np.array([6, 3, 1, 0])
    x[np.arange(6) >= lengths[:, None]] = -1
    y[1, 3:], y[3, 2:] = -1, -1
    return x, lengths, y


@pytest.mark.parametrize("spec", [*SPECS, BARE, SHARED], ids=[*IDS, "bare", "shared"])
def test_numpy_is_torch_is_the_loss(spec: NetworkSpec) -> None:
    tensors = initialise(spec, 1)
    assert {name: value.shape for name, value in tensors.items()} == shapes(spec)
    x, lengths, y = data(spec)
    answers = [row[row >= 0].tolist() for row in y]
    found = []
    for engine in (NumpyDecoder(spec, tensors), TorchDecoder(spec, tensors)):
        found.append(forced_decode(engine, engine.begin(x, lengths), answers))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours.log_probs, theirs.log_probs, atol=1e-5)
        np.testing.assert_allclose(ours.weights, theirs.weights, atol=1e-5)
    if spec.attends:
        for path, length in zip(found[0], lengths, strict=True):
            assert path.weights.shape[1] == length
            assert not length or np.allclose(path.weights.sum(1), 1, atol=1e-5)
    network = build(spec, tensors)
    with torch.no_grad():
        nats, count, _ = network.loss(torch.tensor(x), torch.tensor(y), torch.tensor(lengths))
    assert count == (y >= 0).sum()
    assert abs(float(nats) + sum(float(path.log_probs.sum()) for path in found[0])) < 1e-3


@pytest.mark.parametrize("spec", SPECS[:5], ids=IDS[:5])
def test_company_and_padding_change_no_bit(spec: NetworkSpec) -> None:
    engine, (x, lengths, _) = NumpyDecoder(spec, initialise(spec, 1)), data(spec)
    wide = np.concatenate([x, np.full((4, 3), -1)], axis=1)
    state, before = engine.begin(wide, lengths), np.array([-1] * 4)
    singles = [
        engine.begin(x[row : row + 1, : max(1, n)], lengths[row : row + 1]) for row, n in enumerate(lengths)
    ]
    for _ in range(4):
        together, ids, state = engine.step(state, before, 3)
        for row in range(4):
            alone, own, singles[row] = engine.step(singles[row], before[row : row + 1], 3)
            np.testing.assert_allclose(together[row], alone[0], rtol=0, atol=1e-6)
            assert ids[row].tolist() == own[0].tolist()
        before = ids[:, 0]


def test_rows_can_be_taken_in_any_order() -> None:
    spec = spec_of(BASE, feeding=True)
    x, lengths, _ = data(spec)
    for engine in (NumpyDecoder(spec, initialise(spec, 1)), TorchDecoder(spec, initialise(spec, 1))):
        _, ids, state = engine.step(engine.begin(x, lengths), np.array([-1] * 4), 1)
        straight, _, after = engine.step(state, ids[:, 0])
        rows = np.array([2, 0, 0, 1])
        taken, _, then = engine.step(engine.take(state, rows), ids[rows, 0])
        np.testing.assert_allclose(taken, straight[rows], atol=1e-6)
        for one, row in zip(engine.attention(then), rows, strict=True):
            np.testing.assert_allclose(one, engine.attention(after)[row], atol=1e-6)


@pytest.mark.parametrize("spec", [SPECS[i] for i in (0, 1, 2, 5, 9)], ids=[IDS[i] for i in (0, 1, 2, 5, 9)])
def test_gradients(spec: NetworkSpec) -> None:
    own = decoder_spec(spec)
    own = replace(own, embedding=3) if own.layer == "tied" else own
    spec = replace(spec, core=replace(spec.core, n_a=3), head=own)
    tensors = {name: value.astype(np.float64) for name, value in initialise(spec, 2).items()}
    network, (x, lengths, y) = build(spec, tensors), data(spec)
    given = torch.tensor(x), torch.tensor(y), torch.tensor(lengths)
    nats, _, _ = network.loss(*given)
    nats.backward()
    rng = np.random.default_rng(0)
    for name, weight in network.named_parameters():
        way = torch.tensor(rng.standard_normal(weight.shape))
        assert weight.grad is not None, name
        slope = float((weight.grad * way).sum())
        sides = []
        for step in (1e-5, -1e-5):
            with torch.no_grad():
                weight += step * way
                sides.append(float(network.loss(*given)[0]))
                weight -= step * way
        assert abs(slope - (sides[0] - sides[1]) / 2e-5) < 1e-5 * max(1, abs(slope)), name


def test_dropout_changes_training_only() -> None:
    network, (x, lengths, y) = build(SPEC, initialise(SPEC, 1)), data(SPEC)
    given = torch.tensor(x), torch.tensor(y), torch.tensor(lengths)
    torch.manual_seed(0)
    plain, dropped = network.loss(*given)[0], network.loss(*given, None, Dropouts(layer=0.5, input=0.3))[0]
    assert float(plain.detach()) == float(network.loss(*given)[0].detach()) != float(dropped.detach())


def test_what_makes_no_sense_is_refused() -> None:
    for wrong in (
        {"decoder_layers": 0},
        {"attention": "none", "feeding": True},
        {"target_embedding": 0, "feeding": True},
        {"tie": True},
        {"shared": True},
        {"output": "numbers"},
        {"architecture": "many-to-many"},
        {"attention": "telepathy"},
    ):
        with pytest.raises(UsageError):
            spec_of(BASE, **wrong)
