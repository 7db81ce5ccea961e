"""`unrolled compare TASK DATA...`."""

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
# Each list, the option of `train` whose values it holds, and what it reads.
LISTS = {
    "cells": ("cell", "recurrent cells (default all: lstm,gru,gru-simple,rnn)"),
    "units": ("unit", "what one token is: word,char (default: as in train)"),
    "depths": ("layers", "stacked recurrent layers: 1,2 (default: as in train)"),
    "directions": ("bidirectional", "reading in one direction or both: one,both (default: as in train)"),
    "seeds": ("seed", "seeds of all chance (default 0,1,2)"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The contract of the verb."""
    parser.usage = f"{parser.prog} TASK DATA... [--minutes M | --epochs N] [options]"
    parser.epilog = (
        "All networks have as many parameters as `unrolled train` would give the one most like its defaults, and\n"
        "each training has the same budget: --epochs, or --minutes by a frozen plan of its own. What is scored:\n"
        "--test, else --valid, else a fifth of the data, held out (of a text its end). The table has the mean over\n"
        "the seeds and their range. The sentence under it holds the best recurrent model, by the middle one of its\n"
        "seeds, against the best baseline, with the interval of a paired bootstrap over what is scored.\n"
        "The other options of `unrolled train` are taken too."
    )
    add_data(
        parser,
        task="as in `unrolled train`",
        data="files or folders to learn from",
        test="files to be scored on",
    )
    for name, (_, text) in LISTS.items():
        parser.add_argument(f"--{name}", metavar="A,B", help=text)
    parser.add_argument("--parameters", type=int, metavar="N", help="how many parameters every network has")
    parser.add_argument("--no-baselines", action="store_true", help="recurrent models alone")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="keeps all runs; the same command goes on where it was stopped",
    )
    parser.add_argument("--json", type=Path, metavar="F", help="write all that was found as JSON")
    parser.add_argument("--csv", type=Path, metavar="F", help="write a row for each training and baseline")
    parser.add_argument(
        "--force", action="store_true", help="replace these files, and runs of other settings in FOLDER"
    )
    add_layers(parser)
    add_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Compare, and print the table and the verdict."""
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

    wish = ComparisonOptions(
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
    report = _compared(wish, args.out, lambda wish, folder: compare(wish, folder, voice))
    for path, content in ((args.json, _as_json), (args.csv, _as_csv)):
        if path is not None:
            write_atomically(path, content(report).encode())
    _print(report)
    return 0


def _note(text: str) -> None:
    print(escaped(text), file=sys.stderr, flush=True)


def _compared(
    wish: ComparisonOptions, out: Path | None, compare: Callable[[ComparisonOptions, Path], Report]
) -> Report:
    """Compare in the folder asked for, or in one that goes again."""
    if out is not None:
        return compare(wish, out)
    _note("nothing is kept; with --out FOLDER a comparison that is stopped goes on")
    with temporary_folder() as folder:
        try:
            return compare(wish, folder)
        except Interrupted as stop:
            stopped = Interrupted("stopped; nothing was kept", hint="--out FOLDER, where it can go on")
            stopped.exit_code = stop.exit_code
            raise stopped from stop


def _refuse_senseless(args: argparse.Namespace, named: Collection[str]) -> None:
    if args.parameters is not None and args.parameters < 1:
        raise UsageError(f"--parameters {args.parameters}", expected="1 or more")
    if args.parameters is not None and "hidden" in named:
        raise UsageError("--parameters and --hidden", expected="one of them")
    for path in (args.json, args.csv):
        if path is not None:
            refuse_to_overwrite(path, force=args.force)
            if not path.parent.is_dir():
                raise UsageError("there is no such folder", file=path.parent, hint=f"mkdir -p {path.parent}")


def _listed(name: str, text: str | None, base: Config, named: Collection[str]) -> Listed:
    """The values of a list, or of the option of train that it varies. named: options given. Raises UsageError."""
    option, _ = LISTS[name]
    spec = options()[option]
    choices = ("one", "both") if name == "directions" else spec.choices
    if text is None:
        every: dict[str, Listed] = {"cells": choices or (), "seeds": SEEDS}
        alone: dict[str, Listed] = {"cells": (base.model.cell,), "seeds": (base.training.seed,)}
        return (alone if option in named else every).get(name, (None,))
    if option in named:
        raise UsageError(f"--{name} {text} and the option {option}", expected="one of them")
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
        raise UsageError(f"--{name} {text}", expected="each once")
    return tuple(words) if choices else tuple(map(int, words))


def _each(kind: type[T], values: Listed) -> tuple[T | None, ...]:
    """The values as this type; None stays."""
    return tuple(None if value is None else kind(value) for value in values)


def _metrics(report: Report) -> list[str]:
    """The names of all metrics, the one that decides first."""
    found = dict.fromkeys(name for entry in report.entries for one in entry.tries for name in one.scores)
    return [report.scoring.main, *(name for name in found if name != report.scoring.main)]


def _table(report: Report) -> list[list[str]]:
    """The heading and a row for each that ran, the best first."""
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
    """The mean of a metric over the seeds; of the one that decides the range as well."""
    values = [one.scores[metric] for one in entry.tries if metric in one.scores]
    if not values:
        return ""
    shown = report.scoring.shown
    mean = shown(sum(values) / len(values))
    ranged = metric == report.scoring.main and len(values) > 1
    return f"{mean} ({shown(min(values))} to {shown(max(values))})" if ranged else mean


def _costs(entry: Entry) -> list[str]:
    """Milliseconds to answer one item, and megabytes of the model file."""
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
        Console(highlight=False, color_system=None).print(table)  # stdout shows terminal codes, also rich's
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
    """A row for each training and each baseline; one that did not run has its note alone."""
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
