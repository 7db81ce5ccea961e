"""Hourly load, 24 steps ahead: the toolkit with its defaults against ridge regression and the value a week before.

Three series are made, each with a daily and a weekly season and with noise that remembers (AR 0.9):

* `plain`: nothing else.
* `trend`: the level rises by a third per year, and a slow wave of 90 days is added.
* `holidays`: one day in 25 is like a Sunday, at random.

The model is trained on the first weeks and tested on the last ones. Ridge regression reads a week, or as much as the
model. Its strength is chosen on the last fifth of the training part.

    python benchmarks/forecasts.py --minutes 2 --seeds 0
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from results import finish, parser, record, toolkit
from unrolled.analysis.baselines.forecast import ridge_windows
from unrolled.core.types import Example, Place
from unrolled.datasets.windows import forecast_windows
from unrolled.inference.open_model import open_trained

KINDS = ("plain", "trend", "holidays")
DAY, WEEK = 24, 168
HORIZON = 24
Series = NDArray[np.float64]


def make(kind: str, weeks: int, seed: int) -> Series:
    """Return an hourly load [T]. kind: one of KINDS."""
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    t = np.arange(weeks * WEEK)
    hour, day = t % DAY, t // DAY
    work = np.where(day % 7 < 5, 1.0, 0.45)
    if kind == "holidays":
        work = np.where((rng.random(weeks * 7) < 1 / 25)[day], 0.45, work)
    wave = np.sin(2 * np.pi * (hour - 7) / DAY) + 0.4 * np.sin(4 * np.pi * (hour - 3) / DAY)
    load = 60 + 20 * work * wave + 8 * (work - 0.8)
    if kind == "trend":
        load += 20 * t / (52 * WEEK) + 4 * np.sin(2 * np.pi * t / (90 * DAY))
    shocks, noise = rng.normal(0, 1.2, len(t)), np.zeros(len(t))
    for now in range(1, len(t)):
        noise[now] = 0.9 * noise[now - 1] + shocks[now]
    return np.round(load + noise + rng.normal(0, 0.7, len(t)), 3)


def write(path: Path, load: Series) -> Path:
    """Write a table of one column."""
    path.write_text("load\n" + "".join(f"{value}\n" for value in load.tolist()), encoding="utf-8")
    return path


def windows(load: Series, begin: int, end: int, history: int) -> list[Example]:
    """Return the windows whose targets lie within begin to end."""
    part = load[max(0, begin - history) : end, None]
    return list(forecast_windows([Example(part, None, Place(Path("load"), 1))], HORIZON, history))


def mean_error(answers: Sequence[Any], asked: Sequence[Example]) -> float:
    """Return the mean absolute error of answers [HORIZON] to windows."""
    return float(np.abs(np.stack(answers) - np.array([one.y for one in asked], np.float64)).mean())


def measure(kind: str, seed: int, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Train on a series and return the row of the table."""
    load = make(kind, options.weeks + options.later, seed)
    cut = options.weeks * WEEK
    train, model = write(folder / f"{kind}.csv", load[:cut]), folder / "model"
    toolkit(
        "train", "numbers:number", train, "--horizon", str(HORIZON), "--minutes", str(options.minutes),
        "--threads", "1", "--seed", str(seed), "--out", model, "--force", *options.more,
    )  # fmt: skip
    history = open_trained(model).config.data.past
    test = write(folder / f"{kind}.test.csv", load[cut - history :])
    found = json.loads(toolkit("evaluate", model, test, "--json").out)
    row: dict[str, Any] = {"series": kind, "seed": seed, "steps read": history, "model": found["mae"]}
    for steps in dict.fromkeys((history, WEEK)):
        asked = windows(load, cut, len(load), steps)
        fitted = ridge_windows(windows(load, 0, cut, steps), asked)
        row[f"ridge on {'the same steps' if steps == history else 'a week'}"] = mean_error(
            fitted.predictions, asked
        )
    asked = windows(load, cut, len(load), WEEK)
    row["a week before"] = mean_error([np.asarray(one.x)[:HORIZON, 0] for one in asked], asked)
    return row | {"coverage": found["coverage"]}


def main() -> int:
    """Train, measure, print the table, and fail if a model is worse than a baseline."""
    options = _options()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="forecasts-") as folder:
        for seed in map(int, options.seeds.split(",")):
            rows += [measure(kind, seed, options, Path(folder)) for kind in options.series.split(",")]
    about = {name: vars(options)[name] for name in ("weeks", "later", "minutes", "seeds", "more")}
    finish(record("forecasts", [Path(__file__)], **about, rows=rows), rows, options.json)
    bad = [row for row in rows if _below(row)]
    for row in bad:
        print(
            f"{row['series']}, seed {row['seed']}: below a baseline, or the wrong coverage", file=sys.stderr
        )
    return 1 if bad else 0


def _below(row: dict[str, Any]) -> bool:
    baselines = [value for name, value in row.items() if name.startswith(("ridge", "a week"))]
    return row["model"] > min(baselines) or not 0.88 <= row["coverage"] <= 0.92


def _options() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--series", default=",".join(KINDS))
    made.add_argument("--weeks", type=int, default=52, help="length of the training part")
    made.add_argument("--later", type=int, default=26, help="length of the test part")
    made.add_argument("--minutes", type=float, default=2)
    made.add_argument("--seeds", default="0")
    made.add_argument("more", nargs="*", help="more options of train, after --")
    return made.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
