"""`unrolled demo [FILE]`: train small models and show what they learned."""

from __future__ import annotations

import argparse
from pathlib import Path

ABOUT = """\
Trains two taggers that find names in sentences, then a character model on FILE. Prints
  - the tags of some sentences, and the accuracy on names that are not in the training set
  - the loss of the character model, a text that it writes, and the longest passage copied from FILE
  - the commands to train a model on your own text

examples:
  unrolled demo
  unrolled demo --files data
  unrolled demo book.txt --minutes 3"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments and the help of the command."""
    parser.usage = f"{parser.prog} [FILE] [options]"
    parser.description = f"{parser.description}\n\n{ABOUT}"
    parser.add_argument(
        "file",
        nargs="?",
        type=Path,
        metavar="FILE",
        help="a text file (default: the source code of Python's standard library)",
    )
    parser.add_argument(
        "--files",
        type=Path,
        metavar="D",
        help="only write four example files into the folder D; do not train",
    )
    parser.add_argument("--force", action="store_true", help="replace existing example files")
    parser.add_argument(
        "--minutes",
        type=float,
        default=1.0,
        metavar="M",
        help="training time of the character model (default 1)",
    )
    parser.add_argument(
        "--folder", type=Path, default=Path("demo"), metavar="D", help="folder for the models (default demo)"
    )


def run(args: argparse.Namespace) -> int:
    """Train the models and print what they learned. With --files, write the example files."""
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
