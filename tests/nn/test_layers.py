"""The drop-in layers: shapes and states as torch.nn has them, names of the lecture, conversions."""

from __future__ import annotations

import numpy as np
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


@pytest.mark.parametrize("theirs", [torch.nn.LSTM, torch.nn.RNN])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.bfloat16])
def test_conversions_keep_the_mode_the_type_and_what_is_frozen(theirs, kind):
    made = {torch.nn.LSTM: LSTM, torch.nn.RNN: RNN}[theirs]
    module = theirs(3, 4, 2, dropout=0.5, batch_first=True, bidirectional=True, dtype=kind).eval()
    for name, p in module.named_parameters():
        p.requires_grad_("l0" not in name and "bias_hh" not in name)
    ours, x = made.from_torch(module), torch.randn(2, 5, 3).to(kind)
    assert not ours.training and torch.equal(ours(x)[0], ours(x)[0])
    assert gap(ours(x)[0].float(), module(x)[0].float()) <= (0.05 if kind is torch.bfloat16 else 1e-6)
    assert {name: p.requires_grad for name, p in ours.named_parameters()} == {
        name: "layers.0" not in name for name, _ in ours.named_parameters()
    }
    back = ours.to_torch()
    assert not back.training and {p.dtype for p in back.parameters()} == {kind}
    assert {n: p.requires_grad for n, p in back.named_parameters()} == {
        n: "l0" not in n for n, _ in back.named_parameters()
    }
    assert gap(back(x)[0].float(), module(x)[0].float()) <= (0.05 if kind is torch.bfloat16 else 1e-6)
    assert made.from_torch(module.train()).training and ours.train().to_torch().training


def test_what_cannot_stay_frozen_is_refused():
    module = torch.nn.LSTM(3, 4)
    module.weight_ih_l0.requires_grad_(False)
    with pytest.raises(UsageError, match="one of weight_ih_l0 and weight_hh_l0 is frozen"):
        LSTM.from_torch(module)
    ours = LSTM(3, 4)
    ours.layers[0].forward_cell.W_c.requires_grad_(False)
    with pytest.raises(UsageError, match=r"some of W_\* are frozen"):
        ours.to_torch()


def test_from_torch_of_a_parametrized_and_of_another_layer():
    module, x = torch.nn.LSTM(3, 4, batch_first=True), torch.randn(2, 5, 3)
    torch.nn.utils.parametrizations.weight_norm(module, "weight_hh_l0")
    with torch.no_grad():
        module.parametrizations.weight_hh_l0.original0.mul_(2)
    assert gap(LSTM.from_torch(module)(x)[0], module(x)[0]) <= FLOAT32["forward"]
    with pytest.raises(UsageError, match=r"RNN is not torch's layer for LSTM; expected torch.nn.LSTM"):
        LSTM.from_torch(torch.nn.RNN(3, 4))


@pytest.mark.parametrize("name", ["LSTM", "tanh"])
def test_a_layer_without_bias_stays_one(name):
    theirs = torch.nn.LSTM(3, 4, bias=False) if name == "LSTM" else torch.nn.RNN(3, 4, bias=False)
    ours = (LSTM if name == "LSTM" else RNN).from_torch(theirs)
    assert not ours.bias and not [n for n, _ in ours.named_parameters() if ".b_" in n]
    assert not ours.to_torch().bias


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
    with pytest.raises(UsageError, match=r"x is \[1, 5, 7\]"):
        module(torch.zeros(5, 7))
    with pytest.raises(UsageError, match=r"x is \[3\].*lengths="):
        module(torch.zeros(3))
    with pytest.raises(UsageError, match="the state is"):
        module(torch.zeros(2, 5, 3), (torch.zeros(1, 3, 4),) * 2)
    with pytest.raises(UsageError, match="x has no batch"):
        module(torch.zeros(5, 3), (torch.zeros(1, 1, 4),) * 2)
    packed = torch.nn.utils.rnn.pack_sequence([torch.zeros(5, 3), torch.zeros(2, 3)])
    for x in (packed, torch.zeros(5, 3)):
        with pytest.raises(UsageError, match="lengths are for a batch of padded sequences"):
            module(x, lengths=[5, 2])


@layers
def test_wrong_types_are_told(made):
    module, x = made(3, 4), torch.zeros(2, 5, 3)
    with pytest.raises(UsageError, match=r"x is torch.int64; expected numbers of type float32; try x.to\("):
        module(x.long())
    with pytest.raises(UsageError, match=r"x is torch\.float64; expected torch\.float32, as the weights"):
        module(x.double())
    with pytest.raises(UsageError, match=r"the state is torch\.float64"):
        state = torch.zeros(1, 2, 4, dtype=torch.float64)
        module(x, (state, state) if made is LSTM else state)
    with pytest.raises(UsageError, match=r"lengths are torch\.float32; expected whole numbers"):
        module(x, lengths=torch.tensor([2.5, 1.0]))
    for lengths in ([1], torch.tensor([[1, 2]]), [6, 1], [-1, 1]):
        with pytest.raises(UsageError, match="lengths"):
            module(x, lengths=lengths)


@layers
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"n_x": 3, "n_a": 4, "dropout": 1.5}, "dropout is 1.5; expected a fraction from 0 to 1"),
        ({"n_x": 3, "n_a": 4, "dropout": True}, "dropout is True"),
        ({"n_x": 3, "n_a": 4, "zoneout": 1.0}, "zoneout is 1.0"),
        ({"n_x": 0, "n_a": 4}, "n_x is 0; expected a whole number, at least 1"),
        ({"n_x": 3, "n_a": 4, "num_layers": 0}, "num_layers is 0"),
        ({"n_x": 3}, r"n_a is missing; expected n_a \(or hidden_size\)"),
        ({"n_x": 3, "input_size": 3, "n_a": 4}, "n_x and input_size are two names of one argument"),
        ({"input_size": 3, "hidden_size": 4, "proj_size": 2}, "proj_size is 2.*not supported"),
    ],
    ids=str,
)
def test_wrong_arguments_are_told(made, arguments, told):
    with pytest.raises(UsageError, match=told):
        made(**arguments)


@layers
def test_the_names_of_torchs_arguments_are_accepted(made):
    torch.manual_seed(0)
    ours = made(n_x=3, n_a=4)
    torch.manual_seed(0)
    theirs = made(input_size=3, hidden_size=4, bias=True, proj_size=0, batch_first=True)
    assert (theirs.input_size, theirs.hidden_size) == (theirs.n_x, theirs.n_a) == (3, 4)
    x = torch.randn(2, 5, 3)
    assert torch.equal(ours(x)[0], theirs(x)[0])
    assert RNN(3, 4, nonlinearity="relu").cell.activation == "relu"


@layers
@pytest.mark.parametrize(
    "kind", [list, tuple, np.array, torch.tensor], ids=["list", "tuple", "array", "tensor"]
)
def test_lengths_of_any_kind(made, kind):
    module, x = made(3, 4, bidirectional=True), torch.randn(3, 5, 3)
    expected = module(x, lengths=torch.tensor([5, 1, 3]))[0]
    assert torch.equal(module(x, lengths=kind([5, 1, 3]))[0], expected)


def test_state_dicts_of_release_0_1_load():
    module, x = LSTM(3, 4, num_layers=2, bidirectional=True), torch.randn(2, 5, 3)
    old = {name.replace("_cell.", "."): value for name, value in module.state_dict().items()}
    assert "layers.1.backward.W_c" in old
    again = LSTM(3, 4, num_layers=2, bidirectional=True)
    again.load_state_dict(old, strict=True)
    assert torch.equal(again(x)[0], module(x)[0])
    net = torch.nn.Sequential(LSTM(3, 4, num_layers=2, bidirectional=True))
    net.load_state_dict({f"0.{name}": value for name, value in old.items()}, strict=True)
    assert torch.equal(net(x)[0], module(x)[0])


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
