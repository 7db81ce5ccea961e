"""Folders that tests read: the checkout, its benchmarks and scripts, the golden files."""

from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
ROOT = TESTS.parent
PACKAGE = ROOT / "src" / "unrolled"
GOLDEN = TESTS / "golden"
