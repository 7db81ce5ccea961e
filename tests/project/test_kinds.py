"""Comparisons with names of kinds are found wherever they stand, and there are none."""

from __future__ import annotations

import subprocess
import sys

import pytest

from support.paths import ROOT

sys.path.insert(0, str(ROOT / "scripts"))
from kinds import findings

NAMES = frozenset(("lstm", "gru-simple", "tags"))


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("x = kind == 'tags'", [(1, "tags")]),
        ("if 'lstm' != cell: pass", [(1, "lstm")]),
        ("x = kind in ('label', 'tags', 'lstm')", [(1, "lstm"), (1, "tags")]),
        ("match kind:\n    case 'tags': pass\n    case 'lstm' | 'x': pass", [(2, "tags"), (3, "lstm")]),
        ("x = TABLE['tags']\nfind('lstm')\nx = kind == other", []),
    ],
)
def test_comparisons_and_patterns_are_found(line: str, found: list[tuple[int, str]]):
    assert findings(line, "other", NAMES) == found


def test_a_kind_may_be_compared_in_its_own_file():
    assert findings("x = cell == 'gru-simple'", "gru_simple", NAMES) == []


def test_there_are_none():
    done = subprocess.run([sys.executable, ROOT / "scripts" / "kinds.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
