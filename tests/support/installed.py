"""`unrolled` in a process of its own, beside other installed packages or without them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from support.paths import ROOT


def unrolled(
    installed: Path | None, *arguments: str | Path, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run `unrolled ...` with the folder of another package on its path; None: without one."""
    found = [ROOT / "src", *([installed] if installed else [])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, found)), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "unrolled", *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, env=environment, timeout=300)
