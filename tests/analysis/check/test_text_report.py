"""`unrolled check`: what training would see, and what is odd in the files, with file and line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.small_models import run, sentences

ODD = "\n".join(
    [
        "a fine line",
        "",
        "twice the same",
        "wrong \ufffd before",
        "a literal <UNK> here",
        "twice the same",
        "bell \x07 rings",
        "x" * 10_001,
    ]
)


def report(path: Path, *options: object) -> dict[str, Any]:
    done = run("check", "language", path, "--json", *options)
    assert done.code == 0, done
    return json.loads(done.out)


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    path = tmp_path / "odd.txt"
    path.write_text(ODD + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("documents", ["file", "line", "blank"])
def test_what_is_odd_is_named_with_file_and_line(odd: Path, documents: str):
    found = report(odd, "--documents", documents)
    examples = {kind.split(" (")[0]: entry["examples"] for kind, entry in found["odd"].items()}
    assert examples == {
        "repeated line": [f"{odd}:6: twice the same"],
        "replacement character": [f"{odd}:4"],
        "a literal <UNK> or <EOS>": [f"{odd}:5"],
        "control character": [f"{odd}:7: U+0007"],
        "very long line": [f"{odd}:8: 10,001 characters"],
    }
    assert (found["lines"], found["blank_lines"], found["fatal"]) == (8, 1, None)
    assert found["documents"] == {"file": 1, "line": 7, "blank": 2}[documents]
    words = run("check", "language", odd, "--documents", documents).out
    assert f"\n  {odd}:7: U+0007\n" in words and words.endswith("\ntraining would start\n")


def test_the_counts_are_those_of_the_vocabulary(tmp_path: Path):
    path = tmp_path / "text.txt"
    lines = [*sentences(600), "Zebra crossing"]
    path.write_text("\n".join(lines) + "\n")
    found = report(path, "--unit", "word", "--vocab-size", 3)
    tokens = [token for line in lines for token in line.split()]
    known = sorted((tokens.count(token) for token in set(tokens)), reverse=True)
    assert (found["tokens"], found["distinct_tokens"], found["seen_once"]) == (len(tokens), len(known), 2)
    assert found["unknown_share"]["3"] == pytest.approx(1 - sum(known[:3]) / len(tokens))
    assert found["unknown_share"]["1000"] == pytest.approx(0)
    assert found["tokens_a_document"]["0"] == 2 and found["tokens_a_document"]["100"] == 4
    assert (found["held_out_share"], found["most_frequent"][0]) == (0.1, ".")
    assert "nothing odd" not in run("check", "language", path).out
    lower = report(path, "--unit", "word", "--lower")
    assert "the last 10% of the text would be held out" in run("check", "language", path).out
    assert lower["distinct_tokens"] == found["distinct_tokens"]


def test_fatal_files_exit_with_2(tmp_path: Path):
    (tmp_path / "empty.txt").touch()
    done = run("check", "language", tmp_path / "empty.txt")
    assert (done.code, done.out) == (2, f"fatal: {tmp_path / 'empty.txt'}: empty file; expected text\n")
    (tmp_path / "bad.txt").write_bytes(b"good\nline\n\xff\n")
    done = run("check", "language", tmp_path / "bad.txt", "--json")
    assert done.code == 2 and "bad.txt:3: byte 0xff at offset 10" in json.loads(done.out)["fatal"]
    missing = run("check", "language", tmp_path / "none.txt")
    assert missing.code == 2 and missing.err.startswith("error: ") and not missing.out


def test_short_and_clean_text(tmp_path: Path):
    (tmp_path / "text.txt").write_text("one\ntwo\n")
    out = run("check", "language", tmp_path / "text.txt").out
    assert "nothing odd\n" in out and "nothing would be held out for validation\n" in out
    assert "1 documents (--documents file), 2 lines (0 blank), 8 characters\n" in out


@pytest.mark.parametrize("end", ["\n", "", "\nlast\n\n"])
def test_a_line_is_one_line_however_long_it_is(tmp_path: Path, end: str):
    path = tmp_path / "text.txt"
    path.write_text("first\n" + "word " * 500_000 + end)  # it is read in three pieces
    found = report(path)
    assert found["lines"] == 2 + 2 * end.count("last") and found["blank_lines"] == end.count("\n\n")
    assert found["odd"] == {"very long line": {"count": 1, "examples": [f"{path}:2: 2,500,000 characters"]}}


def test_the_same_long_line_twice(tmp_path: Path):
    path = tmp_path / "text.txt"
    long = "a b " * 300_000
    path.write_text(f"{long}x\n{long}y\n{long}x\n")
    found = report(path)["odd"]["repeated line"]
    assert found["count"] == 1 and found["examples"][0].startswith(f"{path}:3: a b a b")


def test_texts_without_spaces(tmp_path: Path):
    path = tmp_path / "text.txt"
    path.write_text(
        "\u6574\u4e2a\u5267\u60c5\u5b9e\u5728\u592a\u65e0\u804a\n" * 3 + "\u8fd9\u4e2a\u6545\u4e8b\n"
    )
    told = "text without spaces between words"
    assert report(path, "--unit", "word")["odd"][told]["examples"] == [
        f"{path}:1: 1 of 2 tokens occur once; try --unit char"
    ]
    assert told not in report(path)["odd"]


@pytest.mark.parametrize(
    ("text", "kind", "detail"),
    [
        ("fish &amp; chips", "HTML entity", "&amp;"),
        ("it&#39;s", "HTML entity", "&#39;"),
        ("p\u0430ypal", "word of two scripts", "'p\u0430ypal' (Latin, Cyrillic)"),
        ("zero\u200bwidth", "invisible character", "U+200B"),
        ("left \u202egnp.exe", "invisible character", "U+202E"),
        ("\x1b[31mred", "control character", "U+001B"),
        (
            "AT&T; R&D &nothing; 5 \u03bcm, \u0394T in k\u03a9; \u041c\u043e\u0441\u043a\u0432\u0430 Moscow",
            None,
            "",
        ),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 \U0001f469\u200d\U0001f4bb", None, ""),
    ],
)
def test_damage_of_single_characters(tmp_path: Path, text: str, kind: str | None, detail: str):
    path = tmp_path / "text.txt"
    path.write_text(text + "\n", encoding="utf-8")
    found = {name.split(" (")[0]: note["examples"] for name, note in report(path)["odd"].items()}
    assert found == ({} if kind is None else {kind: [f"{path}:1: {detail}"]})
