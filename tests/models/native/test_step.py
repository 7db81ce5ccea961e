"""Single steps on every native kernel that this CPU runs, against the equation; int8 against its own arithmetic."""

from __future__ import annotations

import dataclasses
import importlib
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.networks import spec_of
from support.tolerances import FLOAT32
from unrolled.core.errors import UsageError
from unrolled.models import native
from unrolled.models.cells import NUMPY, find
from unrolled.models.engines.numpy_engine import NumpyEngine
from unrolled.models.initial_weights import initialise

VARIANTS = [("rnn", "tanh"), ("rnn", "relu"), ("gru-simple", "tanh"), ("gru", "tanh"), ("lstm", "tanh")]
cells = pytest.mark.parametrize(("cell", "activation"), VARIANTS)
built = pytest.mark.parametrize("name", native.libraries())  # skipped where no compiler was at hand
NETWORKS = {
    "embedding": {"embedding": 5, "layers": 2},
    "one-hot": {},
    "tied": {"embedding": 7, "tie": True},
    "tied, projected": {"embedding": 4, "tie": True},
    "numbers": {"ids": False},
    "numbers in and out": {"ids": False, "output": "numbers"},
    "several ids": {"embedding": 5, "multi_hot": True},
    "adaptive": {"n_x": 120, "n_y": 120, "embedding": 6, "softmax": "adaptive"},
}


def network(seed=0, n_a=21, **more):
    spec = spec_of({"n_x": 9, "n_y": 9, "n_a": n_a}, more)
    rng = np.random.default_rng(seed)
    first = initialise(spec, seed)
    return spec, {k: (v + 0.2 * rng.standard_normal(v.shape)).astype(np.float32) for k, v in first.items()}


def inputs(spec, rng, rows):
    if not spec.input.ids:
        return rng.standard_normal((rows, spec.n_x)).astype(np.float32)
    return rng.integers(-1, spec.n_x, (rows, 3) if spec.input.several else rows)


def engines(spec, tensors, name, monkeypatch, bits=32):
    monkeypatch.setenv("UNROLLED_KERNEL", name)
    made = NumpyEngine(spec, tensors, bits)
    assert made._native.library.name == name
    exact = NumpyEngine(spec, {k: v.astype(np.float64) for k, v in tensors.items()})
    assert exact._native is None
    return made, exact


@cells
@built
@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize(("rows", "n_a"), [(1, 21), (4, 48), (7, 1)])
def test_steps_are_those_of_the_equation(cell, activation, name, kind, rows, n_a, monkeypatch):
    spec, tensors = network(n_a=n_a, cell=cell, activation=activation, **NETWORKS[kind])
    made, exact = engines(spec, tensors, name, monkeypatch)
    rng, state, true_state = np.random.default_rng(1), made.start(rows), exact.start(rows)
    for _ in range(5):
        x = inputs(spec, rng, rows)
        before = [s.copy() for s in state]
        out, ids, after = made.step(state, x)
        assert all(map(np.array_equal, before, state)), "the state before is left alone"
        true, _, true_state = exact.step(true_state, x)
        assert out.dtype == np.float32 and out.shape == (rows, spec.n_y)
        scale = max(1.0, float(np.abs(true).max()))
        assert np.abs(out - true).max() <= 2 * FLOAT32["oracle"] * scale
        assert np.array_equal(ids, np.tile(np.arange(spec.n_y), (rows, 1)))
        best, best_ids, again = made.step(state, x, 4)
        order = np.argsort(-out, axis=1, kind="stable")[:, :4]
        assert np.array_equal(best_ids, order) and np.array_equal(
            best, np.take_along_axis(out, order, axis=1)
        )
        assert all(map(np.array_equal, after, again))
        state = after
    assert max(np.abs(a - b).max() for a, b in zip(state, true_state, strict=True)) <= 1e-5 * scale


@cells
@built
@settings(max_examples=5)
@given(rows=st.integers(1, 9), seed=st.integers(0, 100), bits=st.sampled_from([8, 32]))
def test_a_row_has_the_same_bits_in_any_company(cell, activation, name, rows, seed, bits):
    spec, tensors = network(seed, cell=cell, activation=activation, embedding=5, layers=2)
    steps = native.steps(native.libraries()[name], spec, tensors, bits)
    rng = np.random.default_rng(seed)
    x = rng.integers(-1, 9, rows)
    arrays = 2 * len(spec.core.cell_definition.state)
    state = tuple(rng.standard_normal((rows, spec.core.n_a)).astype(np.float32) for _ in range(arrays))
    together, _, after = steps.step(state, x, None)
    for row in range(rows):
        alone, _, last = steps.step(tuple(s[row : row + 1] for s in state), x[row : row + 1], None)
        assert np.array_equal(alone[0], together[row])
        assert all(np.array_equal(a[0], b[row]) for a, b in zip(last, after, strict=True))


@cells
@built
@pytest.mark.parametrize("bits", [8, 32])
@pytest.mark.parametrize("kind", ["embedding", "looked up", "numbers"])
def test_threads_share_a_step_and_change_no_bit(cell, activation, name, bits, kind, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setenv("UNROLLED_KERNEL", name)
    monkeypatch.setattr(importlib.import_module("unrolled.models.native.step"), "WORTH_A_THREAD", 1)
    monkeypatch.setattr(importlib.import_module("unrolled.models.native.step"), "LARGEST_TABLE", 1 << 14)
    more = {"n_x": 3000, "embedding": 16} if kind == "looked up" else NETWORKS[kind]
    spec, tensors = network(n_a=150, cell=cell, activation=activation, **more)
    engines = [NumpyEngine(spec, tensors, bits, threads) for threads in (1, 2, 3)]
    assert [engine._native.threads for engine in engines] == [1, 2, 3]
    states, rng = [engine.start(4) for engine in engines], np.random.default_rng(0)
    for _ in range(5):
        x = inputs(spec, rng, 4)
        answers = [e.step(s, x, 3) for e, s in zip(engines, states, strict=True)]
        states = [answer[2] for answer in answers]
        for out, ids, state in answers[1:]:
            assert np.array_equal(out, answers[0][0]) and np.array_equal(ids, answers[0][1])
            assert all(map(np.array_equal, state, states[0]))


@built
def test_a_small_step_wakes_no_thread(name):
    steps = [
        native.steps(native.libraries()[name], *network(n_a=n_a, ids=False, n_x=n_a), 32, threads=2)
        for n_a in (32, 300)
    ]
    assert [made.threads for made in steps] == [1, 2]


def rounded(x):
    """The rows of x in int8, and the scale of each."""
    scale = (np.abs(x).max(axis=-1, keepdims=True) / np.float32(127)).astype(np.float32)
    by = np.float32(1) / np.where(scale > 0, scale, np.float32(1))
    return np.rint(x * by).astype(np.int64), scale


def int8_product(W, x):
    q, scale = rounded(x)
    largest = (np.abs(W).max(axis=1) / np.float32(127)).astype(np.float32)
    w = np.rint(W / np.where(largest > 0, largest, 1)[:, None]).astype(np.int64)
    return (q @ w.T) * (largest * scale)


@cells
@built
def test_int8_is_exact_but_for_its_rounding(cell, activation, name, monkeypatch):
    spec, tensors = network(n_a=37, cell=cell, activation=activation, ids=False)
    made, _ = engines(spec, tensors, name, monkeypatch, bits=8)

    def affine(w, gate, left, x):
        W, n_a = w[f"W_{gate}"], left.shape[1]
        return int8_product(W[:, :n_a], left) + int8_product(W[:, n_a:], x) + w[f"b_{gate}"]

    ops = dataclasses.replace(NUMPY, affine=affine)
    w = {k.rpartition(".")[2]: v for k, v in tensors.items() if k.startswith("core")}
    rng = np.random.default_rng(3)
    state = tuple(rng.uniform(-1, 1, (5, 37)).astype(np.float32) for _ in made.start(5))
    x = inputs(spec, rng, 5)
    out, _, after = made.step(state, x)
    expected = find(cell, activation).step(ops, w, state, x)
    assert np.abs(after[0] - expected[0]).max() <= 3 * FLOAT32["oracle"] * max(1, np.abs(expected[0]).max())
    a = spec.core.cell_definition.output(after)
    logits = int8_product(tensors["head.W_ya"], a) + tensors["head.b_y"]
    true = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    assert np.abs(out - true).max() <= 1e-4


@cells
@built
def test_sequences_in_int8_are_its_steps_and_near_the_exact_ones(cell, activation, name, monkeypatch):
    spec, tensors = network(cell=cell, activation=activation, embedding=5, layers=2)
    made, exact = engines(spec, tensors, name, monkeypatch, bits=8)
    x, lengths = np.array([[3, 1, 4, 1], [5, 2, -1, -1], [7, -1, -1, -1]]), np.array([4, 2, 1])
    found, after = made.run(x, lengths)
    for row, length in enumerate(lengths.tolist()):
        state = made.start(1)
        for t in range(length):
            out, _, state = made.step(state, x[row : row + 1, t])
            assert np.array_equal(out[0], found[row, t])
        assert not found[row, length:].any()
        assert all(np.array_equal(a[row], b[0]) for a, b in zip(after, state, strict=True))
    true, _ = exact.run(x, lengths)
    assert 0 < np.abs(found - true).max() < 0.1


def test_int8_needs_native_steps(monkeypatch):
    spec, tensors = network(embedding=5, bidirectional=True)
    with pytest.raises(UsageError, match="int8 needs the native kernels"):
        NumpyEngine(spec, tensors, bits=8)
    monkeypatch.setenv("UNROLLED_KERNEL", "reference")
    with pytest.raises(UsageError, match="try --engine numpy"):
        NumpyEngine(*network(embedding=5), bits=8)


@cells
@built
@pytest.mark.parametrize("bits", [8, 32])
def test_nan_in_is_nan_out_in_its_row_alone(cell, activation, name, bits, monkeypatch):
    spec, tensors = network(cell=cell, activation=activation, ids=False)
    made, _ = engines(spec, tensors, name, monkeypatch, bits)
    rng = np.random.default_rng(0)
    x = inputs(spec, rng, 3)
    clean, _, _ = made.step(made.start(3), x)
    x[1, 2] = np.nan
    out, _, after = made.step(made.start(3), x)
    assert np.isnan(out[1]).all() and np.isnan(after[0][1]).all()
    assert np.array_equal(out[[0, 2]], clean[[0, 2]])
    best, ids, _ = made.step(made.start(3), x, 3)
    assert np.isnan(best[1]).all() and (ids >= 0).all() and (ids < 9).all()


@built
def test_ties_go_by_id_and_k_may_be_all(name, monkeypatch):
    spec, tensors = network(embedding=5)
    tensors["head.W_ya"][:] = 0
    tensors["head.b_y"][:] = [0, 3, 1, 3, 2, 0, 0, 1, 0]
    made, _ = engines(spec, tensors, name, monkeypatch)
    _, ids, _ = made.step(made.start(2), np.array([-1, 4]), 5)
    assert ids.tolist() == [[1, 3, 4, 2, 7]] * 2
    best, ids, _ = made.step(made.start(1), np.array([2]), 50)
    assert ids.tolist() == [[1, 3, 4, 2, 7, 0, 5, 6, 8]] and best.shape == (1, 9)


@cells
@built
def test_a_state_that_lies_there_is_not_mistaken_for_another(cell, activation, name, monkeypatch):
    spec, tensors = network(cell=cell, activation=activation, embedding=5, layers=2)
    made, exact = engines(spec, tensors, name, monkeypatch)
    rng = np.random.default_rng(0)
    streams = {rows: [made.start(rows), exact.start(rows)] for rows in (1, 2, 9)}
    for turn in range(40):
        rows, k = int(rng.choice([1, 1, 2, 9])), int(rng.integers(1, 4))
        x = rng.integers(-1, 9, rows)
        state, true = streams[rows]
        if turn % 3 == 2:  # what fails, or is another's, between two steps of a stream
            with pytest.raises(UsageError):
                made.step(state if turn % 2 else made.start(rows), np.full(rows, 9), k)
            made.step(made.start(rows), x, k)
        if turn % 5 == 4:  # an older one
            made.step(state, rng.integers(-1, 9, rows), k)
        out, ids, after = made.step(state, x, k)
        all_out, _, true = exact.step(true, x)
        assert np.abs(out - np.take_along_axis(all_out, ids, 1)).max() <= 2e-5
        assert not any(array.flags.writeable for array in after), "it would change what is stepped from"
        streams[rows] = [after, true]


@cells
@built
def test_states_and_inputs_of_another_size_are_refused(cell, activation, name, monkeypatch):
    for kind in ("embedding", "numbers"):
        spec, tensors = network(cell=cell, activation=activation, **NETWORKS[kind])
        made, _ = engines(spec, tensors, name, monkeypatch)
        rng, good = np.random.default_rng(0), made.start(4)
        x = inputs(spec, rng, 4)
        for bad in (x[:3], x[:1], x[..., None], np.concatenate([x, x])):
            with pytest.raises(UsageError, match="x is"):
                made._native.step(good, bad, None)
        for change in (lambda s: s[:1], lambda s: s[:, :1], lambda s: s[:, :-1], lambda s: s[0]):
            with pytest.raises(UsageError, match=r"a state array is|x is"):
                made._native.step((*good[:-1], change(good[-1])), x, None)
        with pytest.raises(UsageError, match="the state is"):
            made._core[0][0].run(
                x[:2] if kind == "numbers" else rng.random((2, 5), np.float32),
                tuple(np.zeros((1, 20), np.float32) for _ in spec.core.cell_definition.state),
            )
        made.step(good, x)


@cells
@built
def test_weights_of_another_size_are_refused(cell, activation, name, monkeypatch):
    spec, tensors = network(cell=cell, activation=activation, embedding=5)
    monkeypatch.setenv("UNROLLED_KERNEL", name)
    whole = next(key for key in tensors if ".W_" in key and key.startswith("core"))
    for changed in (tensors[whole][:-1], tensors[whole][:, :-1], tensors[whole][:, :21]):
        with pytest.raises((UsageError, ValueError)):
            made = NumpyEngine(spec, tensors | {whole: changed})
            made.run(np.array([[3, 1]]))


@built
@pytest.mark.parametrize("bits", [8, 32])
def test_no_rows_give_no_answers(name, bits, monkeypatch):
    spec, tensors = network(embedding=5)
    monkeypatch.setenv("UNROLLED_KERNEL", name)
    made = NumpyEngine(spec, tensors, bits)
    answers, state = made.run(np.zeros((0, 4), np.int64))
    assert answers.shape == (0, 4, 9) and [array.shape for array in state] == [(0, 21)] * 2
    out, ids, _ = made.step(state, np.zeros(0, np.int64), 3)
    assert out.shape == ids.shape == (0, 3)


@built
def test_an_id_past_the_vocabulary_is_refused(name, monkeypatch):
    spec, tensors = network(embedding=5)
    made, _ = engines(spec, tensors, name, monkeypatch)
    with pytest.raises(UsageError, match="the id 9 is not in the vocabulary; expected below 9"):
        made.step(made.start(2), np.array([1, 9]))
    made.step(made.start(2), np.array([1, 8]))


@built
def test_a_large_vocabulary_is_looked_up_as_embeddings(name, monkeypatch):
    spec, tensors = network(n_a=130, n_x=3000, n_y=11, embedding=16)
    made, exact = engines(spec, tensors, name, monkeypatch)
    assert made._native.layers[0].table.shape == (3000, 16)
    x = np.array([2999, -1, 0])
    out, _, _ = made.step(made.start(3), x)
    true, _, _ = exact.step(exact.start(3), x)
    assert np.abs(out - true).max() <= 2 * FLOAT32["oracle"]


def test_without_a_library_numpy_steps(monkeypatch):
    monkeypatch.setenv("UNROLLED_KERNEL", "reference")
    spec, tensors = network(embedding=5)
    made = NumpyEngine(spec, tensors)
    assert made._native is None
    whole, _ = made.run(np.array([[3, 1]]))
    _, _, state = made.step(made.start(1), np.array([3]))
    out, _, _ = made.step(state, np.array([1]))
    assert np.abs(out - whole[:, 1]).max() <= FLOAT32["forward"]


@built
def test_buffers_are_kept_for_a_few_sizes_only(name):
    spec, tensors = network(embedding=5)
    steps = native.steps(native.libraries()[name], spec, tensors)
    for rows in [*range(1, 20), 3]:
        state = tuple(np.zeros((rows, 21), np.float32) for _ in "ac")
        out, _, _ = steps.step(state, np.zeros(rows, np.int64), None)
        assert out.shape == (rows, 9)
    assert len(steps.each_thread.own.buffers) <= 8


@pytest.mark.parametrize("bits", [32, 8])
def test_an_engine_that_only_steps_holds_its_weights_once(bits: int):
    spec, tensors = network(n_a=256, ids=False, n_x=256)
    given = sum(tensor.nbytes for tensor in tensors.values())
    tracemalloc.start()
    made = NumpyEngine(spec, tensors, bits)
    made.step(made.start(1), np.zeros((1, 256), np.float32))
    packed, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert packed < 1.25 * given * bits / 32
