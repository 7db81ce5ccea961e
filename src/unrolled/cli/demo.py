"""`unrolled demo [FILE]`: train small models and show what they learned."""

from __future__ import annotations

import argparse
from pathlib import Path

ABOUT = """\
Trains two taggers that find names in sentences, then a character model on FILE. Prints
  - the tags of some sentences, and the accuracy on names that are not in the training data
  - the loss of the character model, a text that it writes, and the longest passage copied from FILE
  - the commands to train a model on your own text

examples:
  unrolled demo
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
        help="any text (default: the source of Python's library)",
    )
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
    """Train the models and print what they learned."""
    from unrolled.core.progress import console_reporter
    from unrolled.demo.language import demo

    demo(args.file, args.minutes, args.folder, console_reporter())
    return 0
