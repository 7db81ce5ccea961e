"""The run folder: it resumes exactly after a kill or a power loss at any moment, and refuses what differs."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from support.disk import crashes, failing, record, restore
from support.paths import TESTS
from support.run_folders import IDENTITY, assert_step, begin, checkpoint, straight, work
from unrolled.core import atomic_files, tensor_file
from unrolled.core.atomic_files import TEMPORARY
from unrolled.core.errors import DataError, NonFiniteError, StorageError, UnrolledError, UsageError
from unrolled.training import run_folder, run_lock
from unrolled.training.run_folder import (
    Checkpoint,
    differences,
    log_metrics,
    open_run,
    read_checkpoint,
    read_metrics,
    save_checkpoint,
    save_plan,
    without_times,
)


def test_a_run_goes_on_where_its_checkpoint_was(tmp_path: Path):
    folder = tmp_path / "m.run"
    with begin(folder, resume=True) as run:  # nothing there: afresh
        assert run.checkpoint is None and run.plan is None and run.left_by is None
        run = save_plan(run, {"steps": 10, "threads": 2})
        work(run, 1, 5)
    with begin(folder, resume=True) as run:
        assert_step(run.checkpoint, 4)
        assert run.plan == {"steps": 10, "threads": 2}
        assert run.left_by is None
        assert read_metrics(folder) == straight(4)  # the fifth is made again
        work(run, 5, 6)
    assert read_metrics(folder) == straight(6)
    assert_step(read_checkpoint(folder), 6)
    assert sorted(p.name for p in folder.iterdir()) == [
        "checkpoint",
        "config.json",
        "lock",
        "metrics.jsonl",
        "plan.json",
    ]


def test_a_plan_is_kept_where_no_checkpoint_is(tmp_path: Path):
    with begin(tmp_path / "r") as run:
        save_plan(run, {"steps": 10})
        log_metrics(run, {"step": 1})
    with begin(tmp_path / "r", resume=True) as run:
        assert run.plan == {"steps": 10} and run.checkpoint is None
        assert read_metrics(run.folder) == []


def test_what_is_there_is_neither_overwritten_nor_mixed_up(tmp_path: Path):
    folder = tmp_path / "r"
    with begin(folder) as run:
        run = save_plan(run, {"steps": 10})
        work(run, 1, 2)
    with pytest.raises(UsageError, match=r"holds a run already; try --resume .* --force"), begin(folder):
        pass
    assert_step(read_checkpoint(folder), 2)
    with begin(folder, force=True, threads=4) as run:
        assert run.checkpoint is None and run.plan is None
        assert read_metrics(folder) == []
    assert not (folder / "checkpoint").exists()


def test_each_difference_is_named(tmp_path: Path):
    folder = tmp_path / "r"
    with begin(folder) as run:
        work(run, 1, 2)
    changed = {"configuration": {"lr": 0.2, "cell": "gru"}, "torch": "2.14", "threads": 2.0}
    with pytest.raises(UsageError) as caught, begin(folder, resume=True, **changed):
        pass
    message = str(caught.value)
    assert caught.value.exit_code == 2
    for words in (
        "configuration.lr was 0.1, is 0.2",
        "configuration.layers was 2, is absent",
        'configuration.cell was absent, is "gru"',
        'torch was "2.13", is "2.14"',
        "threads was 2, is 2.0",
    ):
        assert words in message
    assert "data.train" not in message
    assert_step(read_checkpoint(folder), 2)
    with begin(folder, resume=True) as run:  # the refusal let go of the lock and changed nothing
        assert_step(run.checkpoint, 2)
    with begin(folder, resume=True, force=True) as run:
        assert_step(run.checkpoint, 2)
    with begin(folder, resume=True, force=True, **changed) as run:
        assert run.checkpoint is None


def test_equal_identities_of_other_types_are_the_same():
    assert differences({"a": {"b": [1, 2]}, "c": 0.1}, {"c": 0.1, "a": {"b": [1, 2]}}) == []
    assert differences({"a": 1}, {"a": True}) == ["a was 1, is true"]
    assert differences({"a": {}}, {"a": {"b": 1}}) == ["a.b was absent, is 1"]


def test_tuples_in_an_identity_are_lists(tmp_path: Path):
    with begin(tmp_path / "r", files=("a", "b")):
        pass
    with begin(tmp_path / "r", resume=True, files=("a", "b")):
        pass


HOLDER = """
import sys, time
from pathlib import Path
from unrolled.training.run_folder import open_run
with open_run(Path(sys.argv[1]), {}, resume=True, force=False):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_trainer_is_refused_and_a_dead_one_is_no_hindrance(tmp_path: Path):
    folder = tmp_path / "r"
    command = [sys.executable, "-c", HOLDER, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        for force in (False, True):
            words = rf"another training .*process {holder.pid} on \S+, since 20"
            with pytest.raises(UsageError, match=words), open_run(folder, {}, resume=True, force=force):
                pass
        holder.kill()
        holder.wait()
        with open_run(folder, {}, resume=True, force=False) as run:
            assert run.left_by is not None and run.left_by["pid"] == holder.pid
    with open_run(folder, {}, resume=True, force=False) as run:
        assert run.left_by is None


def test_two_threads_do_not_share_a_run_either(tmp_path: Path):
    refused: list[str] = []

    def second() -> None:
        try:
            with begin(tmp_path / "r", resume=True):
                pass
        except UsageError as error:
            refused.append(str(error))

    with begin(tmp_path / "r"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert f"process {os.getpid()}" in refused[0]


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path):
    folder = tmp_path / "r"
    folder.mkdir()
    (folder / "checkpoint").write_text("mine")
    for force in (False, True):
        with pytest.raises(UsageError, match="is not empty and not a run folder"), begin(folder, force=force):
            pass
    assert [p.name for p in folder.iterdir()] == ["checkpoint"]
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError), begin(tmp_path / "file"):
        pass
    with pytest.raises(StorageError, match=r"folder does not exist.*mkdir -p"), begin(tmp_path / "no" / "r"):
        pass


def test_stale_temporaries_are_swept_in_both_folders(tmp_path: Path):
    folder = tmp_path / "r"
    with begin(folder):
        pass
    stale = [folder / f"{TEMPORARY}1-a", tmp_path / f"{TEMPORARY}2-b"]
    for path in stale:
        path.write_bytes(b"half")
    with begin(folder, resume=True):
        assert not any(path.exists() for path in stale)


def test_damage_is_named(tmp_path: Path):
    whole, folder = tmp_path / "whole", tmp_path / "r"
    with begin(whole) as run:
        run = save_plan(run, {"steps": 10})
        work(run, 1, 2)

    def refused(name: str, change: Any, *words: str) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(whole, folder)
        data = bytearray((folder / name).read_bytes())
        (folder / name).write_bytes(change(data))
        with pytest.raises(DataError) as caught, begin(folder, resume=True):
            pass
        assert str(caught.value).startswith(f"{folder / name}: ")
        assert all(word in str(caught.value) for word in words), caught.value
        with begin(folder, force=True) as run:
            assert run.checkpoint is None

    def flipped(position: int) -> Any:
        return lambda data: data[:position] + bytes([data[position] ^ 4]) + data[position + 1 :]

    header = 8 + int.from_bytes((whole / "checkpoint").read_bytes()[:8], "little")
    refused("checkpoint", flipped(20), "header")
    refused("checkpoint", flipped(header), "tensor 'optimizer.0.step' does not match its checksum")
    refused("checkpoint", lambda data: data[:-1], "truncated: tensor 'log.metrics'")
    refused("checkpoint", lambda data: b"", "empty file")
    refused("config.json", lambda data: data.replace(b'"format": 2', b'"format": 9'), "has format 9")


def test_damage_that_the_checkpoint_can_mend_is_mended_and_told(tmp_path: Path):
    whole, folder = tmp_path / "whole", tmp_path / "r"
    with begin(whole) as run:
        run = save_plan(run, {"steps": 10})
        work(run, 1, 2)
    originals = {path.name: path.read_bytes() for path in whole.iterdir() if path.name != "lock"}

    def changes(data: bytes) -> Iterator[bytes | None]:
        yield None
        yield b""
        yield b"[]"
        yield data[:-9]
        yield data + b"x"
        yield data.replace(b"10", b"11").replace(b"0.1", b"0.2").replace(b"1.0", b"1.5")

    for name in ("config.json", "plan.json", "metrics.jsonl"):
        for changed in changes(originals[name]):
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(whole, folder)
            (folder / name).unlink()
            if changed is not None:
                (folder / name).write_bytes(changed)
            elif name == "config.json":
                continue  # a folder without it is an empty run
            with begin(folder, resume=True) as run:
                assert_step(run.checkpoint, 2)
                assert run.plan == {"steps": 10}
                harmless = name == "metrics.jsonl" and changed == originals[name] + b"x"
                assert len(run.repaired) == (not harmless) and all(name in line for line in run.repaired)
                assert read_metrics(folder) == straight(2)
            assert {n: (folder / n).read_bytes() for n in originals} == originals, (name, changed)
            with begin(folder, resume=True) as run:
                assert run.repaired == ()


def test_a_damaged_plan_of_a_run_without_a_checkpoint_is_made_anew(tmp_path: Path):
    folder = tmp_path / "r"
    with begin(folder) as run:
        save_plan(run, {"steps": 10})
    (folder / "plan.json").write_bytes(b"{}")
    with begin(folder, resume=True) as run:
        assert run.plan is None and len(run.repaired) == 1 and not (folder / "plan.json").exists()
    (folder / "config.json").write_bytes(b"{}")
    with begin(folder, resume=True) as run:
        assert run.plan is None and "config.json" in run.repaired[0]


def test_a_plan_of_another_run_is_not_taken(tmp_path: Path):
    for name, threads in (("a", 2), ("b", 4)):
        with begin(tmp_path / name, threads=threads) as run:
            save_plan(run, {"steps": threads})
    shutil.copy(tmp_path / "a" / "plan.json", tmp_path / "b" / "plan.json")
    with begin(tmp_path / "b", resume=True, threads=4) as run:
        assert run.plan is None and "belonged to another run" in run.repaired[0]


def test_an_identity_that_is_damaged_is_not_made_up(tmp_path: Path):
    folder = tmp_path / "r"
    with begin(folder) as run:
        work(run, 1, 2)
    for content, wrong in (
        (b"{", "it is not JSON: "),
        (b"[]", "it is not a JSON object"),
        (b"{}", "has format None"),
    ):
        (folder / "config.json").write_bytes(content)
        with pytest.raises(DataError) as caught, begin(folder, resume=True, threads=4):
            pass
        assert caught.value.file == folder / "config.json" and wrong in caught.value.what
    with begin(folder, resume=True, force=True, threads=4) as run:
        assert run.checkpoint is None and "starting from the beginning" in run.repaired[0]


def test_force_and_resume_start_afresh_where_the_checkpoint_is_damaged(tmp_path: Path):
    folder = tmp_path / "r"
    with begin(folder) as run:
        work(run, 1, 2)
    (folder / "checkpoint").write_bytes((folder / "checkpoint").read_bytes()[:-1])
    with begin(folder, resume=True, force=True) as run:
        assert run.checkpoint is None and "truncated" in run.repaired[0]


def test_a_run_folder_without_its_lock_is_one_all_the_same(tmp_path: Path):
    with begin(tmp_path / "r") as run:
        work(run, 1, 2)
    (tmp_path / "r" / "lock").unlink()
    with begin(tmp_path / "r", resume=True) as run:
        assert_step(run.checkpoint, 2)


def test_the_lock_is_taken_on_the_file_that_bears_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "r"
    with begin(folder):
        pass
    lock, locked = run_lock.fcntl.flock, list[int]()

    def replacing(descriptor: int, flags: int) -> None:
        if not locked:  # another process removes the run folder and begins anew, just before
            shutil.rmtree(folder)
            folder.mkdir()
            (folder / "lock").touch()
        locked.append(descriptor)
        lock(descriptor, flags)

    monkeypatch.setattr(run_lock.fcntl, "flock", replacing)
    with run_lock.locked(folder, ()):
        monkeypatch.undo()
        with pytest.raises(UsageError, match="another training"), run_lock.locked(folder, ()):
            pass
    assert len(locked) == 2


def test_a_lock_that_is_removed_again_and_again_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    lock, locked = run_lock.fcntl.flock, list[int]()

    def removing(descriptor: int, flags: int) -> None:
        (tmp_path / "r" / "lock").unlink()
        locked.append(descriptor)
        lock(descriptor, flags)

    monkeypatch.setattr(run_lock.fcntl, "flock", removing)
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    with (
        pytest.raises(StorageError, match="keeps removing the lock file"),
        run_lock.locked(tmp_path / "r", ()),
    ):
        pass
    assert len(locked) == run_lock.ATTEMPTS
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors, "each of them is closed"


@pytest.mark.parametrize("what", ["link", "pipe", "folder"])
def test_a_lock_that_is_no_file_is_refused(tmp_path: Path, what: str):
    folder = tmp_path / "r"
    folder.mkdir()
    match what:
        case "link":
            (tmp_path / "mine").write_text("mine")
            (folder / "lock").symlink_to(tmp_path / "mine")
        case "pipe":
            os.mkfifo(folder / "lock")
        case _:
            (folder / "lock").mkdir()
    with pytest.raises(UsageError, match="is not a lock file"), begin(folder):
        pass
    assert what != "link" or (tmp_path / "mine").read_text() == "mine"


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path):
    for name, threads in (("a", 2), ("b", 4)):
        with begin(tmp_path / name, threads=threads) as run:
            work(run, 1, 2)
    shutil.copy(tmp_path / "a" / "checkpoint", tmp_path / "b" / "checkpoint")
    with (
        pytest.raises(DataError, match="belongs to another run"),
        begin(tmp_path / "b", resume=True, threads=4),
    ):
        pass


@pytest.mark.parametrize(
    "change",
    [{"metrics_bytes": 1}, {"metrics_bytes": "0"}, {"plan": []}, {"counters": None}, {"run": 1}, {"more": 1}],
)
def test_a_checkpoint_whose_header_is_another_is_damaged(tmp_path: Path, change: dict[str, Any]):
    with begin(tmp_path / "r") as run:
        whole = {"counters": {}, "metrics_bytes": 0, "run": run.digest, "plan": None}
    tensors = {"weights.W": np.ones(2)}
    path = tmp_path / "r" / "checkpoint"
    atomic_files.write_atomically(path, *tensor_file.pack("checkpoint", 2, whole, tensors))
    assert read_checkpoint(tmp_path / "r").counters == {}
    atomic_files.write_atomically(path, *tensor_file.pack("checkpoint", 2, whole | change, tensors))
    with pytest.raises(DataError, match="checkpoint: is damaged: the header is not that of a checkpoint"):
        read_checkpoint(tmp_path / "r")


def test_numbers_that_are_not_finite_are_not_kept(tmp_path: Path):
    with begin(tmp_path / "r") as run:
        work(run, 1, 2)
        with pytest.raises(NonFiniteError, match="tensor 'w' holds NaN"):
            save_checkpoint(run, Checkpoint({}, {"w": np.array([np.nan])}))
        with pytest.raises(NonFiniteError, match="a metric is not finite"):
            log_metrics(run, {"loss": float("inf")})
        assert_step(read_checkpoint(run.folder), 2)
        assert read_metrics(run.folder) == straight(2)


def test_times_are_no_part_of_a_metric():
    record = {"step": 1, "loss": 2.0, "seconds": 3, "tokens_per_second": 4, "valid": {"time": 5, "loss": 6}}
    assert without_times(record) == {"step": 1, "loss": 2.0, "valid": {"loss": 6}}
    assert without_times({"times_table": 1, "timeless": 2, "epoch": 3}) == {
        "times_table": 1,
        "timeless": 2,
        "epoch": 3,
    }


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_failing_disk_keeps_the_old_checkpoint(tmp_path: Path, code: int):
    folder = tmp_path / "r"
    with begin(folder) as run:
        work(run, 1, 2)
    for number in range(60):
        told: list[str] = []
        try:
            with failing(number, code, told), begin(folder, resume=True) as run:
                work(run, 3, 4)
        except StorageError as error:
            assert error.exit_code == 3 and told
        else:
            if not told:
                break
        shown = read_checkpoint(folder).counters["step"]
        with begin(folder, resume=True) as run:
            assert_step(run.checkpoint, shown)
            assert read_metrics(folder) == straight(shown)
        if shown == 4:  # the failure came after the new checkpoint was in place, or did not matter
            shutil.rmtree(folder)
            with begin(folder) as run:
                work(run, 1, 2)
    else:
        raise AssertionError("a run makes no end of system calls")
    assert_step(read_checkpoint(folder), 4)


def power_losses(folder: Path) -> Iterator[str]:
    """What goes wrong when a run, of which two checkpoints were made and which was then forced afresh, lost power."""
    root, copy = folder / "root", folder / "copy"
    root.mkdir()
    copy.mkdir()
    with begin(root / "r") as run:  # the folder and its lock are there and durable; the rest is recorded
        work(run, 1, 2)
    with record(root) as recording:
        recording.mark([("old", 2)])
        with begin(root / "r", resume=True) as run:
            log_metrics(run, {"step": 3, "loss": 1 / 3})
            log_metrics(run, {"step": 4, "loss": 1 / 4})
            recording.mark([("old", 2), ("old", 4)])
            save_checkpoint(run, checkpoint(4))
            recording.mark([("old", 4)])
        recording.mark([("old", 4), ("new", 0), ("none", 0)])
        with begin(root / "r", force=True, threads=4) as run:
            recording.mark([("new", 0)])
            log_metrics(run, {"step": 1, "loss": 1.0})
            recording.mark([("new", 0), ("new", 2)])
            log_metrics(run, {"step": 2, "loss": 1 / 2})
            save_checkpoint(run, checkpoint(2))
            recording.mark([("new", 2)])
    with patch("os.fsync", lambda _: None):  # what is checked from here on needs no real disk
        for state, allowed in crashes(recording, 40):
            if wrong := after(state, root, copy, allowed):
                yield wrong


def after(state: dict[Path, bytes], root: Path, copy: Path, allowed: list[tuple[str, int]]) -> str:
    """What is wrong with the run folder after a power loss, or nothing."""
    restore(state, root, copy)
    folder = copy / "r"
    which = "none"
    for name, threads in (("old", 2), ("new", 4)):
        if (folder / "config.json").exists():
            try:
                if (
                    run_folder._read_json(folder / "config.json", "identity")["identity"]["threads"]
                    == threads
                ):
                    which = name
            except UnrolledError as error:
                return str(error)
    try:
        with begin(folder, resume=True, threads=4 if which == "new" else 2) as run:
            if run.repaired:
                return str(run.repaired)
            step = run.checkpoint.counters["step"] if run.checkpoint else 0
            if (which, step) not in allowed:
                return f"{which} at step {step}, not {allowed}"
            if step:
                assert_step(run.checkpoint, step)
            if read_metrics(folder) != straight(step):
                return f"metrics {read_metrics(folder)} at step {step}"
    except UnrolledError as error:
        return str(error)
    return ""


def test_a_power_loss_leaves_a_run_that_resumes(tmp_path: Path):
    assert list(power_losses(tmp_path)) == []


@pytest.mark.parametrize("module", [atomic_files, run_folder])
@pytest.mark.parametrize("without", ["sync", "sync_folder"])
def test_a_missing_sync_would_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Any, without: str
):
    monkeypatch.setattr(module, without, lambda _: None)
    assert next(power_losses(tmp_path), None)


# Forks children that train from where the last one was killed (-9): before each system call, or at random moments
# (argument: how many). At the end the run must be what it would have been without.
KILLED = """
import itertools, os, random, signal, sys, time
from pathlib import Path
from support import run_folders as t
from support.disk import dying
from unrolled.core.atomic_files import TEMPORARY
from unrolled.training import run_folder

folder, moments = Path(sys.argv[1]), int(sys.argv[2])
if not moments:
    os.fsync = lambda descriptor: None  # a kill, unlike a power loss, loses nothing that was written
LAST = 40 if moments else 4
chance = random.Random(0)
kills = 0

def train(number):
    with dying(number):
        with t.begin(folder, resume=True) as run:
            if run.plan is None:
                run = run_folder.save_plan(run, {"steps": LAST})
            step = run.checkpoint.counters["step"] if run.checkpoint else 0
            assert run_folder.read_metrics(folder) == t.straight(step)
            t.work(run, step + 1, LAST)

for attempt in itertools.count():
    # Before each call in turn, counted from a start afresh, so that every call of a run is one of them.
    if not moments:
        for path in folder.glob("*"):
            path.unlink()
    for number in ([10**9] if moments else [attempt, 10**9]):
        if not (pid := os.fork()):
            train(number)
            os._exit(0)
        if kills < moments:
            time.sleep(chance.uniform(0, 0.02))
            os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        assert status == 0 or os.WIFSIGNALED(status), status
        kills += os.WIFSIGNALED(status)
        died = status != 0
        if not died:
            t.assert_step(run_folder.read_checkpoint(folder), LAST)
            assert run_folder.read_metrics(folder) == t.straight(LAST)
            assert not list(folder.glob(TEMPORARY + "*"))
            if moments and kills < moments:
                for path in folder.glob("*"):
                    path.unlink()
            break
    if not died and (kills >= moments if moments else number == attempt):
        break
print(kills)
"""


def kills(folder: Path, moments: int) -> int:
    command = [sys.executable, "-c", KILLED, str(folder), str(moments)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(TESTS), str(TESTS.parent / "src")))}
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_a_run_killed_before_any_system_call_ends_the_same(tmp_path: Path):
    assert kills(tmp_path / "r", 0) > 50


def test_a_run_killed_at_random_moments_ends_the_same(tmp_path: Path):
    assert kills(tmp_path / "r", 12) >= 12


@pytest.mark.slow
def test_a_run_killed_at_many_random_moments_ends_the_same(tmp_path: Path):
    assert kills(tmp_path / "r", 1000) >= 1000


def test_the_files_for_people_can_be_read(tmp_path: Path):
    with begin(tmp_path / "r") as run:
        save_plan(run, {"steps": 10})
    text = (tmp_path / "r" / "config.json").read_text(encoding="utf-8")
    assert json.loads(text)["identity"] == IDENTITY and text.count("\n") > 5
