"""Results for 100, 300, 1,000 and 3,000 labels: the toolkit against simple baselines.

The sets are two of `classes.py`: names -> language, and reviews -> effectiveness. The training part is
shuffled once, and its first examples are used. The test part is always the same.

    python benchmarks/learning_curve.py [FOLDER] --labels 100,300,1000,3000 --seeds 0,1,2
"""

from __future__ import annotations

import argparse
import csv
import random
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from classes import SETS, Parts, baseline_rows, means, toolkit_rows
from results import data_folder, finish, parser, record
from unrolled.core.config import build
from unrolled.datasets.example_source import from_files


def shorten(parts: Parts, count: int, work: Path, name: str) -> Parts:
    """Return the task with `count` training examples and without a validation part, which has more labels."""
    with parts.train.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    random.Random(0).shuffle(rows)
    path = work / f"{name}.{count}.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows[:count]])
    return replace(parts, train=path, valid=None)


def main() -> int:
    """For each set and number of labels, run the baselines and train the models."""
    options = _options()
    folder = data_folder(options.folder, "names")
    options.work.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    used: list[Path] = []
    for name in options.sets.split(","):
        whole = SETS[name](folder, options.work)
        used.append(whole.train)
        for count in map(int, options.labels.split(",")):
            parts = shorten(whole, count, options.work, name)
            config = build(parts.task)
            train, test = (list(from_files([path], config).examples()) for path in (parts.train, parts.test))
            key = f"{name}, {count:,} labels"
            rows += baseline_rows(key, parts, train, test)
            rows += toolkit_rows(key.replace(" ", "."), parts, test, options, shown=key)
    summary = means(rows)
    settings = {"labels": options.labels, "extra": options.extra}
    finish(record("learning_curve", used, settings=settings, rows=rows, means=summary), summary, options.json)
    return 0


def _options() -> argparse.Namespace:
    p = parser(__doc__)
    p.add_argument("folder", type=Path, nargs="?", metavar="FOLDER", help="with names/ and sentiment/")
    p.add_argument("--work", type=Path, default=Path("runs/learning"), metavar="DIR")
    p.add_argument("--sets", default="names,druglib", help="one or both")
    p.add_argument("--labels", default="100,300,1000,3000", metavar="N,N...")
    p.add_argument(
        "--minutes", type=float, metavar="M", help="time for each training; default: the default epochs"
    )
    p.add_argument("--seeds", default="0,1,2", metavar="S,S...")
    p.add_argument("--extra", default="", metavar="'OPTIONS'", help="more options for `unrolled train`")
    return p.parse_args()


if __name__ == "__main__":
    sys.exit(main())
