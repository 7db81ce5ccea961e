"""The reports of all benchmarks: machine, date, commit, hashes of the data, a table and a record.

It uses only the standard library, on Linux and macOS. As a script, it prints the information about this
machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOAD = os.getloadavg()[0]  # of the last minute, before this process adds to it


@dataclass(frozen=True)
class Finished:
    """A command that succeeded: its output, and the wall time of its process in seconds."""

    command: str
    out: str
    seconds: float


def run(*command: str | Path) -> Finished:
    """Run a command, with its progress on stderr. If it fails, exit with its exit code."""
    words = [str(word) for word in command]
    print(f"$ {show(words)}", file=sys.stderr, flush=True)
    started = time.perf_counter()
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, encoding="utf-8")
    if done.returncode:
        print(f"error: {show(words)}: exit code {done.returncode}", file=sys.stderr)
        raise SystemExit(done.returncode)
    return Finished(show(words), done.stdout, time.perf_counter() - started)


def toolkit(*arguments: str | Path) -> Finished:
    """Run `unrolled ARGUMENTS` in the environment of this script."""
    return run(sys.executable, "-m", "unrolled", *arguments)


def show(words: Sequence[str]) -> str:
    """Return a command as text, without the folders of files and the path of the interpreter."""
    short = [Path(word).name if os.sep in word else word for word in words]
    return " ".join(short).replace(f"{Path(sys.executable).name} -m unrolled", "unrolled")


def data_file(given: Path | None, default: str) -> Path:
    """Return the file from the command line, or the default file in the folder UNROLLED_DATA."""
    folder = os.environ.get("UNROLLED_DATA")
    path = given or (Path(folder) / default if folder else None)
    if path is None or not path.is_file():
        where = f"{path}: no such file" if path else "no data file named"
        print(f"error: {where}; name it, or set UNROLLED_DATA to the folder of {default}", file=sys.stderr)
        raise SystemExit(2)
    return path


def data_folder(given: Path | None, within: str) -> Path:
    """Return the given folder, or the folder below UNROLLED_DATA that contains `within`."""
    home = os.environ.get("UNROLLED_DATA")
    for path in (
        given,
        Path(home) / within if home and within == "tagging" else None,
        Path(home) if home else None,
    ):
        if path is not None and path.is_dir():
            return path
    print(
        f"error: no folder of data; name it, or set UNROLLED_DATA to the folder of {within}/", file=sys.stderr
    )
    raise SystemExit(2)


def machine() -> dict[str, Any]:
    """Return the CPU model, the usable cores, the memory, the load at the start, the system and versions."""
    return {
        "cpu": _cpu_model(),
        "cores": _cores(),
        "memory_gb": _memory_gb(),
        "load": round(LOAD, 2),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: _version(name) for name in ("torch", "numpy", "unrolled")},
    }


def _cores() -> int | None:
    """Return the number of cores that this process may use on Linux; elsewhere, the number of all cores."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _memory_gb() -> float | None:
    info = Path("/proc/meminfo")
    if not info.is_file():
        return None
    kilobytes = int(info.read_text(encoding="utf-8").split("MemTotal:")[1].split()[0])
    return round(kilobytes / 2**20, 1)


def _version(package: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return None


def commit() -> str:
    """Return the commit of this checkout, with `+` if files differ from it; `none` without a checkout."""
    git = ["git", "-C", str(ROOT)]
    head = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True)
    if head.returncode:
        return "none"
    changed = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True).stdout.strip()
    return head.stdout.strip() + ("+" if changed else "")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def record(name: str, data: Iterable[Path], **figures: Any) -> dict[str, Any]:
    """Return the results of a benchmark, with all information that is needed to repeat and check it."""
    return {
        "benchmark": name,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": machine(),
        "data": {path.name: sha256(path) for path in data},
        **figures,
    }


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as a Markdown table, with the columns of all rows in order of appearance.

    Numbers have four digits.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[_cell(row.get(name, "")) for name in columns] for row in rows]
    widths = [max(len(line[i]) for line in [columns, *cells]) for i in range(len(columns))]
    lines = [columns, ["-" * width for width in widths], *cells]
    return "\n".join(
        "| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in lines
    )


def _cell(value: Any) -> str:
    match value:
        case float() if math.isfinite(value):
            return f"{value:,.2f}" if abs(value) >= 10 or value == round(value, 2) else f"{value:.4f}"
        case int() if not isinstance(value, bool):
            return f"{value:,}"
        case None:
            return ""
        case _:
            return str(value).replace("|", "\\|")


def mean_and_spread(values: Sequence[float]) -> str:
    """Return the mean and the range of a few values, such as `1.4312 (1.4290-1.4335)`."""
    return f"{statistics.fmean(values):.4f} ({min(values):.4f}-{max(values):.4f})"


def finish(result: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], path: Path | None) -> None:
    """Print the table, the machine, the commit and the hashes.

    Write the record as JSON to `path`, or print it.
    """
    box = result["machine"]
    print(table(rows))
    print()
    print(f"{box['cpu']}, {box['cores']} cores, load {box['load']} before; {result['date'][:10]}")
    print(f"commit {result['commit']}")
    print("; ".join(f"{name} sha256 {digest[:16]}" for name, digest in result["data"].items()))
    text = json.dumps(result, indent=None if path is None else 2, ensure_ascii=False)
    if path is None:
        print(text)
    else:
        path.write_text(text + "\n", encoding="utf-8")
        print(f"record in {path.name}")


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options that all benchmarks have."""
    made = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    made.add_argument("--json", type=Path, metavar="F", help="write the record here instead of printing it")
    return made


if __name__ == "__main__":
    print(json.dumps({"commit": commit(), "machine": machine()}, indent=2))
