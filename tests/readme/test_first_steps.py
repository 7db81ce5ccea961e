"""The first steps with a text of one's own. README.md says:

* "The file is any text"
* "finds faults in your files before you train, with file and line"
* "`--dry-run` for plan, memory and time"
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from support.small_models import nothing_new, run, sentences
from support.training_runs import SMALL, write_text


def folder(path: Path) -> Path:
    path.mkdir()
    write_text(path / "a.txt", 30)
    write_text(path / "b.txt", 30, 1)
    return path


def zipped(path: Path) -> Path:
    path.write_bytes(gzip.compress("\n".join(sentences(60)).encode()))
    return path


MADE = {
    "book.txt": lambda path: write_text(path, 60),
    "book.txt.gz": zipped,
    "book": folder,
}


@pytest.mark.parametrize("name", MADE)
def test_the_first_steps_work_with_any_text(name: str, tmp_path: Path):
    text, out = MADE[name](tmp_path / name), tmp_path / "model"
    assert run("check", "language", text).code == 0
    trained = run("train", "language", text, "--out", out, *SMALL, "--epochs", 1)
    assert trained.code == 0, trained.err
    sampled = run("sample", out, "--prompt", "the c", "--length", 20)
    assert sampled.code == 0 and sampled.out.startswith("the c")
    scored = run("score", out, "--tokens", stdin=b"the cat sat\n")
    assert scored.code == 0 and scored.lines[0].split("\t")[4] == "the cat sat"
    assert json.loads(run("evaluate", out, text, "--json").out)["perplexity"] > 1


def test_check_tells_what_is_odd_with_file_and_line(tmp_path: Path):
    text = write_text(tmp_path / "t.txt", 30)
    with text.open("a", encoding="utf-8") as stream:
        stream.write("a caf\ufffd was there\n")
    done = run("check", "language", text)
    assert done.code == 0 and f"{text}:31" in done.out, done.out


def test_a_dry_run_tells_its_plan_and_writes_nothing(tmp_path: Path):
    text = write_text(tmp_path / "t.txt", 60)
    with nothing_new(tmp_path):
        done = run("train", "language", text, "--out", tmp_path / "m", *SMALL, "--epochs", 3, "--dry-run")
    assert done.code == 0, done.err
    told = dict(line.split(maxsplit=1) for line in done.lines if line.strip())
    assert "MB" in told["memory"] and told["time"]
    assert any("parameters" in line for line in done.lines)
