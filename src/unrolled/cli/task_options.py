"""Arguments that several verbs share: a task, files in parts, options in layers, an engine."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from unrolled.core.config import Config, options, read_settings, read_toml
from unrolled.core.early_checks import check_inputs
from unrolled.core.options import FORMATS, QUOTING
from unrolled.tasks.presets import find


def add_data(parser: argparse.ArgumentParser, *, task: str, data: str, test: str) -> None:
    """TASK, DATA, --valid and --test, with the help of those that differ between verbs."""
    parser.add_argument("task", metavar="TASK", help=task)
    parser.add_argument("data", nargs="+", type=Path, metavar="DATA", help=data)
    parser.add_argument("--valid", nargs="+", type=Path, default=[], metavar="F", help="validation files")
    parser.add_argument("--test", nargs="+", type=Path, default=[], metavar="F", help=test)


def add_engine(parser: argparse.ArgumentParser, default: str | None = "numpy") -> None:
    """--engine; None: whatever is the quickest there is."""
    parser.add_argument(
        "--engine",
        choices=("numpy", "int8", "torch"),
        default=default,
        help="what computes; int8: single steps on weights of eight bits, quicker and less exact "
        + (f"(default {default})" if default else "(default torch if installed)"),
    )


def add_files(parser: argparse.ArgumentParser, flag: str = "--format") -> None:
    """How the files of this command are written: `flag` names their format, --quoting the quotes in tables."""
    parser.add_argument(
        flag,
        dest="file_format",
        metavar="|".join(FORMATS),  # other packages may have more; the readers reject an unknown one
        help="the format of the files (default: by the extension of the name, else by the content)",
    )
    parser.add_argument(
        "--quoting",
        choices=QUOTING,
        default="auto",
        help="quotes in tables: csv, as RFC 4180 has it, none, or auto (default)",
    )


def add_layers(parser: argparse.ArgumentParser) -> None:
    """--config and --set, the layers under the flags."""
    parser.add_argument("--config", type=Path, metavar="F.toml", help="options from a TOML file")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="any option by its name"
    )


def settings(args: argparse.Namespace) -> list[Mapping[str, object]]:
    """The option layers of a command line, weakest first: TOML, --set, flags."""
    flags = {name: value for name, value in vars(args).items() if name in options()}
    return [read_toml(args.config) if args.config else {}, dict(read_settings(args.set)), flags]


def check_data(args: argparse.Namespace, config: Config) -> None:
    """Reject data, validation and test files that cannot be read, by their paths alone. Raises UsageError or
    DataError."""
    parts = (args.data, args.valid, args.test)
    stream = find(config.task).stream
    check_inputs((path for part in parts for path in part), "text" if stream else "examples")
    if stream:
        return
    # Imported late: the readers need NumPy, and a missing file is told without it.
    from unrolled.datasets.example_source import check_formats

    for part in parts:
        check_formats(part, config)
