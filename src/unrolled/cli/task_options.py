"""Arguments that several commands have: the task, the data files, the options and the engine."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from unrolled.core.config import Config, options, read_settings, read_toml
from unrolled.core.early_checks import check_inputs
from unrolled.core.options import FORMATS, QUOTING
from unrolled.tasks.presets import find


def add_data(parser: argparse.ArgumentParser, *, task: str, data: str, test: str) -> None:
    """Add TASK, DATA, --valid and --test. task, data, test: the help texts that differ between commands."""
    parser.add_argument("task", metavar="TASK", help=task)
    parser.add_argument("data", nargs="+", type=Path, metavar="DATA", help=data)
    add_parts(parser, test=test)


def add_parts(parser: argparse.ArgumentParser, *, test: str) -> None:
    """Add --valid and --test. test: the help text of --test."""
    parser.add_argument("--valid", nargs="+", type=Path, default=[], metavar="F", help="validation files")
    parser.add_argument("--test", nargs="+", type=Path, default=[], metavar="F", help=test)


def add_engine(parser: argparse.ArgumentParser, default: str | None = "numpy") -> None:
    """Add --engine. default: None: torch if it is installed, else numpy."""
    parser.add_argument(
        "--engine",
        choices=("numpy", "int8", "torch"),
        default=default,
        help="engine that runs the model. int8: weights of 8 bits, faster and less exact "
        + (f"(default {default})" if default else "(default torch if it is installed)"),
    )


def add_files(parser: argparse.ArgumentParser, flag: str = "--format") -> None:
    """Add the options that describe the files of a command. flag: the name of the option for their format."""
    parser.add_argument(
        flag,
        dest="file_format",
        metavar="|".join(FORMATS),  # other packages may have more; the readers reject an unknown one
        help="file format (default: from the file extension, else from the content)",
    )
    parser.add_argument(
        "--quoting",
        choices=QUOTING,
        default="auto",
        help="quotes in tables; csv: they enclose fields, none: they are ordinary characters (default auto)",
    )


def add_layers(parser: argparse.ArgumentParser) -> None:
    """Add --config and --set, which a flag of the same option overrides."""
    parser.add_argument("--config", type=Path, metavar="F.toml", help="read options from a TOML file")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="set any option by its name"
    )


def settings(args: argparse.Namespace) -> list[Mapping[str, object]]:
    """Return the options of a command line as layers: TOML file, --set, flags. Later layers override earlier ones."""
    flags = {name: value for name, value in vars(args).items() if name in options()}
    return [read_toml(args.config) if args.config else {}, dict(read_settings(args.set)), flags]


def check_data(args: argparse.Namespace, config: Config) -> None:
    """Reject data, validation and test files that cannot be read, from their paths alone.

    Raises UsageError or DataError.
    """
    parts = (args.data, args.valid, args.test)
    stream = find(config.task).stream
    check_inputs((path for part in parts for path in part), "text" if stream else "examples")
    if stream:
        return
    # Imported here because the readers need NumPy; a missing file is reported without it.
    from unrolled.datasets.example_source import check_formats

    for part in parts:
        check_formats(part, config)
