"""What people and disks do to a training: signals, second trainers, changed requests, full disks, too little memory."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from support.run_folders import begin
from support.training_runs import SMALL, WHOLE, address_space_of_a_start, marks, run, start, write_text
from unrolled.cli import main
from unrolled.core import signals
from unrolled.core.progress import Silent
from unrolled.models import model_file, native
from unrolled.training import checkpointing, loop
from unrolled.training.run_folder import read_checkpoint

LONG = ("--epochs", "400")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_text(tmp_path_factory.mktemp("text") / "t.txt", 120)


@pytest.fixture(scope="module")
def finished(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that was trained and is not to be touched."""
    out = tmp_path_factory.mktemp("finished") / "m"
    assert main(["train", "language", str(text), *SMALL, "--epochs", "1", "--out", str(out)]) == 0
    return out


def files(folder: Path) -> dict[str, tuple[int, ...]]:
    return {
        str(path): marks(path) for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "lock"
    }


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_writes_the_best_so_far_and_says_how_to_go_on(number, code, text, tmp_path):
    out, words = tmp_path / "m", ("train", "language", text, *SMALL, *LONG)
    command = start(tmp_path / "log", *words, "--out", out)
    assert command.wait_for((tmp_path / "m.run" / "checkpoint").exists), command.said
    command.signal(number)
    assert command.wait() == code
    last = command.said.splitlines()[-1]
    assert (
        last
        == f"error: stopped; the best model so far is in {out}; try the same command with --resume to continue"
    )
    steps = read_checkpoint(tmp_path / "m.run").counters["step"]
    assert model_file.load(out).notes["steps"] == steps > 0
    command = start(tmp_path / "log", *words, "--out", out, "--resume")
    checkpoint = marks(tmp_path / "m.run" / "checkpoint")
    assert command.wait_for(lambda: marks(tmp_path / "m.run" / "checkpoint") != checkpoint), command.said
    command.signal(number)
    assert command.wait() == code
    assert f"resumed at step {steps:,}" in command.said
    assert model_file.load(out).notes["steps"] > steps


@pytest.mark.parametrize("pair", [(signal.SIGTERM, signal.SIGHUP), (signal.SIGHUP, signal.SIGINT)])
def test_two_signals_in_quick_succession_mean_what_the_first_means(pair, text, tmp_path):
    out = tmp_path / "m"
    command = start(tmp_path / "log", "train", "language", text, *SMALL, *LONG, "--out", out)
    assert command.wait_for((tmp_path / "m.run" / "checkpoint").exists), command.said
    for number in (*pair, *pair):
        with contextlib.suppress(ProcessLookupError):  # it may have ended by then
            command.signal(number)
        time.sleep(0.01)  # two that come in the same moment have no order
    assert command.wait() == 128 + pair[0], command.said
    assert "error: stopped; the best model so far is in" in command.said.splitlines()[-1]
    steps = read_checkpoint(tmp_path / "m.run").counters["step"]
    assert model_file.load(out).notes["steps"] == steps > 0


def test_a_terminal_that_is_closed_saves_the_best_so_far(text, tmp_path):
    out, (ours, theirs) = tmp_path / "m", os.openpty()
    words = [
        sys.executable,
        "-m",
        "unrolled",
        "train",
        "language",
        str(text),
        *SMALL,
        *LONG,
        "--out",
        str(out),
    ]
    with subprocess.Popen(
        ["setsid", "--ctty", *words], stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        until = time.monotonic() + 120
        metrics = tmp_path / "m.run" / "metrics.jsonl"
        while not (metrics.exists() and metrics.stat().st_size) and time.monotonic() < until:
            time.sleep(0.05)
            with contextlib.suppress(OSError):
                os.set_blocking(ours, False)
                os.read(ours, 1 << 16)
        os.close(ours)
        assert process.wait(60) == 129
    assert model_file.load(out).notes["steps"] == read_checkpoint(tmp_path / "m.run").counters["step"] > 0


def test_signals_that_wait_together_are_told_apart_by_when_they_came():
    """Python calls the handlers of signals that wait together in the order of their numbers."""
    heard: list[int] = []

    def handler(number: int, frame: object) -> None:
        signals.note(number)
        heard.append(number)

    pid, asked = os.getpid(), (signal.SIGTERM, signal.SIGINT)
    signals.forget()
    with signals.handled(handler, *asked):
        words = ["sh", "-c", f"sleep 0.1; kill -TERM {pid}; sleep 0.1; kill -INT {pid}; echo"]
        with subprocess.Popen(words, stdout=subprocess.PIPE) as sender:
            until = time.monotonic() + 0.5
            while time.monotonic() < until and not heard:
                sum(range(60_000_000))  # no bytecode runs meanwhile, so no handler
            assert sender.wait() == 0
    assert set(heard) == set(asked) and signals.first(0) == signal.SIGTERM


def test_signals_that_insist_do_not_break_off_a_save(tmp_path):
    with begin(tmp_path / "r") as run:
        callback = checkpointing.CheckpointCallback(run, Silent(), None, 1.0, 0)
    with checkpointing.handle_signals(callback):
        os.kill(os.getpid(), signal.SIGTERM)
        assert callback.signal == signal.SIGTERM
        os.kill(os.getpid(), signal.SIGHUP)  # soon after: the same request
        signals._first.at -= 2 * signals.QUICKLY
        callback.saving = True
        os.kill(os.getpid(), signal.SIGINT)
        callback.saving = False
        with pytest.raises(signals.Terminated) as caught:
            os.kill(os.getpid(), signal.SIGINT)
        assert caught.value.number == signal.SIGTERM


def test_a_second_trainer_is_refused(text, tmp_path):
    words = ("train", "language", text, *SMALL, *LONG, "--out", tmp_path / "m")
    first = start(tmp_path / "log", *words)
    assert first.wait_for((tmp_path / "m.run" / "checkpoint").exists), first.said
    code, said = run(tmp_path / "second", *words)  # rejected before the lock is tried
    assert code == 2 and "holds a run already" in said
    for more in ("--resume", "--force"):
        code, said = run(tmp_path / "second", *words, more)
        assert code == 2
        assert f"another training is running here: process {first.process.pid} on " in said
    first.signal(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL


@pytest.mark.parametrize(
    "changed, named",
    [
        (("--lr", "0.001"), "configuration.training.lr was null, is 0.001"),
        (("--threads", "2"), "configuration.training.threads was 1, is 2"),
        (("--seed", "4"), "configuration.training.seed was 3, is 4"),
        (("--unit", "word"), "configuration.data.unit was "),
        (("--minutes", "1"), "configuration.training.minutes was null, is 1.0"),
    ],
)
def test_a_changed_configuration_is_named_and_refused(changed, named, text, finished, capsys):
    before = files(finished.parent)
    words = [
        "train",
        "language",
        str(text),
        *SMALL,
        "--epochs",
        "1",
        *changed,
        "--out",
        str(finished),
        "--resume",
    ]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert f"error: {finished}.run: cannot be resumed: " in said
    assert named in said
    assert said.count("\n") == 1
    assert files(finished.parent) == before


def test_changed_data_and_kernels_are_named_and_refused(text, finished, tmp_path, capsys, monkeypatch):
    changed = tmp_path / text.name
    changed.write_text(text.read_text() + "one more line\n")
    words = ["train", "language", *SMALL, "--epochs", "1", "--out", str(finished), "--resume"]
    assert main([*words, str(changed)]) == 2
    assert "cannot be resumed: data.train was " in capsys.readouterr().err
    assert main([*words, str(text), "--valid", str(changed)]) == 2
    assert "data.valid was null, is " in capsys.readouterr().err
    own = native.running()
    monkeypatch.setenv("UNROLLED_KERNEL", "reference")
    assert main([*words, str(text)]) == 2
    assert f'kernel was "{own}", is "reference"' in capsys.readouterr().err


def test_resume_of_a_finished_run_changes_nothing(text, finished, capsys):
    before, model = marks(finished), finished.read_bytes()
    words = ["train", "language", str(text), *SMALL, "--epochs", "1", "--out", str(finished), "--resume"]
    assert main(words) == 0
    assert "is finished already; not changed" in capsys.readouterr().err
    assert marks(finished) == before
    assert finished.read_bytes() == model


@pytest.mark.parametrize("more", [(), ("--average", "0.9")])
def test_resume_of_a_finished_run_without_a_validation_part_changes_nothing(more, text, tmp_path, capsys):
    out = tmp_path / "m"
    words = [
        "train",
        "language",
        str(text),
        *SMALL,
        "--epochs",
        "1",
        "--hold-out",
        "0",
        *more,
        "--out",
        str(out),
    ]
    assert main(words) == 0
    before = marks(out)
    assert main([*words, "--resume"]) == 0
    assert "is finished already; not changed" in capsys.readouterr().err
    assert marks(out) == before


def test_resume_with_nothing_there_starts_afresh_and_says_so(text, tmp_path, capsys):
    words = [
        "train",
        "language",
        str(text),
        *SMALL,
        "--epochs",
        "1",
        "--out",
        str(tmp_path / "m"),
        "--resume",
    ]
    assert main(words) == 0
    assert "nothing to resume; starting from the beginning\n" in capsys.readouterr().err
    assert (tmp_path / "m").exists()


def test_an_older_model_of_a_finished_run_is_replaced(text, tmp_path, capsys):
    """Interrupted, resumed, and killed between the last checkpoint and the model: the model there is an old one."""
    out = tmp_path / "m"
    words = ["train", "language", str(text), *SMALL, "--epochs", "1", "--out", str(out)]
    assert main(words) == 0
    final = out.read_bytes()
    model = model_file.load(out)
    notes = {**model.notes, "steps": model.notes["steps"] - 3}
    older = model_file.ModelFile(model.task, model.spec, model.learnt, model.config, notes, model.tensors)
    model_file.save(out, older, force=True)
    assert main([*words, "--resume"]) == 0
    assert out.read_bytes() == final
    out.unlink()
    assert main([*words, "--resume"]) == 0
    assert out.read_bytes() == final


def test_nothing_is_overwritten_without_force(text, finished, tmp_path, capsys):
    words = ["train", "language", str(text), *SMALL, "--epochs", "1"]
    before = files(finished.parent)
    assert main([*words, "--out", str(finished)]) == 2
    assert (
        f"{finished}: exists already, with its run folder; try --resume to continue it"
        in capsys.readouterr().err
    )
    assert files(finished.parent) == before
    precious = tmp_path / "notes"
    precious.write_text("not a model")
    for more in ((), ("--resume",)):
        assert main([*words, "--out", str(precious), *more]) == 2
        assert "exists already" in capsys.readouterr().err
    assert precious.read_text() == "not a model"
    assert not precious.with_name("notes.run").exists()
    assert main([*words, "--out", str(precious), "--force"]) == 0
    assert model_file.load(precious).notes["steps"] > 0
    again = precious.read_bytes()
    precious.unlink()
    assert main([*words, "--out", str(precious)]) == 2  # its run is still there
    assert "holds a run already" in capsys.readouterr().err
    assert main([*words, "--out", str(precious), "--force"]) == 0
    assert precious.read_bytes() == again


def test_an_absurd_rate_is_stopped_with_the_place_of_its_examples(text, finished, tmp_path, capsys):
    words = [
        "train",
        "language",
        str(text),
        *SMALL,
        "--lr",
        "1e10",
        "--epochs",
        "1",
        "--out",
        str(tmp_path / "m"),
    ]
    assert main(words) == 4
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"error: {text}:")
    line = int(said.removeprefix(f"error: {text}:").split(":")[0])
    assert 1 <= line <= 120
    assert "training diverged at step 2 (loss " in said
    assert "; nothing was learnt before, so no model was written; try a smaller --lr" in said
    assert not list(tmp_path.iterdir()), "nothing half-written"
    before = finished.read_bytes()
    copy = tmp_path / "copy"
    copy.write_bytes(before)
    assert main([*words[:-1], str(copy), "--force"]) == 4
    assert copy.read_bytes() == before, "the model that was there is intact"


def test_weights_on_disk_are_finite_after_a_divergence(text, tmp_path):
    words = (
        "train",
        "language",
        text,
        *SMALL,
        "--lr",
        "1e4",
        "--optimizer",
        "sgd",
        "--clip",
        "0",
        "--epochs",
        "9",
    )
    code, said = run(tmp_path / "log", *words, "--out", tmp_path / "m")
    assert code == 4, said
    assert f"error: {text}:" in said
    assert not (tmp_path / "m").exists()
    if (tmp_path / "m.run").exists():
        for name, tensor in read_checkpoint(tmp_path / "m.run").tensors.items():
            assert np.isfinite(tensor).all(), name


@pytest.mark.parametrize(("optimizer", "hold_out"), [("adamw", "0.1"), ("adamw", "0"), ("muon", "0.1")])
def test_a_divergence_ends_with_the_best_weights_as_the_model(
    optimizer, hold_out, text, tmp_path, capsys, monkeypatch
):
    """A rate that is sound at first and grows: the first steps learn, then the loss is no longer finite."""
    sound = 0.01 / {"adamw": 10, "muon": 1}[optimizer]
    monkeypatch.setitem(loop.SCHEDULES, "constant", lambda share, warmup: sound if share < 0.5 else 1e12)
    out = tmp_path / "m"
    words = ["train", "language", str(text), *SMALL, "--schedule", "constant", "--lr", "1", "--epochs", "4"]
    words += ["--optimizer", optimizer, "--average", "0.9", "--hold-out", hold_out, "--out", str(out)]
    assert main(words) == 0
    said = capsys.readouterr().err.splitlines()
    (told,) = [line for line in said if line.startswith("warning: ")]
    assert "training diverged " in told and "; try a smaller --lr" in told
    model = model_file.load(out)
    step = int(told.partition("has the best weights so far, of step ")[2].partition(" ")[0])
    kind = "training" if hold_out == "0" else "validation"
    assert f"of step {step:,} ({kind} loss " in told
    assert model.notes["steps"] > step > 0
    assert "training diverged " in model.notes["diverged"]
    assert (model.notes["validation_loss"] is None) == (hold_out == "0")
    assert all(np.isfinite(tensor).all() for tensor in model.tensors.values())
    assert main(["score", str(out), str(text)]) == 0
    capsys.readouterr()

    content = out.read_bytes()
    assert main([*words, "--resume"]) == 0
    assert f"{out} is finished already; not changed" in capsys.readouterr().err
    out.unlink()  # as after a kill between the checkpoint and the model
    assert main([*words, "--resume"]) == 0
    assert out.read_bytes() == content


def test_a_divergence_before_anything_was_learnt_is_an_error_of_code_4(text, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(loop.SCHEDULES, "constant", lambda share, warmup: 1e-4 if share < 0.05 else 1e12)
    out = tmp_path / "m"
    words = ["train", "language", str(text), *SMALL, "--schedule", "constant", "--lr", "1", "--epochs", "4"]
    assert main([*words, "--optimizer", "sgd", "--out", str(out)]) == 4
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("error: ") and "training diverged " in said
    assert ("no better loss was measured" in said) == out.exists()


def test_a_training_with_nothing_left_to_learn_ends_early_and_says_so(tmp_path, capsys):
    out, table = tmp_path / "m", tmp_path / "t.csv"
    table.write_text("text,label\n" + "so good,yes\nbad,no\ngood,yes\nso bad,no\n" * 12)
    words = ["train", "classify", str(table), *WHOLE, "--lr", "0.05", "--epochs", "200", "--out", str(out)]
    assert main([*words, "--dropout", "0", "--input-dropout", "0"]) == 0
    said = capsys.readouterr().err
    assert "steps in a row with a loss below 0.001\n" in said
    assert f"ended early at step {model_file.load(out).notes['steps']:,}: nothing left to learn: " in said


def test_a_full_disk_leaves_the_old_checkpoint(text, tmp_path):
    out, words = tmp_path / "m", ("train", "language", text, *SMALL, *LONG)
    command = start(tmp_path / "log", *words, "--out", out)
    assert command.wait_for((tmp_path / "m.run" / "checkpoint").exists), command.said
    command.signal(signal.SIGKILL)
    command.wait()
    before = read_checkpoint(tmp_path / "m.run")
    held = (tmp_path / "m.run" / "checkpoint").read_bytes()
    code, said = run(
        tmp_path / "log", *words, "--out", out, "--resume", limits={resource.RLIMIT_FSIZE: 20_000}
    )
    assert code == 3
    last = said.splitlines()[-1]
    assert last.startswith(f"error: {tmp_path / 'm.run' / 'checkpoint'}: cannot write: ")
    assert "bytes needed" in last and "existing files are intact" in last
    assert "Traceback" not in said
    assert (tmp_path / "m.run" / "checkpoint").read_bytes() == held
    assert read_checkpoint(tmp_path / "m.run").counters == before.counters
    assert not out.exists()
    assert not list((tmp_path / "m.run").glob(".unrolled-tmp-*"))


def test_a_full_disk_at_the_very_start_leaves_nothing(text, tmp_path):
    words = ("train", "language", text, *SMALL, "--epochs", "1", "--out", tmp_path / "m")
    code, said = run(tmp_path / "log", *words, limits={resource.RLIMIT_FSIZE: 2_000})
    assert code == 3, said
    assert "Traceback" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


@pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="needs to know the size of its address space"
)
def test_too_little_memory_for_torch_itself_is_refused(text, tmp_path):
    command = (
        f"ulimit -v 512000; exec {sys.executable} -m unrolled train language {text} --out {tmp_path / 'm'}"
    )
    told = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert told.returncode == 2, told.stderr
    assert told.stderr.startswith("error: torch needs 750 MB of address space; ")
    assert not (tmp_path / "m.run").exists()


@pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="needs to know the size of its address space"
)
def test_too_little_memory_is_refused_with_an_estimate(text, tmp_path):
    # A little above what torch itself has mapped, below which no process can say anything.
    words = ("train", "language", text, "--hidden", "4096", "--threads", "1", "--epochs", "1")
    limit = address_space_of_a_start() + (900 << 20)
    code, said = run(tmp_path / "log", *words, "--out", tmp_path / "m", limits={resource.RLIMIT_AS: limit})
    assert code == 2, said
    last = said.splitlines()[-1]
    assert last.startswith("error: training would take about ")
    assert "MB are available; try a smaller --batch-size" in last
    assert not (tmp_path / "m").exists()
    assert not (tmp_path / "m.run").exists()


@pytest.mark.parametrize("content, named", [("", "empty"), (" \n\n ", "no examples")])
def test_an_unusable_text_leaves_nothing_behind(content, named, tmp_path, capsys):
    bad = tmp_path / "bad.txt"
    bad.write_text(content)
    assert main(["train", "language", str(bad), *SMALL, "--epochs", "1", "--out", str(tmp_path / "m")]) == 2
    assert named in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["bad.txt"]


def test_training_in_a_thread_works_without_signals(text, tmp_path):
    from threading import Thread

    codes: list[int] = []
    words = ["train", "language", str(text), *SMALL, "--epochs", "1", "--out", str(tmp_path / "m")]
    thread = Thread(target=lambda: codes.append(main(words)))
    thread.start()
    thread.join()
    assert codes == [0]
