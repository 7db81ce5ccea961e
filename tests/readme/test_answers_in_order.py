"""As many answers as lines, in the same order, and nothing else on stdout. README.md says:

* "prints one prediction for each line, sequence, audio file or clip, in the same order"
* "Results go to stdout. Progress and notes go to stderr."

tests/tasks/test_every_combination.py checks the order for the files of every task.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import GOLDEN
from support.small_models import run
from support.training_runs import SMALL, write_text

LINES = ["a fine film", "", "bad", "Ada", "   ", "bad"]
UNROLLED = f"{sys.executable} -m unrolled"


@pytest.mark.parametrize("task", ["classify", "tag", "translate"])
def test_one_answer_a_line_in_order_and_blank_for_a_blank_line(task: str):
    model, stdin = GOLDEN / f"format1-{task}.model", "".join(f"{line}\n" for line in LINES).encode()
    found = run("predict", model, stdin=stdin).lines
    assert [bool(answer) for answer in found] == [bool(line.strip()) for line in LINES]
    assert found == [run("predict", model, stdin=f"{line}\n".encode()).lines[0] for line in LINES]


def test_ids_stay_with_their_answers():
    given = [{"id": f"n{number}", "text": line} for number, line in enumerate(LINES)]
    stdin = "".join(f"{json.dumps(one)}\n" for one in given).encode()
    found = [
        json.loads(line)
        for line in run("predict", GOLDEN / "format1-classify.model", "--format", "jsonl", stdin=stdin).lines
    ]
    assert [record["id"] for record in found] == [one["id"] for one in given]


def test_progress_and_notes_go_to_stderr_alone(tmp_path: Path):
    text = write_text(tmp_path / "t.txt", 40)
    done = run("train", "language", text, *SMALL, "--epochs", 1, "--out", tmp_path / "m")
    assert done.code == 0 and done.out == "" and "wrote " in done.err
    figures = run("evaluate", tmp_path / "m", text, "--json")
    assert json.loads(figures.out)["loss"] > 0


def test_commands_chain():
    model = GOLDEN / "format1.model"
    chain = f"{UNROLLED} sample {model} --count 4 --length 5 | {UNROLLED} score {model} --format jsonl"
    done = subprocess.run(["sh", "-c", chain], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    sampled = run("sample", model, "--count", 4, "--length", 5).lines
    assert [record["text"] for record in records] == sampled
