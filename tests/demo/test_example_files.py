"""`unrolled demo --files`: the example files are the same everywhere, and each command that it prints trains."""

from __future__ import annotations

import csv
import shlex
from collections import Counter
from pathlib import Path

from support.small_models import refused, run
from unrolled.demo.example_files import FILES, RUNS, SENTENCES, STEPS, TICKETS, machine, names, tickets


def test_the_files_are_written_once_and_are_always_the_same(tmp_path: Path):
    done = run("demo", "--files", tmp_path / "data")
    assert done.code == 0 and not done.err
    paths = [tmp_path / "data" / name for name in FILES]
    assert done.lines[: len(paths)] == [f"wrote {path}" for path in paths]
    first = [path.read_bytes() for path in paths]
    assert "--force" in refused(run("demo", "--files", tmp_path / "data"))
    assert run("demo", "--files", tmp_path / "data", "--force").code == 0
    assert [path.read_bytes() for path in paths] == first


def test_the_commands_that_are_printed_accept_the_files(tmp_path: Path):
    lines = run("demo", "--files", tmp_path / "data").lines
    commands = [shlex.split(line) for line in lines if line.startswith("  unrolled train")]
    assert len(commands) == len(FILES)
    for command in commands:
        *words, out = command[1:]
        plan = run(*words, tmp_path / out, "--dry-run")
        assert plan.code == 0 and "parameters" in plan.out


def test_the_classes_are_balanced_and_every_name_is_a_span():
    rows = list(csv.reader(tickets().splitlines()))
    counts = Counter(label for _, label in rows[1:])
    assert len(rows) == TICKETS + 1 and min(counts.values()) > TICKETS / 5
    steps = list(csv.reader(machine().splitlines()))[1:]
    assert len(steps) == RUNS * STEPS and set(Counter(row[0] for row in steps).values()) == {STEPS}
    sentences = [sentence.splitlines() for sentence in names().split("\n\n") if sentence.strip()]
    assert len(sentences) == SENTENCES
    for sentence in sentences:
        before = "O"
        for tag in (line.split()[1] for line in sentence):
            assert tag in ("O", "B-PER") or (tag == "I-PER" and before != "O")
            before = tag
