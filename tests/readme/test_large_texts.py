"""A training needs a memory that does not grow with its text. README.md says:

* "Texts may be larger than memory."
* "Files are read as a stream, and training memory-maps its encoded data."
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.training_runs import SMALL, write_text

STATUS = Path("/proc/self/status")
# `unrolled ...`, and then the most kilobytes of memory that it had, the last line on stderr. Files that are mapped are
# not counted: the system may drop their pages at any time.
MEASURED = f"""
import re, sys, threading, time
peak = 0
def watch():
    global peak
    while True:
        peak = max(peak, int(re.search(r"RssAnon:\\s*(\\d+) kB", open("{STATUS}").read())[1]))
        time.sleep(0.01)
threading.Thread(target=watch, daemon=True).start()
from unrolled.cli import main
code = main(sys.argv[1:])
print(peak, file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.skipif(
    not STATUS.exists() or "RssAnon" not in STATUS.read_text(), reason="needs to know the memory of a process"
)
def test_a_text_that_is_larger_takes_little_more_memory(tmp_path: Path):
    block = write_text(tmp_path / "block.txt", 40_000).read_bytes()  # a megabyte
    short, long = tmp_path / "short.txt", tmp_path / "long.txt"
    for path, blocks in ((short, 6), (long, 24)):
        with path.open("wb") as stream:
            for _ in range(blocks):
                stream.write(block)
    more = peak(long) - peak(short)
    assert more < long.stat().st_size - short.stat().st_size  # less than the bytes of the text alone


def peak(text: Path) -> int:
    """The most bytes of memory that reading a text and the first steps of its training take."""
    words = ("train", "language", text, *SMALL, "--epochs", 1, "--out", text.with_suffix(".m"), "--dry-run")
    command = [sys.executable, "-c", MEASURED, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return int(done.stderr.splitlines()[-1]) << 10
