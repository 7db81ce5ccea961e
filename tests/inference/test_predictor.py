"""Prediction splits a text into tokens once, for every format of the answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from support.small_models import run
from unrolled.data.text import tokenize

LINES = ("the cat sat", "a dog", "the dog ran far away")
SHAPE = ("--hidden", "4", "--epochs", "1", "--threads", "1")


@pytest.mark.parametrize(
    ("task", "columns", "options", "unit"),
    [
        ("classify", "text,label", (), "word"),
        (
            "classify",
            "text,label",
            ("--no-bidirectional", "--pooling", "last"),
            "word",
        ),  # answers at each step
        ("tokens:number", "text,label", ("--unit", "char"), "char"),
        ("translate", "source,target", ("--unit", "word"), "word"),
    ],
)
@pytest.mark.parametrize("form", ["text", "jsonl", "csv"])
def test_a_line_is_split_once(
    task: str,
    columns: str,
    options: tuple[str, ...],
    unit: str,
    form: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    rows = [f"{line},{i % 2}" for i, line in enumerate(LINES * 4)]
    (tmp_path / "train.csv").write_text("\n".join([columns, *rows, ""]))
    (tmp_path / "lines.txt").write_text("\n".join([*LINES, " ", ""]))
    trained = run("train", task, tmp_path / "train.csv", "--out", tmp_path / "m", *options, *SHAPE)
    assert trained.code == 0, trained.err

    own = tokenize.find_unit(unit)
    split: list[str] = []

    def counted(text: str) -> list[str]:
        split.append(text)
        return own.split(text)

    monkeypatch.setitem(tokenize.UNITS, unit, replace(own, split=counted))
    done = run("predict", tmp_path / "m", tmp_path / "lines.txt", "--format", form)
    assert done.code == 0, done.err
    assert sorted(split) == sorted([*LINES, " "])
