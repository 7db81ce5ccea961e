"""What the tests of training share: a small text, a small problem, and the command line in a process of its own."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unrolled.types import Batch, Place

SMALL = ("--hidden", "16", "--batch-size", "4", "--window", "16", "--threads", "1", "--seed", "3")

# The command line, saving at every step: tests have no ten seconds between two checkpoints.
EAGER = """
import sys
from unrolled import keeper
keeper.SAVE_SECONDS, keeper.SAVE_SHARE = 0.0, 1e9
from unrolled.cli import main
sys.exit(main(sys.argv[1:]))
"""


def write_text(path: Path, lines: int = 200, seed: int = 0) -> Path:
    """Lines of a few words from a small vocabulary, about 25 characters each."""
    chance = random.Random(seed)
    words = "the cat dog sat ran on under a mat log and then it was late so we all went home".split()
    path.write_text("".join(f"{' '.join(chance.choices(words, k=6))}.\n" for _ in range(lines)))
    return path


def start(*arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
    """`unrolled ARGUMENTS` in a process of its own, which saves at every step; stdout and stderr in one pipe."""
    command = [sys.executable, "-c", EAGER, *map(str, arguments)]
    options |= {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen(command, text=True, **options)


def run(*arguments: str | Path, **options: Any) -> tuple[int, str]:
    """`start`, and wait: exit code and all that was said."""
    with start(*arguments, **options) as process:
        said, _ = process.communicate(timeout=120)
        return process.returncode, said


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> bool:
    """Wait until the condition holds; False where the process ended before."""
    until = time.monotonic() + 100
    while not condition():
        if process.poll() is not None:
            return False
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.002)
    return True


def marks(path: Path) -> tuple[int, ...]:
    """What tells one version of a file from the next; empty where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return ()
    return found.st_mtime_ns, found.st_ino, found.st_size


def batch_of(ids: Sequence[Sequence[int]], carry: bool = False, before: int = -1) -> Batch:
    """Rows of one length as a batch: x is y one step late, its first id `before`."""
    y = np.array(ids, dtype=np.int64)  # [batch, T]
    x = np.concatenate([np.full((len(y), 1), before), y[:, :-1]], axis=1)
    lengths = np.full(len(y), y.shape[1])
    return Batch(x, y, lengths, np.full(len(y), carry), np.arange(len(y)) * 100)


def place(position: int) -> Place:
    """A line for each hundred tokens."""
    return Place(Path("poem.txt"), position // 100 + 1)
