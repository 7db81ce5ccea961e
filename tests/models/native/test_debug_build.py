"""The debug build of the library stops at a call that Python should not have made, and names the condition."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from support.paths import ROOT

pytestmark = pytest.mark.slow  # it compiles

SET_UP = """
import ctypes, sys
from pathlib import Path
import numpy as np
from unrolled.models import native
from unrolled.models.native.library import Backward, Entropy, Forward, Sequences
library = native.libraries(Path(sys.argv[1]))["baseline"]
keep = []
def at(*shape, kind=np.float32):
    keep.append(np.zeros(shape, kind))
    return keep[-1].ctypes.data
T, B, N_A = 3, 2, 5
def forward(**changed):
    of = Sequences(4, 1, 0, T, B, N_A)
    of.W_a, of.ld_W = at(4 * N_A, N_A), N_A
    call = Forward(of, True, at(4 * N_A), at(T * B, 4 * N_A), at(T * B, N_A))
    call.state = (ctypes.c_void_p * 2)(at(B, N_A), at(B, N_A))
    call.c, call.work = at(T * B, N_A), at(int(library.functions.unrolled_work(4, B, N_A, 1)))
    for name, value in changed.items():
        setattr(call if name in ("b", "gates", "a", "c", "work") else call.of, name, value)
    library.functions.unrolled_run_forward(call)
def entropy(**changed):
    call = Entropy(1, B, N_A, True, at(B, N_A), at(N_A), at(B, kind=np.int64), at(B), at(N_A), at(N_A))
    for name, value in changed.items():
        setattr(call, name, value)
    library.functions.unrolled_cross_entropy(call)
forward()
entropy()
print("good calls end", flush=True)
"""

WRONG = {
    "forward(b=None)": "array(f.b, row)",
    "forward(c=None)": "array(f.c",
    "forward(a=at(T * B, N_A) + 1)": "array(f.a",
    "forward(ld_W=N_A - 1)": "of.ld_W >= of.units",
    "forward(units=0)": "of.units > 0",
    "forward(zoneout=1.0)": "of.zoneout",
    "c = np.array([2, 3, 1]); forward(counts=c.ctypes.data)": "rows <=",
    "entropy(z=None)": "array(f.z",
    "y = np.array([0, 5]); entropy(y=y.ctypes.data)": "f.y[r] < f.outputs",
}


@pytest.fixture(scope="module")
def debug(tmp_path_factory):
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    folder = tmp_path_factory.mktemp("debug")
    code = (
        "import sys; from pathlib import Path; import setup\n"
        "setup.compile_variant('baseline', [sys.argv[1]], Path(sys.argv[2]), '-O0 -DUNROLLED_DEBUG')"
    )
    subprocess.run([sys.executable, "-c", code, compiler, str(folder)], cwd=ROOT, check=True, timeout=600)
    return folder


@pytest.mark.parametrize("call", WRONG)
def test_a_wrong_call_is_named(debug, call):
    done = subprocess.run(
        [sys.executable, "-c", SET_UP + call, str(debug)], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "good calls end\n" and done.returncode < 0
    assert "check.h" in done.stderr and "expected" in done.stderr and WRONG[call] in done.stderr
