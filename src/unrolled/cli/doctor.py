"""`unrolled doctor`."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The contract of the verb."""
    parser.epilog = "Exit code 4 where a cell on some engine does not compute its equation."


def run(args: argparse.Namespace) -> int:
    """Verify and time, and print a table."""
    from unrolled.analysis.doctor import report

    return report()
