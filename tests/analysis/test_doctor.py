"""The doctor finds every cell healthy, and a sick kernel sick."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unrolled.analysis import doctor
from unrolled.analysis.doctor import SINGLE, TOLERANCE, equation, report, run, slope
from unrolled.models import native
from unrolled.models.cells import find
from unrolled.nn.kernels.torch_kernels import KERNELS, loop_hoisted


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Such small sums gain nothing from a second thread, and lose much where another process has its core."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(doctor, "TIMED_STEPS", 3)


def test_every_cell_on_every_engine_is_its_equation(capsys):
    rows = list(run())
    assert {row.cell for row in rows} == {"rnn tanh", "rnn relu", "gru-simple", "gru", "lstm"}
    places = {"reference loop", "training kernel", "scan", "numpy engine", "torch engine"}
    places |= {f"native {name}" for name in native.libraries()}
    places |= {"float32 numpy engine"} if native.libraries() else set()
    assert {row.where for row in rows} == places and len(rows) == 5 * len(places)
    for row in rows:
        tolerance = SINGLE if row.where.startswith(("native", "float32")) else TOLERANCE
        assert row.forward <= tolerance
        assert row.where.endswith("engine") or row.gradient <= tolerance
    assert all(row.microseconds > 0 for row in rows)
    assert report() == 0
    *_, kernels, verdict = capsys.readouterr().out.splitlines()
    assert verdict == "all cells compute their equations"
    assert kernels.startswith(f"whole sequences in float32 run on: {native.running()} (")


def test_a_sick_kernel_is_found(monkeypatch, capsys):
    def sick(cell, w, x, state, taken=None):
        a, after = loop_hoisted(cell, w, x, state)
        return a + 1e-9, after

    monkeypatch.setitem(KERNELS, "gru", sick)
    assert report() == 4
    out = capsys.readouterr().out
    assert "gru          training kernel        1.0e-09" in out and "FAILED" in out


def test_a_wrong_gradient_is_found(monkeypatch):
    def sick(cell, w, x, state, taken=None):
        a, after = loop_hoisted(cell, w, x, state)
        return a + 1e-6 * (a - a.detach()), after  # the values are right

    monkeypatch.setitem(KERNELS, "gru", sick)
    failed = [row for row in run() if not row.passed]
    assert {(row.cell, row.where) for row in failed} == {("gru", "training kernel"), ("gru", "scan")}
    assert all(row.forward <= TOLERANCE for row in failed)


def test_the_complex_step_is_the_difference_quotient():
    cell, rng = find("lstm"), np.random.default_rng(0)
    w = cell.initialise(rng, 2, 3)
    x, state = rng.standard_normal((1, 4, 2)), tuple(rng.standard_normal((1, 3)) for _ in "ac")
    towards = rng.standard_normal((1, 4, 3))
    v = ({k: rng.standard_normal(m.shape) for k, m in w.items()}, 0 * x, tuple(0 * s for s in state))
    ends = [
        (equation(cell, {k: m + sign * 1e-6 * v[0][k] for k, m in w.items()}, x, state) * towards).sum()
        for sign in (1, -1)
    ]
    assert abs(slope(cell, w, x, state, towards, v) - (ends[0] - ends[1]) / 2e-6) < 1e-7
