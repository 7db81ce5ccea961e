"""An error is one line, and the exit code tells its kind. README.md says:

* "An error is one line that says where it is, what was expected and what to try. The exit code tells its kind: 2 wrong
  input or usage, 3 disk, 4 training diverged, 130 or 143 interrupted."
* "error: notes.txt:1: byte 0xe9 at offset 3 is not UTF-8; expected text in UTF-8; try --encoding cp1252"
"""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from support.paths import GOLDEN, ROOT
from support.small_models import refused, run
from support.training_runs import SMALL, start, write_text

LANGUAGE = GOLDEN / "format1.model"


def test_the_example_of_the_readme_is_what_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("notes.txt").write_bytes("café au lait\n".encode("cp1252") * 20)
    told = f"error: {refused(run('train', 'language', 'notes.txt', '--out', 'm'))}"
    assert f"    {told}\n" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "content", "words", "where"),
    [
        ("t.csv", "text,label\ngood,yes\nbad\n", ("train", "classify"), ":3: "),
        ("t.csv", "words,label\ngood,yes\n", ("train", "classify"), ":1: "),
        ("t.conll", "Ada B-PER\nmet\n", ("train", "tag"), ":2: "),
        ("t.csv", "x,y\n1,2\n1,two\n", ("train", "numbers:next"), ":3: "),
        ("t.jsonl", '{"text": "a", "label": "b"}\n{"text"\n', ("train", "classify"), ":2: "),
        ("t.txt", "", ("train", "language"), ": empty file"),
    ],
)
def test_bad_input_is_one_line_with_file_and_line(
    name: str,
    content: str,
    words: tuple[str, ...],
    where: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(tmp_path)
    Path(name).write_text(content)
    told = refused(run(*words, name, "--out", "m"))
    assert told.startswith(f"{name}{where}") and "; expected " in told
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("trian",), "try 'train'"),
        (("train", "langage", "t.txt", "--out", "m"), "try 'language'"),
        (("sample", LANGUAGE, "--temprature", 1), "try '--temperature'"),
        (("predict", "none.model"), "none.model: there is no such file"),
    ],
)
def test_bad_usage_is_one_line_with_something_to_try(
    words: tuple[object, ...], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    assert told in refused(run(*words))


def test_a_disk_that_cannot_be_written_is_code_3(tmp_path: Path):
    (tmp_path / "file").write_text("no folder\n")
    done = run("sample", LANGUAGE, "--output", tmp_path / "file" / "answers")
    assert str(tmp_path / "file") in refused(done, code=3)


def test_a_training_that_diverges_is_code_4(tmp_path: Path):
    text = write_text(tmp_path / "t.txt", 60)
    done = run("train", "language", text, *SMALL, "--lr", "1e10", "--epochs", 1, "--out", tmp_path / "m")
    told = refused(done, code=4)
    assert (
        re.match(rf"{re.escape(str(text))}:\d+: training diverged at step \d+", told)
        and "try a smaller --lr" in told
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_training_says_how_to_go_on(number: int, code: int, tmp_path: Path):
    text = write_text(tmp_path / "t.txt", 60)
    command = start(
        tmp_path / "log", "train", "language", text, *SMALL, "--epochs", "400", "--out", tmp_path / "m"
    )
    assert command.wait_for((tmp_path / "m.run" / "checkpoint").exists), command.said
    command.signal(number)
    assert command.wait() == code
    errors = [line for line in command.said.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "try the same command with --resume" in errors[0]
    assert "Traceback" not in command.said
