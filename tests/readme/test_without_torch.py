"""A model needs NumPy alone: no torch, no compiler. README.md says:

* "The result is one model file that runs on any computer with NumPy."
* "# without PyTorch: opens, evaluates and runs models"
* "Without one, everything works on PyTorch and NumPy, but more slowly."
* "`UNROLLED_KERNEL=reference`, `torch`, `baseline`, `avx2`, `avx512` or `avx512vnni` forces one kernel."
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from support.paths import GOLDEN, ROOT
from support.small_models import temporary
from support.tolerances import FLOAT32

LINES = "the cat\ncat the the\n"


@cache
def numpy_alone() -> Path:
    """A folder with NumPy and no other package."""
    folder, home = temporary(), Path(np.__file__).parent.parent
    for name in ("numpy", "numpy.libs"):
        if (home / name).exists():
            (folder / name).symlink_to(home / name)
    return folder


def bare(*arguments: object, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """`unrolled ...` where no package of others is installed but NumPy."""
    path = os.pathsep.join(map(str, (ROOT / "src", numpy_alone())))
    command = [sys.executable, "-S", "-m", "unrolled", *map(str, arguments)]
    known = os.environ | {"PYTHONPATH": path} | environment
    return subprocess.run(command, input=stdin, capture_output=True, text=True, env=known, timeout=120)


def test_this_is_an_environment_without_torch():
    code = "import importlib.util as i; print(*(i.find_spec(n) is None for n in ('numpy', 'torch', 'rich', 'scipy')))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(numpy_alone())},
    )
    assert done.stdout.split() == ["False", "True", "True", "True"]


@pytest.mark.parametrize(
    "words",
    [
        ("sample", GOLDEN / "format1.model", "--count", 2),
        ("score", GOLDEN / "format1.model", "--tokens"),
        ("predict", GOLDEN / "format1-tag.model"),
        ("predict", GOLDEN / "format1-translate.model", "--format", "jsonl"),
    ],
    ids=lambda words: f"{words[0]} {words[1].stem}",
)
def test_a_model_works_with_numpy_alone(words: Sequence[object]):
    done = bare(*words, stdin=LINES)
    assert done.returncode == 0, done.stderr
    assert done.stdout and done.stdout.count("\n") >= 2


def test_a_model_is_evaluated_and_checked_with_numpy_alone(tmp_path: Path):
    text = tmp_path / "t.txt"
    text.write_text("the cat the cat\n" * 5)
    done = bare("evaluate", GOLDEN / "format1.model", text, "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["loss"] > 0, done.stderr
    assert bare("check", "language", text).returncode == 0


def test_training_without_torch_says_what_to_install(tmp_path: Path):
    text = tmp_path / "t.txt"
    text.write_text("the cat the cat\n" * 50)
    done = bare("train", "language", text, "--out", tmp_path / "m")
    assert done.returncode == 2 and done.stderr.count("error: ") == 1 and "Traceback" not in done.stderr
    assert "unrolled[train]" in done.stderr
    assert not (tmp_path / "m").exists()


def test_answers_are_the_same_with_and_without_compiled_kernels():
    words = ("score", GOLDEN / "format1.model", "--format", "jsonl", "--tokens")
    own, plain = (bare(*words, stdin=LINES, **forced) for forced in ({}, {"UNROLLED_KERNEL": "reference"}))
    for one, other in zip(own.stdout.splitlines(), plain.stdout.splitlines(), strict=True):
        left, right = json.loads(one), json.loads(other)
        assert left["log_probability"] == pytest.approx(right["log_probability"], abs=10 * FLOAT32["forward"])


def test_an_unknown_kernel_is_refused():
    done = bare("score", GOLDEN / "format1.model", stdin=LINES, UNROLLED_KERNEL="fast")
    assert done.returncode == 2 and "fast" in done.stderr and "reference" in done.stderr
