"""Zoneout: units keep what they had, in training by chance, when running by the mean; on every kernel and engine."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from support import oracle
from support.networks import spec_of
from support.tolerances import FLOAT32, FLOAT64
from unrolled.core.errors import DataError, UsageError
from unrolled.models import native
from unrolled.models.cells import find
from unrolled.models.engines.numpy_engine import NumpyEngine
from unrolled.models.initial_weights import initialise
from unrolled.models.spec_json import from_json, to_json
from unrolled.nn.kernels import native_sequence
from unrolled.nn.kernels.dispatch import alternatives
from unrolled.nn.kernels.reference import reference
from unrolled.nn.kernels.torch_kernels import KERNELS, loop_hoisted
from unrolled.nn.layers import GRU, LSTM, RNN, GRUSimple
from unrolled.nn.scan import Dropouts, deep, scan
from unrolled.nn.torch_engine import TorchEngine

VARIANTS = [("rnn", "tanh"), ("rnn", "relu"), ("gru-simple", "tanh"), ("gru", "tanh"), ("lstm", "tanh")]
cells = pytest.mark.parametrize(
    "cell", [find(*v) for v in VARIANTS], ids=lambda c: f"{c.name}-{c.activation}"
)
built = pytest.mark.parametrize("name", native.libraries())  # skipped where no compiler was at hand
layers = pytest.mark.parametrize("made", [RNN, GRUSimple, GRU, LSTM])
ROWS, UNITS = 1, 2  # what threads share out: UNROLLED_SPLIT_* of unrolled.h


def problem(cell, lengths, n_x=3, n_a=5, seed=0, share=0.4):
    """Weights, x [T, batch, n_x], state and what is taken [T, batch, n_a], 0 or 1, in float64."""
    rng = np.random.default_rng(seed)
    w = cell.initialise(rng, n_x, n_a)
    w = {k: torch.tensor(v + 0.3 * rng.standard_normal(v.shape) / np.sqrt(n_a)) for k, v in w.items()}
    batch, steps = len(lengths), max(lengths)
    x = torch.tensor(rng.standard_normal((steps, batch, n_x)))
    state = tuple(torch.tensor(0.7 * rng.standard_normal((batch, n_a))) for _ in cell.state)
    taken = tuple(torch.tensor(1.0 * (rng.random((steps, batch, n_a)) >= share)) for _ in cell.state)
    return w, x, state, taken


def by_oracle(cell, w, xs, state, taken):
    """One row: the lecture's step, and of each array what was or what would be. taken: for each step, each array."""
    w, state, out = {k: v.numpy() for k, v in w.items()}, tuple(s.numpy() for s in state), []
    for x, shares in zip(xs, taken, strict=True):
        _, after = oracle.STEPS[f"{cell.name}-{cell.activation}"](w, state, x.numpy())
        state = tuple(
            np.array([k * new + (1 - k) * old for k, new, old in zip(share, now, before, strict=True)])
            for share, now, before in zip(shares, after, state, strict=True)
        )
        out.append(state[0])
    return out, state


@cells
@pytest.mark.parametrize("kernel", ["reference", "hoisted", "table"])
@pytest.mark.parametrize("mean", [False, True])
def test_every_kernel_is_the_oracle(cell, kernel, mean):
    w, x, state, taken = problem(cell, [6, 6])
    run = {"reference": reference, "hoisted": loop_hoisted, "table": KERNELS[cell.name]}[kernel]
    if mean:
        taken = (torch.full_like(taken[0], 0.6),) * len(taken)
        a, after = run(dataclasses.replace(cell, zoneout=0.4), w, x, state)
    else:
        a, after = run(cell, w, x, state, taken)
    for row in range(2):
        shares = [[t[step, row].numpy() for t in taken] for step in range(6)]
        out, last = by_oracle(cell, w, x[:, row], [s[row] for s in state], shares)
        assert np.abs(a[:, row].numpy() - out).max() <= FLOAT64["oracle"]
        for found, true in zip(after, last, strict=True):
            assert np.abs(found[row].numpy() - true).max() <= FLOAT64["oracle"]


def outcome(leaves, run):
    """Values and gradients of a sum of all outputs, each times a number of its own."""
    leaves = [t.detach().requires_grad_() for t in leaves]
    a, after = run(*leaves)
    rng = np.random.default_rng(1)
    towards = [torch.tensor(rng.standard_normal(out.shape), dtype=out.dtype) for out in (a, *after)]
    loss = sum((out * t).sum() for out, t in zip((a, *after), towards, strict=True))
    return [a, *after], torch.autograd.grad(loss, leaves)


@cells
@built
@settings(max_examples=8)
@given(
    lengths=st.lists(st.integers(0, 8), min_size=1, max_size=12).filter(any),
    n_a=st.integers(1, 50),
    mean=st.booleans(),
    reverse=st.booleans(),
    split=st.sampled_from([ROWS, UNITS]),
    threads=st.sampled_from([1, 2]),
    seed=st.integers(0, 1000),
)
def test_native_kernels_and_their_gradients(cell, name, lengths, n_a, mean, reverse, split, threads, seed):
    w, x, state, taken = problem(cell, lengths, n_a=n_a, seed=seed)
    ends = None if len(set(lengths)) == 1 else torch.tensor(lengths)
    zoned, library = dataclasses.replace(cell, zoneout=0.3), native.libraries()[name]
    given = None if mean else tuple(t.float() for t in taken)
    whole, before = None if mean else taken, torch.get_num_threads()

    def ours(x, *rest):
        leaves = dict(zip(w, rest, strict=False))
        return native_sequence.sequence(
            library, zoned, leaves, x, rest[len(w) :], ends, taken=given, reverse=reverse, split=split
        )

    def true(x, *rest):
        leaves, first = dict(zip(w, rest, strict=False)), rest[len(w) :]
        rows = []
        for row, length in enumerate(lengths):
            at = slice(None, length)
            turn = (lambda t: t.flip(0)) if reverse else (lambda t: t)
            own = None if whole is None else tuple(turn(t[at, row : row + 1]) for t in whole)
            part, left = turn(x[at, row : row + 1]), tuple(s[row : row + 1] for s in first)
            a, last = (
                reference(zoned, leaves, part, left, own) if length else (part.new_zeros(0, 1, n_a), left)
            )
            rows.append((torch.cat([turn(a), a.new_zeros(len(x) - length, 1, n_a)]), *last))
        a, *after = zip(*rows, strict=True)
        return torch.cat(a, 1), [torch.cat(s) for s in after]

    leaves = [x, *w.values(), *state]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native_sequence, "WORTH_THREADS", 0)
        torch.set_num_threads(threads)
        try:
            found = outcome([t.float() for t in leaves], ours)
        finally:
            torch.set_num_threads(before)
    for kind, ourselves, truth in zip(("oracle", "gradient"), found, outcome(leaves, true), strict=True):
        for f, t in zip(ourselves, truth, strict=True):
            scale = max(1.0, float(t.detach().abs().max()))
            assert float((f - t).detach().abs().max()) <= FLOAT32[kind] * scale


@cells
@built
def test_shares_of_one_change_no_bit_and_of_none_keep_the_state(cell, name):
    w, x, state, taken = problem(cell, [5, 5, 5])
    w, x, state = {k: v.float() for k, v in w.items()}, x.float(), tuple(s.float() for s in state)
    library = native.libraries()[name]
    plain, last = native_sequence.sequence(library, cell, w, x, state)
    ones, zeros = (tuple(torch.full_like(t, k).float() for t in taken) for k in (1.0, 0.0))
    a, after = native_sequence.sequence(library, cell, w, x, state, taken=ones)
    assert torch.equal(a, plain) and all(map(torch.equal, after, last))
    a, after = native_sequence.sequence(library, cell, w, x, state, taken=zeros)
    assert all(map(torch.equal, after, state)) and torch.equal(a, state[0].expand_as(a))


@cells
@pytest.mark.parametrize("kernel", ["reference", "torch", *native.libraries()])
def test_training_draws_who_keeps_what_it_had(cell, kernel, monkeypatch):
    monkeypatch.setenv("UNROLLED_KERNEL", kernel)
    w, x, state, _ = problem(cell, [9] * 40, n_a=30)
    w, x, state = (
        {k: v.float() for k, v in w.items()},
        x.float().transpose(0, 1),
        tuple(s.float() for s in state),
    )
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        a, _ = deep(cell, [[w]], x, state, torch.tensor([9] * 39 + [4]), dropouts=Dropouts(zoneout=0.3))
        drawn.append(a)
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
    a = drawn[0][:-1]
    moved = torch.cat([state[0][:-1, None], a], dim=1).diff(dim=1)
    there = a[:, 1:] != 0 if cell.activation == "relu" else torch.ones_like(a[:, 1:], dtype=torch.bool)
    kept = (moved[:, 1:] == 0)[there].float().mean()
    assert abs(float(kept) - 0.3) < 0.03 + 0.1 * (cell.activation == "relu")
    assert not bool((moved[:, 0] == 0).all(1).any()), "of some units, not of a whole state"


@cells
def test_the_same_draws_on_every_kernel_both_ways_ragged_and_deep(cell, monkeypatch):
    lengths, found = [7, 3, 0, 7, 5], {}
    ways = [[problem(cell, lengths, n_x=6 * k or 3, n_a=3, seed=k)[0] for _ in "fb"] for k in range(2)]
    core = [[{k: v.float() for k, v in w.items()} for w in layer] for layer in ways]
    x = torch.randn(5, 8, 3, generator=torch.Generator().manual_seed(0))
    for kernel in ("reference", "torch", *native.libraries()):
        monkeypatch.setenv("UNROLLED_KERNEL", kernel)
        torch.manual_seed(3)
        a, state = deep(cell, core, x, None, torch.tensor(lengths), dropouts=Dropouts(0.2, zoneout=0.5))
        assert not any(a[row, length:].any() for row, length in enumerate(lengths))
        found[kernel] = [a, *state]
    for other in found.values():
        for one, true in zip(other, found["reference"], strict=True):
            assert float((one - true).abs().max()) <= FLOAT32["oracle"]


@cells
def test_without_draws_the_state_is_their_mean(cell):
    """Of one step, where the mean of all outcomes is that of the shares; of an array that no other is made of."""
    w, x, state, _ = problem(cell, [1] * 3)
    zoned = dataclasses.replace(cell, zoneout=0.3)
    plain, _ = scan(cell, w, x.transpose(0, 1), state)
    a, _ = scan(zoned, w, x.transpose(0, 1), state)
    expected = 0.7 * plain[:, 0] + 0.3 * state[0]
    assert float((a[:, 0] - expected).abs().max()) <= FLOAT64["forward"]
    torch.manual_seed(0)
    drawn = [
        deep(zoned, [[w]], x.transpose(0, 1), state, dropouts=Dropouts(zoneout=0.3))[0] for _ in range(2000)
    ]
    assert float((torch.stack(drawn).mean(0)[:, 0] - expected).abs().max()) < 0.08


@pytest.mark.parametrize(("cell", "activation"), VARIANTS)
@pytest.mark.parametrize("kernel", ["reference", *native.libraries()])
@pytest.mark.parametrize("more", [{}, {"layers": 2}, {"bidirectional": True}], ids=str)
def test_engines_take_the_mean(cell, activation, kernel, more, monkeypatch):
    monkeypatch.setenv("UNROLLED_KERNEL", kernel)
    spec = spec_of(more, n_x=9, n_y=9, n_a=21, cell=cell, activation=activation, zoneout=0.3, embedding=5)
    rng = np.random.default_rng(0)
    tensors = {k: (v + 0.2 * rng.standard_normal(v.shape)) for k, v in initialise(spec, 0).items()}
    single = {k: v.astype(np.float32) for k, v in tensors.items()}
    ids = rng.integers(-1, 9, (3, 7))
    true, _ = NumpyEngine(spec, {k: v.astype(np.float64) for k, v in single.items()}).run(ids)
    without, _ = NumpyEngine(
        dataclasses.replace(spec, core=dataclasses.replace(spec.core, zoneout=0.0)), tensors
    ).run(ids)
    assert np.abs(true - without).max() > 0.01
    core = {
        k.rpartition(".")[2]: torch.tensor(v).double() for k, v in single.items() if k.startswith("core.0.f")
    }
    if not more:
        x = torch.tensor(np.where(ids[..., None] < 0, 0.0, single["embedding.E"][ids])).double()
        shares, zeros = (
            [[np.full(21, 0.7)] * len(spec.core.cell_definition.state)] * 7,
            torch.zeros(21).double(),
        )
        out, _ = by_oracle(
            spec.core.cell_definition, core, x[1], [zeros] * len(spec.core.cell_definition.state), shares
        )
        z = np.array(out) @ single["head.W_ya"].T + single["head.b_y"]
        assert np.abs(true[1] - (z - np.log(np.exp(z).sum(1, keepdims=True)))).max() <= FLOAT32["oracle"]
    for engine in (NumpyEngine(spec, single), TorchEngine(spec, single)):
        found, last = engine.run(ids)
        assert np.abs(np.asarray(found) - true).max() <= 2 * FLOAT32["oracle"]
        if not spec.core.bidirectional:
            state = engine.start(3)
            for t in range(7):
                out, _, state = engine.step(state, ids[:, t])
                assert np.abs(np.asarray(out) - true[:, t]).max() <= 2 * FLOAT32["oracle"]
            for s, l in zip(state, last, strict=True):
                assert np.abs(np.asarray(s) - np.asarray(l)).max() <= 2 * FLOAT32["oracle"]


@layers
def test_layers_draw_in_training_and_take_the_mean_else(made):
    torch.manual_seed(0)
    module, x = made(3, 6, num_layers=2, zoneout=0.4), torch.randn(2, 5, 3)
    assert not torch.equal(module(x)[0], module(x)[0])
    module.eval()  # torch's word for a finished module, whose states are means
    mean = module(x)[0]
    assert torch.equal(module(x)[0], mean)
    plain = made(3, 6, num_layers=2)
    plain.load_state_dict(module.state_dict())
    assert float((plain(x)[0] - mean).detach().abs().max()) > 1e-3
    with pytest.raises(UsageError, match=r"torch has no|computes another function"):
        module.to_torch()


@pytest.mark.parametrize("share", [1.0, -0.1, float("nan"), 2])
def test_what_is_no_share_is_told(share):
    with pytest.raises(UsageError, match=f"zoneout is {share}; expected 0 or more, below 1"):
        LSTM(3, 4, zoneout=share)
    with pytest.raises(UsageError, match="zoneout is"):
        spec_of(n_x=3, n_y=3, n_a=4, zoneout=share)


def test_the_description_of_a_network_keeps_it():
    spec = spec_of(n_x=9, n_y=9, n_a=4, zoneout=0.25)
    assert from_json(to_json(spec)) == spec
    for wrong in ("0.1", 1.5, True, None):
        content = to_json(spec)
        content["core"] = {**to_json(spec)["core"], "zoneout": wrong}
        with pytest.raises(DataError, match="zoneout"):
            from_json(content)


def test_torchs_own_layers_support_no_zoneout():
    lstm = find("lstm", zoneout=0.1)
    assert alternatives(lstm) == () and find("lstm") == dataclasses.replace(lstm, zoneout=0.0)
