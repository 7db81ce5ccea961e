"""The journeys through the code: what counts as the data, and that no more files pass them on than allowed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from support.paths import ROOT
from unrolled.core.types import Answer, Example, Place

sys.path.insert(0, str(ROOT / "scripts"))
from journey import CLASSES, MARKS, ROWS, Journey, hops

TEXT = " ".join(("before", *MARKS, "after"))
PLACE = Place(Path("rows.csv"), 2)


@pytest.mark.parametrize(
    ("value", "held"),
    [
        (TEXT, True),
        (TEXT.encode(), True),
        ([TEXT, "class"], True),
        ({"text": TEXT}, True),
        (("before", *MARKS), True),
        (("before", *reversed(MARKS)), False),  # as in a sorted vocabulary
        (Example(TEXT, "class", PLACE), True),
        (Example("another text", "class", PLACE), False),
        (np.zeros((ROWS, 3)), True),
        (np.zeros((8, 14)), False),  # weights
        (Answer("class", {}), True),
        (None, False),
    ],
)
def test_a_value_holds_the_data_or_not(value: object, held: bool):
    assert Journey(frozenset((ROWS,)), lambda text: " ".join(MARKS) in text).holds(value) is held


def test_an_array_of_the_shape_of_an_answer_counts_only_after_the_row_was_seen():
    journey = Journey(frozenset(), str.isupper, answer=frozenset(((1, CLASSES),)))
    assert not journey.holds(np.zeros((1, CLASSES)))
    journey.path.append("cli/predict.py")
    assert journey.holds(np.zeros((1, CLASSES)))


def test_a_hop_is_a_change_of_file():
    assert hops(["a.py", "b.py", "a.py"]) == 2
    assert hops(["a.py"]) == hops([]) == 0


def test_no_more_files_pass_the_data_on_than_allowed():
    script = [sys.executable, ROOT / "scripts" / "journey.py", "--verbose"]
    done = subprocess.run(script, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert {"row: data/readers/table.py", "row: nn/losses.py", "row: tasks/outputs/label.py"} <= set(lines)
    assert {"stream: data/readers/text_files.py", "stream: training/checkpointing.py"} <= set(lines)
