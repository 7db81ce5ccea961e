"""`unrolled check TASK DATA...`: the data doctor."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ..config import add_flags, build
from ..tasks import find
from .train import settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The contract of the verb."""
    parser.usage = f"{parser.prog} TASK DATA... [options]"
    parser.epilog = (
        "What training would see, with file and line for what is odd. Exit code 2 if training would fail.\n"
        "The other options of `unrolled train` are taken too and change nothing here."
    )
    parser.add_argument("task", metavar="TASK", help="as in `unrolled train`")
    parser.add_argument("data", nargs="+", type=Path, metavar="DATA", help="files or folders")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a report")
    parser.add_argument("--config", type=Path, metavar="F.toml", help="options from a TOML file")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="any option by its name"
    )
    add_flags(parser, shown=("data",))


def run(args: argparse.Namespace) -> int:
    """Report on the data."""
    from ..check import check, in_words

    find(args.task)
    report = check(build(args.task, *settings(args)), tuple(args.data))
    print(json.dumps(report, ensure_ascii=False) if args.json else in_words(report))
    return 2 if report["fatal"] else 0
