"""`unrolled compare TASK DATA...`: train several networks and baselines, and print a table and a verdict."""

from __future__ import annotations

import argparse
import csv
import io
import json
import math
import sys
from collections.abc import Callable, Collection
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from unrolled.cli.task_options import add_data, add_layers, check_data, settings
from unrolled.core.atomic_files import refuse_to_overwrite, temporary_folder, write_atomically
from unrolled.core.config import Config, add_flags, build, options
from unrolled.core.errors import Interrupted, UsageError, need, suggest
from unrolled.core.terminal import escaped
from unrolled.core.version import __version__

if TYPE_CHECKING:
    from unrolled.analysis.compare.comparison import Report
    from unrolled.analysis.compare.variants import ComparisonOptions
    from unrolled.analysis.compare.verdict import Entry, Trial

T = TypeVar("T", int, str)
Listed = tuple[int | str | None, ...]
SEEDS = (0, 1, 2)
# Each list option, the option of `train` that it varies, and its help.
LISTS = {
    "cells": ("cell", "cells to compare (default lstm,gru,gru-simple,rnn)"),
    "units": ("unit", "token units to compare: word,white,char,subword (default: as in `train`)"),
    "depths": ("layers", "numbers of layers to compare, such as 1,2 (default: as in `train`)"),
    "directions": ("bidirectional", "directions to compare: one,both (default: as in `train`)"),
    "seeds": ("seed", "random seeds; each network is trained once per seed (default 0,1,2)"),
}
ABOUT = """\
Trains several networks on your files, fits simple baselines, and scores them on the same data.
Prints a table of scores and one sentence: is a recurrent network better than the best baseline?

example:
  unrolled compare classify reviews.csv --cells lstm,gru --minutes 2 --out comparison"""
METHOD = """\
how networks and baselines are compared:
  - All networks have about the same number of parameters (default: as in `unrolled train`).
  - All trainings have the same budget: --epochs, or --minutes for each training.
  - The scores are measured on --test, else on --valid, else on a fifth of DATA that is held out
    (the end of a text or a series, else random sequences).
  - The table shows the mean over the seeds, and the range of the main score.
  - The sentence compares the median run of the best network with the best baseline. It gives the
    95% confidence interval of the difference (paired bootstrap over the scored items).

TASK may be language, or a task that predicts a class, tags or numbers (except numbers:next).
The options of `unrolled train TASK` work here too."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments and the help of the command."""
    parser.usage = f"{parser.prog} TASK DATA... [--minutes M | --epochs N] [options]"
    parser.description = f"{parser.description}\n\n{ABOUT}"
    parser.epilog = METHOD
    add_data(
        parser,
        task="a task; `unrolled train --help` lists them",
        data="files or folders to train on",
        test="files to score",
    )
    for name, (_, text) in LISTS.items():
        parser.add_argument(f"--{name}", metavar="A,B", help=text)
    parser.add_argument(
        "--parameters", type=int, metavar="N", help="approximate number of parameters of each network"
    )
    parser.add_argument("--no-baselines", action="store_true", help="do not run the baselines")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="keep all runs here; if interrupted, the same command resumes",
    )
    parser.add_argument("--json", type=Path, metavar="F", help="write all results to a JSON file")
    parser.add_argument(
        "--csv", type=Path, metavar="F", help="write a table: one row per training and baseline"
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="replace existing files of --json and --csv, and runs in the folder --out that have other settings",
    )
    add_layers(parser)
    add_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Train the networks, score them and the baselines, and print the table and the verdict."""
    from unrolled.tasks.fill import resolve_data

    layers = tuple(settings(args))
    named = {name for layer in layers for name in layer}
    base = resolve_data(build(args.task, *layers))
    lists = {name: _listed(name, getattr(args, name), base, named) for name in LISTS}
    _refuse_senseless(args, named)
    check_data(args, base)
    with need("train", "torch"):
        from unrolled.analysis.compare.benchmarks import Files
        from unrolled.analysis.compare.comparison import Console, compare
        from unrolled.analysis.compare.variants import ComparisonOptions
    from unrolled.core.progress import console_reporter

    comparison_options = ComparisonOptions(
        task=args.task,
        settings=layers,
        files=Files(tuple(args.data), tuple(args.valid), tuple(args.test)),
        cells=tuple(map(str, lists["cells"])),
        units=_each(str, lists["units"]),
        depths=_each(int, lists["depths"]),
        directions=_each(str, lists["directions"]),
        seeds=tuple(int(seed or 0) for seed in lists["seeds"]),
        target=args.parameters,
        baselines=not args.no_baselines,
        force=args.force,
    )
    voice = Console(_note, console_reporter)
    report = _compared(
        comparison_options,
        args.out,
        lambda comparison_options, folder: compare(comparison_options, folder, voice),
    )
    for path, content in ((args.json, _as_json), (args.csv, _as_csv)):
        if path is not None:
            write_atomically(path, content(report).encode())
    _print(report)
    return 0


def _note(text: str) -> None:
    print(escaped(text), file=sys.stderr, flush=True)


def _compared(
    comparison_options: ComparisonOptions,
    out: Path | None,
    compare: Callable[[ComparisonOptions, Path], Report],
) -> Report:
    """Compare in the folder `out`, or in a temporary folder. Raises Interrupted if a signal stops it."""
    if out is not None:
        return compare(comparison_options, out)
    _note("without --out FOLDER, no run is kept and an interrupted comparison cannot be resumed")
    with temporary_folder() as folder:
        try:
            return compare(comparison_options, folder)
        except Interrupted as stop:
            stopped = Interrupted(
                "interrupted; no run is kept", hint="--out FOLDER, so that it can be resumed"
            )
            stopped.exit_code = stop.exit_code
            raise stopped from stop


def _refuse_senseless(args: argparse.Namespace, named: Collection[str]) -> None:
    if args.parameters is not None and args.parameters < 1:
        raise UsageError(f"--parameters {args.parameters}", expected="1 or more")
    if args.parameters is not None and "hidden" in named:
        raise UsageError("--parameters and --hidden", expected="only one of them")
    for path in (args.json, args.csv):
        if path is not None:
            refuse_to_overwrite(path, force=args.force)
            if not path.parent.is_dir():
                raise UsageError("there is no such folder", file=path.parent, hint=f"mkdir -p {path.parent}")


def _listed(name: str, text: str | None, base: Config, named: Collection[str]) -> Listed:
    """Return the values of a list option, or its default.

    name: the list option. text: its value on the command line, None if absent. base: the configuration of the
    command. named: the options that the user set. Raises UsageError for a value that is not allowed.
    """
    option, _ = LISTS[name]
    spec = options()[option]
    choices = ("one", "both") if name == "directions" else spec.choices
    if text is None:
        every: dict[str, Listed] = {"cells": choices or (), "seeds": SEEDS}
        alone: dict[str, Listed] = {"cells": (base.model.cell,), "seeds": (base.training.seed,)}
        return (alone if option in named else every).get(name, (None,))
    if option in named:
        raise UsageError(f"--{name} {text} and --{option}", expected="only one of them")
    low, high = spec.low or 0, math.inf if spec.high is None else spec.high
    words = [word.strip() for word in text.split(",")]
    for word in words:
        if choices and word not in choices and spec.group is None:
            raise UsageError(f"--{name} {text}", expected=", ".join(choices), hint=suggest(word, choices))
        numeral = word.isascii() and word.isdigit()
        if not choices and not (numeral and low <= int(word) <= high):
            limits = f"whole numbers from {spec.low} to {spec.high}, separated by commas"
            raise UsageError(f"--{name} {text}", expected=limits)
    if len(set(words)) < len(words):
        raise UsageError(f"--{name} {text}", expected="each value only once")
    return tuple(words) if choices else tuple(map(int, words))


def _each(kind: type[T], values: Listed) -> tuple[T | None, ...]:
    """Convert the values to a type. None stays None."""
    return tuple(None if value is None else kind(value) for value in values)


def _metrics(report: Report) -> list[str]:
    """Return the names of all metrics, the main metric first."""
    found = dict.fromkeys(name for entry in report.entries for one in entry.tries for name in one.scores)
    return [report.scoring.main, *(name for name in found if name != report.scoring.main)]


def _table(report: Report) -> list[list[str]]:
    """Return the header, then one row per network and baseline that ran, the best first."""
    from unrolled.analysis.compare.verdict import ranked

    metrics = _metrics(report)
    titles = [report.scoring.title, *(name.replace("_", " ") for name in metrics[1:])]
    rows = [["", "parameters", "seeds", *titles, "training s", "answer ms", "model MB"]]
    for entry in ranked(report.entries, report.scoring):
        parameters = "" if entry.parameters is None else f"{entry.parameters:,}"
        scores = [_shown(entry, name, report) for name in metrics]
        seeds = str(len(entry.tries)) if entry.recurrent else ""
        rows.append([entry.name, parameters, seeds, *scores, f"{entry.seconds:.1f}", *_costs(entry)])
    return rows


def _shown(entry: Entry, metric: str, report: Report) -> str:
    """Return the mean of a metric over the seeds as text. The main metric also has its range."""
    values = [one.scores[metric] for one in entry.tries if metric in one.scores]
    if not values:
        return ""
    shown = report.scoring.shown
    mean = shown(sum(values) / len(values))
    ranged = metric == report.scoring.main and len(values) > 1
    return f"{mean} ({shown(min(values))} to {shown(max(values))})" if ranged else mean


def _costs(entry: Entry) -> list[str]:
    """Return the milliseconds per answer and the megabytes of the model file, as text."""
    times = [one.milliseconds for one in entry.tries if one.milliseconds is not None]
    sizes = [one.size for one in entry.tries if one.size is not None]
    return [f"{min(times):.2f}" if times else "", f"{max(sizes) / 1e6:.2f}" if sizes else ""]


def _print(report: Report) -> None:
    rows = _table(report)
    if sys.stdout.isatty():
        from rich.box import SIMPLE
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=SIMPLE)
        for number, title in enumerate(rows[0]):
            table.add_column(title, justify="right" if number else "left")
        for row in rows[1:]:
            table.add_row(*map(Text, row))
        Console(highlight=False, color_system=None).print(table)  # no colours: stdout escapes terminal codes
    else:
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            first, *others = (
                cell.rjust(width) if number else cell.ljust(width)
                for number, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            print("  ".join([first, *others]).rstrip())
        print()
    for entry in report.entries:
        if entry.note and (entry.recurrent or not entry.tries):
            print(escaped(f"{entry.name}: {entry.note}"))
    print(report.verdict.sentence)


def _as_json(report: Report) -> str:
    scoring = report.scoring
    found = {
        "task": report.task,
        "scored": report.about,
        "metric": scoring.main,
        "higher_is_better": scoring.higher,
        "target_parameters": report.target,
        "entries": [_record(entry, scoring.main) for entry in report.entries],
        "verdict": asdict(report.verdict),
        "version": __version__,
    }
    return json.dumps(found, ensure_ascii=False, indent=2) + "\n"


def _record(entry: Entry, metric: str) -> dict[str, object]:
    values = entry.values(metric)
    spread = {"mean": entry.mean(metric), "low": min(values), "high": max(values)} if values else {}
    return {
        "name": entry.name,
        "recurrent": entry.recurrent,
        **entry.settings,
        **spread,
        "runs": [_run_record(one) for one in entry.tries],
        "note": entry.note,
    }


def _run_record(one: Trial) -> dict[str, object]:
    return {
        "seed": one.seed,
        **one.scores,
        "seconds": one.seconds,
        "milliseconds": one.milliseconds,
        "bytes": one.size,
    }


def _as_csv(report: Report) -> str:
    """Return a CSV table: one row per training and baseline. The row of one that failed has only its note."""
    settings = ["cell", "unit", "layers", "bidirectional", "hidden", "parameters"]
    runs = ["seed", *_metrics(report), "seconds", "milliseconds", "bytes"]
    text = io.StringIO()
    writer = csv.DictWriter(text, ["name", "recurrent", *settings, *runs, "note"], lineterminator="\n")
    writer.writeheader()
    for entry in report.entries:
        own = {"name": entry.name, "recurrent": entry.recurrent, **entry.settings, "note": entry.note}
        writer.writerows({**own, **_run_record(one)} for one in entry.tries)
        if not entry.tries:
            writer.writerow(own)
    return text.getvalue()
