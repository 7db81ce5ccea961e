"""The equations: against the independent oracle, against torch and ONNX, their gradients, their first weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from support import oracle
from support.tolerances import FLOAT64
from unrolled.core.errors import UsageError
from unrolled.models.cells import CELLS, NUMPY, find
from unrolled.models.cells.ops import unpack
from unrolled.nn.kernels.dispatch import select_kernel
from unrolled.nn.kernels.reference import TORCH, reference
from unrolled.nn.kernels.torch_kernels import KERNELS, loop_hoisted


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Such small sums gain nothing from a second thread, and lose much where another process has its core."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


VARIANTS = oracle.variants()
cells = pytest.mark.parametrize(
    "cell", [find(*v) for v in VARIANTS], ids=lambda c: f"{c.name}-{c.activation}"
)
N_X, N_A, BATCH, STEPS = 4, 5, 3, 6


def problem(cell, seed=0, n_x=N_X, n_a=N_A, batch=BATCH, steps=STEPS):
    rng = np.random.default_rng(seed)
    w = {k: v + 0.4 * rng.standard_normal(v.shape) for k, v in cell.initialise(rng, n_x, n_a).items()}
    x = rng.standard_normal((batch, steps, n_x))
    return w, x, tuple(0.7 * rng.standard_normal((batch, n_a)) for _ in cell.state)


def tensors(w, x, state, grad=False):
    leaves = {k: torch.tensor(v, requires_grad=grad) for k, v in w.items()}
    return (
        leaves,
        torch.tensor(x, requires_grad=grad),
        tuple(torch.tensor(s, requires_grad=grad) for s in state),
    )


def by_oracle(cell, w, x, state):
    rows = [
        oracle.layer(f"{cell.name}-{cell.activation}", w, list(x[i]), tuple(s[i] for s in state))
        for i in range(len(x))
    ]
    a = np.array([out for out, _ in rows])
    return a, tuple(np.array([last[k] for _, last in rows]) for k in range(len(state)))


def worst(found, expected):
    return max(np.abs(np.asarray(f) - np.asarray(e)).max() for f, e in zip(found, expected, strict=True))


@cells
def test_numpy_step_is_the_oracle(cell):
    w, x, state = problem(cell)
    expected, last = by_oracle(cell, w, x, state)
    for t in range(STEPS):
        state = cell.step(NUMPY, w, state, x[:, t])
        assert worst([cell.output(state)], [expected[:, t]]) <= FLOAT64["oracle"]
    assert worst(state, last) <= FLOAT64["oracle"]


@cells
@pytest.mark.parametrize("kernel", ["reference", "hoisted", "table"])
def test_every_kernel_is_the_oracle(cell, kernel):
    w, x, state = problem(cell, seed=1)
    expected, last = by_oracle(cell, w, x, state)
    run = {"reference": reference, "hoisted": loop_hoisted, "table": KERNELS.get(cell.name, loop_hoisted)}[
        kernel
    ]
    p, inputs, before = tensors(w, x, state)
    a, after = run(cell, p, inputs.transpose(0, 1), before)
    assert worst([a.transpose(0, 1)], [expected]) <= FLOAT64["oracle"]
    assert worst(after, last) <= FLOAT64["oracle"]


@cells
@pytest.mark.parametrize("kernel", ["reference", "hoisted", "table"])
def test_ids_are_one_hot_vectors(cell, kernel):
    w, _, state = problem(cell, seed=2)
    ids = np.array([[0, 3, -1, 2], [-1, -1, 1, 0], [2, 2, 2, 3]])
    x = np.array([[oracle.one_hot(i, N_X) for i in row] for row in ids])
    expected, last = by_oracle(cell, w, x, state)
    run = {"reference": reference, "hoisted": loop_hoisted, "table": KERNELS.get(cell.name, loop_hoisted)}[
        kernel
    ]
    p, _, before = tensors(w, x, state)
    a, after = run(cell, p, torch.tensor(ids).T, before)
    assert worst([a.transpose(0, 1)], [expected]) <= FLOAT64["oracle"]
    assert worst(after, last) <= FLOAT64["oracle"]
    stepped = cell.step(NUMPY, w, state, ids[:, 0])
    assert worst([cell.output(stepped)], [expected[:, 0]]) <= FLOAT64["oracle"]


@cells
def test_gradcheck_on_the_step(cell):
    w, x, state = problem(cell, seed=3, n_x=2, n_a=3, batch=2)
    p, inputs, before = tensors(w, x, state, grad=True)
    names = list(p)

    def step(*flat):
        weights = dict(zip(names, flat[: len(names)], strict=True))
        return cell.step(TORCH, weights, flat[len(names) + 1 :], flat[len(names)])

    x_t = inputs[:, 0].detach().requires_grad_()
    assert torch.autograd.gradcheck(step, (*p.values(), x_t, *before))


@cells
def test_gradients_of_the_kernels_are_those_of_the_equation(cell):
    w, x, state = problem(cell, seed=4)
    towards = torch.tensor(np.random.default_rng(5).standard_normal((STEPS, BATCH, N_A)))
    found = []
    for kernel in (reference, loop_hoisted, KERNELS.get(cell.name, loop_hoisted)):
        p, inputs, before = tensors(w, x, state, grad=True)
        a, after = kernel(cell, p, inputs.transpose(0, 1), before)
        ((a * towards).sum() + sum(s.square().sum() for s in after)).backward()
        found.append([leaf.grad for leaf in (*p.values(), inputs, *before)])
    for other in found[1:]:
        assert worst(other, found[0]) <= FLOAT64["gradient"]


@pytest.mark.parametrize(("name", "activation"), [("rnn", "tanh"), ("rnn", "relu"), ("lstm", "tanh")])
def test_torch_nn_computes_the_same(name, activation):
    cell = find(name, activation)
    w, x, state = problem(cell, seed=6)
    layer = (
        torch.nn.LSTM(N_X, N_A, batch_first=True)
        if name == "lstm"
        else torch.nn.RNN(N_X, N_A, nonlinearity=activation, batch_first=True)
    ).double()
    packed = cell.to_torch(NUMPY, w)
    layer.load_state_dict({f"{k}_l0": torch.tensor(v) for k, v in packed.items()})
    theirs_x = torch.tensor(x, requires_grad=True)
    before = tuple(torch.tensor(s)[None] for s in state)
    theirs, _ = layer(theirs_x, before if name == "lstm" else before[0])
    theirs.square().sum().backward()
    p, ours_x, ours_state = tensors(w, x, state, grad=True)
    ours, _ = reference(cell, p, ours_x.transpose(0, 1), ours_state)
    ours.square().sum().backward()
    assert worst([ours.detach().transpose(0, 1)], [theirs.detach()]) <= FLOAT64["forward"]
    assert worst([ours_x.grad], [theirs_x.grad]) <= FLOAT64["gradient"]
    gradients = {
        leaf: getattr(layer, f"{leaf}_l0").grad.numpy() for leaf in ("weight_ih", "weight_hh", "bias_ih")
    }
    back = unpack(gradients | {"bias_hh": 0 * gradients["bias_ih"]}, N_A, cell.gates)
    assert worst([p[k].grad for k in w], [back[k] for k in w]) <= FLOAT64["gradient"]


@cells
def test_conversion_goes_there_and_back_or_says_why_not(cell):
    w, _, _ = problem(cell)
    if cell.name not in ("rnn", "lstm"):
        with pytest.raises(UsageError, match="torch") as told:
            cell.to_torch(NUMPY, w)
        assert "relevance gate" in str(told.value) or cell.name not in ("gru", "gru-simple")
        with pytest.raises(UsageError, match="torch"):
            cell.from_torch({}, N_A)
        return
    back = cell.from_torch(cell.to_torch(NUMPY, w), N_A)
    assert back.keys() == w.keys()
    assert all(np.array_equal(back[k], w[k]) for k in w)


def onnx_gru(w, x, c_0, linear_before_reset):
    """ONNX's own reference implementation of GRU; its z keeps what gamma_u replaces, so z = sigma(-update)."""
    from onnx import TensorProto, helper
    from onnx.reference import ReferenceEvaluator

    node = helper.make_node(
        "GRU", ["X", "W", "R", "B", "", "H0"], ["Y"], hidden_size=N_A, linear_before_reset=linear_before_reset
    )
    names = {"X": 3, "W": 3, "R": 3, "B": 2, "H0": 3}
    graph = helper.make_graph(
        [node],
        "gru",
        [helper.make_tensor_value_info(n, TensorProto.DOUBLE, [None] * rank) for n, rank in names.items()],
        [helper.make_tensor_value_info("Y", TensorProto.DOUBLE, [None] * 4)],
    )
    joined = np.concatenate([-w["W_u"], w["W_r"], w["W_c"]])  # z, r, h
    bias = np.concatenate([-w["b_u"], w["b_r"], w["b_c"], np.zeros(3 * N_A)])
    feeds = {
        "X": x.transpose(1, 0, 2),
        "W": joined[None, :, N_A:],
        "R": joined[None, :, :N_A],
        "B": bias[None],
        "H0": c_0[None],
    }
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)])
    (y,) = ReferenceEvaluator(model).run(None, feeds)  # [T, 1, batch, n_a]
    return y[:, 0].transpose(1, 0, 2)


def test_the_full_gru_is_onnx_reset_before_and_not_after():
    cell = find("gru")
    w, x, state = problem(cell, seed=7)
    p, inputs, before = tensors(w, x, state)
    ours = reference(cell, p, inputs.transpose(0, 1), before)[0].transpose(0, 1).numpy()
    assert worst([ours], [onnx_gru(w, x, state[0], 0)]) <= FLOAT64["forward"]
    assert np.abs(ours - onnx_gru(w, x, state[0], 1)).max() > 1e-2


def test_torch_gru_is_another_function():
    cell = find("gru")
    w, x, state = problem(cell, seed=7)
    theirs = torch.nn.GRU(N_X, N_A, batch_first=True).double()
    joined = np.concatenate([w["W_r"], -w["W_u"], w["W_c"]])  # torch's r, z, n
    bias = np.concatenate([w["b_r"], -w["b_u"], w["b_c"]])
    theirs.load_state_dict(
        {
            "weight_ih_l0": torch.tensor(joined[:, N_A:]),
            "weight_hh_l0": torch.tensor(joined[:, :N_A]),
            "bias_ih_l0": torch.tensor(bias),
            "bias_hh_l0": torch.zeros(3 * N_A).double(),
        }
    )
    after = theirs(torch.tensor(x), torch.tensor(state[0])[None])[0].detach().numpy()
    assert worst([after], [onnx_gru(w, x, state[0], 1)]) <= FLOAT64["forward"]  # the mapping itself is right
    p, inputs, before = tensors(w, x, state)
    ours = reference(cell, p, inputs.transpose(0, 1), before)[0].transpose(0, 1).numpy()
    assert np.abs(ours - after).max() > 1e-2


@cells
def test_first_weights(cell):
    w = cell.initialise(np.random.default_rng(0), 70, 20)
    assert set(w) == {f"{k}_{gate}" for gate in cell.gates for k in "Wb"}
    for gate in cell.gates:
        recurrent, inputs = w[f"W_{gate}"][:, :20], w[f"W_{gate}"][:, 20:]
        assert np.abs(recurrent @ recurrent.T - np.eye(20)).max() < 1e-12
        assert inputs.shape == (20, 70)
        bound = np.sqrt(6 / 90)
        assert 0.99 * bound < inputs.max() <= bound and -bound <= inputs.min() < -0.99 * bound
    # Memory lasts from the start: the forget gate open, the update gate of a GRU mostly shut.
    biases = {gate: float(w[f"b_{gate}"][0]) for gate in cell.gates}
    opened = {"lstm": {"f": 1.0}, "gru": {"u": -1.0}, "gru-simple": {"u": -1.0}}.get(cell.name, {})
    assert biases == {gate: opened.get(gate, 0.0) for gate in cell.gates}
    rng = np.random.default_rng(
        0
    )  # the draws of the first gate: a seed gives the same weights in every release
    rng.standard_normal((20, 20))
    first = w[f"W_{cell.names[0][2:]}"]
    assert np.array_equal(first[:, 20:], rng.uniform(-bound, bound, (20, 70)))
    again = cell.initialise(np.random.default_rng(0), 70, 20)
    assert all(np.array_equal(w[k], again[k]) for k in w)


def test_sigmoid_neither_overflows_nor_strays():
    z = np.array([-1e4, -800.0, -30.0, 0.0, 30.0, 800.0, 1e4])
    assert np.abs(NUMPY.sigmoid(z) - torch.sigmoid(torch.tensor(z)).numpy()).max() < 1e-15


def test_unknown_cells_and_activations_are_named():
    with pytest.raises(UsageError, match="gru-simple"):
        find("gru-simpel")
    with pytest.raises(UsageError, match=r"no activation 'relu'; expected tanh"):
        find("lstm", "relu")
    for zoneout in (-0.1, 1.0):
        with pytest.raises(UsageError, match="expected 0 or more, below 1"):
            find("lstm", zoneout=zoneout)
    assert find("lstm", zoneout=0.0) is find("lstm") and find("lstm", zoneout=0.9).zoneout == 0.9
    assert set(KERNELS) <= set(CELLS)


def test_the_environment_forces_a_kernel(monkeypatch):
    lstm = find("lstm")
    monkeypatch.delenv("UNROLLED_KERNEL", raising=False)
    assert select_kernel(lstm, 5) is KERNELS["lstm"] and select_kernel(lstm, 1) is reference
    monkeypatch.setenv("UNROLLED_KERNEL", "reference")
    assert select_kernel(lstm, 5) is reference
    monkeypatch.setenv("UNROLLED_KERNEL", "torch")
    assert select_kernel(lstm, 1) is KERNELS["lstm"]
    monkeypatch.setenv("UNROLLED_KERNEL", "cuda")
    with pytest.raises(UsageError, match="UNROLLED_KERNEL is 'cuda'; expected reference, torch, baseline"):
        select_kernel(lstm, 5)
