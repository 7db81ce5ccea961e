"""Lines that name the type `Any` are found, and there are no more of them than the limit."""

from __future__ import annotations

import subprocess
import sys

import pytest

from support.paths import ROOT

sys.path.insert(0, str(ROOT / "scripts"))
from any_types import lines_with_any


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("from typing import Any\n", [1]),
        ("import typing\nx: typing.Any = 1\n", [2]),
        ("def f(x: Any,\n      y: dict[str, Any]) -> Any: ...\n", [1, 2]),
        ("x = any(y)\nAnything = 1\n", []),
        ("x = 1  # Any\n'''Any\nother'''\n", []),
    ],
)
def test_lines_are_found(source: str, lines: list[int]):
    assert lines_with_any(source) == lines


def test_there_are_not_too_many():
    done = subprocess.run([sys.executable, ROOT / "scripts" / "any_types.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
