"""A full disk leaves the files that were there. README.md says:

* "Files are written whole or not at all."
* "A full disk or a power cut never damages an existing file."

tests/core/test_atomic_files.py checks what a power cut leaves: the order of writing, syncing and renaming.
"""

from __future__ import annotations

import resource
from pathlib import Path

from support.paths import GOLDEN
from support.training_runs import SMALL, run, write_text

FULL = {resource.RLIMIT_FSIZE: 4096}  # no file can be larger, as on a full disk


def test_a_training_on_a_full_disk_leaves_the_model_that_was_there(tmp_path: Path):
    text, out = write_text(tmp_path / "t.txt", 60), tmp_path / "m"
    model = (GOLDEN / "format1.model").read_bytes()
    out.write_bytes(model)
    words = ("train", "language", text, *SMALL, "--epochs", "1", "--out", out, "--force")
    code, said = run(tmp_path / "log", *words, limits=FULL)
    assert code == 3 and "error: " in said and "Traceback" not in said, said
    assert out.read_bytes() == model


def test_answers_on_a_full_disk_leave_those_that_were_there(tmp_path: Path):
    lines, out = tmp_path / "lines.txt", tmp_path / "answers"
    lines.write_text("the cat\n" * 3000)
    out.write_text("answers of before\n")
    before = {path.name for path in tmp_path.iterdir()} | {"log"}
    words = ("score", GOLDEN / "format1.model", lines, "--output", out, "--force")
    code, said = run(tmp_path / "log", *words, limits=FULL)
    assert code == 3 and str(out) in said.splitlines()[-1] and "Traceback" not in said, said
    assert out.read_text() == "answers of before\n"
    assert {path.name for path in tmp_path.iterdir()} == before
    code, said = run(tmp_path / "log", *words)  # with room enough
    assert code == 0 and len(out.read_text().splitlines()) == 3000, said
