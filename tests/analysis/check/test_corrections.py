"""`check --fix --correct`: what is set right in the clean copies of tables, and nothing else."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.small_models import refused, run
from unrolled.analysis.check.corrections import NAMES, correction, usual_names

PAYPAL = "p\u0430yp\u0430l"  # two letters are Cyrillic


@pytest.mark.parametrize(
    ("name", "text", "better"),
    [
        ("entities", "fish &amp; chips&#10;&lt;b&gt; &nothing; AT&T;", "fish & chips <b> &nothing; AT&T;"),
        ("controls", "a\x1b[1mb\u200bc\u00add\tE", "a[1mbcd\tE"),
        ("scripts", f"{PAYPAL} \u043cock\u0432a \u0394T k\u03a9", "paypal \u043cock\u0432a \u0394T k\u03a9"),
        ("scripts", "\u041c\u043e\u0441\u043a\u0432a", "\u041c\u043e\u0441\u043a\u0432\u0430"),
        ("scripts", "\u0391pple", "Apple"),
        ("case", "Yes &amp;", "Yes &amp;"),
    ],
)
def test_single_corrections(name: str, text: str, better: str):
    assert correction([name])(text) == better


@given(st.text())
def test_a_corrected_text_has_nothing_to_correct(text: str):
    for name in ("controls", "scripts"):
        correct = correction([name])
        assert correct(correct(text)) == correct(text)
    plain = "".join(c for c in text if c.isascii() and c.isprintable() and c != "&")
    assert correction(NAMES)(plain) == plain


def test_labels_get_the_most_frequent_spelling():
    counts = Counter({"Yes": 3, "yes": 5, "YES": 1, "no": 2, "No ": 2})
    assert usual_names(counts) == {"Yes": "yes", "YES": "yes", "no": "No "}


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_clean_copies_are_corrected_on_request(tmp_path: Path, ending: str):
    rows = [
        {"id": i, "text": f"a &amp; {PAYPAL} {i}, \x07so", "label": "Yes" if i % 3 else "yes"}
        for i in range(9)
    ]
    rows += [{"id": 10 + i, "text": f"plain {i}", "label": "no"} for i in range(5)]
    path = tmp_path / f"t.{ending}"
    if ending == "csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, [*rows[0]], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    ask = ("check", "classify", path, "--fix", tmp_path / "clean", "--force")
    assert run(*ask).code == 0
    assert (tmp_path / "clean" / path.name).read_bytes() == path.read_bytes()  # nothing without the request
    done = run(*ask, "--correct", "all")
    assert done.code == 0 and "12 fields corrected" in done.out, done
    text = (tmp_path / "clean" / path.name).read_text(encoding="utf-8")
    found = [*csv.DictReader(text.splitlines())] if ending == "csv" else [*map(json.loads, text.splitlines())]
    assert [row["text"] for row in found] == [f"a & paypal {i}, so" for i in range(9)] + [
        f"plain {i}" for i in range(5)
    ]
    assert [row["label"] for row in found] == ["Yes"] * 9 + ["no"] * 5
    assert [str(row["id"]) for row in found] == [str(row["id"]) for row in rows]
    done = run(*ask, "--correct", "case")
    assert "3 fields corrected" in done.out
    assert "&amp;" in (tmp_path / "clean" / path.name).read_text(encoding="utf-8")


def test_what_cannot_be_corrected(tmp_path: Path):
    told = refused(run("check", "classify", tmp_path / "t.csv", "--correct", "all"))
    assert told == "--correct needs --fix: it changes the clean copies; try --fix FOLDER --correct ..."
    told = refused(run("check", "classify", tmp_path / "t.csv", "--fix", tmp_path, "--correct", "entity"))
    assert told == "--correct entity; expected case, entities, controls, scripts, all; try 'entities'"


def test_rows_that_are_equal_after_the_correction_are_dropped(tmp_path: Path):
    labels = ("Good", "bad", "GOOD", "Good ")
    rows = [f"text {i},{label}" for i in range(30) for label in (labels[i % 2], labels[i % 2])]
    rows += ["text 0,GOOD", "text 2,Good "]
    for name in ("train.csv", "test.csv"):
        (tmp_path / name).write_text(
            "text,label\n" + "\n".join([*rows[::2], *rows[-2:]]) + "\n", encoding="utf-8"
        )
    parts = (tmp_path / "train.csv", "--test", tmp_path / "test.csv")
    done = run("check", "classify", *parts, "--fix", tmp_path / "clean", "--correct", "case")
    assert done.code == 0
    clean = (tmp_path / "clean" / "train.csv").read_text(encoding="utf-8").splitlines()
    assert len(clean) == len(set(clean)) == 31  # the header and 30 texts
    test = (tmp_path / "clean" / "test.csv").read_text(encoding="utf-8").splitlines()
    assert len(test) > len(set(test))  # a test set keeps its repeated rows
