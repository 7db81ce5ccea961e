"""Spoken digits between two silences: does an answer from the last state learn from speech that is far away?

Five digits of the Free Spoken Digit Dataset. Of each digit and speaker, the recordings 5 to 12 are for training,
and 40 to 47 are the validation set. Before and after each recording there is silence with a little noise: 0.1 to
0.4 and 0.7 to 1.6 seconds. `--usual` trains with the usual first weights, for comparison.

    python benchmarks/silence.py [FOLDER] --poolings last,max --extra "--epochs 15"
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from results import data_folder, finish, parser, record
from unrolled.cli import main as unrolled
from unrolled.training import supervised_job

DIGITS = (0, 1, 3, 6, 7)
PARTS = {"train": range(5, 13), "valid": range(40, 48)}


def write(recordings: Path, work: Path) -> dict[str, Path]:
    """Write the recordings with their silences into one folder per digit. Return the folder of each part."""
    rng = np.random.default_rng(0)
    for path in sorted(recordings.glob("*.wav")):
        digit, _, number = path.stem.split("_")
        part = next((name for name, numbers in PARTS.items() if int(number) in numbers), None)
        if part is None or int(digit) not in DIGITS:
            continue
        sound, rate = soundfile.read(path)
        before, after = (np.zeros(int(rate * rng.uniform(*ends))) for ends in ((0.1, 0.4), (0.7, 1.6)))
        sound = np.concatenate([before, sound, after])
        folder = work / part / digit
        folder.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / path.name, sound + 1e-4 * rng.standard_normal(len(sound)), rate)
    return {name: work / name for name in PARTS}


def main() -> int:
    """Train each pooling and seed, and print the accuracy on the validation set."""
    options = _options()
    folder = data_folder(options.folder, "recordings")
    parts = write(folder / "recordings", options.work)
    if options.usual:
        supervised_job.LONG = sys.maxsize
    rows: list[dict[str, Any]] = []
    for pooling in options.poolings.split(","):
        for seed in map(int, options.seeds.split(",")):
            out = options.work / f"{pooling}.{seed}"
            words = [
                "train",
                "audio:label",
                str(parts["train"]),
                "--valid",
                str(parts["valid"]),
                "--out",
                str(out),
            ]
            words += ["--pooling", pooling, "--seed", str(seed), "--threads", "1", "--force"]
            if unrolled([*words, *shlex.split(options.extra)]):
                return 1
            metrics = (options.work / f"{pooling}.{seed}.run" / "metrics.jsonl").read_text().splitlines()
            best = max(map(json.loads, metrics), key=lambda one: (one["accuracy"], -one["loss"]))
            rows.append(
                {"pooling": pooling, "seed": seed, "accuracy": best["accuracy"], "loss": best["loss"]}
            )
    settings = {"extra": options.extra, "usual first weights": options.usual}
    finish(
        record("silence", sorted(parts["valid"].glob("*/*.wav"))[:1], settings=settings, rows=rows),
        rows,
        options.json,
    )
    return 0


def _options() -> argparse.Namespace:
    p = parser(__doc__)
    p.add_argument("folder", type=Path, nargs="?", help="folder of the Free Spoken Digit Dataset")
    p.add_argument("--poolings", default="last,max")
    p.add_argument("--seeds", default="0")
    p.add_argument("--usual", action="store_true", help="the usual first weights, without a long memory")
    p.add_argument("--extra", default="", help="other options of `unrolled train`")
    p.add_argument("--work", type=Path, default=Path("silence"))
    return p.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
