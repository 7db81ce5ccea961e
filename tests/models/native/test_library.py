"""Threads: the OpenMP runtime is found wherever it is installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from unrolled.models import native
from unrolled.models.native.library import mapped_file


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("7f00-7f01 r-xp 00000000 08:01 42      /usr/lib/libgomp.so.1", "/usr/lib/libgomp.so.1"),
        ("7f00-7f01 r-xp 00000000 08:01 42      /srv/a b/c  d/libgomp.so.1", "/srv/a b/c  d/libgomp.so.1"),
        ("7f00-7f01 r-xp 00000000 08:01 42      /srv/a\\012b/libgomp.so", "/srv/a\nb/libgomp.so"),
        ("7f00-7f01 rw-p 00000000 00:00 0 ", ""),
        ("7f00-7f01 rw-p 00000000 00:00 0      [stack]", "[stack]"),
        ("", ""),
    ],
)
def test_the_path_of_a_mapped_file(line, path):
    assert mapped_file(line) == path


@pytest.mark.parametrize("folder", ["plain", "with space", "ümläut  und\nZeile", "torch"])
def test_a_runtime_in_any_folder_is_found(folder, tmp_path):
    torch = pytest.importorskip("torch")
    runtimes = sorted((Path(torch.__file__).parent / "lib").glob("libgomp*"))
    if not runtimes or not native.libraries() or sys.platform != "linux":
        pytest.skip("no OpenMP runtime of torch's, or no native kernels")
    copy = tmp_path / folder / runtimes[0].name
    copy.parent.mkdir()
    shutil.copy(runtimes[0], copy)
    code = (
        "import ctypes, sys\n"
        "from unrolled.models import native\n"
        "assert not native.share_threads()\n"
        "ctypes.CDLL(sys.argv[1])\n"
        "print(native.share_threads())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(copy)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.strip() == "True", done.stderr
