"""Both engines are the oracle, alone and in batches, whole and step by step; nothing depends on padding or batch."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from support import oracle
from support.networks import spec_of
from support.tolerances import TOLERANCES
from unrolled.core.errors import UsageError
from unrolled.models.engines.numpy_engine import NumpyEngine
from unrolled.models.initial_weights import initialise
from unrolled.nn.torch_engine import TorchEngine


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Such small sums gain nothing from a second thread, and lose much where another process has its core."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


VARIANTS = oracle.variants()
ENGINES = {"numpy": NumpyEngine, "torch": TorchEngine}
cells = pytest.mark.parametrize(("cell", "activation"), VARIANTS)
engines = pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
HEADS = {
    "embedding": {"embedding": 5},
    "one-hot": {},
    "tied": {"embedding": 6, "tie": True},
    "tied, projected": {"embedding": 4, "tie": True},
    "two layers": {"embedding": 5, "layers": 2},
    "both directions": {"embedding": 5, "layers": 2, "bidirectional": True},
    "tied, both directions": {"embedding": 6, "tie": True, "bidirectional": True},
}
X = np.array([[-1, 3, 8, 0, 1, 1, 7], [4, 4, -1, 2, 0, 0, 0], [0] * 7, [8, 7, 6, 5, 4, 3, 2]])
LENGTHS = np.array([7, 4, 0, 6])


def network(dtype="float64", seed=0, n_x=9, **more):
    spec = spec_of(n_x=n_x, n_y=n_x, n_a=6, **more)
    rng = np.random.default_rng(seed)
    tensors = initialise(spec, seed)
    moved = {k: (v + 0.2 * rng.standard_normal(v.shape)).astype(dtype) for k, v in tensors.items()}
    return spec, moved


def expected(spec, tensors, ids):
    name = f"{spec.core.cell}-{spec.core.activation}"
    return oracle.language_model(name, tensors, spec.core.layers, spec.core.directions, ids)


@cells
@engines
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("head", HEADS)
def test_run_is_the_oracle(cell, activation, engine, dtype, head):
    spec, tensors = network(dtype, cell=cell, activation=activation, **HEADS[head])
    made = engine(spec, tensors)
    assert made.n_y == 9
    log_probs, state = made.run(X, LENGTHS)
    assert log_probs.shape == (4, 7, 9) and log_probs.dtype == dtype
    for row, length in enumerate(LENGTHS):
        assert not log_probs[row, length:].any()
        if length:
            difference = log_probs[row, :length] - expected(spec, tensors, X[row, :length])
            assert np.abs(difference).max() <= TOLERANCES[dtype]["oracle"]
    assert [s.shape for s in state] == [s.shape for s in made.start(4)]


@cells
@engines
def test_step_and_chunks_are_the_whole(cell, activation, engine):
    spec, tensors = network(cell=cell, activation=activation, embedding=5, layers=2)
    made, tolerance = engine(spec, tensors), TOLERANCES["float64"]["forward"]
    whole, last = made.run(X)
    state = made.start(4)
    for t in range(7):
        log_probs, ids, state = made.step(state, X[:, t])
        assert np.abs(log_probs - whole[:, t]).max() <= tolerance
        assert np.array_equal(ids, np.tile(np.arange(9), (4, 1)))
    assert max(np.abs(np.asarray(a - b)).max() for a, b in zip(state, last, strict=True)) <= tolerance
    for size in (1, 2, 3, 5):
        state, parts = None, []
        for begin in range(0, 7, size):
            part, state = made.run(X[:, begin : begin + size], None, state)
            parts.append(part)
        assert np.abs(np.concatenate(parts, axis=1) - whole).max() <= tolerance


@cells
def test_the_engines_agree_and_their_states_too(cell, activation):
    spec, tensors = network(cell=cell, activation=activation, embedding=5, layers=2, bidirectional=True)
    (a, left), (b, right) = (engine(spec, tensors).run(X, LENGTHS) for engine in ENGINES.values())
    tolerance = TOLERANCES["float64"]["forward"]
    assert np.abs(a - b).max() <= tolerance
    assert max(np.abs(l - r.numpy()).max() for l, r in zip(left, right, strict=True)) <= tolerance


@engines
@settings(max_examples=10)
@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=5), seed=st.integers(0, 100))
def test_a_sequence_alone_and_in_any_batch(engine, lengths, seed):
    spec, tensors = network("float32", seed, embedding=5, bidirectional=bool(seed % 2))
    made = engine(spec, tensors)
    x = np.random.default_rng(seed).integers(-1, 9, (len(lengths), max(lengths)))
    together, after = made.run(x, np.array(lengths))
    for row, length in enumerate(lengths):
        alone, last = made.run(x[row : row + 1, :length])
        assert np.abs(together[row, :length] - alone[0]).max() <= TOLERANCES["float32"]["padding"]
        if engine is NumpyEngine:  # which promises the very same bits
            assert np.array_equal(together[row, :length], alone[0])
            assert all(np.array_equal(s[row : row + 1], l) for s, l in zip(after, last, strict=True))


@engines
def test_the_k_best_fall_and_ties_go_by_id(engine):
    spec, tensors = network(embedding=5)
    tensors["head.W_ya"][:] = 0
    tensors["head.b_y"][:] = [0, 3, 1, 3, 2, 0, 0, 1, 0]
    made = engine(spec, tensors)
    log_probs, ids, _ = made.step(made.start(2), np.array([-1, 4]), 5)
    assert ids.tolist() == [[1, 3, 4, 2, 7]] * 2
    assert (np.diff(log_probs) <= 0).all()
    full, _, _ = made.step(made.start(2), np.array([-1, 4]))
    assert np.abs(np.exp(full).sum(axis=1) - 1).max() < 1e-12
    assert np.array_equal(log_probs[0], full[0, ids[0]])


@engines
def test_rows_of_a_state_are_taken_and_kept(engine):
    spec, tensors = network(embedding=5)
    made = engine(spec, tensors)
    _, _, state = made.step(made.start(3), np.array([1, 2, 3]))
    taken = made.take(state, np.array([2, 0, 0, 1]))
    a, _, _ = made.step(taken, np.array([5, 5, 6, 5]))
    b, _, _ = made.step(state, np.array([5, 5, 5]))
    assert np.abs(a[[0, 1, 3]] - b[[2, 0, 1]]).max() < 1e-12
    kept = made.keep(state, np.array([True, False, True]))
    c, _, _ = made.step(kept, np.array([5, 5, 5]))
    fresh, _, _ = made.step(made.start(3), np.array([5, 5, 5]))
    assert np.abs(c[[0, 2]] - b[[0, 2]]).max() < 1e-12
    assert np.abs(c[1] - fresh[1]).max() < 1e-12
    assert made.keep(None, np.array([True])) is None


@engines
def test_from_many_to_one(engine):
    spec, tensors = network(embedding=5, bidirectional=True, architecture="many-to-one")
    log_probs, _ = engine(spec, tensors).run(X, LENGTHS)
    assert log_probs.shape == (4, 1, 9)
    core = [[{k: tensors[f"core.0.{d}.{k}"] for k in map("".join, leaves())} for d in spec.core.directions]]
    for row, length in enumerate(LENGTHS):
        xs = [tensors["embedding.E"][i] if i >= 0 else np.zeros(5) for i in X[row, :length]]
        a = oracle.network("lstm-tanh", core, xs)[0] if length else None
        last = np.concatenate([a[-1][:6], a[0][6:]]) if length else np.zeros(12)
        true = oracle.log_softmax(tensors["head.W_ya"] @ last + tensors["head.b_y"])
        assert np.abs(log_probs[row, 0] - true).max() <= TOLERANCES["float64"]["oracle"]


def leaves():
    return [(k, "_", gate) for gate in "ufco" for k in "Wb"]


@engines
def test_numbers_and_one_to_one(engine):
    spec = spec_of(n_x=3, n_y=4, n_a=6, ids=False, architecture="one-to-one", cell="gru")
    tensors = {k: v.astype(np.float64) for k, v in initialise(spec, 1).items()}
    x = np.random.default_rng(0).standard_normal((2, 1, 3))
    log_probs, _ = engine(spec, tensors).run(x)
    w = {k.rpartition(".")[2]: v for k, v in tensors.items() if k.startswith("core")}
    for row in range(2):
        a, _ = oracle.gru(w, (np.zeros(6),), x[row, 0])
        true = oracle.log_softmax(tensors["head.W_ya"] @ a + tensors["head.b_y"])
        assert np.abs(log_probs[row, 0] - true).max() <= TOLERANCES["float64"]["oracle"]


@engines
def test_what_reads_backward_has_no_step(engine):
    spec, tensors = network(embedding=5, bidirectional=True)
    made = engine(spec, tensors)
    with pytest.raises(UsageError, match="step by step"):
        made.step(made.start(1), np.array([1]))


@pytest.mark.parametrize("n_y", [100, 257])
def test_adaptive_softmax_is_one_distribution_on_both(n_y):
    spec, tensors = network(n_x=n_y, embedding=5, softmax="adaptive")
    x = np.array([[-1, 3, 99, 50]])
    (a, _), (b, _) = (engine(spec, tensors).run(x) for engine in ENGINES.values())
    assert np.abs(a - b).max() <= TOLERANCES["float64"]["forward"]
    assert np.abs(np.exp(a).sum(axis=-1) - 1).max() <= 1e-12


def test_the_numpy_engine_needs_no_torch():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from unrolled.models.engines.numpy_engine import NumpyEngine\n"
        "from unrolled.models.initial_weights import initialise\n"
        "from unrolled.models.network_spec import Classes, CoreSpec, NetworkSpec, OneHot\n"
        "import numpy as np\n"
        "spec = NetworkSpec(OneHot(9), CoreSpec(6), Classes(9))\n"
        "print(NumpyEngine(spec, initialise(spec, 0)).run(np.array([[1, 2]]))[0].shape)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "(1, 2, 9)", done.stderr
