"""Mutation testing: change one expression of the package at a time and run the tests.

python scripts/mutants.py [--area AREA] [--number N] [--seed S] [--jobs J] [--least PERCENT] [--list]

- The changes (`mutations.py`) are chosen at random with a fixed seed, the same number from each area.
- Each change is tested in a copy of the checkout in a temporary folder.
- A change is killed if a test fails or does not end in time. If all tests pass, it has survived.
- `equivalent_mutants.toml` lists changes without an observable effect, with the reason for each. They are not
  tested and are counted separately.
- Exit code 1: fewer than --least percent of the other changes were killed, or the tests fail without a
  change.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import tomllib
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mutations import changed, listed

ROOT = Path(__file__).resolve().parent.parent
EQUIVALENT = Path(__file__).with_name("equivalent_mutants.toml")
COPIED = ("src", "tests", "benchmarks", "pyproject.toml")
PACKAGE = Path("src") / "unrolled"
FAILED = 70  # exit code of a process that could not run the tests


# The files of an area below `src/unrolled`, and the tests of each file below `tests`. The fastest tests come
# first.
Area = Mapping[str, tuple[str, ...]]

CELLS = ("models/test_cells.py", "nn/test_zoneout.py", "models/test_other_cells.py")
CRF = ("nn/test_crf_loss.py", "models/decoding/test_crf.py")

AREAS: dict[str, Area] = {
    "cells": {
        "models/cells/__init__.py": CELLS,
        "models/cells/gru.py": CELLS,
        "models/cells/gru_simple.py": CELLS,
        "models/cells/lstm.py": CELLS,
        "models/cells/ops.py": CELLS,
        "models/cells/rnn.py": CELLS,
    },
    "scan": {"nn/scan.py": ("nn/test_scan.py", "nn/test_zoneout.py", "nn/test_layers.py")},
    "batches": {
        "datasets/example_batches.py": ("datasets/test_example_batches.py", "datasets/test_prefetch.py"),
        "datasets/hold_out.py": ("datasets/test_hold_out.py",),
        "datasets/prefetch.py": ("datasets/test_prefetch.py", "datasets/test_example_store.py"),
        "datasets/token_batches.py": ("datasets/test_token_batches.py",),
        "datasets/windows.py": ("datasets/test_windows.py", "datasets/test_hold_out.py"),
    },
    "loop": {
        "training/fit.py": (
            "training/test_fit.py",
            "training/test_stale_models.py",
            "training/test_faults_training.py",
        ),
        "training/loop.py": ("training/test_loop.py",),
        "training/pacing.py": ("training/test_pacing.py",),
    },
    "checkpoints": {
        "training/checkpointing.py": (
            "training/test_checkpointing.py",
            "training/test_resume.py",
            "training/test_faults_training.py",
        )
    },
    "run folder": {
        "training/run_folder.py": ("training/test_run_folder.py",),
        "training/run_lock.py": ("training/test_run_folder.py",),
    },
    "model file": {
        "core/tensor_file.py": ("models/test_model_file.py",),
        "models/model_file.py": ("models/test_model_file.py",),
    },
    "vocabulary": {"data/text/vocabulary.py": ("data/text/test_vocabulary.py",)},
    "beam search": {"models/decoding/beam_search.py": ("models/decoding/test_beam_search.py",)},
    "ctc": {"models/decoding/ctc.py": ("models/decoding/test_ctc.py",)},
    "crf": {"models/decoding/crf.py": CRF, "nn/crf_loss.py": CRF},
}

# Tests that are too slow to run for every mutant, as an expression for `pytest -k`.
LEFT_OUT = (
    "killed_resumed_opened or ragged_rows or compare_takes or doctor_checks or left_alone_end or killed_at_any_step"
    " or terminal_that_is_closed or whole_training or killed_before_any or killed_at_random"
)


@dataclass(frozen=True)
class Mutant:
    """A change of a file below `src/unrolled`. number: its index in the list of all changes of this file."""

    area: str
    file: str
    number: int
    line: int
    text: str

    @property
    def key(self) -> str:
        """The key in `equivalent_mutants.toml`.

        It has no line number, so it does not change when lines move.
        """
        return f"{self.file}: {self.text}"


@dataclass(frozen=True)
class Outcome:
    """The result of a mutant. what: `killed`, `time-out`, `survived` or `equivalent`."""

    mutant: Mutant
    what: str


@dataclass(frozen=True)
class Job:
    """A process that runs the tests of a mutant in a copy of the checkout. until: when it is stopped."""

    mutant: Mutant
    copy: Path
    until: float


def candidates(area: str, files: Iterable[str], root: Path = ROOT) -> list[Mutant]:
    """Return all mutants of an area."""
    return [
        Mutant(area, file, one.number, one.line, one.text)
        for file in files
        for one in listed((root / PACKAGE / file).read_text(encoding="utf-8"))
    ]


def drawn(areas: Mapping[str, Area], number: int, seed: int) -> list[Mutant]:
    """Choose `number` mutants or a few more at random, the same number from each area.

    If an area has fewer mutants, all of them are chosen.
    """
    each = -(-number // len(areas))
    chosen: list[Mutant] = []
    for name, area in areas.items():
        every = candidates(name, area)
        picked = random.Random(f"{seed} {name}").sample(every, min(each, len(every)))
        chosen += sorted(picked, key=lambda mutant: (mutant.file, mutant.line, mutant.number))
    return chosen


def equivalents(path: Path = EQUIVALENT) -> dict[str, str]:
    """Return key of the mutant -> reason why it is equivalent."""
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    return {f"{one['file']}: {one['change']}": one["reason"] for one in document["mutant"]}


def prepare(folder: Path, root: Path) -> Path:
    """Create `folder` with a copy of the files that the tests need, and return it."""
    folder.mkdir()
    for name in COPIED:
        if (root / name).is_dir():
            shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif (root / name).exists():
            shutil.copy2(root / name, folder / name)
    return folder


def run_tests(tests: Sequence[str], copy: Path, *, keep_bytecode: bool = False) -> int:
    """Run test files in this process and return the exit code of pytest.

    The process must not have imported the package before.
    """
    import pytest

    os.setsid()  # so that processes started by tests end with this process
    os.chdir(copy)
    source = str(copy / "src")
    sys.path.insert(0, source)
    spec = importlib.util.find_spec("unrolled")
    if "unrolled" in sys.modules or spec is None or not str(spec.origin).startswith(source):
        raise RuntimeError("another copy of the package would be tested")
    os.environ["PYTHONPATH"] = source
    # Neither this process nor the processes of its tests may write compiled files of a mutant.
    sys.dont_write_bytecode = not keep_bytecode
    os.environ["PYTHONDONTWRITEBYTECODE"] = "" if keep_bytecode else "1"
    with (copy / "output").open("w") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    where = ["-c", "pyproject.toml", "--rootdir", ".", "--basetemp", "temporary"]
    files = [f"tests/{name}" for name in tests]
    which = ["-k", f"not ({LEFT_OUT})"]
    return int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *where, *which, *files]))


def start(tests: Sequence[str], copy: Path, *, keep_bytecode: bool = False) -> int:
    """Run test files in a new process and return the process id."""
    process = os.fork()
    if process:
        return process
    code = FAILED
    try:
        code = run_tests(tests, copy, keep_bytecode=keep_bytecode)
    except BaseException:  # this process is a fork, so it must not continue as a second copy of the caller
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def write_change(mutant: Mutant, copy: Path, root: Path) -> None:
    """Write the changed file of a mutant into a copy of the checkout."""
    path = copy / PACKAGE / mutant.file
    path.write_text(changed((root / PACKAGE / mutant.file).read_text(encoding="utf-8"), mutant.number))
    os.utime(path, (0, 0))  # a different time from the source, so that its compiled file is not used


def undo_change(mutant: Mutant, copy: Path, root: Path) -> None:
    """Restore the original file with its time."""
    shutil.copy2(root / PACKAGE / mutant.file, copy / PACKAGE / mutant.file)


def judged(code: int, mutant: Mutant, copy: Path) -> str:
    """Return the result for an exit code of pytest. Raises SystemExit if no test was run."""
    if code == 0:
        return "survived"
    if code in (3, 4, 5, FAILED):  # an error of pytest, wrong arguments, no tests
        text = (copy / "output").read_text(errors="replace")[-2000:]
        raise SystemExit(f"error: the tests of {mutant.area} could not run: {text}")
    return "killed"  # a test failed, a module could not be imported, or a signal ended the process


def limits(needed: Iterable[tuple[str, ...]], copy: Path, patience: float) -> dict[tuple[str, ...], float]:
    """Return the time limit in seconds for each list of test files.

    It is `patience` plus three times the time that the tests need without a change.
    Raises SystemExit if they fail without a change.
    """
    found: dict[tuple[str, ...], float] = {}
    for tests in needed:
        begun = time.monotonic()
        _, status = os.waitpid(start(tests, copy, keep_bytecode=True), 0)
        taken = time.monotonic() - begun
        if os.waitstatus_to_exitcode(status):
            text = (copy / "output").read_text(errors="replace")[-3000:]
            raise SystemExit(f"error: {' '.join(tests)} fail without any change: {text}")
        found[tests] = patience + 3 * taken
        print(f"{' '.join(tests)}: {taken:.1f} s without a change", file=sys.stderr)
    return found


def tried(
    mutants: Sequence[Mutant],
    areas: Mapping[str, Area],
    seconds: Mapping[tuple[str, ...], float],
    copies: Sequence[Path],
    root: Path,
) -> Iterator[Outcome]:
    """Run the tests of every mutant. Each copy of the checkout has one process at a time."""
    waiting, free = list(reversed(mutants)), list(copies)
    running: dict[int, Job] = {}
    while waiting or running:
        while waiting and free:
            mutant, copy = waiting.pop(), free.pop()
            write_change(mutant, copy, root)
            tests = areas[mutant.area][mutant.file]
            process = start(tests, copy)
            running[process] = Job(mutant, copy, time.monotonic() + seconds[tests])
        time.sleep(0.02)
        for process, job in list(running.items()):
            ended, status = os.waitpid(process, os.WNOHANG)
            late = not ended and time.monotonic() > job.until
            if not ended and not late:
                continue
            stop_group(process)
            if late:
                os.waitpid(process, 0)
            what = "time-out" if late else judged(os.waitstatus_to_exitcode(status), job.mutant, job.copy)
            undo_change(job.mutant, job.copy, root)
            free.append(running.pop(process).copy)
            yield Outcome(job.mutant, what)


def stop_group(process: int) -> None:
    """Kill a process and all processes that it started."""
    try:
        os.killpg(process, signal.SIGKILL)
    except ProcessLookupError:
        return


def table(outcomes: Sequence[Outcome]) -> list[str]:
    """Return the outcomes by area as a Markdown table."""
    lines = [
        "| area | mutants | equivalent | killed | of these by time | survived |",
        "|---|---|---|---|---|---|",
    ]
    areas = list(dict.fromkeys(one.mutant.area for one in outcomes))
    for name in [*areas, ""]:
        mine = [one.what for one in outcomes if name in ("", one.mutant.area)]
        by_time, equivalent, survived = (mine.count(what) for what in ("time-out", "equivalent", "survived"))
        killed = by_time + mine.count("killed")
        lines.append(f"| {name or 'all'} | {len(mine)} | {equivalent} | {killed} | {by_time} | {survived} |")
    return lines


def share_killed(outcomes: Sequence[Outcome]) -> float:
    """Return the percentage of killed mutants, without the equivalent ones; 100 if there are none."""
    tested = [one for one in outcomes if one.what != "equivalent"]
    return 100.0 * sum(one.what != "survived" for one in tested) / len(tested) if tested else 100.0


def mutate(
    areas: Mapping[str, Area],
    mutants: Sequence[Mutant],
    reasons: Mapping[str, str],
    *,
    jobs: int = 1,
    root: Path = ROOT,
    patience: float = 30.0,
) -> Iterator[Outcome]:
    """Yield the outcome of every mutant, those without an effect first.

    reasons: why a mutant has no effect, by its key.

    root: the checkout. patience: seconds, see `limits`. Raises SystemExit if the tests fail without a change.
    """
    yield from (Outcome(mutant, "equivalent") for mutant in mutants if mutant.key in reasons)
    rest = [mutant for mutant in mutants if mutant.key not in reasons]
    needed = dict.fromkeys(areas[mutant.area][mutant.file] for mutant in rest)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copies = [prepare(Path(folder) / "0", root)]
        seconds = limits(needed, copies[0], patience)
        for number in range(1, jobs):  # this also copies the compiled files of the first copy
            copies.append(Path(folder) / str(number))
            shutil.copytree(copies[0], copies[-1])
        yield from tried(rest, areas, seconds, copies, root)


def import_libraries() -> None:
    """Import the slow libraries once, before the processes are forked.

    Forked processes need one thread each.
    """
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
    # No plugins of pytest: pytest must import these itself.
    for name in ("beartype", "numpy", "pytest", "torch"):
        importlib.import_module(name)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--area", choices=AREAS, help="only this area (default: all)")
    parser.add_argument("--number", type=int, default=250, help="number of mutants, the same for each area")
    parser.add_argument("--seed", type=int, default=0, help="random seed")
    parser.add_argument("--jobs", type=int, default=1, help="number of parallel processes")
    parser.add_argument("--least", type=float, default=90.0, help="percentage that must be killed")
    parser.add_argument("--list", action="store_true", help="print the mutants and stop")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    areas = AREAS if options.area is None else {options.area: AREAS[options.area]}
    mutants = drawn(areas, options.number, options.seed)
    if options.list:
        print(*(f"{mutant.file}:{mutant.line} {mutant.text}" for mutant in mutants), sep="\n")
        return 0
    outcomes: list[Outcome] = []
    import_libraries()
    for outcome in mutate(areas, mutants, equivalents(), jobs=options.jobs):
        outcomes.append(outcome)
        mutant = outcome.mutant
        where = f"{mutant.file}:{mutant.line}"
        print(
            f"{len(outcomes)}/{len(mutants)} {outcome.what}: {where} {mutant.text}",
            file=sys.stderr,
            flush=True,
        )
    survivors = [one.mutant for one in outcomes if one.what == "survived"]
    print(
        *table(outcomes), "", f"killed: {share_killed(outcomes):.1f}% without the equivalent ones", sep="\n"
    )
    for mutant in survivors:
        print(f"survived: {mutant.file}:{mutant.line} {mutant.text}")
    return int(share_killed(outcomes) < options.least)


if __name__ == "__main__":
    sys.exit(main())
