"""The drop-in layers: shapes and states as torch.nn has them, names of the lecture, conversions."""

from __future__ import annotations

import pytest
import torch

from support.tolerances import FLOAT32, FLOAT64
from unrolled.core.errors import UsageError
from unrolled.nn.layers import GRU, LSTM, RNN, GRUSimple


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Such small sums gain nothing from a second thread, and lose much where another process has its core."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


OURS = {"RNN": RNN, "GRUSimple": GRUSimple, "GRU": GRU, "LSTM": LSTM}
layers = pytest.mark.parametrize("made", OURS.values(), ids=OURS)


def gap(a, b):
    return (a - b).detach().abs().max().item()


@layers
@pytest.mark.parametrize("bidirectional", [False, True])
def test_state_dict_has_the_names_of_the_lecture(made, bidirectional):
    module = made(3, 4, num_layers=2, bidirectional=bidirectional)
    gates = {"RNN": "a", "GRUSimple": "cu", "GRU": "ruc", "LSTM": "ufco"}[made.__name__]
    directions = ["forward", "backward"] if bidirectional else ["forward"]
    expected = {
        f"layers.{i}.{d}_cell.{k}_{g}" for i in range(2) for d in directions for g in gates for k in "Wb"
    }
    state = module.state_dict()
    assert set(state) == expected
    assert state[f"layers.0.forward_cell.W_{gates[0]}"].shape == (4, 4 + 3)
    assert state[f"layers.1.forward_cell.W_{gates[0]}"].shape == (4, 4 + 4 * len(directions))
    assert all(p.dtype == torch.float32 and p.requires_grad for p in module.parameters())
    again = made(3, 4, num_layers=2, bidirectional=bidirectional)
    again.load_state_dict(state, strict=True)
    x = torch.randn(2, 5, 3)
    assert torch.equal(again(x)[0], module(x)[0])


@layers
@pytest.mark.parametrize("batch_first", [True, False])
def test_state_goes_in_and_out_and_rows_may_be_ragged(made, batch_first):
    torch.manual_seed(0)
    module = made(3, 4, num_layers=2, batch_first=batch_first, bidirectional=True).double()
    x = torch.randn(2, 5, 3).double()
    arrange = (lambda t: t) if batch_first else (lambda t: t.transpose(0, 1))
    lengths = torch.tensor([5, 2])
    y, state = module(arrange(x), None, lengths)
    y = arrange(y)
    assert y.shape == (2, 5, 8) and not y[1, 2:].any()
    alone, last = module(arrange(x[1:, :2]))
    assert gap(y[1:, :2], arrange(alone)) <= FLOAT64["padding"]
    both = zip(state, last, strict=True) if made is LSTM else [(state, last)]
    for s, l in both:
        assert s.shape == (4, 2, 4)
        assert gap(s[:, 1:], l) <= FLOAT64["padding"]
    carried, _ = module(arrange(x), state, lengths)
    assert gap(arrange(carried), y) > 1e-6


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("name", ["LSTM", "tanh", "relu"])
def test_from_torch_and_back(name, bidirectional, bias):
    torch.manual_seed(1)
    more = {"num_layers": 2, "batch_first": True, "bidirectional": bidirectional, "bias": bias}
    theirs = torch.nn.LSTM(3, 4, **more) if name == "LSTM" else torch.nn.RNN(3, 4, nonlinearity=name, **more)
    theirs = theirs.double()
    ours = (LSTM if name == "LSTM" else RNN).from_torch(theirs)
    x = torch.randn(2, 5, 3).double()
    y, state = theirs(x)
    again = theirs(x, state)
    mine, own_state = ours(x)
    assert gap(mine, y) <= FLOAT64["forward"]
    mine_again = ours(x, own_state)
    pairs = [(again[0], mine_again[0])]
    pairs += zip(again[1], mine_again[1], strict=True) if name == "LSTM" else [(again[1], mine_again[1])]
    for a, b in pairs:
        assert gap(a, b) <= FLOAT64["forward"]
    back = ours.to_torch()
    assert type(back) is type(theirs)
    assert gap(back(x)[0], y) <= FLOAT64["forward"]


def test_float32_is_as_near_to_torch_as_float32_allows():
    torch.manual_seed(2)
    theirs = torch.nn.LSTM(16, 32, batch_first=True)
    ours, x = LSTM.from_torch(theirs), torch.randn(4, 20, 16)
    assert gap(ours(x)[0], theirs(x)[0]) <= FLOAT32["forward"]


def test_conversions_that_would_lie_are_refused():
    with pytest.raises(UsageError, match="relevance gate after the product"):
        GRU.from_torch(torch.nn.GRU(3, 4))
    with pytest.raises(UsageError, match="relevance gate after the product"):
        GRU(3, 4).to_torch()
    with pytest.raises(UsageError, match="no layer for the simplified GRU"):
        GRUSimple.from_torch(torch.nn.GRU(3, 4))
    with pytest.raises(UsageError, match="no layer for the simplified GRU"):
        GRUSimple(3, 4).to_torch()
    with pytest.raises(UsageError, match="projection"):
        LSTM.from_torch(torch.nn.LSTM(3, 4, proj_size=2))


@layers
def test_wrong_shapes_are_told(made):
    module = made(3, 4)
    with pytest.raises(UsageError, match=r"x is \[2, 5, 7\]; expected \[batch, T_x, 3\]"):
        module(torch.zeros(2, 5, 7))
    with pytest.raises(UsageError, match=r"x is \[5, 3\]"):
        module(torch.zeros(5, 3))
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        torch.zeros(2, 5, 3), torch.tensor([5, 2]), batch_first=True
    )
    with pytest.raises(UsageError, match=r"PackedSequence.*lengths="):
        module(packed)
    with pytest.raises(UsageError, match="the state is"):
        module(torch.zeros(2, 5, 3), (torch.zeros(1, 3, 4),) * 2)


def test_dropout_acts_between_layers_in_training_only():
    torch.manual_seed(3)
    module, x = GRU(3, 4, num_layers=2, dropout=0.5), torch.randn(2, 5, 3)
    assert not torch.equal(module(x)[0], module(x)[0])
    module.eval()
    assert torch.equal(module(x)[0], module(x)[0])
    one = GRU(3, 4, dropout=0.5)
    assert torch.equal(one(x)[0], one(x)[0])


def test_first_weights_follow_torchs_generator():
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(LSTM(3, 4).state_dict()["layers.0.forward_cell.W_c"])
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
