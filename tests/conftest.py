"""What every test shares: at most two threads, checked types, patient hypothesis and the optional data folder.

Nothing here imports torch, so a test that needs none starts at once.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from jaxtyping import install_import_hook

from support import typecheck
from support.paths import ROOT

# Read by torch and by NumPy's BLAS at their first import, here and in the processes that tests start.
both = 1 if "PYTEST_XDIST_WORKER" in os.environ else 2  # where two processes run tests, each has a core
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = str(min(both, int(os.environ.get(name) or both)))

# Annotations are checked at every call, in tests only, in the packages that pass arrays and tensors between untyped
# libraries. It costs 0.1 ms per call, which doubles the time of packages with many small functions. pyright checks the
# annotations of all packages. A name that is imported only for type checkers is not checked at run time.
install_import_hook(["unrolled.nn", "unrolled.models", "unrolled.estimators"], f"{typecheck.__name__}.check")

# The default draws the same examples in every run, so that the tests pass or fail for everybody alike. `search` draws
# new ones (scripts/search). A slow example is not a failure: a shared machine is slow now and then.
hypothesis.settings.register_profile("fixed", deadline=None, derandomize=True)
hypothesis.settings.register_profile("search", deadline=None, print_blob=True)
hypothesis.settings.load_profile("fixed")

MANY_FILES = 200  # many systems allow 1,024
DATA = Path(os.environ.get("UNROLLED_DATA") or ROOT.parent / "shared" / "data")


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data sets: UNROLLED_DATA, or shared/data beside the checkout."""
    if not DATA.is_dir():
        pytest.skip("no data folder; set UNROLLED_DATA to run this test")
    return DATA


@pytest.fixture(autouse=True, scope="module")
def few_open_files() -> Iterator[None]:
    """Close the mapped files of arrays that are garbage, before the process reaches its limit of open files."""
    yield
    if sum(1 for _ in Path("/dev/fd").iterdir()) > MANY_FILES:
        gc.collect()


@pytest.fixture
def two_threads_however_small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Native kernels share out even the smallest work between two threads."""
    import torch  # late: most tests need none

    from unrolled.nn.kernels import native_sequence

    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    monkeypatch.setattr(native_sequence, "WORTH_THREADS", 0)
    yield
    torch.set_num_threads(threads)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that use the data folder (`data`) and those with examples drawn by hypothesis (`property`)."""
    for item in items:
        if hypothesis.is_hypothesis_test(getattr(item, "obj", None)):
            item.add_marker("property")
        if "data" in getattr(item, "fixturenames", ()):
            item.add_marker("data")
