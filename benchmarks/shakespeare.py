"""Characters of Shakespeare: the toolkit with its defaults against `plain_lstm.py`, with the same minutes.

The first 90% of the characters are the training part, the last 10% the validation part (the split of
nanoGPT). The two models of a pair have the same seed and run alternately, so that a slow machine slows both.
The loss is in nats per character over the whole last 10%, in one pass with carried state. `wall seconds` is
the time of the whole training command, with all imports.

    python benchmarks/shakespeare.py [tinyshakespeare.txt] --minutes 3,12 --seeds 0,1,2
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from results import data_file, finish, mean_and_spread, parser, record, run, table, toolkit

PLAIN = Path(__file__).with_name("plain_lstm.py")


def split(source: Path, work: Path) -> tuple[Path, Path]:
    """Write the first 90% and the last 10% of the characters as two files, with unchanged line ends."""
    text = source.read_bytes().decode("utf-8")
    cut = int(0.9 * len(text))
    work.mkdir(parents=True, exist_ok=True)
    parts = work / "train.txt", work / "valid.txt"
    for path, part in zip(parts, (text[:cut], text[cut:]), strict=True):
        path.write_bytes(part.encode("utf-8"))
    return parts


def toolkit_row(
    minutes: float, seed: int, parts: tuple[Path, Path], options: argparse.Namespace
) -> dict[str, Any]:
    """Run `unrolled train language` with its defaults, and compute its exact loss."""
    model = options.work / f"unrolled.{minutes:g}.{seed}"
    train, valid = parts
    trained = toolkit(
        "train", "language", train, "--valid", valid, "--minutes", f"{minutes:g}", "--seed", str(seed),
        "--out", model, "--force", *_threads(options), *shlex.split(options.extra),
    )  # fmt: skip
    measured = json.loads(toolkit("evaluate", model, valid, "--json").out)
    log = Path(f"{model}.run") / "metrics.jsonl"
    curve = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    return {
        "minutes": minutes,
        "seed": seed,
        "model": "unrolled",
        "loss": measured["loss"],
        "wall seconds": round(trained.seconds, 1),
        "steps": curve[-1]["step"],
        "megabytes": round(model.stat().st_size / 1e6, 2),
        "curve": [(round(point["seconds"]), round(point["loss"], 4)) for point in curve],
        "command": trained.command,
    }


def plain_row(minutes: float, seed: int, source: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Run plain_lstm.py. Its last line is the result."""
    done = run(
        sys.executable, PLAIN, source, "--minutes", f"{minutes:g}", "--seed", str(seed),
        *_threads(options), *shlex.split(options.plain),
    )  # fmt: skip
    found = json.loads(done.out.splitlines()[-1])
    return {
        "minutes": minutes,
        "seed": seed,
        "model": "plain nn.LSTM",
        "loss": found["loss"],
        "wall seconds": round(done.seconds, 1),
        "steps": found["steps"],
        "megabytes": round(4e-6 * found["parameters"], 2),
        "curve": [(round(point["seconds"]), round(point["validation"], 4)) for point in found["curve"]],
        "command": done.command,
    }


def _threads(options: argparse.Namespace) -> list[str]:
    return ["--threads", str(options.threads)] if options.threads else []


def summary(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the mean and range over the seeds, for each number of minutes and each model."""
    groups: dict[tuple[float, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["minutes"], row["model"]), []).append(row)
    return [
        {
            "minutes": minutes,
            "model": model,
            "seeds": len(group),
            "loss, mean (range)": mean_and_spread([row["loss"] for row in group]),
            "wall seconds": statistics.fmean(row["wall seconds"] for row in group),
        }
        for (minutes, model), group in groups.items()
    ]


def main() -> int:
    """Run the pairs. Print the curves, the single runs and the means."""
    options = _options()
    source = data_file(options.text, "lm_char/tinyshakespeare.txt")
    parts = split(source, options.work)
    rows: list[dict[str, Any]] = []
    for minutes in (int(m) if m.isdigit() else float(m) for m in options.minutes.split(",")):
        for seed in map(int, options.seeds.split(",")):
            for model in options.models.split(","):
                rows.append(
                    toolkit_row(minutes, seed, parts, options)
                    if model == "unrolled"
                    else plain_row(minutes, seed, source, options)
                )
                print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    print("validation loss over seconds of training (the plain script's on the first 32,768 characters)\n")
    for row in rows:
        points = "  ".join(f"{seconds} s {loss:.3f}" for seconds, loss in row["curve"])
        print(f"* {row['minutes']:g} minutes, seed {row['seed']}, {row['model']}: {points}")
    figures = [{k: v for k, v in row.items() if k not in ("curve", "command")} for row in rows]
    print("\n" + table(figures) + "\n")
    settings = {"extra": options.extra, "plain": options.plain, "threads": options.threads}
    means = summary(rows)
    finish(record("shakespeare", [source], settings=settings, rows=rows, means=means), means, options.json)
    return 0


def _options() -> argparse.Namespace:
    p = parser(__doc__)
    p.add_argument("text", type=Path, nargs="?", metavar="FILE", help="the whole text")
    p.add_argument("--work", type=Path, default=Path("runs/shakespeare"), metavar="DIR")
    p.add_argument("--minutes", default="3,12", metavar="M,M...")
    p.add_argument("--seeds", default="0,1,2", metavar="S,S...")
    p.add_argument("--models", default="unrolled,plain", help="one or both")
    p.add_argument("--threads", type=int, metavar="N", help="for both; default: their own defaults")
    p.add_argument("--extra", default="", metavar="'OPTIONS'", help="more options for `unrolled train`")
    p.add_argument("--plain", default="", metavar="'OPTIONS'", help="more options for plain_lstm.py")
    return p.parse_args()


if __name__ == "__main__":
    sys.exit(main())
