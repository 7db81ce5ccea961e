"""Classification of names, reviews and motions: the toolkit against simple baselines.

* `names`: 18 languages, split at random 80/10/10 with seed 0. The middle part chooses the epoch.
* `druglib`: the effectiveness of a drug in five ordered classes, from three texts. The last fifth is the test
  part.
* `motions`, `gestures`: BasicMotions and PickupGestureWiimoteZ, with the split of the archive.

Models are trained with several seeds. The table has the mean and its 95% interval (t distribution).

    python benchmarks/classes.py [FOLDER] --sets names,druglib,motions,gestures --seeds 0,1,2,3,4
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import random
import shlex
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from results import data_folder, finish, parser, record, toolkit
from unrolled.analysis.baselines import BASELINES
from unrolled.core.config import build
from unrolled.core.types import Example
from unrolled.datasets.example_source import from_files
from unrolled.tasks.metrics import classification

T_95 = {1: 12.71, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}
RATINGS = (
    "Ineffective",
    "Marginally Effective",
    "Moderately Effective",
    "Considerably Effective",
    "Highly Effective",
)


@dataclass(frozen=True)
class Parts:
    """The files of a task, and the options to read them. The validation file may be missing."""

    task: str
    train: Path
    valid: Path | None
    test: Path
    options: tuple[str, ...] = ()
    ordered: tuple[str, ...] = ()


def names(folder: Path, work: Path) -> Parts:
    """Write three tables of names, one name per line, with a fixed random split."""
    rows = [
        (line.strip(), file.stem)
        for file in sorted((folder / "names").glob("*.txt"))
        for line in file.read_text(encoding="utf-8").splitlines()
        if line.strip()
    ]
    random.Random(0).shuffle(rows)
    ends = (0, int(0.8 * len(rows)), int(0.9 * len(rows)), len(rows))
    paths = [work / f"names.{part}.csv" for part in ("train", "valid", "test")]
    for path, begin, end in zip(paths, ends, ends[1:], strict=False):
        _write(path, ("text", "label"), rows[begin:end])
    # On the validation part, label smoothing improves the accuracy but makes errors larger (docs/log.md).
    options = ("--unit", "char", "--label-smoothing", "0.1")
    return Parts("classify", paths[0], paths[1], paths[2], options)


def druglib(folder: Path, work: Path) -> Parts:
    """Write tables with the three texts of a review and its effectiveness, in the order of the file."""
    with (folder / "sentiment/druglib/drugLibTrain_raw.tsv").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file, delimiter="\t"))
    fields = ("benefitsReview", "sideEffectsReview", "commentsReview")
    rows = [(" ".join(row[name] or "" for name in fields), row["effectiveness"]) for row in found]
    cut = round(0.8 * len(rows))
    paths = [work / f"druglib.{part}.csv" for part in ("train", "test")]
    _write(paths[0], ("text", "label"), rows[:cut])
    _write(paths[1], ("text", "label"), rows[cut:])
    options = ("--ordinal", "--classes", ",".join(RATINGS), "--lower")
    return Parts("classify", paths[0], None, paths[1], options, RATINGS)


def series(name: str) -> Callable[[Path, Path], Parts]:
    """Return a function that prepares a data set of the archive of time series."""

    def parts(folder: Path, work: Path) -> Parts:
        home = folder / "action" / name
        return Parts("numbers:label", home / f"{name}_TRAIN.ts", None, home / f"{name}_TEST.ts")

    return parts


SETS = {
    "names": names,
    "druglib": druglib,
    "motions": series("BasicMotions"),
    "gestures": series("PickupGestureWiimoteZ"),
}


def figures(parts: Parts, truth: Sequence[str], guessed: Sequence[str]) -> dict[str, float]:
    """Return accuracy and macro F1, and for ordered classes the mean error in classes."""
    order = list(parts.ordered) or sorted({*truth, *guessed})
    index = {name: number for number, name in enumerate(order)}
    table = classification.confusion(
        np.array([index[name] for name in truth]), np.array([index[name] for name in guessed]), len(order)
    )
    found = {"accuracy": classification.accuracy(table), "macro F1": classification.macro_f1(table)}
    return found | ({"mae": classification.mean_absolute_error(table)} if parts.ordered else {})


def toolkit_rows(
    name: str, parts: Parts, test: list[Example], options: argparse.Namespace, shown: str | None = None
) -> list[dict[str, Any]]:
    """Train once per seed, with default options except for the data. shown: name of the set in the table."""
    rows: list[dict[str, Any]] = []
    for seed in map(int, options.seeds.split(",")):
        model = options.work / f"{name}.{seed}"
        valid = ("--valid", parts.valid) if parts.valid else ()
        budget = ("--minutes", f"{options.minutes:g}") if options.minutes else ()
        trained = toolkit(
            "train", parts.task, parts.train, *valid, "--seed", str(seed), "--out", model, "--force",
            *parts.options, *budget, *shlex.split(options.extra),
        )  # fmt: skip
        out = toolkit("predict", model, parts.test, "--format", "jsonl").out.splitlines()
        guessed = [json.loads(line)["label"] for line in out]
        row = {"set": shown or name, "model": "unrolled", "seed": seed}
        rows.append(row | figures(parts, [str(one.y) for one in test], guessed))
        rows[-1]["train seconds"] = round(trained.seconds, 1)
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    return rows


def baseline_rows(name: str, parts: Parts, train: list[Example], test: list[Example]) -> list[dict[str, Any]]:
    """Return the results of the baselines without recurrence on the same data."""
    kinds = {"classify": "tokens:label"}.get(parts.task, parts.task)
    rows: list[dict[str, Any]] = []
    for run in BASELINES[kinds]:
        done = run(train, test)
        guessed = [str(label) for label in done.predictions]
        row = {"set": name, "model": done.name, **figures(parts, [str(one.y) for one in test], guessed)}
        rows.append(row | {"train seconds": round(done.seconds, 1), "note": done.note})
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    return rows


def means(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one row per model: the mean over its seeds, with the interval of the mean."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["set"], row["model"]), []).append(row)
    return [
        {
            "set": name,
            "model": model,
            "seeds": len(group) if "seed" in group[0] else "",
            **{
                key: spread([row[key] for row in group])
                for key in ("accuracy", "macro F1", "mae")
                if key in group[0]
            },
            "train seconds": statistics.fmean(row["train seconds"] for row in group),
        }
        for (name, model), group in groups.items()
    ]


def spread(values: Sequence[float]) -> str:
    """Return the mean and, for several values, half the width of its 95% interval."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return f"{mean:.4f}"
    half = T_95.get(len(values) - 1, 1.96) * statistics.stdev(values) / math.sqrt(len(values))
    return f"{mean:.4f} +- {half:.4f}"


def _write(path: Path, header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def main() -> int:
    """For each set, run the baselines and train the models. Then print the table of means."""
    options = _options()
    folder = data_folder(options.folder, "names")
    options.work.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    used: list[Path] = []
    for name in options.sets.split(","):
        parts = SETS[name](folder, options.work)
        used += [parts.train, parts.test]
        config = build(parts.task)
        train, test = (list(from_files([path], config).examples()) for path in (parts.train, parts.test))
        if options.baselines:
            rows += baseline_rows(name, parts, train, test)
        rows += toolkit_rows(name, parts, test, options)
    settings = {"minutes": options.minutes, "extra": options.extra}
    summary = means(rows)
    finish(record("classes", used, settings=settings, rows=rows, means=summary), summary, options.json)
    return 0


def _options() -> argparse.Namespace:
    p = parser(__doc__)
    p.add_argument(
        "folder", type=Path, nargs="?", metavar="FOLDER", help="with names/, sentiment/ and action/"
    )
    p.add_argument("--work", type=Path, default=Path("runs/classes"), metavar="DIR")
    p.add_argument("--sets", default=",".join(SETS))
    p.add_argument(
        "--minutes", type=float, metavar="M", help="time for each training; default: the default epochs"
    )
    p.add_argument("--seeds", default="0,1,2,3,4", metavar="S,S...")
    p.add_argument("--no-baselines", dest="baselines", action="store_false")
    p.add_argument("--extra", default="", metavar="'OPTIONS'", help="more options for `unrolled train`")
    return p.parse_args()


if __name__ == "__main__":
    sys.exit(main())
