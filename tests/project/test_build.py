"""Building never fails for want of a compiler, and a build has what the checkout has."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import ROOT


def build(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("setuptools")
    command = [sys.executable, "setup.py", "--quiet", "build_py", "--build-lib", folder, "build_native"]
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=300
    )


def test_without_a_compiler_the_package_is_built_without_kernels(tmp_path):
    done = build(tmp_path, CXX=str(tmp_path / "no-compiler"))
    assert done.returncode == 0, done.stderr
    assert "warning: no native kernels for baseline: " in done.stderr
    assert (tmp_path / "unrolled" / "models" / "native" / "library.py").is_file()
    assert not list((tmp_path / "unrolled" / "models" / "native").glob("*.so*"))


def test_a_compiler_that_fails_is_no_error(tmp_path):
    done = build(tmp_path, CXX="false")
    assert done.returncode == 0, done.stderr
    assert not list((tmp_path / "unrolled" / "models" / "native").glob("*.so*"))


def test_a_build_without_kernels_runs_on_numpy(tmp_path):
    assert build(tmp_path, CXX="false").returncode == 0
    code = (
        "import numpy as np\n"
        "from unrolled.models import native\n"
        "from unrolled.models.engines.numpy_engine import NumpyEngine\n"
        "from unrolled.models.initial_weights import initialise\n"
        "from unrolled.models.network_spec import Classes, CoreSpec, NetworkSpec, OneHot\n"
        "spec = NetworkSpec(OneHot(9), CoreSpec(6), Classes(9))\n"
        "tensors = {k: v.astype(np.float32) for k, v in initialise(spec, 0).items()}\n"
        "engine = NumpyEngine(spec, tensors)\n"
        "print(native.running(), engine.step(engine.start(1), np.array([2]))[0].shape)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    environment.pop("UNROLLED_KERNEL", None)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.strip() == "torch (1, 9)", done.stderr


# Nothing to install for one test: where a cross-compiler is at hand, what cannot run here is compiled at least.
@pytest.mark.skipif(not shutil.which("aarch64-linux-gnu-g++"), reason="no compiler for ARM here")
@pytest.mark.parametrize("part", ["kernels", "step", "cpu"])
def test_the_same_source_compiles_for_arm(part, tmp_path):
    command = ["aarch64-linux-gnu-g++", "-std=c++17", "-O1", "-fPIC", "-Wall", "-Werror", "-c"]
    made = tmp_path / "made.o"
    done = subprocess.run(
        [*command, ROOT / "csrc" / f"{part}.cpp", "-o", made], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert made.stat().st_size > 0


@pytest.mark.slow
def test_a_build_with_a_compiler_has_every_library(tmp_path):
    done = build(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "no native kernels" not in done.stderr
    made = {path.stem for path in (tmp_path / "unrolled" / "models" / "native").glob("*.so")}
    assert "baseline" in made
