"""Memory use of `unrolled train` on a small and a large text: anonymous memory must not grow with the text.

    python benchmarks/memory.py --source tinyshakespeare.txt --unit char
    python benchmarks/memory.py --unit word --sizes 3,300

The texts are generated: SOURCE repeated, or without SOURCE lines of random words with a Zipf distribution.
Each training is stopped with SIGINT some seconds after its first checkpoint. Its memory is read every 50 ms
from /proc (Linux only):
- RssAnon: the memory of the process itself.
- VmHWM: the peak of the resident memory. It includes the mapped text, which the system can drop at any time.

The exit code is 1 if a limit is exceeded: 150 MB more anonymous memory for the largest text than for the
smallest one, or 1 GB of resident memory.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from results import finish, parser, record

MB = 10**6
SAMPLE_SECONDS = 0.05
MORE_MB, RESIDENT_MB = 150, 1000
WORDS = 200_000  # number of different words of a generated text


@dataclass(frozen=True)
class Peak:
    """The peak memory of a training in MB, and its time in seconds."""

    anonymous: float
    resident: float
    seconds: float


def write_text(path: Path, size: int, source: Path | None, seed: int) -> None:
    """Write a text of about `size` bytes: the source repeated, or generated words."""
    block = source.read_bytes() if source else _made(seed, 4 * MB)
    with path.open("wb") as file:
        for left in range(size, 0, -len(block)):
            file.write(block[:left])


def _made(seed: int, size: int) -> bytes:
    """Return lines of ten words. The r-th most frequent word is `w` and r; its frequency is about 1 / r."""
    chance, lines, length = random.Random(seed), list[str](), 0
    while length < size:
        ranks = (int(WORDS ** chance.random()) for _ in range(10))
        lines.append(" ".join(f"w{rank}" for rank in ranks) + "\n")
        length += len(lines[-1])
    return "".join(lines).encode()


def train(text: Path, model: Path, options: list[str], seconds: float) -> Peak:
    """Train on the text until `seconds` after the first checkpoint, and return the peak of its memory."""
    command = [
        sys.executable,
        "-m",
        "unrolled",
        "train",
        "language",
        str(text),
        "--out",
        str(model),
        *options,
    ]
    anonymous = resident = 0
    started, saved = time.monotonic(), None
    checkpoint = model.with_name(f"{model.name}.run") / "checkpoint"
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(command, stdout=said, stderr=said, text=True) as process,
    ):
        status = Path(f"/proc/{process.pid}/status")
        while process.poll() is None:
            now = _status(status)
            anonymous = max(anonymous, now.get("RssAnon", 0))
            resident = max(resident, now.get("VmHWM", 0))
            if saved is None and checkpoint.exists():
                saved = time.monotonic()
            if saved is not None and time.monotonic() - saved > seconds:
                process.send_signal(signal.SIGINT)
                seconds = float("inf")
            time.sleep(SAMPLE_SECONDS)
        said.seek(0)
        lines = said.read().splitlines()
    if process.returncode not in (0, 128 + signal.SIGINT):
        print("\n".join(lines[-20:]), f"error: exit code {process.returncode}", sep="\n", file=sys.stderr)
        raise SystemExit(1)
    return Peak(anonymous / MB, resident / MB, time.monotonic() - started)


def _status(path: Path) -> dict[str, int]:
    """Return the memory sizes of a process in bytes; empty if the process has ended."""
    try:
        lines = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if words[2:] == ["kB"]}


def main(arguments: argparse.Namespace) -> int:
    sizes = sorted(float(size) for size in arguments.sizes.split(","))
    options = ["--unit", arguments.unit, "--epochs", "1", *arguments.options]
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        for size in sizes:
            text = Path(name) / f"{size:g}.txt"
            write_text(text, int(size * MB), arguments.source, arguments.seed)
            peak = train(text, Path(name) / f"{size:g}.model", options, arguments.seconds)
            text.unlink()
            rows.append(
                {
                    "text MB": size,
                    "unit": arguments.unit,
                    "anonymous MB": peak.anonymous,
                    "resident MB": peak.resident,
                    "seconds": peak.seconds,
                }
            )
            print(rows[-1], file=sys.stderr)
    more = rows[-1]["anonymous MB"] - rows[0]["anonymous MB"]
    most = max(row["resident MB"] for row in rows)
    data = [arguments.source] if arguments.source else []
    finish(record("memory", data, settings={"options": options}, rows=rows), rows, arguments.json)
    good = more <= MORE_MB and most <= RESIDENT_MB
    print(f"{more:+.0f} MB anonymous (limit {MORE_MB}), at most {most:.0f} MB resident (limit {RESIDENT_MB})")
    return 0 if good else 1


def options_of(words: list[str]) -> argparse.Namespace:
    """Parse the command line. The arguments after `--` are for `unrolled train`."""
    made = parser(__doc__)
    made.add_argument("--source", type=Path, help="a text to repeat (default: generated words)")
    made.add_argument("--unit", choices=("char", "word"), default="char")
    made.add_argument("--sizes", default="3,300", help="sizes of the texts in MB")
    made.add_argument(
        "--seconds", type=float, default=20, help="seconds of training after the first checkpoint"
    )
    made.add_argument("--seed", type=int, default=0, help="random seed of the generated words")
    made.add_argument("--folder", type=Path, help="folder for texts and runs (default: a temporary folder)")
    cut = words.index("--") if "--" in words else len(words)
    arguments = made.parse_args(words[:cut])
    arguments.options = words[cut + 1 :]
    return arguments


if __name__ == "__main__":
    sys.exit(main(options_of(sys.argv[1:])))
