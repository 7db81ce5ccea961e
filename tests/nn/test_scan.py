"""Time: padding, batch order, causality, reversal, chunks and states as properties of every cell, deep, both ways."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from support import oracle
from support.tolerances import FLOAT32, FLOAT64
from unrolled.core.errors import UsageError
from unrolled.models import native
from unrolled.models.cells import find
from unrolled.nn.kernels.native_sequence import sequence
from unrolled.nn.scan import Dropouts, bernoulli_mask, deep, drop, dropout_mask, scan


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
quick = settings(max_examples=12)
N_X, N_A = 3, 4


@dataclasses.dataclass(frozen=True)
class Case:
    """A network core and ragged inputs, drawn by hypothesis."""

    layers: int
    directions: int
    lengths: list[int]
    seed: int

    @property
    def steps(self):
        return max(self.lengths) + self.seed % 3  # now and then padding in every row

    def core(self, cell, dtype=torch.float64):
        rng = np.random.default_rng(self.seed)
        return [
            [
                {
                    k: torch.tensor(v + 0.3 * rng.standard_normal(v.shape), dtype=dtype)
                    for k, v in cell.initialise(rng, N_A * self.directions if layer else N_X, N_A).items()
                }
                for _ in range(self.directions)
            ]
            for layer in range(self.layers)
        ]

    def x(self, dtype=torch.float64):
        rng = np.random.default_rng(self.seed + 1)
        return torch.tensor(rng.standard_normal((len(self.lengths), self.steps, N_X)), dtype=dtype)

    def state(self, cell, dtype=torch.float64):
        rng = np.random.default_rng(self.seed + 2)
        n = self.layers * self.directions * len(cell.state)
        return tuple(
            torch.tensor(rng.standard_normal((len(self.lengths), N_A)), dtype=dtype) for _ in range(n)
        )

    @property
    def ends(self):
        return torch.tensor(self.lengths)


cases = st.builds(
    Case,
    layers=st.integers(1, 3),
    directions=st.integers(1, 2),
    lengths=st.lists(st.integers(0, 7), min_size=1, max_size=5).filter(any),
    seed=st.integers(0, 10_000),
)


def first_weights(cell):
    return cell.initialise(np.random.default_rng(0), N_X, N_A)


def gap(found, expected):
    """The largest difference, of values beyond one in their own size: relu lets a sequence grow to thousands."""
    pairs = [(f.detach(), e.detach()) for f, e in zip(found, expected, strict=True) if f.numel()]
    return max((((f - e).abs().max() / e.abs().max().clamp_min(1)).item() for f, e in pairs), default=0.0)


def run(cell, case, x=None, state=None, lengths=None, **more):
    return deep(cell, case.core(cell), case.x() if x is None else x, state, lengths, **more)


@cells
@quick
@given(case=cases)
def test_it_is_the_oracle(cell, case):
    state, x = case.state(cell), case.x()
    a, after = run(cell, case, state=state, lengths=case.ends)
    core = [[{k: v.numpy() for k, v in w.items()} for w in layer] for layer in case.core(cell)]
    names, size = f"{cell.name}-{cell.activation}", len(cell.state)
    for row, length in enumerate(case.lengths):
        states = [
            tuple(s[row].numpy() for s in state[k * size : (k + 1) * size])
            for k in range(case.layers * case.directions)
        ]
        expected, last = oracle.network(names, core, list(x[row, :length].numpy()), states)
        for t in range(length):
            assert np.abs(a[row, t].numpy() - expected[t]).max() <= FLOAT64["oracle"]
        assert not a[row, length:].any()
        flat = [array for arrays in last for array in arrays]
        assert (
            max(np.abs(s[row].numpy() - e).max() for s, e in zip(after, flat, strict=True))
            <= FLOAT64["oracle"]
        )


@cells
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@quick
@given(case=cases, more=st.integers(0, 4), garbage=st.floats(-1e3, 1e3))
def test_padding_never_changes_an_answer(cell, dtype, case, more, garbage):
    kind, tolerance = getattr(torch, dtype), {"float64": FLOAT64, "float32": FLOAT32}[dtype]["padding"]
    core, x, state = case.core(cell, kind), case.x(kind), case.state(cell, kind)
    padded = torch.cat([x, x.new_zeros(len(x), more, N_X)], dim=1)
    padded[torch.arange(padded.shape[1]) >= case.ends[:, None]] = garbage
    together, after = deep(cell, core, padded, state, case.ends)
    for row, length in enumerate(case.lengths):
        alone, last = deep(cell, core, x[row : row + 1, :length], tuple(s[row : row + 1] for s in state))
        # relu has no bound: its rounding grows with the values
        scale = max(1.0, float(alone.abs().max()) if length else 0.0)
        assert gap([together[row : row + 1, :length]], [alone]) <= tolerance * scale
        assert gap([s[row : row + 1] for s in after], last) <= tolerance * scale


@cells
@quick
@given(case=cases, data=st.data())
def test_batch_order_does_not_matter(cell, case, data):
    order = data.draw(st.permutations(range(len(case.lengths))))
    state, x = case.state(cell), case.x()
    a, after = run(cell, case, x, state, case.ends)
    b, moved = run(cell, case, x[order], tuple(s[order] for s in state), case.ends[order])
    assert gap([b, *moved], [a[order], *(s[order] for s in after)]) <= FLOAT64["forward"]


@cells
@quick
@given(case=cases, data=st.data())
def test_the_future_never_changes_a_forward_answer(cell, case, data):
    case = dataclasses.replace(case, directions=1)
    x = case.x()
    now = data.draw(st.integers(0, case.steps - 1))
    changed = x.clone()
    changed[:, now:] = torch.randn(
        x[:, now:].shape, dtype=x.dtype, generator=torch.Generator().manual_seed(3)
    )
    a, _ = run(cell, case, x)
    b, _ = run(cell, case, changed)
    assert gap([a[:, :now]], [b[:, :now]]) <= FLOAT64["forward"]
    assert gap([a[:, now]], [b[:, now]]) > 1e-9 or cell.activation == "relu"


@cells
def test_both_directions_see_the_future(cell):
    case = Case(1, 2, [6], 1)
    x = case.x()
    changed = x.clone()
    changed[:, -1] += 1.0
    a, _ = run(cell, case, x)
    b, _ = run(cell, case, changed)
    assert torch.equal(a[..., 0, :N_A], b[..., 0, :N_A])
    assert gap([a[:, 0, N_A:]], [b[:, 0, N_A:]]) > 1e-9


@cells
@quick
@given(case=cases)
def test_reversal_is_by_true_length(cell, case):
    (w, *_), x = case.core(cell)[0], case.x()
    state = case.state(cell)[: len(cell.state)]
    backward, last = scan(cell, w, x, state, case.ends, reverse=True)
    for row, length in enumerate(case.lengths):
        turned = x[row : row + 1, :length].flip(1)
        a, end = scan(cell, w, turned, tuple(s[row : row + 1] for s in state))
        assert gap([backward[row : row + 1, :length]], [a.flip(1)]) <= FLOAT64["forward"]
        assert gap([s[row : row + 1] for s in last], end) <= FLOAT64["forward"]


@cells
@quick
@given(case=cases, cuts=st.lists(st.integers(1, 4), min_size=8, max_size=8))
def test_steps_and_chunks_of_any_size_are_the_whole(cell, case, cuts):
    case = dataclasses.replace(case, directions=1)
    state, x = case.state(cell), case.x()
    whole, last = run(cell, case, x, state)
    for sizes in ([1] * case.steps, cuts):
        carried, parts, begin = state, [], 0
        for size in sizes:
            if begin < case.steps:
                part, carried = run(cell, case, x[:, begin : begin + size], carried)
                parts.append(part)
            begin += size
        if begin >= case.steps:
            assert gap([torch.cat(parts, dim=1), *carried], [whole, *last]) <= FLOAT64["forward"]


@cells
@quick
@given(case=cases)
def test_the_readable_path_is_the_fast_path(cell, case):
    with pytest.MonkeyPatch.context() as patch:
        found = []
        for kernel in ("reference", "torch"):
            patch.setenv("UNROLLED_KERNEL", kernel)
            core = [
                [{k: v.requires_grad_() for k, v in w.items()} for w in layer] for layer in case.core(cell)
            ]
            a, after = deep(cell, core, case.x(), case.state(cell), case.ends)
            (a.square().sum() + sum(s.sin().sum() for s in after)).backward()
            gradients = [v.grad for layer in core for w in layer for v in w.values()]
            found.append(([a, *after], gradients))
    assert gap(found[0][0], found[1][0]) <= FLOAT64["forward"]
    assert gap(found[0][1], found[1][1]) <= FLOAT64["gradient"]


@cells
@quick
@given(case=cases)
def test_without_final_states_the_answers_are_the_same(cell, case):
    with_states, _ = run(cell, case, lengths=case.ends)
    without, _ = run(cell, case, lengths=case.ends, final=False)
    assert gap([without], [with_states]) <= FLOAT64["forward"]


@cells
@pytest.mark.parametrize("reverse", [False, True])
def test_gradcheck_on_ragged_sequences(cell, reverse):
    rng = np.random.default_rng(11)
    w = {k: torch.tensor(v, requires_grad=True) for k, v in cell.initialise(rng, 2, 2).items()}
    x = torch.tensor(rng.standard_normal((2, 3, 2)), requires_grad=True)
    state = tuple(torch.tensor(0.5 * rng.standard_normal((2, 2)), requires_grad=True) for _ in cell.state)

    def whole(*flat):
        weights = dict(zip(w, flat[: len(w)], strict=True))
        a, after = scan(
            cell, weights, flat[len(w)], flat[len(w) + 1 :], torch.tensor([3, 1]), reverse=reverse
        )
        return a, *after

    assert torch.autograd.gradcheck(whole, (*w.values(), x, *state))


@cells
def test_ids_are_looked_up_ragged_and_reversed(cell):
    case = Case(2, 2, [5, 0, 3], 4)
    ids = torch.tensor([[0, 2, -1, 1, 0], [-1] * 5, [2, 1, 1, -1, 0]])
    one_hot = torch.nn.functional.one_hot(ids.clamp_min(0), N_X).double() * (ids >= 0)[..., None]
    a, after = run(cell, case, ids, lengths=case.ends)
    b, expected = run(cell, case, one_hot, lengths=case.ends)
    assert gap([a, *after], [b, *expected]) <= FLOAT64["forward"]


@cells
def test_the_native_kernels_run_in_float32(cell, monkeypatch):
    used = []

    def watched(library, *arguments, **options):
        used.append(library)
        return sequence(library, *arguments, **options)

    monkeypatch.delenv("UNROLLED_KERNEL", raising=False)
    monkeypatch.setattr("unrolled.nn.scan.sequence", watched)
    for kind, native_ones in (
        (torch.float32, native.knows(cell) and len(native.libraries()) > 0),
        (torch.float64, False),
    ):
        w = {name: torch.tensor(value, dtype=kind) for name, value in first_weights(cell).items()}
        used.clear()
        a, _ = scan(cell, w, torch.ones(2, 3, N_X, dtype=kind))
        assert a.shape == (2, 3, N_A) and len(used) == native_ones


def test_lengths_must_fit():
    case = Case(1, 1, [3, 2], 0)
    lstm = find("lstm")
    with pytest.raises(UsageError, match=r"lengths are \[3\]; expected \[2\]"):
        run(lstm, case, lengths=torch.tensor([1, 1, 1]))
    with pytest.raises(UsageError, match="lengths range from 1 to 9; expected 0 to 3"):
        run(lstm, case, lengths=torch.tensor([1, 9]))
    with pytest.raises(UsageError, match="lengths range from -1 to 2; expected 0 to 3"):
        run(lstm, case, lengths=torch.tensor([2, -1]))
    for kind in (torch.float32, torch.complex64, torch.bool):
        with pytest.raises(UsageError, match=f"lengths are {kind}; expected whole numbers"):
            run(lstm, case, lengths=torch.ones(2, dtype=kind))


def test_variational_dropout_is_one_mask_for_all_steps():
    torch.manual_seed(0)
    x = torch.ones(5, 40, 30)
    varied = drop(x, 0.5)
    fixed = drop(x, 0.5, variational=True)
    assert set(varied.unique().tolist()) == set(fixed.unique().tolist()) == {0.0, 2.0}
    assert bool((fixed == fixed[:, :1]).all()) and not bool((varied == varied[:, :1]).all())
    assert not bool((fixed[:1] == fixed).all())  # another for each row
    assert abs(float(varied.mean()) - 1) < 0.05
    assert drop(x, 0.0) is x


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 1.0])
def test_a_mask_drops_its_share_and_keeps_the_mean(share):
    torch.manual_seed(2)
    like = torch.empty(300, 7, 101).transpose(0, 1)
    made = dropout_mask(like, share)
    assert made.shape == like.shape and made.stride() == like.stride() and not made.requires_grad
    assert abs(float((made == 0).float().mean()) - share) < 0.005
    bernoulli_mask = made[made != 0]
    assert bool((bernoulli_mask == bernoulli_mask[:1]).all()) and (
        share == 1 or abs(float(bernoulli_mask[0]) - 1 / (1 - share)) < 1e-3
    )
    by_row = (made == 0).float().mean((1, 2)), (made == 0).float().mean((0, 1))
    assert all(float((shares - share).abs().max()) < 0.06 for shares in by_row), "everywhere alike"
    torch.manual_seed(2)
    assert torch.equal(dropout_mask(like, share), made)
    assert dropout_mask(torch.empty(0, 3), share).shape == (0, 3)
    assert dropout_mask(torch.ones(1, dtype=torch.float64), share).dtype == torch.float64


def test_a_mask_takes_two_random_bytes_a_place():
    after: list[float] = []
    for places in (12, 13):
        torch.manual_seed(4)
        drawn = torch.empty(-(-places // 4), dtype=torch.int64).random_(-(2**63), None)
        after.append(float(torch.rand(())))
        torch.manual_seed(4)
        found = bernoulli_mask(torch.empty(places), 0.25)
        assert found.tolist() == (drawn.view(torch.int16)[:places] >= 2**14 - 2**15).float().tolist()
        assert float(torch.rand(())) == after[-1], "no more is drawn than that"
    assert after[0] != after[1]


@pytest.mark.parametrize("variational", [False, True])
def test_dropout_between_layers_is_of_the_inputs_of_the_second(variational):
    case, gru = Case(2, 1, [5, 3, 5], 0), find("gru")
    core, x = case.core(gru), case.x()
    torch.manual_seed(8)
    whole, _ = deep(gru, core, x, lengths=case.ends, dropouts=Dropouts(layer=0.4, variational=variational))
    first, _ = deep(gru, core[:1], x, lengths=case.ends)
    torch.manual_seed(8)
    dropped = drop(first.transpose(0, 1), 0.4, variational, time=0).transpose(0, 1)
    assert bool((dropped == 0).any()) and not torch.equal(dropped, first)
    second, _ = deep(gru, core[1:], dropped, lengths=case.ends)
    assert gap([whole], [second]) <= FLOAT64["forward"]
    if variational:
        lost = dropped[0] == 0  # [T, n_a]
        assert torch.equal(lost, lost[:1].expand_as(lost)), "the same units at every step"


def test_weight_dropout_drops_recurrent_weights_only_and_the_same_at_every_step(monkeypatch):
    seen = []
    lstm = find("lstm")

    def step(ops, w, state, x_t):
        seen.append(w)
        return lstm.step(ops, w, state, x_t)

    monkeypatch.setenv("UNROLLED_KERNEL", "reference")
    watched = dataclasses.replace(lstm, step=step)
    case = Case(1, 1, [3], 0)
    core = case.core(lstm)
    torch.manual_seed(1)
    deep(watched, core, case.x(), dropouts=Dropouts(weight=0.5))
    assert all(w is seen[0] for w in seen)
    for gate in lstm.gates:
        own, dropped = core[0][0][f"W_{gate}"], seen[0][f"W_{gate}"]
        assert torch.equal(own[:, N_A:], dropped[:, N_A:])
        bernoulli_mask = dropped[:, :N_A] != 0
        assert torch.equal(dropped[:, :N_A][bernoulli_mask], 2 * own[:, :N_A][bernoulli_mask])
        assert 0 < int(bernoulli_mask.sum()) < bernoulli_mask.numel()


def test_dropout_between_layers_follows_the_generator():
    case = Case(3, 1, [4], 0)
    gru = find("gru")
    drawn = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        drawn.append(run(gru, case, dropouts=Dropouts(layer=0.3))[0])
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
    alone = dataclasses.replace(case, layers=1)  # one layer has nothing between
    assert torch.equal(run(gru, alone, dropouts=Dropouts(layer=0.3))[0], run(gru, alone)[0])
