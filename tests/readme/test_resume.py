"""A training that is killed and resumed is the training that was never interrupted. README.md says:

* "A resumed run gives a bit-identical model."
* "Stop a run at any moment. The same command with `--resume` gives exactly the same model as an uninterrupted run. If
  data, settings, versions, threads or instruction set differ, it reports the difference and stops."
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

import crash
from support.small_models import refused
from support.small_models import run as run_here
from support.training_runs import SMALL, marks, run, start, write_text

TRAIN = ("train", "language")
EPOCHS = ("--epochs", "4", "--deterministic")


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that was trained without an interruption; its text is `t.txt` in its folder."""
    folder = tmp_path_factory.mktemp("straight")
    text = write_text(folder / "t.txt", 60)
    code, said = run(folder / "log", *TRAIN, text, *SMALL, *EPOCHS, "--out", folder / "m")
    assert code == 0, said
    return folder / "m"


def test_a_run_that_is_killed_again_and_again_ends_in_the_same_bits(straight: Path, tmp_path: Path):
    text, out = straight.with_name("t.txt"), tmp_path / "m"
    words, checkpoint = (
        (*TRAIN, text, *SMALL, *EPOCHS, "--out", out, "--resume"),
        tmp_path / "m.run" / "checkpoint",
    )
    kills = 0
    for _ in range(3):
        before, command = marks(checkpoint), start(tmp_path / "log", *words)
        if command.wait_for(lambda before=before: marks(checkpoint) != before):
            command.signal(signal.SIGKILL)
        kills += command.wait() == -signal.SIGKILL
    assert kills >= 1
    code, said = run(tmp_path / "log", *words)
    assert code == 0 and "resumed at step" in said, said
    assert crash.compare_models(out, straight) == []
    # The notes of a model tell how long its training took; all other bytes of the two commands' answers are the same.
    lines = b"the cat sat on a mat.\n\nwas it late\n"
    assert run_here("score", out, "--tokens", stdin=lines) == run_here(
        "score", straight, "--tokens", stdin=lines
    )


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--hidden", "17"), "hidden was 16, is 17"),
        (("--seed", "4"), "seed was 3, is 4"),
        (("--threads", "2"), "threads was 1, is 2"),
    ],
)
def test_another_setting_is_refused_and_named(straight: Path, more: tuple[str, ...], told: str):
    text = straight.with_name("t.txt")
    held = (straight, straight.with_name("m.run") / "checkpoint")
    before = [path.read_bytes() for path in held]
    done = run_here(*TRAIN, text, *SMALL, *EPOCHS, *more, "--out", straight, "--resume")
    assert told in refused(done)
    assert [path.read_bytes() for path in held] == before


def test_other_data_and_another_instruction_set_are_refused_and_named(
    straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    text, other = straight.with_name("t.txt"), write_text(tmp_path / "t.txt", 61)
    words = (*SMALL, *EPOCHS, "--out", straight, "--resume")
    assert "data.train was" in refused(run_here(*TRAIN, other, *words))
    monkeypatch.setenv("UNROLLED_KERNEL", "reference")
    assert 'is "reference"' in refused(run_here(*TRAIN, text, *words))
