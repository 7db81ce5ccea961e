"""The subprocess of a decoder: it runs no code of the current folder and never outlives its limits or its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from support.paths import TESTS
from unrolled.core.errors import DataError, UsageError
from unrolled.core.types import Place
from unrolled.data import sandbox

SRC = TESTS.parent / "src"
# Modules that a decoder or the command line imports: of the standard library, of installed packages, of our own.
SHADOWS = ("queue", "select", "resource", "numpy", "PIL", "json", "unrolled_extra", "secrets", "_socket")


def plant(folder: Path) -> Path:
    """A folder of data in which modules lie that leave a mark where they are run; the path of the mark."""
    mark = folder / "mark"
    code = f"open({str(mark)!r}, 'a').write(__name__)\nraise ImportError\n"
    for name in SHADOWS:
        (folder / f"{name}.py").write_text(code)
    Image.new("L", (40, 20), 255).save(folder / "a.png")
    rows = "a.png,abc\n" * 4
    (folder / "lines.csv").write_text(f"image,text\n{rows}")
    return mark


@pytest.mark.parametrize(
    "command",
    [
        ("-m", "unrolled"),
        ("-c", "import sys; del sys.path[0]; from unrolled.cli import main; sys.exit(main())"),
    ],
    ids=("module", "script"),
)
def test_nothing_in_a_folder_of_data_is_executed(tmp_path: Path, command: tuple[str, ...]):
    mark = plant(tmp_path)
    words = [sys.executable, *command, "check", "images:sequence", "lines.csv"]
    environment = {**os.environ, "PYTHONPATH": str(SRC)}
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    assert not mark.exists(), mark.read_text()


def test_a_subprocess_looks_into_no_relative_or_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", ".", str(tmp_path), "/elsewhere", *sys.path])
    found = sandbox._search_path()
    assert found[0] == str(SRC.resolve()) and "/elsewhere" in found
    assert not {"", ".", str(tmp_path)} & set(found)


PARENT = """
import sys
from unrolled.data import sandbox
worker = sandbox._worker()
sandbox._idle.put(worker)
print(worker.pid, flush=True)
limits = sandbox.Limits(float(sys.argv[2]), 1 << 28)
sandbox.run_in_subprocess("support.hostile_decoder:decode", {"path": sys.argv[1]}, limits)
"""


def started(folder: Path, what: str, seconds: float) -> tuple[subprocess.Popen[str], int]:
    """A process that waits for a decoder which does not come back, and the number of the decoder's process."""
    words = [sys.executable, "-c", PARENT, f"{what}:{folder / 'begun'}", str(seconds)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(SRC), str(TESTS)))}
    parent = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment)
    assert parent.stdout is not None
    number = int(parent.stdout.readline())
    until = time.monotonic() + 60
    while not (folder / "begun").exists() and time.monotonic() < until:
        time.sleep(0.02)
    return parent, number


def gone(number: int, seconds: float) -> bool:
    """Whether a process ends within so many seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if ") Z " in Path(f"/proc/{number}/stat").read_text():
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("what", ["hang", "stuck"])
def test_a_decoder_ends_with_the_process_that_waits_for_it(tmp_path: Path, what: str):
    parent, number = started(tmp_path, what, 600)
    with parent:
        time.sleep(0.1)
        assert not gone(number, 0.1)
        parent.send_signal(signal.SIGKILL)
    assert gone(number, 30)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_decoder_ends_by_itself_where_nobody_ends_it(tmp_path: Path):
    parent, number = started(tmp_path, "stuck", 0.3)
    with parent:
        parent.send_signal(signal.SIGSTOP)  # nobody looks at the clock now but the kernel
        assert gone(number, 60)
        parent.kill()


@pytest.mark.parametrize("what", ["pipe", "loop", "none"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, what: str):
    path = tmp_path / what
    if what == "pipe":
        os.mkfifo(path)
    if what == "loop":
        path.symlink_to(path)
    words = {"pipe": "named pipe", "loop": "leads back to itself", "none": "no such file"}
    with pytest.raises(UsageError, match=words[what]):
        sandbox.decode_file(path, Place(path, 1), "unrolled.data.media.image:read", {})


def test_a_pipe_among_the_pictures_of_a_clip_is_refused(tmp_path: Path):
    os.mkfifo(tmp_path / "1.png")
    asked = {"side": 8, "colour": False, "longest": 10}
    with pytest.raises(DataError, match=r"1\.png.*named pipe|named pipe"):
        sandbox.decode_file(tmp_path, Place(tmp_path, 1), "unrolled.data.media.image:read", asked)
