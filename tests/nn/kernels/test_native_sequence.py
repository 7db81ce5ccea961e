"""Every native kernel that this CPU runs, for every cell: values and gradients against the equation in float64."""

from __future__ import annotations

import ctypes
import dataclasses
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from support import oracle
from support.tolerances import FLOAT32
from unrolled.core.errors import UsageError
from unrolled.models import native
from unrolled.models.cells import find
from unrolled.nn.embedding_and_head import register_parameters
from unrolled.nn.kernels import native_sequence
from unrolled.nn.kernels.dispatch import native_kernel_for, select_kernel
from unrolled.nn.kernels.reference import reference
from unrolled.nn.kernels.torch_kernels import KERNELS
from unrolled.nn.scan import Dropouts, deep, scan

VARIANTS = [("rnn", "tanh"), ("rnn", "relu"), ("gru-simple", "tanh"), ("gru", "tanh"), ("lstm", "tanh")]
cells = pytest.mark.parametrize(
    "cell", [find(*v) for v in VARIANTS], ids=lambda c: f"{c.name}-{c.activation}"
)
built = pytest.mark.parametrize("name", native.libraries())  # skipped where no compiler was at hand
ROWS, UNITS = 1, 2  # what threads share out: UNROLLED_SPLIT_* of unrolled.h


pytestmark = pytest.mark.usefixtures("two_threads_however_small")


@dataclasses.dataclass(frozen=True)
class Case:
    """Ragged inputs and weights in float64, and what the outputs are multiplied by before the gradient is taken."""

    lengths: list[int]
    n_x: int
    n_a: int
    seed: int = 0

    def leaves(self, cell):
        rng = np.random.default_rng(self.seed)
        w = cell.initialise(rng, self.n_x, self.n_a)
        w = {k: v + 0.3 * rng.standard_normal(v.shape) / np.sqrt(self.n_a) for k, v in w.items()}
        x = rng.standard_normal((len(self.lengths), max(self.lengths), self.n_x))
        state = [0.7 * rng.standard_normal((len(self.lengths), self.n_a)) for _ in cell.state]
        return [torch.tensor(v, requires_grad=True) for v in (*w.values(), x, *state)], list(w)

    @property
    def ends(self):
        return torch.tensor(self.lengths)


def outcome(case, leaves, names, run):
    """Outputs and gradients of run(w, x, state) -> (a [batch, T, n_a], state)."""
    w, x, state = dict(zip(names, leaves, strict=False)), leaves[len(names)], tuple(leaves[len(names) + 1 :])
    a, after = run(w, x, state)
    rng = np.random.default_rng(case.seed + 1)
    towards = [torch.tensor(rng.standard_normal(out.shape), dtype=out.dtype) for out in (a, *after)]
    loss = sum((out * t).sum() for out, t in zip((a, *after), towards, strict=True))
    return [a, *after], torch.autograd.grad(loss, leaves)


def compare(cell, library, case, *, reverse=False, split=0):
    leaves, names = case.leaves(cell)
    ends = None if len(set(case.lengths)) == 1 else case.ends

    def ours(w, x, state):
        a, after = native_sequence.sequence(
            library, cell, w, x.transpose(0, 1), state, ends, reverse=reverse, split=split
        )
        return a.transpose(0, 1), after

    single = [t.detach().float().requires_grad_() for t in leaves]
    true = outcome(case, leaves, names, lambda w, x, state: scan(cell, w, x, state, ends, reverse=reverse))
    found = outcome(case, single, names, ours)
    for kind, ourselves, truth in zip(("oracle", "gradient"), found, true, strict=True):
        for f, t in zip(ourselves, truth, strict=True):
            assert f.dtype == torch.float32 and f.shape == t.shape
            assert float((f - t).detach().abs().max()) <= FLOAT32[kind] * max(
                1.0, float(t.detach().abs().max())
            )


@cells
@built
@settings(max_examples=6)
@given(
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=15).filter(any),
    n_x=st.integers(1, 20),
    n_a=st.integers(1, 70),
    reverse=st.booleans(),
    split=st.sampled_from([ROWS, UNITS]),
    seed=st.integers(0, 10_000),
)
def test_values_and_gradients_are_those_of_the_equation(cell, name, lengths, n_x, n_a, reverse, split, seed):
    case = Case(lengths, n_x, n_a, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native_sequence, "WORTH_THREADS", 0)
        compare(cell, native.libraries()[name], case, reverse=reverse, split=split)


@cells
@built
@pytest.mark.parametrize("split", [0, ROWS, UNITS])
@pytest.mark.parametrize(
    "case",
    [
        Case([1], 1, 1),
        Case([1] * 13, 3, 5),
        Case([6], 2, 1),
        Case([5, 5], 7, 200),
        Case([3] * 25, 40, 33),
        Case([2, 1], 3, 1000),
    ],
    ids=lambda case: f"T{max(case.lengths)}-batch{len(case.lengths)}-inputs{case.n_x}-units{case.n_a}",
)
def test_sizes_at_the_edges(cell, name, split, case):
    compare(cell, native.libraries()[name], case, split=split)


@cells
@built
@pytest.mark.parametrize("case", [Case([9, 7, 7, 2, 0], 4, 6), Case([5] * 4, 3, 40)], ids=["ragged", "dense"])
def test_narrow_gradients_are_summed_in_parts(cell, name, case, monkeypatch):
    monkeypatch.setattr(native_sequence, "MANY", 1)
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        compare(cell, native.libraries()[name], case)


@cells
@built
def test_values_are_those_of_the_oracle(cell, name):
    case = Case([6, 2, 0, 4], 3, 11, 5)
    leaves, names = case.leaves(cell)
    values = [t.detach() for t in leaves]
    single = [v.float() for v in values]
    w, x, state = dict(zip(names, single, strict=False)), single[len(names)], single[len(names) + 1 :]
    a, after = native_sequence.sequence(
        native.libraries()[name], cell, w, x.transpose(0, 1), tuple(state), case.ends
    )
    double = dict(zip(names, (v.numpy() for v in values), strict=False))
    for row, length in enumerate(case.lengths):
        first = tuple(v[row].numpy() for v in values[len(names) + 1 :])
        steps = list(values[len(names)][row, :length].numpy())
        expected, last = oracle.layer(f"{cell.name}-{cell.activation}", double, steps, first)
        for t in range(length):
            assert np.abs(a[t, row].numpy() - expected[t]).max() <= FLOAT32["oracle"]
        assert not a[length:, row].any()
        assert (
            max(np.abs(s[row].numpy() - e).max() for s, e in zip(after, last, strict=True))
            <= FLOAT32["oracle"]
        )


@cells
@built
def test_ids_are_one_hot_vectors(cell, name):
    case = Case([4, 7, 5], 9, 12)
    leaves, names = case.leaves(cell)
    w = {k: v.detach().float().requires_grad_() for k, v in zip(names, leaves, strict=False)}
    state = tuple(s.detach().float() for s in leaves[len(names) + 1 :])
    ids = torch.randint(-1, 9, (7, 3), generator=torch.Generator().manual_seed(0))
    one_hot = torch.nn.functional.one_hot(ids.clamp_min(0), 9).float() * (ids >= 0)[..., None]
    found = []
    for x in (ids, one_hot):
        a, after = native_sequence.sequence(native.libraries()[name], cell, w, x, state, case.ends)
        loss = a.square().sum() + sum(s.sin().sum() for s in after)
        found.append([a, *after, *torch.autograd.grad(loss, list(w.values()))])
    for by_id, by_vector in zip(*found, strict=True):
        assert float((by_id - by_vector).detach().abs().max()) <= FLOAT32["gradient"]


def problem(cell, batch=9, steps=6, n_x=5, n_a=21):
    leaves, names = Case([steps] * batch, n_x, n_a).leaves(cell)
    single = [t.detach().float() for t in leaves]
    return (
        dict(zip(names, single, strict=False)),
        single[len(names)].transpose(0, 1),
        tuple(single[len(names) + 1 :]),
    )


@cells
@built
def test_chunks_of_any_size_are_the_whole(cell, name):
    w, x, state = problem(cell, steps=9)
    whole, last = native_sequence.sequence(native.libraries()[name], cell, w, x, state)
    for size in (1, 2, 4):
        carried, parts = state, []
        for part in x.split(size):
            a, carried = native_sequence.sequence(native.libraries()[name], cell, w, part, carried)
            parts.append(a)
        for chunked, straight in zip((torch.cat(parts), *carried), (whole, *last), strict=True):
            assert float((chunked - straight).abs().max()) <= FLOAT32["forward"]


@cells
@built
def test_the_same_bits_every_time(cell, name):
    w, x, state = problem(cell, 11, 8, 16, 48)
    w = {k: v.requires_grad_() for k, v in w.items()}
    for threads in (1, 2):
        torch.set_num_threads(threads)
        for split in (ROWS, UNITS):
            runs = []
            for _ in range(4):
                a, after = native_sequence.sequence(native.libraries()[name], cell, w, x, state, split=split)
                runs.append([a, *after, *torch.autograd.grad(a.square().sum(), list(w.values()))])
            for again in runs[1:]:
                assert all(map(torch.equal, again, runs[0]))


@cells
@built
def test_memory_without_alignment_and_with_gaps(cell, name):
    w, x, state = problem(cell)
    library = native.libraries()[name]

    def moved(t):  # one float further on than an aligned array would begin
        return torch.cat([torch.zeros(1), t.reshape(-1)])[1:].view(t.shape)

    def all_of(w, x, state):
        w, x = {k: v.requires_grad_() for k, v in w.items()}, x.requires_grad_()
        a, after = native_sequence.sequence(library, cell, w, x, state)
        return [a, *after, *torch.autograd.grad(a.square().sum(), [x, *w.values()])]

    straight = all_of(w, x.clone(), state)
    odd = all_of({k: moved(v.detach()) for k, v in w.items()}, moved(x), tuple(map(moved, state)))
    wide = {k: torch.cat([v, v], dim=-1).detach()[..., : v.shape[-1]] for k, v in w.items()}
    rows = all_of(wide, torch.cat([x, x], dim=1)[:, : x.shape[1]], state)
    numbers = all_of(wide, torch.cat([x, x], dim=2)[..., : x.shape[2]], state)
    for other in (odd, rows, numbers):
        assert all(map(torch.equal, straight, other))


@cells
def test_weights_that_follow_each_other_in_memory_are_read_where_they_stand(cell):
    w, _, _ = problem(cell)
    module = torch.nn.Module()
    register_parameters(module, w)
    for kind in "Wb":
        apart = [w[f"{kind}_{gate}"] for gate in cell.gates]
        planted = [getattr(module, f"{kind}_{gate}").detach() for gate in cell.gates]
        together = native_sequence.joined(planted)
        assert torch.equal(together, torch.cat(apart)) and together.data_ptr() == planted[0].data_ptr()
        assert torch.equal(native_sequence.joined(apart[::-1]), torch.cat(apart[::-1]))
        ends = torch.zeros_like(together)  # an array that ends before the second part would
        assert torch.equal(native_sequence.joined([ends, ends]), torch.zeros(2 * len(ends), *ends.shape[1:]))
    planted[0].add_(1.0)
    assert float(together[0]) == float(planted[0][0]), "of one array"


@built
def test_a_weight_that_changed_before_the_way_back_is_an_error(name):
    cell = find("lstm")
    w, x, state = problem(cell)
    module = torch.nn.Module()
    register_parameters(module, w)
    w = {leaf: getattr(module, leaf) for leaf in w}
    for changed in w.values():
        a, _ = native_sequence.sequence(native.libraries()[name], cell, w, x, state)
        if changed.ndim == 2:
            with torch.no_grad():
                changed.mul_(2.0)
            with pytest.raises(RuntimeError, match="modified by an inplace operation"):
                a.sum().backward()


@cells
@built
def test_nan_in_is_nan_out_in_its_row_alone(cell, name):
    w, x, state = problem(cell)
    clean, last = native_sequence.sequence(native.libraries()[name], cell, w, x, state)
    x = x.clone()
    x[2, 4, 1] = float("nan")
    a, after = native_sequence.sequence(native.libraries()[name], cell, w, x, state)
    assert bool(a[2:, 4].isnan().all()) and bool(after[0][4].isnan().all())
    others = torch.arange(9) != 4
    assert torch.equal(a[:, others], clean[:, others]) and torch.equal(a[:2], clean[:2])
    assert torch.equal(after[0][others], last[0][others])
    broken = w | {f"W_{cell.gates[0]}": torch.full_like(w[f"W_{cell.gates[0]}"], float("nan"))}
    assert bool(native_sequence.sequence(native.libraries()[name], cell, broken, x, state)[0].isnan().all())


@cells
@built
def test_nan_gradients_come_back(cell, name):
    w, x, state = problem(cell)
    x = x.clone().requires_grad_()
    a, _ = native_sequence.sequence(native.libraries()[name], cell, w, x, state)
    d = torch.zeros_like(a)
    d[3, 2] = float("nan")
    a.backward(d)
    assert bool(x.grad[:4, 2].isnan().any()) and not bool(x.grad[:, :2].isnan().any())


@cells
@built
def test_back_twice_is_the_same_and_inputs_stay(cell, name):
    w, x, state = problem(cell)
    w = {k: v.requires_grad_() for k, v in w.items()}
    before = [v.clone() for v in (*w.values(), x, *state)]
    a, _ = native_sequence.sequence(native.libraries()[name], cell, w, x, state)
    loss = a.square().sum()
    first = torch.autograd.grad(loss, list(w.values()), retain_graph=True)
    assert all(map(torch.equal, first, torch.autograd.grad(loss, list(w.values()))))
    assert all(map(torch.equal, before, (*w.values(), x, *state)))


@cells
@built
@pytest.mark.parametrize("lengths", [[4, 4, 4], [4, 0, 2]], ids=["dense", "ragged"])
@pytest.mark.parametrize("reverse", [False, True])
def test_gradients_of_gradients_are_those_of_the_equation(cell, name, lengths, reverse):
    case = Case(lengths, 3, 5)
    leaves, names = case.leaves(cell)
    ends = None if lengths == [4, 4, 4] else case.ends
    found = []
    for values in (leaves, [t.detach().float().requires_grad_() for t in leaves]):
        w, x, state = (
            dict(zip(names, values, strict=False)),
            values[len(names)],
            tuple(values[len(names) + 1 :]),
        )
        x = x.transpose(0, 1)
        if values is leaves:
            a, after = scan(cell, w, x.transpose(0, 1), state, ends, reverse=reverse)
            a = a.transpose(0, 1)
        else:
            library = native.libraries()[name]
            a, after = native_sequence.sequence(library, cell, w, x, state, ends, reverse=reverse)
        loss = a.square().sum() + sum(s.sin().sum() for s in after)
        first = torch.autograd.grad(loss, values, create_graph=True)
        again = torch.autograd.grad(sum(g.square().sum() for g in first), values)
        found.append([*first, *again])
    for true, ours in zip(*found, strict=True):
        scale = max(1.0, float(true.detach().abs().max()))
        assert float((ours - true).detach().abs().max()) <= FLOAT32["gradient"] * scale


@cells
@built
def test_dropped_weights_are_other_weights(cell, name, monkeypatch):
    w, x, state = problem(cell)
    found = []
    for kernel in ("reference", name):
        monkeypatch.setenv("UNROLLED_KERNEL", kernel)
        torch.manual_seed(3)
        found.append(
            deep(cell, [[w]], x.transpose(0, 1), state, dropouts=Dropouts(weight=0.5, variational=True))[0]
        )
    assert float((found[0] - found[1]).abs().max()) <= FLOAT32["forward"] * 4
    monkeypatch.delenv("UNROLLED_KERNEL")


@built
@pytest.mark.parametrize("function", ["sigmoid", "tanh"])
def test_sigmoid_and_tanh_are_right_to_a_few_units_in_the_last_place(name, function):
    rng = np.random.default_rng(0)
    wide = [rng.uniform(-100, 100, 20_000), rng.uniform(-1, 1, 20_000), rng.standard_normal(20_000) * 4]
    tiny = [
        10.0 ** rng.uniform(-37, 0, 2_000) * rng.choice([-1, 1], 2_000),
        [0.0, -0.0, 88.0, -88.0, 1e30, -1e30],
    ]
    x = np.concatenate([*wide, *tiny, [np.inf, -np.inf, np.nan]]).astype(np.float32)
    y = np.empty_like(x)
    call = getattr(native.libraries()[name].functions, f"unrolled_{function}")
    call(len(x), x.ctypes.data_as(ctypes.c_void_p), y.ctypes.data_as(ctypes.c_void_p))
    double = x.astype(np.float64)
    with np.errstate(over="ignore"):
        true = np.tanh(double) if function == "tanh" else 1 / (1 + np.exp(-double))
    assert np.isnan(y[-1]) and abs(float(y[-3]) - 1) == 0
    units = np.spacing(np.maximum(np.abs(true[:-1]), 1.2e-38).astype(np.float32))
    off = np.abs(y[:-1] - true[:-1]) / units
    ordinary = np.abs(true[:-1]) >= 2e-38  # sigmoid below -87 is not worth a denormal number
    assert off[ordinary].max() <= 3
    assert np.abs(y[:-1] - true[:-1])[~ordinary].max(initial=0) <= 2e-38


def test_a_compiler_has_made_a_library():
    if shutil.which("c++") is None:
        pytest.skip("no C++ compiler: the package runs on torch and NumPy")
    assert "baseline" in native.libraries()


def test_a_missing_and_a_broken_library_are_none(tmp_path):
    (tmp_path / "baseline.so").write_bytes(b"not a library")
    assert native.libraries(tmp_path) == {}


def test_what_is_forced_is_there_or_refused(monkeypatch):
    monkeypatch.setenv("UNROLLED_KERNEL", "avx1024")
    with pytest.raises(UsageError, match="expected reference, torch, baseline, avx2, avx512"):
        native.library()
    for name in native.NAMES:
        monkeypatch.setenv("UNROLLED_KERNEL", name)
        if name in native.libraries():
            assert native.library().name == name
        else:
            with pytest.raises(
                UsageError, match=f"'{name}', which this CPU or installation does not support"
            ):
                native.library()
    for name in ("reference", "torch"):
        monkeypatch.setenv("UNROLLED_KERNEL", name)
        assert native.library() is None


def test_what_a_plan_settled_on_holds_within(monkeypatch):
    if native.library() is None:
        pytest.skip("no native kernels")
    cell = find("lstm")
    w, x, state = problem(cell)
    monkeypatch.delenv("UNROLLED_KERNEL", raising=False)
    own = native.running()
    with native.using("torch"):
        assert native.running() == "torch" and native_kernel_for(cell, w, x, state) is None
        assert select_kernel(cell, len(x)) is KERNELS["lstm"]
        with native.using("baseline"):
            assert native.running() == "baseline"
        monkeypatch.setenv("UNROLLED_KERNEL", own)  # what a person forces has the last word
        assert native.running() == own
        monkeypatch.delenv("UNROLLED_KERNEL")
        assert native.running() == "torch"
    assert native.running() == own


def test_what_the_kernels_are_not_for_runs_elsewhere(monkeypatch):
    cell = find("lstm")
    w, x, state = problem(cell)
    monkeypatch.delenv("UNROLLED_KERNEL", raising=False)
    assert native_kernel_for(cell, w, x, state) is native.library()
    assert native_kernel_for(cell, w, x[:1], state) is None  # a single step
    double = {k: v.double() for k, v in w.items()}
    assert native_kernel_for(cell, double, x.double(), tuple(s.double() for s in state)) is None
    assert native_kernel_for(dataclasses.replace(cell, name="new"), w, x, state) is None
    monkeypatch.setenv("UNROLLED_KERNEL", "reference")
    assert native_kernel_for(cell, w, x, state) is None


@cells
def test_without_threads_to_share_there_is_one(cell, monkeypatch):
    if native.library() is None:
        pytest.skip("no native kernels")
    w, x, state = problem(cell)
    expected, _ = reference(cell, w, x, state)
    monkeypatch.setattr(native_sequence, "_shared", lambda: False)
    a, _ = native_sequence.sequence(native.library(), cell, w, x, state)
    assert float((a - expected).abs().max()) <= FLOAT32["oracle"]


def test_denormals_count_as_zeros_within_on_every_thread_and_are_back_behind():
    tiny = torch.full((1_000_000,), 1e-39)  # so many that all threads share them out

    def kept() -> int:
        return int((tiny * 0.5).count_nonzero())

    within = 0 if native.libraries() else len(tiny)  # where nothing was compiled, nothing changes
    assert kept() == len(tiny)
    with native.flushing_denormals(torch.get_num_threads()):
        assert kept() == within
        with native.flushing_denormals(torch.get_num_threads()):
            pass
        assert kept() == within  # what was there before it
    assert kept() == len(tiny)
