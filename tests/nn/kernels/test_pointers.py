"""No call passes an address to C before the type, the device, the order and the size of the array are checked."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from support.paths import ROOT
from unrolled.core.errors import UsageError
from unrolled.models import native
from unrolled.models.cells import find
from unrolled.models.native.pointers import address as address_of_array
from unrolled.nn import GRU, LSTM, RNN, GRUSimple
from unrolled.nn.kernels import native_sequence, native_softmax, pointers
from unrolled.nn.kernels.pointers import address
from unrolled.nn.kernels.reference import reference
from unrolled.nn.scan import scan

built = pytest.mark.parametrize("name", native.libraries())  # skipped where no compiler was at hand
layers = pytest.mark.parametrize("made", [RNN, GRUSimple, GRU, LSTM])
CELLS = ["rnn", "gru-simple", "gru", "lstm"]

# What takes the address of an array, and who may: the two checks; and who compares addresses or aligns an array.
ADDRESS = re.compile(r"\.data_ptr\(\)|\.ctypes\.data\b|__array_interface__|\.data_as\(")
ALLOWED = {
    "models/native/pointers.py": 1,
    "nn/kernels/pointers.py": 1,
    "nn/kernels/native_sequence.py": 2,  # `joined`: do parts follow each other in memory?
    "models/native/step.py": 1,  # `_packed`: where does a cache line begin?
}


def test_addresses_are_taken_by_the_checks_alone():
    src = ROOT / "src" / "unrolled"
    found = {
        path.relative_to(src).as_posix(): len(ADDRESS.findall(path.read_text())) for path in src.rglob("*.py")
    }
    assert {name: count for name, count in found.items() if count} == ALLOWED


def test_what_is_not_as_c_expects_it_is_told():
    good = torch.zeros(3, 4)
    assert address("x", good, (3, 4)) == good.data_ptr()
    for bad, told in (
        (good.double(), "x is torch.float64"),
        (good.bfloat16(), "x is torch.bfloat16"),
        (good.long(), "x is torch.int64"),
        (torch.zeros(4, 3).T, r"\[3, 4\] on cpu, not contiguous"),
        (torch.zeros(1, 4).expand(3, 4), "not contiguous"),
        (
            torch.zeros(12),
            r"x is torch.float32 \[12\].*expected contiguous torch.float32 \[3, 4\] on the CPU",
        ),
        (torch.zeros(2, 4), r"\[2, 4\]"),
        (good.to("meta"), "on meta"),
        (torch._neg_view(good), "x is"),
    ):
        with pytest.raises(UsageError, match=told):
            address("x", bad, (3, 4))
    array = np.zeros((3, 4), np.float32)
    assert address_of_array("x", array, (3, 4)) == array.ctypes.data
    odd = np.zeros(49, np.uint8)[1:].view(np.float32).reshape(3, 4)
    for bad in (array.astype(np.float64), array[:2], array.T, array.astype(">f4"), np.zeros((4, 3)).T, odd):
        with pytest.raises(UsageError, match=r"x is .* expected contiguous float32 \[3, 4\]"):
            address_of_array("x", bad, (3, 4))


def problem(cell, batch=3, steps=4, n_x=5, n_a=7):
    torch.manual_seed(0)
    w = {f"W_{g}": torch.randn(n_a, n_a + n_x) * 0.3 for g in cell.gates}
    w |= {f"b_{g}": torch.randn(n_a) for g in cell.gates}
    return w, torch.randn(steps, batch, n_x), tuple(torch.randn(batch, n_a) for _ in cell.state)


CHANGES = {
    "float64": lambda t: t.double(),
    "bfloat16": lambda t: t.bfloat16(),
    "float16": lambda t: t.half(),
    "fewer rows": lambda t: t[:-1],
    "one row": lambda t: t[:1],
    "narrower": lambda t: t[..., :-1],
    "wider": lambda t: torch.cat([t, t], dim=-1),
    "one column": lambda t: t[..., :1],
    "flat": lambda t: t.flatten(),
    "transposed": lambda t: t.transpose(0, -1),
    "every second": lambda t: torch.stack([t, t], dim=-1)[..., 0],
    "reversed": lambda t: t.flip(0).flip(0),
    "empty": lambda t: t[:0],
    "meta": lambda t: t.to("meta"),
}


@built
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("direct", [True, False], ids=["sequence", "scan"])
def test_no_wrong_array_reaches_a_kernel(name, change, kind, direct, monkeypatch):
    """Whatever is wrong with one array: an error, or the right answer; never memory that is not there."""
    cell = find(kind)
    monkeypatch.setenv("UNROLLED_KERNEL", name)
    library = native.libraries()[name]

    def run(w, x, state):
        if direct:
            return native_sequence.sequence(library, cell, w, x, state)[0]
        return scan(cell, w, x.transpose(0, 1), state)[0].transpose(0, 1)

    w, x, state = problem(cell)
    expected, _ = reference(cell, w, x, state)
    last = cell.gates[-1]
    changed = CHANGES[change]
    for parts in (
        (w | {f"W_{last}": changed(w[f"W_{last}"])}, x, state),
        (w | {f"b_{last}": changed(w[f"b_{last}"])}, x, state),
        (w | {k: changed(v) for k, v in w.items()}, x, state),
        (w, changed(x), state),
        (w, x, (*state[:-1], changed(state[-1]))),
    ):
        try:
            found = run(*parts)
        except (UsageError, RuntimeError, IndexError):
            continue
        if found.shape != expected.shape or found.is_meta:
            continue  # x of another size is another sequence
        if parts[1] is x:
            rounded = 0.01 if "float16" in change else 1e-5
            assert float((found.float() - expected).abs().max()) <= rounded


@layers
@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("steps", [1, 6])
@pytest.mark.parametrize("training", [True, False])
def test_autocast_computes_in_the_type_of_the_weights_and_rounds_the_output(made, kind, steps, training):
    layer = made(40, 64, num_layers=2, bidirectional=True).train(training)
    x, lengths = torch.randn(3, steps, 40), [steps, 1, 0]
    expected, after = layer(x, lengths=lengths)
    expected.sum().backward()
    gradients = [p.grad.clone() for p in layer.parameters()]
    layer.zero_grad()
    with torch.autocast("cpu", dtype=kind):
        found, state = layer(x, lengths=lengths)
        found.float().sum().backward()  # inside, where autocast would change the products of backward too
        again, _ = layer(x.to(kind), state, lengths)
    assert found.dtype == again.dtype == kind and torch.equal(found, expected.to(kind))
    for one, other in zip(*((s,) if torch.is_tensor(s) else s for s in (state, after)), strict=True):
        assert one.dtype == torch.float32 and torch.equal(one, other)
    for p, gradient in zip(layer.parameters(), gradients, strict=True):
        # A single step runs on torch's own operations, whose backward obeys autocast where it is active.
        assert float((p.grad - gradient).abs().max()) <= (0.05 if steps == 1 else 0.0)
    carried, _ = layer(x, after, lengths)
    assert float((again - carried).detach().abs().max()) < 0.05


@built
@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_cross_entropy_under_autocast_is_the_same(name, kind):
    torch.manual_seed(0)
    parts = [t.requires_grad_() for t in (torch.randn(9, 6), torch.randn(11, 6), torch.randn(11))]
    y = torch.randint(11, (9,))
    library = native.libraries()[name]
    expected = native_softmax.cross_entropy(library, *parts, y)
    gradients = torch.autograd.grad(expected, parts)
    with torch.autocast("cpu", dtype=kind):
        found = native_softmax.cross_entropy(library, *parts, y)
        again = torch.autograd.grad(found, parts)
    assert torch.equal(found, expected) and all(map(torch.equal, again, gradients))


@built
def test_cross_entropy_refuses_what_does_not_belong_together(name):
    library, a, W, b = native.libraries()[name], torch.randn(4, 6), torch.randn(5, 6), torch.randn(5)
    y = torch.tensor([0, 4, 2, 1])
    for parts in (
        (a, W[:4], b, y),
        (a, W, b[:4], y.clamp_max(3)),
        (a, W, b, y[:3]),
        (a[:, :5], W, b, y),
        (a, W, b, y.int()),
        (a, W, b.double(), y),
    ):
        with pytest.raises((UsageError, RuntimeError)):
            native_softmax.cross_entropy(library, *parts)


@built
def test_gradients_of_gradients_of_the_cross_entropy(name):
    torch.manual_seed(0)
    parts = [t.requires_grad_() for t in (torch.randn(9, 6), torch.randn(11, 6), torch.randn(11))]
    y = torch.randint(11, (9,))
    found = []
    for kind in (torch.float32, torch.float64):
        own = [t.detach().to(kind).requires_grad_() for t in parts]
        if kind is torch.float32:
            nats = native_softmax.cross_entropy(native.libraries()[name], *own, y)
        else:
            z = torch.nn.functional.linear(*own)
            nats = torch.nn.functional.cross_entropy(z, y, reduction="sum")
        first = torch.autograd.grad(nats, own, create_graph=True)
        found.append([*first, *torch.autograd.grad(sum(g.square().sum() for g in first), own)])
    for ours, true in zip(*found, strict=True):
        assert float((ours - true).detach().abs().max()) <= 1e-4 * max(1.0, float(true.detach().abs().max()))


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float64])
def test_the_default_dtype_changes_nothing(kind):
    torch.manual_seed(0)
    layer, x = LSTM(32, 64, num_layers=2, bidirectional=True), torch.randn(16, 40, 32, requires_grad=True)
    layer(x, lengths=[40] * 8 + [3] * 8)[0].sum().backward()
    expected = x.grad.clone()
    pointers._own.arrays.clear()  # the next call makes its arrays anew
    torch.set_default_dtype(kind)
    try:
        x.grad = None
        layer(x, lengths=[40] * 8 + [3] * 8)[0].sum().backward()
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(x.grad, expected)


@layers
def test_replaced_weights_and_narrower_states_are_refused(made):
    layer, x = made(6, 8), torch.randn(3, 5, 6)
    cell = layer.layers[0].forward_cell
    name = cell.names[0]
    cell.register_parameter(name, torch.nn.Parameter(torch.randn(8, 10)))
    with pytest.raises(UsageError, match=rf"{name} is \[8, 10\].*expected \[8, 14\]"):
        layer(x)
    layer = made(6, 8)
    core = layer.layers[0].forward_cell()
    narrow = tuple(torch.zeros(3, 4) for _ in layer.cell.state)
    with pytest.raises(UsageError, match=r"the state is \[\[3, 4\]"):
        scan(layer.cell, core, x, narrow)
    few = tuple(torch.zeros(2, 8) for _ in layer.cell.state)
    with pytest.raises(UsageError, match=r"the state is \[\[2, 8\]"):
        scan(layer.cell, core, x, few)
