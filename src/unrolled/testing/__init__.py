"""Checks for cells, readers, inputs and outputs of your own packages.

A failed check raises AssertionError.
"""

from unrolled.testing.kind_checks import check_cell, check_input, check_output, check_reader

__all__ = ["check_cell", "check_input", "check_output", "check_reader"]
