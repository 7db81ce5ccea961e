"""`unrolled doctor`: compare every cell on every engine with its equation, and measure its speed."""

from __future__ import annotations

import argparse

ABOUT = """\
Compare every cell on every engine with its equation, and measure its speed on this machine.

Prints one line per cell and engine:
  - the largest difference between its output and the equation in float64
  - the largest difference between its gradients and those of the equation
  - the time of one step in microseconds (200 units, batch size 1)
Exit code 4 if a difference is larger than its tolerance.

example:
  unrolled doctor"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments and the help of the command."""
    parser.description = ABOUT


def run(args: argparse.Namespace) -> int:
    """Print the table. Return 4 if a cell does not compute its equation, else 0."""
    from unrolled.analysis.doctor import report

    return report()
