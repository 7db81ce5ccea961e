"""What `unrolled check` says of labelled texts is true: rare classes, nothing read, texts without spaces, subwords."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from support.small_models import run

CHINESE = ["整个剧情", "这个故事", "非常", "实在太", "无聊", "温暖", "下次不会再来", "我会推荐给朋友"]


def chinese(path: Path, count: int = 60, gap: str = "") -> Path:
    """A table of reviews in Chinese, words between `gap`s."""
    chance = random.Random(2)
    rows = (gap.join(chance.choices(CHINESE, k=4)) + f",{('pos', 'neg')[i % 2]}\n" for i in range(count))
    path.write_text("text,label\n" + "".join(rows), encoding="utf-8")
    return path


def test_rare_classes_are_shown(tmp_path: Path):
    path = tmp_path / "t.csv"
    rows = [f"text {i},c{i // 10:02}" for i in range(400)] + ["last,zz"]
    path.write_text("text,label\n" + "\n".join(rows) + "\n")
    (line,) = (line for line in run("check", "classify", path).lines if " classes: " in line)
    assert line.startswith("41 classes: c00 10 (2.5%), c01 10") and line.endswith("zz 1 (0.2%)")
    assert " and 23 more, the rarest are " in line


@pytest.mark.parametrize("content", ["text,label\n", "", 'text,label\n"open,x\n'])
def test_nothing_is_said_of_what_was_not_read(tmp_path: Path, content: str):
    path = tmp_path / "t.csv"
    path.write_text(content)
    done = run("check", "classify", path)
    assert (done.code == 2 and done.lines[-1].startswith(f"fatal: {path}:")) or "fatal: " in done.lines[-1]
    assert not any(" classes" in line or "would see" in line or "nothing odd" in line for line in done.lines)


def test_a_bad_row_is_odd(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text("text,label\n" + "a fine film,pos\na bad film,neg\n" * 20)
    assert "nothing odd" in run("check", "classify", path).lines
    path.write_text(path.read_text() + "no label,\n")
    done = run("check", "classify", path)
    assert done.code == 2 and "nothing odd" not in done.lines, done.out


def test_the_unit_follows_texts_without_spaces(tmp_path: Path):
    path = chinese(tmp_path / "t.csv")
    told = (
        "the texts have no spaces between words: the unit is characters (--unit word would split at spaces)"
    )
    lines = run("check", "classify", path).lines
    assert (
        f"odd: {told}" in lines and "nothing odd" not in lines and any("characters" in line for line in lines)
    )
    asked = run("check", "classify", path, "--unit", "word").lines
    assert "odd: no spaces between the words of x: 1" in asked
    assert any(line.endswith('"words" occur once; try --unit char') for line in asked)
    train = ("train", "classify", path, "--epochs", 1, "--hidden", 4, "--threads", 1)
    done = run(*train, "--out", tmp_path / "m")
    assert done.code == 0 and told in done.err.splitlines()
    assert "distinct characters" in done.err and run("evaluate", tmp_path / "m", path).code == 0
    spaced = chinese(tmp_path / "s.csv", gap=" ")
    assert not any("no spaces" in line for line in run("check", "classify", spaced).lines)
    plain = run(*train[:2], spaced, *train[3:], "--out", tmp_path / "s")
    assert "distinct words" in plain.err and told not in plain.err


def test_an_explicit_unit_is_taken_and_commented(tmp_path: Path):
    path = chinese(tmp_path / "t.csv")
    sizes = ("--epochs", 1, "--hidden", 4, "--threads", 1)
    done = run("train", "classify", path, "--unit", "word", *sizes, "--out", tmp_path / "m")
    assert "distinct words" in done.err
    assert "the texts have no spaces between words; --unit char is better" in done.err.splitlines()


def test_targets_without_spaces_are_told(tmp_path: Path):
    path = tmp_path / "t.tsv"
    chance = random.Random(3)
    rows = (f"the story {i}\t{''.join(chance.choices(CHINESE, k=4))}\n" for i in range(30))
    path.write_text("source\ttarget\n" + "".join(rows), encoding="utf-8")
    lines = run("check", "translate", path, "--unit", "word").lines
    assert "odd: no spaces between the words of y: 1" in lines
    subwords = run("check", "translate", path).lines
    assert not any("no spaces" in line or "<UNK>" in line for line in subwords)
    assert "  training splits them into subwords, so no token is unknown" in subwords


@pytest.mark.parametrize("unit", ["word", "char", "subword"])
def test_a_unit_without_use_is_refused(tmp_path: Path, unit: str):
    for verb in (("check",), ("train",)):
        done = run(
            *verb,
            "tag",
            tmp_path / "t.conll",
            "--unit",
            unit,
            *(("--out", "m") if verb[0] == "train" else ()),
        )
        assert done.code == 2 and f"tag does not support --unit {unit}" in done.err
    done = run("check", "numbers:label", tmp_path / "t.csv", "--unit", unit)
    assert done.code == 2 and "numbers:label does not support 'unit'" in done.err


def test_labels_are_looked_at_as_texts_are(tmp_path: Path):
    path = tmp_path / "t.csv"
    labels = ["spam", "Spam", "h\u0430m", "R&amp;D", "b\x08d"]
    path.write_text(
        "text,label\n" + "".join(f"text {i},{labels[i % 5]}\n" for i in range(50)), encoding="utf-8"
    )
    out = run("check", "classify", path).out
    for kind, line in (
        ("word of two scripts", 4),
        ("HTML entity (not decoded)", 5),
        ("control character", 6),
    ):
        assert f"odd: {kind}: 1\n  {path}:{line}: " in out
    assert "odd: classes that differ in case or white space only: 1" in out


def test_a_forecast_of_one_column_from_another_is_checked(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "".join(f"{i % 7},{i % 5}\n" for i in range(200)), encoding="utf-8")
    done = run("check", "numbers:number", path, "--columns", "x=a,y=b", "--horizon", "3", "--history", "12")
    assert done.code == 0 and "186 windows" in done.out and done.lines[-1] == "training would start"
