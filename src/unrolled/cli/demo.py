"""`unrolled demo [FILE]`."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The contract of the verb."""
    parser.usage = f"{parser.prog} [FILE] [options]"
    parser.add_argument(
        "file", nargs="?", type=Path, metavar="FILE", help="any text; default: Python's own library"
    )
    parser.add_argument("--minutes", type=float, default=1.0, metavar="M", help="time to learn (default 1)")
    parser.add_argument(
        "--folder", type=Path, default=Path("demo"), metavar="D", help="where models stay (default demo)"
    )


def run(args: argparse.Namespace) -> int:
    """Learn, show, explain."""
    from unrolled.core.progress import console_reporter
    from unrolled.demo.language import demo

    demo(args.file, args.minutes, args.folder, console_reporter())
    return 0
