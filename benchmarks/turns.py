"""Contenders that take turns: a process each, that stays, so that all meet the same machine in the same minutes.

A benchmark hands over a table of contenders, by name a function (job) -> work, and jobs, each a dict of plain values.
In a round every contender does every job, one after the other; what is told is the median over rounds of a turn's
median. A contender that has no way to do a job returns None for it.
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
    """Be a contender's process: a job a line on stdin, on stdout the seconds of one call of its work, or null."""
    ready: dict[str, Callable[[], object] | None] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        key = json.dumps(asked["job"])
        if key not in ready:
            ready[key] = contender(asked["job"])
        work = ready[key]
        print(json.dumps(None if work is None else _turn(work, asked["seconds"])), flush=True)


def _turn(work: Callable[[], object], seconds: float) -> float:
    """The median of as many calls as fit into so many seconds, after two that warm up."""
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
    """For each job the seconds of each contender. The script that is running is started with `--contender NAME`."""
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
    """--rounds, --seconds, --threads, and the flag by which a contender's process is started."""
    options.add_argument("--rounds", type=int, default=7, help="turns of each contender (%(default)s)")
    options.add_argument("--seconds", type=float, default=seconds, help="of a turn (%(default)s)")
    options.add_argument("--threads", type=int, default=threads, help=f"{whose}(%(default)s)")
    options.add_argument("--contender", help=argparse.SUPPRESS)


def compete(
    name: str,
    contenders: Mapping[str, Contender],
    jobs: Sequence[Job],
    row: Callable[[Job, dict[str, float | None]], dict[str, Any]],
    asked: argparse.Namespace,
) -> None:
    """All contenders on all jobs, and the table with a row for each job."""
    seconds = take_turns(
        list(contenders), jobs, rounds=asked.rounds, seconds=asked.seconds, threads=asked.threads
    )
    from unrolled.models import native  # late: a contender's process may do without the package

    rows = [row(job, times) for job, times in zip(jobs, seconds, strict=True)]
    settings = {"rounds": asked.rounds, "seconds": asked.seconds, "threads": asked.threads}
    finish(record(name, [], kernel=native.running(), settings=settings, rows=rows), rows, asked.json)


def ratio(against: float | None, own: float | None) -> float | None:
    """How many times as quick `own` is; None where either is missing."""
    return None if against is None or own is None else against / own
