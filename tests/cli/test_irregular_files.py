"""What is not a regular file is refused at once by every command, wherever it is given."""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path

import pytest

from support.small_models import small
from unrolled.cli import main
from unrolled.core.errors import UsageError
from unrolled.core.regular_files import open_regular
from unrolled.tasks.presets import TASKS

KINDS = ("pipe", "socket", "device", "loop")
WORDS = {"pipe": "is a named pipe", "socket": "is a socket", "device": "is a device", "loop": "leads back"}


def irregular(folder: Path, kind: str, ending: str = "") -> Path:
    """Something of this kind under a name with this ending."""
    path = folder / f"x{ending}"
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "socket":
            with socket.socket(socket.AF_UNIX) as end:
                end.bind(os.path.relpath(path))  # the path of a socket must be short
        case "device":
            path.symlink_to("/dev/zero")
        case _:
            path.symlink_to(path)
    return path


def refused(words: list[str], capsys: pytest.CaptureFixture[str], said: str) -> None:
    before = time.monotonic()
    assert main(words) == 2
    error = capsys.readouterr().err.strip()
    assert "\n" not in error and said in error, error
    assert time.monotonic() - before < 20  # a pipe nobody writes into would last for ever


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("task", sorted({*TASKS, "numbers:label", "numbers:next", "images:sequence"}))
def test_every_task_refuses_them_as_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], task: str, kind: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("text,label\na,b\n" * 3)
    for place, ending in (("data", ".csv"), ("--valid", ".npz"), ("--test", "")):
        path = irregular(tmp_path, kind, ending)
        data = [str(path)] if place == "data" else ["a.csv", place, str(path)]
        refused(["train", task, *data, "--out", "m", "--epochs", "1"], capsys, WORDS[kind])
        refused(["check", task, *data], capsys, WORDS[kind])
        path.unlink()
    assert not (tmp_path / "m").exists() and not (tmp_path / "m.run").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_every_other_file_is_checked_as_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("some words\n" * 3)
    path, model = str(irregular(tmp_path, kind)), str(small().word)
    for words in (
        ["train", "language", "a.txt", "--config", path, "--out", "m"],
        ["compare", "language", path, "--epochs", "1"],
        ["evaluate", path, "a.txt"],
        ["evaluate", model, path],
        ["predict", path, "a.txt"],
        ["predict", model, path],
        ["score", model, path],
        ["score", path, "a.txt"],
        ["sample", path],
        ["demo", path],
    ):
        refused(words, capsys, WORDS[kind])


def test_a_folder_is_no_configuration_and_no_line_of_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "a.txt").write_text("some words\n" * 3)
    refused(["train", "language", "a.txt", "--config", "folder.csv", "--out", "m"], capsys, "is a folder")
    refused(["predict", str(small().word), "folder.csv"], capsys, "is a folder")


def test_a_file_that_becomes_a_pipe_meanwhile_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path, pipe = tmp_path / "f", tmp_path / "pipe"
    path.write_bytes(b"x")
    os.mkfifo(pipe)
    whole = os.open

    def replacing(name: Path, flags: int) -> int:
        pipe.replace(path)
        return whole(name, flags)

    monkeypatch.setattr(os, "open", replacing)
    with pytest.raises(UsageError, match="is a named pipe"):
        open_regular(path)


def test_a_name_with_a_nul_is_no_file():
    with pytest.raises(UsageError, match=r"has a NUL"):
        open_regular(Path("a\0b"))


def test_nothing_large_is_imported_before(tmp_path: Path):
    import subprocess

    os.mkfifo(tmp_path / "x.csv")
    words = [
        sys.executable,
        "-X",
        "importtime",
        "-m",
        "unrolled",
        "train",
        "classify",
        str(tmp_path / "x.csv"),
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "named pipe" in done.stderr
    assert not any(line.endswith(("| torch", "| numpy")) for line in done.stderr.splitlines())
