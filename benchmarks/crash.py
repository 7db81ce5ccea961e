"""Kill trainings (-9) at random times, resume them, and compare the result with an uninterrupted training.

    python benchmarks/crash.py TEXT --kills 30 --epochs 2
    python benchmarks/crash.py TEXT --kills 30 --minutes 3 --seed 7 -- --unit word --hidden 200

Each killed training is resumed until it finishes. If it finishes before all kills are used, another training
begins. The uninterrupted training uses the plan of the first one: the plan depends on measured times, so each
run would otherwise have its own plan. Weights, optimizer, carried state, counters and metrics (without their
time fields) must be bit-identical.

The script prints a table. `resumed`: kills after a checkpoint. `checkpoints`: number of different checkpoints
of these. The exit code is 1 if anything differs or if no training was resumed. The arguments after `--` are
passed to `unrolled train`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from results import finish, parser, record
from unrolled.core.types import Array
from unrolled.models import model_file
from unrolled.training import run_folder
from unrolled.training.run_folder import CHECKPOINT, CONFIG, METRICS, PLAN, differences, without_times
from unrolled.training.run_lock import LOCK

FIRST_REACH = 15.0  # seconds; a process needs some time to import, read and train before its first checkpoint
LONGER = 1.2  # factor for the time to the next kill, if a process was killed without a new checkpoint


@dataclass(frozen=True)
class Survivor:
    """A training that was killed and then finished. steps: step of the checkpoint at each kill; 0: none."""

    model: Path
    steps: tuple[int, ...]
    seconds: float


def folder_of(model: Path) -> Path:
    """Return the run folder of a model."""
    return model.with_name(f"{model.name}.run")


def compare_tensors(one: Mapping[str, Array], two: Mapping[str, Array]) -> list[str]:
    """Return the tensors that are not bit-identical, with a description of the difference."""
    found = [f"tensor {name} is only in one" for name in sorted(one.keys() ^ two.keys())]
    for name in sorted(one.keys() & two.keys()):
        a, b = one[name], two[name]
        if (a.dtype, a.shape) != (b.dtype, b.shape):
            found.append(f"tensor {name} is {a.dtype} {list(a.shape)} and {b.dtype} {list(b.shape)}")
        elif a.tobytes() != b.tobytes():
            found.append(f"tensor {name} differs in {int((a != b).sum()):,} of {a.size:,} numbers")
    return found


def compare_models(one: Path, two: Path) -> list[str]:
    """Return the differences between two model files, except times."""
    a, b = model_file.load(one), model_file.load(two)
    parts = ("task", "spec", "learnt", "config", "notes")
    documents = [without_times({part: _plain(getattr(model, part)) for part in parts}) for model in (a, b)]
    return compare_tensors(a.tensors, b.tensors) + differences(*documents)


def compare_runs(one: Path, two: Path) -> list[str]:
    """Return the differences between two run folders, except times.

    It compares weights, optimizer, state, counters, plan and metrics.
    """
    a, b = run_folder.read_checkpoint(one), run_folder.read_checkpoint(two)
    found = compare_tensors(a.tensors, b.tensors)
    found += differences(without_times(dict(a.counters)), without_times(dict(b.counters)))
    plans = [json.loads((run / PLAN).read_text(encoding="utf-8"))["plan"] for run in (one, two)]
    return (
        found
        + differences(*plans)
        + compare_metrics(run_folder.read_metrics(one), run_folder.read_metrics(two))
    )


def compare_metrics(one: Sequence[Mapping[str, Any]], two: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the first metrics record that differs, except times, and the numbers of records if unequal."""
    if len(one) != len(two):
        return [f"{len(one)} and {len(two)} metrics"]
    for number, (a, b) in enumerate(zip(one, two, strict=True), start=1):
        if found := differences(without_times(dict(a)), without_times(dict(b))):
            return [f"metric {number}: {', '.join(found)}"]
    return []


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


def train(text: Path, model: Path, options: Sequence[str], life: float | None) -> bool:
    """Train or resume for at most `life` seconds, then kill the process. None: until it finishes.

    Return whether the training finished.
    """
    command = [
        sys.executable,
        "-m",
        "unrolled",
        "train",
        "language",
        text,
        "--out",
        model,
        "--resume",
        *options,
    ]
    with (
        tempfile.TemporaryFile("w+") as said,
        # Its own process group, so that its child processes are killed too.
        subprocess.Popen(command, stdout=said, stderr=said, text=True, start_new_session=True) as process,
    ):
        try:
            code = process.wait(life)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return False
        if code:
            said.seek(0)
            print(said.read()[-3000:], f"error: exit code {code}", sep="\n", file=sys.stderr)
            raise SystemExit(1)
        return True


def survive(text: Path, model: Path, options: Sequence[str], kills: int, chance: random.Random) -> Survivor:
    """Train until the training finishes, with at most `kills` kills at random times.

    After a kill before the first checkpoint, the training starts again, which tests little. So the time to
    the next kill is increased until there is a checkpoint.
    """
    steps: list[int] = []
    started, reach = time.monotonic(), FIRST_REACH
    while True:
        life = chance.uniform(0.05, 2 * reach) if len(steps) < kills else None
        if train(text, model, options, life):
            return Survivor(model, tuple(steps), time.monotonic() - started)
        before = steps[-1] if steps else 0
        steps.append(checkpoint_step(folder_of(model)))
        reach *= LONGER if steps[-1] == before else 1.0
        print(f"{model.name}: kill {len(steps)} after {life:.1f} s, step {steps[-1]:,} kept", file=sys.stderr)


def checkpoint_step(folder: Path) -> int:
    """Return the step of the checkpoint in a run folder; 0 if there is no checkpoint."""
    if not (folder / CHECKPOINT).exists():
        return 0
    return run_folder.read_checkpoint(folder).counters["step"]


def share_plan(source: Path, model: Path) -> None:
    """Create the run folder of `model` with the configuration and the plan of the run folder `source`."""
    folder = folder_of(model)
    folder.mkdir()
    for name in (LOCK, CONFIG, PLAN):
        shutil.copyfile(source / name, folder / name)
    (folder / METRICS).touch()


def main(arguments: argparse.Namespace) -> int:
    options = [*("--seed", str(arguments.seed)), *arguments.options]
    options += ["--epochs", str(arguments.epochs)] if arguments.epochs else []
    options += ["--minutes", str(arguments.minutes)] if arguments.minutes else []
    chance = random.Random(arguments.seed)
    rows: list[dict[str, Any]] = []
    wrong: list[str] = []
    resumed = 0
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        alone, left = Path(name) / "alone", arguments.kills
        while left > 0:
            model = Path(name) / f"killed-{len(rows) + 1}"
            if rows:
                share_plan(folder_of(alone), model)
            survivor = survive(arguments.text, model, options, left, chance)
            if not rows:
                share_plan(folder_of(model), alone)
                train(arguments.text, alone, options, None)
            left -= len(survivor.steps)
            resumed += sum(step > 0 for step in survivor.steps)
            found = compare_models(alone, model) + compare_runs(folder_of(alone), folder_of(model))
            wrong += found
            tensors = run_folder.read_checkpoint(folder_of(model)).tensors
            rows.append(
                {
                    "training": model.name,
                    "kills": len(survivor.steps),
                    "resumed": sum(step > 0 for step in survivor.steps),
                    "checkpoints": len({step for step in survivor.steps if step}),
                    "seconds": survivor.seconds,
                    "tensors": len(tensors),
                    "numbers": sum(tensor.size for tensor in tensors.values()),
                    "metrics": len(run_folder.read_metrics(folder_of(model))),
                    "differences": len(found),
                }
            )
    result = record(
        "crash", [arguments.text], settings={"options": options, "kills": arguments.kills}, rows=rows
    )
    finish(result, rows, arguments.json)
    for line in wrong:
        print(f"DIFFERENT: {line}")
    said, code = verdict(arguments.kills, resumed, wrong)
    print(said)
    return code


def verdict(kills: int, resumed: int, wrong: Sequence[str]) -> tuple[str, int]:
    """Return a summary of the result, and the exit code."""
    if not resumed:
        return f"{kills} kills, none after a checkpoint: nothing was resumed, nothing is proved", 1
    equal = "NOT equal" if wrong else "equal"
    return f"{kills} kills, {resumed} of them after a checkpoint: {equal} to the bit", int(bool(wrong))


def options_of(words: Sequence[str]) -> argparse.Namespace:
    """Parse the command line. The arguments after `--` are for `unrolled train`."""
    made = parser(__doc__)
    made.add_argument("text", type=Path, help="a text, small enough to train in minutes")
    made.add_argument("--kills", type=int, default=30)
    budget = made.add_mutually_exclusive_group(required=True)
    budget.add_argument("--epochs", type=int)
    budget.add_argument("--minutes", type=float)
    made.add_argument("--seed", type=int, default=0, help="random seed of the training and of the kills")
    made.add_argument(
        "--folder", type=Path, help="folder for the models and runs (default: a temporary folder)"
    )
    own = list(words)
    rest = own[own.index("--") + 1 :] if "--" in own else []
    arguments = made.parse_args(own[: own.index("--")] if "--" in own else own)
    arguments.options = rest
    return arguments


if __name__ == "__main__":
    sys.exit(main(options_of(sys.argv[1:])))
