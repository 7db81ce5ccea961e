"""First weights with a long memory: how long the units of each cell keep a state."""

from __future__ import annotations

import numpy as np
import pytest

from unrolled.models.cells import CELLS
from unrolled.models.cells.ops import NUMPY
from unrolled.models.initial_weights import initialise, remember
from unrolled.models.network_spec import Classes, CoreSpec, NetworkSpec, Vectors

STEPS = 200


def spec_of(cell: str) -> NetworkSpec:
    core = CoreSpec(n_a=400, cell=cell, layers=2, bidirectional=True)
    return NetworkSpec(Vectors(n_x=3), core, Classes(2, pooling="last"))


@pytest.mark.parametrize("cell", ["lstm", "gru", "gru-simple"])
def test_units_keep_their_state_for_one_step_to_the_given_number(cell: str):
    """Without inputs and recurrent weights, the memory of a unit decays by the factor 1 - 1/(t + 1) per step."""
    spec = spec_of(cell)
    found = remember(spec, initialise(spec, 0), STEPS, 0)
    definition = CELLS[cell]
    for layer in range(2):
        for direction in ("forward", "backward"):
            names = {name: found[f"core.{layer}.{direction}.{name}"] for name in definition.names}
            w = {name: value if name.startswith("b_") else 0 * value for name, value in names.items()}
            x = np.zeros((1, definition.inputs(w)), np.float32)
            state = tuple(np.ones((1, 400), np.float32) for _ in definition.state)
            kept = definition.step(NUMPY, w, state, x)[-1][0]  # [n_a], of a state of ones
            times = kept / (1 - kept)
            assert 1 <= times.min() < 10 and STEPS * 0.9 < times.max() <= STEPS * 1.001
            assert np.median(times) == pytest.approx(STEPS / 2, rel=0.2), "uniform"


def test_only_the_biases_of_the_gates_change_and_the_seed_decides_them():
    spec = spec_of("lstm")
    usual = initialise(spec, 4)
    found = remember(spec, usual, STEPS, 4)
    changed = {name for name in usual if not np.array_equal(usual[name], found[name])}
    assert {name.rpartition(".")[2] for name in changed} == {"b_f", "b_u"} and len(changed) == 8
    assert found.keys() == usual.keys()
    assert all(
        value.dtype == np.float32 and value.shape == usual[name].shape for name, value in found.items()
    )
    again, other = remember(spec, usual, STEPS, 4), remember(spec, usual, STEPS, 5)
    assert all(np.array_equal(found[name], again[name]) for name in found)
    assert not np.array_equal(found["core.0.forward.b_f"], other["core.0.forward.b_f"])


def test_a_cell_without_gates_is_unchanged():
    spec = spec_of("rnn")
    usual = initialise(spec, 0)
    found = remember(spec, usual, STEPS, 0)
    assert all(np.array_equal(found[name], usual[name]) for name in usual)
