"""Run contenders in turns, each in its own process, so that all run under the same conditions of the machine.

A benchmark passes a table of contenders (name -> function from a job to its work) and a list of jobs (dicts
of plain values). In a round, every contender does every job, one after the other. The result is the median
over the rounds of the median of a turn. A contender returns None for a job that it cannot do.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from results import finish, record

Job = dict[str, Any]
Contender = Callable[[Job], Callable[[], object] | None]

MOST_CALLS = 1000


def serve(contender: Contender) -> None:
    """Run the process of a contender.

    It reads one job per line from stdin. For each job, it prints the seconds of one call of its work, or
    null.
    """
    ready: dict[str, Callable[[], object] | None] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        key = json.dumps(asked["job"])
        if key not in ready:
            ready[key] = contender(asked["job"])
        work = ready[key]
        print(json.dumps(None if work is None else _turn(work, asked["seconds"])), flush=True)


def _turn(work: Callable[[], object], seconds: float) -> float:
    """Return the median time of the calls that fit into `seconds`, after two warm-up calls."""
    for _ in range(2):
        work()
    times: list[float] = []
    until = time.perf_counter() + seconds
    while not times or (time.perf_counter() < until and len(times) < MOST_CALLS):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def take_turns(
    names: Sequence[str], jobs: Sequence[Job], *, rounds: int, seconds: float, threads: int
) -> list[dict[str, float | None]]:
    """Return the seconds of each contender for each job.

    The processes run the current script with `--contender NAME`.
    """
    environment = os.environ | dict.fromkeys(
        ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads)
    )
    processes = {
        name: subprocess.Popen(
            [sys.executable, sys.argv[0], "--contender", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for name in names
    }
    found: list[dict[str, list[float | None]]] = [{name: [] for name in names} for _ in jobs]
    try:
        for turn in range(rounds):
            for job, times in zip(jobs, found, strict=True):
                for name in names if turn % 2 == 0 else list(reversed(names)):
                    times[name].append(_ask(processes[name], {"job": job, "seconds": seconds}))
            print(f"round {turn + 1} of {rounds}", file=sys.stderr, flush=True)
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
    return [{name: _median(times) for name, times in each.items()} for each in found]


def _ask(process: subprocess.Popen[str], asked: Mapping[str, Any]) -> float | None:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(json.dumps(asked) + "\n")
    process.stdin.flush()
    answer = process.stdout.readline()
    if not answer:
        print(f"error: a contender ended over {asked['job']}", file=sys.stderr)
        raise SystemExit(1)
    return json.loads(answer)


def _median(times: Sequence[float | None]) -> float | None:
    there = [t for t in times if t is not None]
    return statistics.median(there) if there else None


def add_turns(options: argparse.ArgumentParser, *, seconds: float, threads: int, whose: str) -> None:
    """Add --rounds, --seconds, --threads, and the flag for the process of a contender."""
    options.add_argument("--rounds", type=int, default=7, help="turns of each contender (%(default)s)")
    options.add_argument("--seconds", type=float, default=seconds, help="seconds per turn (%(default)s)")
    options.add_argument("--threads", type=int, default=threads, help=f"{whose}(%(default)s)")
    options.add_argument("--contender", help=argparse.SUPPRESS)


def compete(
    name: str,
    contenders: Mapping[str, Contender],
    jobs: Sequence[Job],
    row: Callable[[Job, dict[str, float | None]], dict[str, Any]],
    asked: argparse.Namespace,
) -> None:
    """Run all contenders on all jobs, and print a table with one row per job."""
    seconds = take_turns(
        list(contenders), jobs, rounds=asked.rounds, seconds=asked.seconds, threads=asked.threads
    )
    # Imported here, because the process of a contender may not need the package.
    from unrolled.models import native

    rows = [row(job, times) for job, times in zip(jobs, seconds, strict=True)]
    settings = {"rounds": asked.rounds, "seconds": asked.seconds, "threads": asked.threads}
    finish(record(name, [], kernel=native.running(), settings=settings, rows=rows), rows, asked.json)


def ratio(against: float | None, own: float | None) -> float | None:
    """Return the speed-up of `own` over `against`; None if one of them is missing."""
    return None if against is None or own is None else against / own
