"""Networks: names, descriptions, losses and the architectures of the lecture."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from support.networks import spec_of
from support.tolerances import FLOAT64
from unrolled.core.errors import UsageError
from unrolled.models.initial_weights import initialise
from unrolled.models.layer_equations import outputs
from unrolled.models.spec_json import from_json, to_json
from unrolled.models.tensor_shapes import cutoffs, parameters, shapes, state_names
from unrolled.nn.architectures import Network, build, one_to_many
from unrolled.nn.embedding_and_head import TORCH_LAYERS, Dropouts
from unrolled.nn.losses import Criterion, cross_entropy


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Such small sums gain nothing from a second thread, and lose much where another process has its core."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


BASE = {"n_x": 11, "n_y": 11, "n_a": 6, "embedding": 5}
SPEC = spec_of(BASE)
VARIANTS = {
    "plain": {},
    "one-hot": {"embedding": 0},
    "deep": {"layers": 3},
    "both": {"bidirectional": True, "layers": 2},
    "tied": {"embedding": 6, "tie": True},
    "projected": {"tie": True},
    "gru": {"cell": "gru"},
    "gru-simple": {"cell": "gru-simple"},
    "relu": {"cell": "rnn", "activation": "relu"},
    "adaptive": {"n_x": 120, "n_y": 120, "softmax": "adaptive"},
    "one answer": {"architecture": "many-to-one", "bidirectional": True},
}
variants = pytest.mark.parametrize("spec", [spec_of(BASE, v) for v in VARIANTS.values()], ids=VARIANTS)


def double(spec, seed=0):
    return build(spec, seed=seed).double()


def ragged(spec, seed=0):
    rng = np.random.default_rng(seed)
    x = torch.tensor(rng.integers(-1, spec.n_x, (4, 6)))
    y = torch.tensor(rng.integers(0, spec.n_y, (4, 6)))
    lengths = torch.tensor([6, 3, 5, 1])
    past = torch.arange(6) >= lengths[:, None]
    return x.masked_fill(past, -1), y.masked_fill(past, -1), lengths


@variants
def test_names_and_shapes_are_those_of_the_description(spec):
    network = build(spec, seed=3)
    found = {name: tuple(p.shape) for name, p in network.named_parameters()}
    assert found == shapes(spec)
    assert list(network.state_dict()) == list(shapes(spec))
    assert parameters(spec) == sum(p.numel() for p in network.parameters())
    first = initialise(spec, 3)
    assert all(np.array_equal(first[name], p.detach().numpy()) for name, p in network.named_parameters())
    again = build(spec, first)
    again.load_state_dict(network.state_dict(), strict=True)
    assert from_json(to_json(spec)) == spec


def test_the_names_of_the_file():
    spec = spec_of(BASE, layers=2, bidirectional=True, cell="gru")
    names = set(shapes(spec))
    assert {"embedding.E", "core.0.forward.W_r", "core.1.backward.b_c", "head.W_ya", "head.b_y"} <= names
    assert shapes(spec)["core.1.forward.W_u"] == (6, 6 + 12)
    assert shapes(spec_of(BASE, tie=True))["head.P"] == (5, 6)
    assert state_names(spec) == ("0.forward.c", "0.backward.c", "1.forward.c", "1.backward.c")
    assert state_names(SPEC) == ("0.forward.a", "0.forward.c")


@variants
def test_the_loss_is_the_sum_of_log_probabilities(spec):
    network = double(spec)
    x, y, lengths = ragged(spec)
    if spec.head.pooling is not None:
        y = torch.tensor([3, -1, 10, 0])
    total, count, state = network.loss(x, y, lengths)
    log_y_hat, _ = network(x, None, lengths)
    asked = y >= 0
    picked = log_y_hat.gather(-1, y.clamp_min(0).unsqueeze(-1)).squeeze(-1)[asked]
    assert count == int(asked.sum())
    assert abs((total + picked.sum()).item()) <= FLOAT64["forward"] * count * 10
    assert [tuple(s.shape) for s in state] == [(4, 6)] * len(state_names(spec))
    assert (log_y_hat[asked].exp().sum(-1) - 1).abs().max().item() <= 1e-12


@variants
def test_padding_and_batch_change_no_loss_and_no_gradient(spec):
    x, y, lengths = ragged(spec)
    if spec.head.pooling is not None:
        y = torch.tensor([3, 7, 10, 0])
    network = double(spec)
    network.loss(x, y, lengths)[0].backward()
    together = {name: p.grad.clone() for name, p in network.named_parameters()}
    network.zero_grad()
    for row, length in enumerate(lengths.tolist()):
        targets = y[row : row + 1] if y.ndim == 1 else y[row : row + 1, :length]
        network.loss(x[row : row + 1, :length], targets)[0].backward()
    for name, p in network.named_parameters():
        assert (p.grad - together[name]).abs().max().item() <= FLOAT64["gradient"], name


def test_windows_with_carried_state_are_the_whole():
    network = double(spec_of(BASE, layers=2))
    x, y = torch.randint(11, (3, 12)), torch.randint(11, (3, 12))
    whole, count, _ = network.loss(x, y)
    parts, state = 0.0, None
    for begin in range(0, 12, 5):
        nats, _, state = network.loss(x[:, begin : begin + 5], y[:, begin : begin + 5], None, state)
        parts += nats.item()
    assert abs(whole.item() - parts) <= 1e-11 and count == 36


def test_nothing_asked_is_nothing_lost():
    network = double(SPEC)
    total, count, _ = network.loss(torch.full((2, 3), -1), torch.full((2, 3), -1))
    total.backward()
    assert count == 0 and total.item() == 0.0


def test_adaptive_softmax_is_torchs():
    spec = spec_of(BASE, n_x=120, n_y=120, n_a=32, softmax="adaptive")
    network = double(spec)
    ends = cutoffs(120)
    theirs = torch.nn.AdaptiveLogSoftmaxWithLoss(
        32, 120, list(ends[:-1]), div_value=4.0, head_bias=True
    ).double()
    p = network.weights()
    with torch.no_grad():
        theirs.head.weight.copy_(p["head.W_ya"])
        theirs.head.bias.copy_(p["head.b_y"] + torch.linspace(0, 1, len(p["head.b_y"])))
        p["head.b_y"].copy_(theirs.head.bias)
        for i in range(2):
            theirs.tail[i][0].weight.copy_(p[f"head.tail.{i}.P"])
            theirs.tail[i][1].weight.copy_(p[f"head.tail.{i}.W"])
    a, y = torch.randn(50, 32).double(), torch.randint(120, (50,))
    ours = cross_entropy(spec, p, a, y)
    assert abs((ours / 50 - theirs(a, y).loss).item()) <= FLOAT64["forward"]
    assert (outputs(TORCH_LAYERS, spec, p, a) - theirs.log_prob(a)).abs().max().item() <= FLOAT64["forward"]


def test_label_smoothing():
    network = double(SPEC)
    x, y, lengths = ragged(SPEC)
    plain, count, _ = network.loss(x, y, lengths)
    smooth, _, _ = network.loss(x, y, lengths, criterion=Criterion(label_smoothing=0.2))
    log_y_hat, _ = network(x, None, lengths)
    uniform = -log_y_hat[y >= 0].mean(dim=-1).sum()
    assert abs((smooth - (0.8 * plain + 0.2 * uniform)).item()) <= FLOAT64["forward"] * count * 10
    adaptive = double(spec_of(BASE, n_x=120, n_y=120, softmax="adaptive"))
    with pytest.raises(UsageError, match="label smoothing"):
        adaptive.loss(x, y, lengths, criterion=Criterion(label_smoothing=0.2))


@pytest.mark.parametrize("softmax", ["exact", "adaptive"])
def test_first_steps_weigh_more_in_the_gradient_alone(softmax):
    network = double(spec_of(n_x=120, n_y=120, n_a=6, embedding=4, softmax=softmax))
    x = torch.tensor([[-1, 3, 7], [5, 2, 1], [-1, 119, 0]])
    y = torch.tensor([[3, 7, 2], [2, 1, 1], [119, 0, -1]])
    lengths = torch.tensor([3, 3, 2])

    def learnt(criterion, y):
        network.zero_grad()
        nats, count, _ = network.loss(x, y, lengths, criterion=criterion)
        nats.backward()
        return float(nats.detach()), count, torch.cat([p.grad.flatten() for p in network.parameters()])

    plain, count, gradient = learnt(Criterion(), y)
    begun = torch.full_like(y, -1)
    begun[[0, 2], 0] = y[[0, 2], 0]
    _, _, of_first = learnt(Criterion(), begun)
    told, counted, weighed = learnt(Criterion(first=5.0), y)
    assert (told, counted) == (pytest.approx(plain), count)
    assert (weighed - gradient - 4 * of_first).abs().max().item() <= FLOAT64["gradient"]
    assert of_first.abs().max() > 0.1
    _, _, none = learnt(Criterion(first=5.0), y.where(x[:, :1] >= 0, torch.tensor(-1)))
    assert torch.isfinite(none).all()


def test_dropouts_are_asked_for_and_follow_the_generator():
    network = double(spec_of(BASE, layers=2))
    x, y, _ = ragged(SPEC)
    network.train()
    assert network.loss(x, y)[0].item() == network.loss(x, y)[0].item()
    for dropouts in (Dropouts(0.5), Dropouts(0.5, True), Dropouts(0.0, False, 0.5), Dropouts(input=0.5)):
        values = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            values.append(network.loss(x, y, dropouts=dropouts)[0].item())
        assert values[0] == values[1] != values[2]


def test_one_to_many_feeds_back_what_it_chose():
    network = double(SPEC)
    ids, state = one_to_many(network, torch.tensor([-1, 4]), 5, lambda log_y_hat: log_y_hat.argmax(-1))
    assert ids.shape == (2, 5)
    fed = torch.cat([torch.tensor([[-1], [4]]), ids[:, :-1]], dim=1)
    log_y_hat, after = network(fed)
    assert torch.equal(log_y_hat.argmax(-1), ids)
    assert max((a - b).abs().max().item() for a, b in zip(state, after, strict=True)) <= FLOAT64["forward"]


def test_one_to_one_is_an_ordinary_network():
    spec = spec_of(n_x=3, n_y=4, n_a=6, ids=False, cell="rnn", architecture="one-to-one")
    network = double(spec)
    x, p = torch.randn(5, 1, 3).double(), network.weights()
    hidden = torch.tanh(x[:, 0] @ p["core.0.forward.W_a"][:, 6:].T + p["core.0.forward.b_a"])
    expected = torch.log_softmax(hidden @ p["head.W_ya"].T + p["head.b_y"], dim=-1)
    assert (network(x)[0] - expected).abs().max().item() <= FLOAT64["forward"]


def test_many_to_one_answers_after_the_true_last_step():
    spec = spec_of(BASE, architecture="many-to-one", bidirectional=True)
    network = double(spec)
    x, _, lengths = ragged(spec)
    together, _ = network(x, None, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone, _ = network(x[row : row + 1, :length])
        assert (together[row] - alone[0]).abs().max().item() <= FLOAT64["padding"]


def test_first_weights_are_a_function_of_the_seed():
    torch.manual_seed(4)
    a = build(SPEC).state_dict()
    torch.manual_seed(4)
    b = build(SPEC).state_dict()
    c = build(SPEC, seed=1).state_dict()
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(a["embedding.E"], c["embedding.E"])
    assert isinstance(build(SPEC), Network)
    logits = build(spec_of(BASE, tie=True), seed=0)(torch.randint(11, (8, 20)))[0]
    assert abs(-logits.mean().item() - np.log(11)) < 0.5  # tied or not, the first guess is nearly uniform


def test_it_learns():
    torch.manual_seed(0)
    network = build(spec_of(BASE, n_a=24), seed=0)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-2)
    x = torch.arange(40).remainder(7).view(1, 40)
    y = torch.arange(1, 41).remainder(7).view(1, 40)
    for _ in range(60):
        nats, count, _ = network.loss(x, y)
        optimizer.zero_grad()
        (nats / count).backward()
        optimizer.step()
    assert nats.item() / count < 0.1
