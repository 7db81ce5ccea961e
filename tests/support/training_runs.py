"""What the tests of training share: a small text, a small batch, and the command line in processes of its own."""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import numpy as np
import torch

from unrolled.core.types import Batch, Place

WHOLE = (
    "--hidden",
    "16",
    "--batch-size",
    "4",
    "--threads",
    "1",
    "--seed",
    "3",
)  # sequences are read as a whole
SMALL = (*WHOLE, "--window", "16")  # texts and tunes are read in windows
WORDS = "the cat dog sat ran on under a mat log and then it was late so we all went home"

torch.set_num_threads(
    1
)  # several threads at small sizes wait for each other, the longer the busier the machine

# Real processes, forked from one that has imported torch already: each starts at once.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["unrolled.training.fit", "unrolled.cli.train"])


def write_text(path: Path, lines: int = 200, seed: int = 0) -> Path:
    """Lines of a few words from a small vocabulary, about 25 characters each."""
    chance, words = random.Random(seed), WORDS.split()
    path.write_text("".join(f"{' '.join(chance.choices(words, k=6))}.\n" for _ in range(lines)))
    return path


@dataclass(frozen=True)
class Command:
    """`unrolled ...` at work; `log` receives what it says on stdout and stderr."""

    process: ForkServerProcess
    log: Path

    @property
    def said(self) -> str:
        """All that was said so far."""
        return self.log.read_text(encoding="utf-8")

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.is_alive()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def wait(self) -> int:
        """Its exit code; -9 where it was killed."""
        self.process.join(120)
        assert self.process.exitcode is not None, "does not end"
        return self.process.exitcode

    def wait_for(self, condition: Callable[[], bool]) -> bool:
        """Wait until the condition holds; False where the process ends before."""
        until = time.monotonic() + 100
        while not condition():
            if not self.alive:
                return False
            assert time.monotonic() < until, "waited too long"
            time.sleep(0.001)
        return True


def start(log: Path, *arguments: str | Path, limits: Mapping[int, int] | None = None) -> Command:
    """Start `unrolled ARGUMENTS`, under resource limits; it saves at every step: tests have no ten seconds."""
    words = [str(word) for word in arguments]
    process = PROCESSES.Process(target=_command, args=(words, str(log), dict(limits or {})))
    process.start()
    return Command(process, log)


def run(log: Path, *arguments: str | Path, limits: Mapping[int, int] | None = None) -> tuple[int, str]:
    """`start`, and wait: exit code and all that was said."""
    command = start(log, *arguments, limits=limits)
    return command.wait(), command.said


def _command(words: list[str], log: str, limits: dict[int, int]) -> None:
    from unrolled.cli import main
    from unrolled.training import checkpointing

    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
    checkpointing.SAVE_SECONDS, checkpointing.SAVE_SHARE = 0.0, 1e9
    for which, most in limits.items():
        resource.setrlimit(which, (most, most))
    sys.argv = ["unrolled", *words]
    sys.exit(main())


def address_space_of_a_start() -> int:
    """Bytes that a command has mapped when it starts, torch imported: this process may have mapped more by now."""
    ours, theirs = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=_tell_address_space, args=(theirs,))
    process.start()
    found: int = ours.recv()
    process.join()
    return found


def _tell_address_space(end: Connection) -> None:
    end.send(int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE"))


def marks(path: Path) -> tuple[int, ...]:
    """What tells one version of a file from the next; empty where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return ()
    return found.st_mtime_ns, found.st_ino, found.st_size


def batch_of(ids: Sequence[Sequence[int]], carry: bool = False, before: int = -1) -> Batch:
    """Rows of one length as a batch: x is y one step late, its first id `before`."""
    y = np.array(ids, dtype=np.int64)  # [batch, T]
    x = np.concatenate([np.full((len(y), 1), before), y[:, :-1]], axis=1)
    lengths = np.full(len(y), y.shape[1])
    return Batch(x, y, lengths, np.full(len(y), carry), np.arange(len(y)) * 100)


def place(position: int) -> Place:
    """A line for each hundred tokens."""
    return Place(Path("poem.txt"), position // 100 + 1)
