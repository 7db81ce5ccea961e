"""Inject a fault at every system call of a training that changes files: a kill, an error, or a power loss.

    python benchmarks/faults.py
    python benchmarks/faults.py --every 20 --power 40

Each point is a small training in its own process, with one fault in one of three situations:
- training into an empty folder,
- training with --force over a model of other data,
- resuming a run that was killed halfway.

The faults:
- a kill (-9) before the call, or in the middle of a write,
- ENOSPC,
- EIO,
- a power loss: each file that was not synced has its old content, no content, half of the content or zeros,
  and each name that was not synced may be lost. Each is chosen independently, so writes are also reordered.

After each point, the model file must be byte-identical to the old or the new model. Then the same command
runs again with --resume. It must produce the new model, byte-identical, and leave no temporary file. The
script prints a table. The exit code is 1 if anything is wrong. A training has about 400 calls, and a point
takes about a second.

--every N: only every N-th call. --power N: at most N random states of the disk in each situation.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import io
import itertools
import os
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from results import ROOT, finish, parser, record

os.environ.setdefault("OMP_NUM_THREADS", "1")
if str(ROOT / "tests") not in sys.path:
    sys.path.append(str(ROOT / "tests"))
disk = import_module("support.disk")

OPTIONS = ("--epochs", "1", "--hidden", "4", "--threads", "1", "--batch-size", "8", "--window", "32")
TEMPORARY = ".unrolled-tmp-"
FAULTS = ("kill", "ENOSPC", "EIO", "power loss")
ENOUGH = 1_000_000  # larger than the number of any call


@dataclass(frozen=True)
class Situation:
    """The folder before the training (empty, or a copy of `before`), the data and the flags."""

    name: str
    data: Path
    before: Path | None
    flags: tuple[str, ...]
    new: bytes

    @property
    def old(self) -> bytes | None:
        """The model that was in the folder before."""
        path = None if self.before is None else self.before / "m"
        return path.read_bytes() if path is not None and path.exists() else None


@dataclass
class Count:
    """The results for one fault in one situation."""

    points: int = 0
    old: int = 0  # number of old models after the fault
    new: int = 0
    left: int = 0  # number of temporary files before the next start
    wrong: list[str] = field(default_factory=list)


def prepared(folder: Path, situation: Situation) -> Path:
    """Replace the folder by the folder of the situation. Return the path of the model."""
    shutil.rmtree(folder, ignore_errors=True)
    if situation.before is None:
        folder.mkdir()
    else:
        shutil.copytree(situation.before, folder)
    return folder / "m"


def command(data: Path, out: Path, *flags: str) -> list[str]:
    """Return the command of a training."""
    return ["train", "language", str(data), "--out", str(out), *OPTIONS, *flags]


def train(words: list[str], fault: Callable[[], contextlib.AbstractContextManager[Any]]) -> tuple[int, str]:
    """Train in a new process with a fault. Return its exit code (negative for a signal) and its output."""
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        os.dup2(theirs, 1)
        os.dup2(theirs, 2)
        code = 70
        try:
            code = _trained(words, fault)
        finally:
            os._exit(code)
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        said = pipe.read().decode(errors="replace")
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said


def _trained(words: list[str], fault: Callable[[], contextlib.AbstractContextManager[Any]]) -> int:
    """Train, with a checkpoint at every step."""
    from unrolled.cli import main
    from unrolled.training import checkpointing

    checkpointing.SAVE_SECONDS, checkpointing.SAVE_SHARE = 0.0, 1e9
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    with fault():
        code = main(words)
    sys.stderr.flush()
    return code


def temporaries(*folders: Path) -> list[Path]:
    """Return the temporary files in these folders, at any depth."""
    return [path for folder in folders for path in folder.rglob(f"{TEMPORARY}*")]


def judge(situation: Situation, out: Path, count: Count, what: str) -> None:
    """Check the model after a fault, run the command again, and check again."""
    count.points += 1
    found = out.read_bytes() if out.exists() else None
    count.old += found == situation.old
    count.new += found == situation.new
    count.left += bool(temporaries(out.parent))
    if found not in (situation.old, situation.new):
        count.wrong.append(f"{what}: the model is neither the old one nor the new one")
    code, said = train(command(situation.data, out, "--resume"), contextlib.nullcontext)
    if code == 2 and found == situation.old and ("cannot be resumed" in said or "exists already" in said):
        # The training had not begun: the folder has not changed, and the command refuses it as before.
        code, said = train(command(situation.data, out, *situation.flags), contextlib.nullcontext)
    if code:
        count.wrong.append(f"{what}: the next start ended with {code}: {said.strip()[-200:]}")
    elif out.read_bytes() != situation.new:
        count.wrong.append(f"{what}: the next start ended with another model")
    if left := temporaries(out.parent):
        count.wrong.append(f"{what}: {len(left)} temporary files after the next start")


def calls(situation: Situation, folder: Path, fault: str, every: int) -> Count:
    """Inject one fault at every N-th system call of a training."""
    count = Count()
    for number in itertools.count(0, every):
        out = prepared(folder, situation)
        words = command(situation.data, out, *situation.flags)
        if fault == "kill":
            code, said = train(words, partial(disk.dying, number))
            wrong = code not in (0, -signal.SIGKILL)
        else:
            failing = partial(disk.failing, number, getattr(errno, fault), [], aloud=True)
            code, said = train(words, failing)
            wrong = code not in (0, 3)
        what = f"{situation.name}, {fault} at call {number}"
        if wrong:
            count.wrong.append(f"{what}: exit code {code}: {said.strip()[-200:]}")
        if code == 0 and (fault == "kill" or "FAULT" not in said):
            return count  # the training ended before this call
        judge(situation, out, count, what)
    raise AssertionError


def power(situation: Situation, folder: Path, most: int) -> Count:
    """Test at most `most` random states of the disk after a power loss during a training."""
    count, chance = Count(), random.Random(0)
    out = prepared(folder, situation)
    recorded: list[Any] = []

    @contextlib.contextmanager
    def recording() -> Iterator[None]:
        with disk.record(folder) as found:
            yield
        recorded.append(found)

    from unrolled.cli import main

    with contextlib.redirect_stderr(io.StringIO()), recording():
        saved = checkpoint_often()
        code = main(command(situation.data, out, *situation.flags))
        saved()
    assert code == 0
    states = reservoir(disk.crashes(recorded[0], 20), most, chance)
    copy = folder.with_name("copy")
    for number, (state, _) in enumerate(states):
        copy.mkdir(exist_ok=True)
        disk.restore(state, folder, copy)
        judge(situation, copy / "m", count, f"{situation.name}, power loss {number}")
    return count


def checkpoint_often() -> Callable[[], None]:
    """Save a checkpoint at every step from now on. Return a function that undoes this."""
    from unrolled.training import checkpointing

    before = checkpointing.SAVE_SECONDS, checkpointing.SAVE_SHARE
    checkpointing.SAVE_SECONDS, checkpointing.SAVE_SHARE = 0.0, 1e9

    def undo() -> None:
        checkpointing.SAVE_SECONDS, checkpointing.SAVE_SHARE = before

    return undo


def reservoir(states: Iterator[Any], most: int, chance: random.Random) -> list[Any]:
    """Return a sample of at most `most` states, each with the same probability (reservoir sampling)."""
    kept: list[Any] = []
    for number, state in enumerate(states):
        if number < most:
            kept.append(state)
        elif (at := chance.randrange(number + 1)) < most:
            kept[at] = state
    return kept


def situations(home: Path) -> list[Situation]:
    """Yield the three situations, each with the model that it must produce."""
    one, two = home / "one.txt", home / "two.txt"
    one.write_text("abc def ghi\n" * 60)
    two.write_text("xyz uvw rst\n" * 60)  # the same number of characters, so the same number of steps
    models: dict[Path, bytes] = {}
    for data in (one, two):
        out = home / f"straight-{data.stem}" / "m"
        out.parent.mkdir()
        assert train(command(data, out), contextlib.nullcontext)[0] == 0
        models[data] = out.read_bytes()
    assert models[one] != models[two]
    killed = home / "killed"
    for number in range(1, ENOUGH):  # until a checkpoint exists before the end of the training
        shutil.rmtree(killed, ignore_errors=True)
        shutil.copytree(home / "straight-one", killed)
        train(command(two, killed / "m", "--force"), partial(disk.dying, 10 * number))
        if (killed / "m.run" / "checkpoint").exists() and steps(killed / "m.run") >= 2:
            break
    return [
        Situation("a new model", two, None, (), models[two]),
        Situation("--force over another model", two, home / "straight-one", ("--force",), models[two]),
        Situation("--resume after a kill", two, killed, ("--resume",), models[two]),
    ]


def steps(folder: Path) -> int:
    """Return the step of the checkpoint of this run; 0 if it has no checkpoint."""
    from unrolled.training import run_folder

    if not (folder / run_folder.CONFIG).exists() or not (folder / run_folder.PLAN).exists():
        return 0
    counters = run_folder.read_checkpoint(folder).counters
    return 0 if counters["done"] else int(counters["step"])


def tested(home: Path, every: int, most: int, only: str) -> Iterator[tuple[dict[str, Any], list[str]]]:
    """Yield a row for each fault in each situation, and the list of failures."""
    import torch
    import torch._dynamo

    import unrolled.cli.train
    import unrolled.inference.scoring
    import unrolled.training.fit
    import unrolled.training.language_job  # noqa: F401 - so that each process starts at once

    torch.set_num_threads(1)
    for situation in situations(home):
        if only not in situation.name:
            continue
        for fault in FAULTS:
            work = home / "work"
            count = (
                power(situation, work, most)
                if fault == "power loss"
                else calls(situation, work, fault, every)
            )
            row = {
                "situation": situation.name,
                "fault": fault,
                "points": count.points,
                "old model": count.old,
            }
            row |= {"new model": count.new, "temporary files": count.left, "wrong": len(count.wrong)}
            print(row, file=sys.stderr)
            yield row, count.wrong


def main(arguments: argparse.Namespace) -> int:
    rows: list[dict[str, Any]] = []
    wrong: list[str] = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        os.environ["TMPDIR"] = name
        tempfile.tempdir = None
        for row, found in tested(Path(name), arguments.every, arguments.power, arguments.only):
            rows.append(row)
            wrong += found
    settings = {"every": arguments.every, "power": arguments.power}
    finish(record("faults", [], settings=settings, rows=rows), rows, arguments.json)
    for line in wrong:
        print(f"WRONG: {line}")
    points = sum(row["points"] for row in rows)
    print(f"{points:,} points, {len(wrong)} of them wrong")
    return int(bool(wrong) or not points)


def options_of(words: list[str]) -> argparse.Namespace:
    """Parse the command line."""
    made = parser(__doc__)
    made.add_argument("--every", type=int, default=1, metavar="N", help="only every N-th call (default 1)")
    made.add_argument(
        "--power",
        type=int,
        default=200,
        metavar="N",
        help="maximum number of states of the disk (default 200)",
    )
    made.add_argument(
        "--only", default="", metavar="TEXT", help="only situations with this text in their names"
    )
    made.add_argument("--folder", type=Path, help="working folder (default: a temporary folder)")
    return made.parse_args(words)


if __name__ == "__main__":
    sys.exit(main(options_of(sys.argv[1:])))
