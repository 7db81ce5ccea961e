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
    parser.add_argument(
        "--files", type=Path, metavar="D", help="write four example files into the folder D and end"
    )
    parser.add_argument("--force", action="store_true", help="replace existing example files")
    parser.add_argument("--minutes", type=float, default=1.0, metavar="M", help="time to learn (default 1)")
    parser.add_argument(
        "--folder", type=Path, default=Path("demo"), metavar="D", help="where models stay (default demo)"
    )


def run(args: argparse.Namespace) -> int:
    """Learn, show, explain."""
    if args.files is not None:
        from unrolled.demo.example_files import commands, write_examples

        for path in write_examples(args.files, force=args.force):
            print(f"wrote {path}")
        print("\nTrain a model with each:\n")
        print(*(f"  {command}" for command in commands(args.files)), sep="\n")
        return 0
    from unrolled.core.progress import console_reporter
    from unrolled.demo.language import demo

    demo(args.file, args.minutes, args.folder, console_reporter())
    return 0
