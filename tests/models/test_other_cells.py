"""Cells of another package: a peephole LSTM, a layer-normalised GRU and a minGRU, found by their entry points."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

from support import other_cells
from support.installed import unrolled
from support.paths import ROOT
from support.training_runs import write_text
from unrolled.core.errors import UsageError
from unrolled.models.cells import CELLS, Cell, find, step_with_zoneout
from unrolled.models.cells.ops import NUMPY, first

OTHERS = {
    "peephole": other_cells.PEEPHOLE,
    "gru-normalised": other_cells.NORMALISED,
    "mingru": other_cells.MINIMAL,
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return other_cells.install(tmp_path_factory.mktemp("site"))


@pytest.mark.parametrize("name", OTHERS)
def test_the_sizes_are_told_by_the_weights(name: str):
    cell, rng = OTHERS[name], np.random.default_rng(0)
    for n_x, n_a in ((1, 1), (3, 5), (5, 3), (7, 7)):
        w = cell.initialise(rng, n_x, n_a)
        assert {key: value.shape for key, value in w.items()} == cell.shapes(n_x, n_a)
        assert (cell.units(w), cell.inputs(w)) == (n_a, n_x)


@pytest.mark.parametrize("name", OTHERS)
def test_ids_are_their_one_hot_vectors(name: str):
    cell, rng = OTHERS[name], np.random.default_rng(1)
    w = cell.initialise(rng, 4, 3)
    state = tuple(rng.standard_normal((5, 3)) for _ in cell.state)
    ids = np.array([0, 3, -1, 2, 1])
    vectors = np.where((ids >= 0)[:, None], np.eye(4)[ids], 0.0)
    for by_id, by_vector in zip(
        step_with_zoneout(cell, NUMPY, w, state, ids),
        step_with_zoneout(cell, NUMPY, w, state, vectors),
        strict=True,
    ):
        np.testing.assert_allclose(by_id, by_vector, atol=1e-14)


def test_doctor_checks_them_against_their_equations(installed: Path):
    done = unrolled(installed, "doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    for name in OTHERS:
        rows = [line for line in done.stdout.splitlines() if line.startswith(f"{name} ")]
        assert [row[15:35].strip() for row in rows] == [
            "reference loop",
            "scan",
            "numpy engine",
            "torch engine",
        ]


@pytest.mark.parametrize("name", OTHERS)
def test_trained_killed_resumed_opened_and_streamed(name: str, installed: Path, tmp_path: Path):
    text = write_text(tmp_path / "t.txt", 120)
    small = (
        "--hidden",
        "8",
        "--epochs",
        "3",
        "--batch-size",
        "4",
        "--window",
        "16",
        "--threads",
        "1",
        "--deterministic",
    )
    words = ("train", "language", text, "--cell", name, *small)
    alone = unrolled(installed, *words, "--out", tmp_path / "alone")
    assert alone.returncode == 0, alone.stderr
    environment = os.environ | {
        "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{installed}",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "unrolled", *map(str, words), "--out", str(tmp_path / "m")]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while process.poll() is None and not (tmp_path / "m.run" / "checkpoint").exists():
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
    resumed = unrolled(installed, *words, "--out", tmp_path / "m", "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert (tmp_path / "m").read_bytes() == (tmp_path / "alone").read_bytes()

    whole = unrolled(installed, "score", tmp_path / "m", "--format", "jsonl", stdin="the cat sat\n")
    assert whole.returncode == 0, whole.stderr
    scored = json.loads(whole.stdout)
    by_torch = unrolled(
        installed, "score", tmp_path / "m", "--format", "jsonl", "--engine", "torch", stdin="the cat sat\n"
    )
    assert json.loads(by_torch.stdout)["log_probability"] == pytest.approx(
        scored["log_probability"], rel=1e-5
    )
    sampled = unrolled(
        installed, "sample", tmp_path / "m", "--prompt", "the ", "--length", "20", "--seed", "1"
    )
    assert sampled.returncode == 0 and sampled.stdout.startswith("the ")

    absent = unrolled(None, "score", tmp_path / "m", stdin="the cat\n")
    assert absent.returncode == 2 and "Traceback" not in absent.stderr
    assert (
        f"the cell '{name}' comes from the package other-cells 1.2, which is not installed here"
        in absent.stderr
    )
    assert "pip install other-cells" in absent.stderr
    assert (
        f"unknown cell '{name}'; expected rnn, gru-simple, gru, lstm"
        in unrolled(None, *words, "--out", tmp_path / "n").stderr
    )


@pytest.mark.parametrize("name", OTHERS)
def test_both_directions_layers_and_ragged_rows(name: str, installed: Path, tmp_path: Path):
    rows = [("good and warm", "yes"), ("so good", "yes"), ("cold and so very bad", "no"), ("bad", "no")] * 15
    (tmp_path / "t.csv").write_text("text,label\n" + "".join(f"{x},{y}\n" for x, y in rows))
    small = (
        "--hidden",
        "8",
        "--layers",
        "2",
        "--epochs",
        "12",
        "--threads",
        "1",
        "--lr",
        "0.02",
        "--optimizer",
        "adamw",
    )
    made = unrolled(
        installed,
        "train",
        "classify",
        tmp_path / "t.csv",
        "--cell",
        name,
        *small,
        "--zoneout",
        "0.1",
        "--out",
        tmp_path / "m",
    )
    assert made.returncode == 0, made.stderr
    found = unrolled(installed, "evaluate", tmp_path / "m", tmp_path / "t.csv", "--json")
    assert json.loads(found.stdout)["accuracy"] >= 0.9, found.stdout
    both = unrolled(installed, "predict", tmp_path / "m", stdin="so good\ncold and so very bad\n")
    alone = unrolled(installed, "predict", tmp_path / "m", stdin="so good\n")
    assert both.stdout.splitlines()[0] == alone.stdout.strip() == "yes"
    refused = unrolled(
        installed,
        "train",
        "classify",
        tmp_path / "t.csv",
        "--cell",
        name,
        *small,
        "--weight-dropout",
        "0.1",
        "--out",
        tmp_path / "n",
    )
    assert refused.returncode == 2 and "has no recurrent matrices" in refused.stderr


def test_compare_takes_them(installed: Path, tmp_path: Path):
    rows = [("good and warm", "yes"), ("so good", "yes"), ("cold and bad", "no"), ("a bad one", "no")] * 20
    (tmp_path / "t.csv").write_text("text,label\n" + "".join(f"{x},{y}\n" for x, y in rows))
    done = unrolled(
        installed,
        "compare",
        "classify",
        tmp_path / "t.csv",
        "--cells",
        "mingru,gru",
        "--epochs",
        "2",
        "--seeds",
        "1",
        "--threads",
        "1",
    )
    assert done.returncode == 0 and "mingru" in done.stdout, done.stderr


def test_a_wrong_entry_point_is_named(monkeypatch: pytest.MonkeyPatch):
    points = {
        "other": EntryPoint("other", "string:digits", "unrolled.cells"),
        "gone": EntryPoint("gone", "no_such_module:CELL", "unrolled.cells"),
    }
    monkeypatch.setattr("unrolled.core.extensions.found", lambda group: points)
    with pytest.raises(
        UsageError, match=r"the entry point 'other' of unrolled.cells is '0123456789'; expected Cell"
    ):
        find("other")
    with pytest.raises(
        UsageError, match="'gone' of the package an unknown package cannot be imported: No module"
    ):
        find("gone")
    assert "other" not in CELLS


def test_a_cell_without_its_sizes_in_its_shapes_is_named():
    cell = Cell(
        "flat", ("a",), lambda n_x, n_a: {"W": (4, 4)}, lambda rng, n_x, n_a: {}, lambda *_: (), first
    )
    with pytest.raises(UsageError, match="the shapes of the cell 'flat' do not contain its sizes"):
        cell.units({"W": np.zeros((4, 4))})
