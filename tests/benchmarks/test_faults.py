"""The fault injector of benchmarks/faults.py: a small part of it, and that it sees what is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import faults
from support.paths import TESTS


def test_a_few_faults_over_an_old_model_end_well(tmp_path: Path):
    words = [sys.executable, str(TESTS.parent / "benchmarks" / "faults.py"), "--folder", str(tmp_path)]
    words += ["--only", "force", "--every", "170", "--power", "2"]
    environment = os.environ | {"PYTHONPATH": str(TESTS.parent / "src")}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=900)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert "0 of them wrong" in done.stdout
    assert all(f"| {fault}" in done.stdout for fault in faults.FAULTS)


def test_a_model_that_is_neither_old_nor_new_and_what_is_left_are_seen(tmp_path: Path):
    data, out = tmp_path / "one.txt", tmp_path / "work" / "m"
    out.parent.mkdir()
    data.write_text("abc def ghi\n" * 60)
    out.write_bytes(b"half a model")
    (out.parent / f"{faults.TEMPORARY}9-left").mkdir(mode=0o000)
    situation = faults.Situation("a test", data, None, (), b"the new model")
    count = faults.Count()
    faults.judge(situation, out, count, "here")
    assert (count.points, count.old, count.new, count.left) == (1, 0, 0, 1)
    assert any("neither the old one nor the new one" in line for line in count.wrong)
    assert any("the next start ended with" in line for line in count.wrong)
