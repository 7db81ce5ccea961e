"""Crafted model files: whatever they say, a command ends in finite numbers or in one of our own errors, soon."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import TESTS


def wrong(folder: Path, seed: int, count: int) -> str:
    """What did not end well, a line each; in a process of its own, within 6 GB."""
    words = [sys.executable, "-m", "support.crafted_models", str(folder), str(seed), str(count)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(TESTS), str(TESTS.parent / "src")))}
    limited = f"import resource, sys, os; resource.setrlimit({resource.RLIMIT_AS}, (6 << 30, 6 << 30)); "
    code = limited + "os.execv(sys.argv[1], sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, env=environment, timeout=1200
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


def test_crafted_models_end_in_an_answer_or_in_our_error(tmp_path: Path):
    assert wrong(tmp_path, 0, 150) == ""


@pytest.mark.slow
def test_many_crafted_models_end_in_an_answer_or_in_our_error(tmp_path: Path):
    assert wrong(tmp_path, 1, 7_500) == ""
