"""Model files of format 1 answer as they did when they were written, on every engine."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from support.paths import GOLDEN
from support.small_models import run

ANSWERS: dict[str, Any] = json.loads((GOLDEN / "format1-answers.json").read_text())


def alike(found: Any, expected: Any) -> bool:
    """Whether two JSON values are equal; numbers with fractions nearly so, as processors add in different orders."""
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(alike(found[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(alike, found, expected))
    if isinstance(expected, float):
        return math.isclose(found, expected, rel_tol=1e-4, abs_tol=1e-5)
    return found == expected


@pytest.mark.parametrize("engine", ["numpy", "torch"])
@pytest.mark.parametrize("name", ANSWERS)
def test_a_model_of_format_1_answers_as_it_did(name: str, engine: str, tmp_path: Path):
    lines, expected = ANSWERS[name]["lines"], ANSWERS[name]["answers"]
    data = tmp_path / ("series.csv" if "," in lines[0] else "lines.txt")
    data.write_text("".join(f"{line}\n" for line in lines))
    model = GOLDEN / f"format1-{name}.model"
    done = run("predict", model, data, "--format", "jsonl", "--engine", engine)
    assert done.code == 0, done.err
    found = [json.loads(line) for line in done.out.splitlines()]
    assert alike(found, expected), found
