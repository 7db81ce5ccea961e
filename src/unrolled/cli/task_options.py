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
    """Add TASK, DATA, --valid and --test. task, data, test: help texts, which differ between commands."""
    parser.add_argument("task", metavar="TASK", help=task)
    parser.add_argument("data", nargs="+", type=Path, metavar="DATA", help=data)
    add_parts(parser, test=test)


def add_parts(parser: argparse.ArgumentParser, *, test: str) -> None:
    """Add --valid and --test. test: the help text of --test."""
    parser.add_argument("--valid", nargs="+", type=Path, default=[], metavar="F", help="validation files")
    parser.add_argument("--test", nargs="+", type=Path, default=[], metavar="F", help=test)


def add_engine(parser: argparse.ArgumentParser, default: str | None = "numpy") -> None:
    """Add --engine.

    default: its default. None: for a language model torch if it is installed, else numpy.
    """
    parser.add_argument(
        "--engine",
        choices=("numpy", "int8", "torch"),
        metavar="NAME",
        default=default,
        help="numpy, torch, or int8: 8-bit weights, faster, less exact "
        + (f"(default {default})" if default else "(default: see below)"),
    )


def add_cache(parser: argparse.ArgumentParser) -> None:
    """Add --cache, --cache-theta and --cache-weight, for language models."""
    parser.add_argument("--cache", type=int, metavar="N", help="continuous cache of N tokens, see below")
    parser.add_argument(
        "--cache-theta",
        type=float,
        metavar="X",
        help="how much a similar state of the network counts in the cache (default 20)",
    )
    parser.add_argument(
        "--cache-weight",
        type=float,
        metavar="X",
        help="fraction of the probability that comes from the cache (default 0.1; with --dynamic 0.03)",
    )


def add_files(parser: argparse.ArgumentParser, flag: str = "--format") -> None:
    """Add the options for the file format and the quotes. flag: the name of the option for the format."""
    parser.add_argument(
        flag,
        dest="file_format",
        metavar="NAME",  # no choices: other packages may add formats, and the readers reject unknown ones
        help=f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]} (default: by name or content)",
    )
    parser.add_argument(
        "--quoting",
        choices=QUOTING,
        metavar="NAME",
        default="auto",
        help="auto; csv (quotes enclose fields); none (quotes are ordinary characters) (default auto)",
    )


def add_layers(parser: argparse.ArgumentParser) -> None:
    """Add --config and --set. A flag of the same option overrides them."""
    parser.add_argument("--config", type=Path, metavar="F.toml", help="read options from a TOML file")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="set an option, such as hidden=200"
    )


def settings(args: argparse.Namespace) -> list[Mapping[str, object]]:
    """Return the options of a command line in layers: TOML file, --set, flags. A later layer overrides."""
    flags = {name: value for name, value in vars(args).items() if name in options()}
    return [read_toml(args.config) if args.config else {}, dict(read_settings(args.set)), flags]


def check_data(args: argparse.Namespace, config: Config) -> None:
    """Check the paths of the data, validation and test files before any file is read.

    Raises UsageError or DataError if a path cannot be an input of the task.
    """
    parts = (args.data, args.valid, args.test)
    stream = find(config.task).stream
    check_inputs((path for part in parts for path in part), "text" if stream else "examples")
    if config.data.vectors is not None:
        check_inputs((Path(config.data.vectors),), "word vectors")
    if stream:
        return
    # Imported here because the readers need NumPy; a missing file is reported without it.
    from unrolled.datasets.example_source import check_formats

    for part in parts:
        check_formats(part, config)
