"""Control characters of labels, texts and file names are shown on a terminal and in reports, and kept in files."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.small_models import run, temporary
from unrolled.core.errors import DataError
from unrolled.core.progress import Lines
from unrolled.core.terminal import TerminalText, escaped

COMMAND = (sys.executable, "-m", "unrolled")
EVIL = "b\x1b]0;owned\x07ad\x9b2J\u202e"
SHOWN = "b\\x1b]0;owned\\x07ad\\x9b2J\\u202e"


@cache
def model() -> tuple[Path, Path]:
    """A classifier one of whose classes has control characters, and its table."""
    folder = temporary()
    table = folder / "t.csv"
    rows = "".join(f"text {i} {'so' if i % 2 else 'no'},{'good' if i % 2 else EVIL}\n" for i in range(40))
    table.write_text("text,label\n" + rows, encoding="utf-8")
    sizes = ("--epochs", 3, "--hidden", 4, "--threads", 1)
    assert run("train", "classify", table, *sizes, "--out", folder / "m").code == 0
    return folder / "m", table


def on_terminal(*arguments: object) -> str:
    """What a command writes to a terminal, both streams."""
    ours, theirs = pty.openpty()
    done = subprocess.Popen(
        [*COMMAND, *map(str, arguments)], stdout=theirs, stderr=theirs, stdin=subprocess.DEVNULL
    )
    os.close(theirs)
    found = b""
    while True:
        try:
            block = os.read(ours, 65536)
        except OSError:  # Linux tells the end of a pseudo terminal so
            break
        if not block:
            break
        found += block
    os.close(ours)
    done.wait()
    return found.decode()


def is_harmless(text: str) -> bool:
    return not any(c in text for c in "\x1b\x07\x9b\u202e\x00\x08")


def test_answers_are_shown_on_a_terminal_and_kept_in_files(tmp_path: Path):
    path, table = model()
    assert EVIL in run("predict", path, table).lines  # a pipe or a file gets the class itself
    told = on_terminal("predict", path, table)
    assert is_harmless(told) and SHOWN in told and "good" in told
    told = on_terminal("predict", path, table, "--format", "jsonl")
    assert is_harmless(told) and "\\x9b2J" in told


def test_reports_show_control_characters_wherever_they_go(tmp_path: Path):
    path, table = model()
    odd = tmp_path / "odd.txt"
    odd.write_text(f"{EVIL} twice\n{EVIL} twice\n" * 3, encoding="utf-8")
    for report in (
        run("check", "classify", table),
        run("check", "language", odd),
        run("evaluate", path, table),
    ):
        assert report.code == 0 and is_harmless(report.out), report.out
    assert SHOWN in run("check", "classify", table).out and SHOWN in run("check", "language", odd).out


def test_errors_and_notes_show_control_characters(tmp_path: Path):
    name = tmp_path / f"{EVIL}.csv"
    done = run("check", "classify", name)
    assert is_harmless(done.err) and SHOWN in done.err
    assert str(DataError("bad", file="a\x1b[2Jb\nc", line=3)) == "a\\x1b[2Jb c:3: bad"
    assert is_harmless(on_terminal("evaluate", name, name))


def test_notes_of_training_show_control_characters(capsys: pytest.CaptureFixture[str]):
    Lines().note(f"2 classes: {EVIL}, good")
    assert capsys.readouterr().err == f"2 classes: {SHOWN}, good\n"


def test_help_on_a_terminal_is_plain():
    assert on_terminal("predict", "--help").startswith("usage: unrolled predict MODEL")


@given(st.text())
def test_what_is_escaped_obeys_nothing(text: str):
    shown = escaped(text)
    assert all(c in "\t\n" or (ord(c) >= 0x20 and not 0x7F <= ord(c) < 0xA0) for c in shown)
    assert escaped(shown) == shown and (shown == text) == (escaped(text) == text)
    assert not text.isprintable() or shown == text


def test_the_stream_counts_what_it_was_given():
    stream = TerminalText(io.BytesIO(), encoding="utf-8", write_through=True)
    assert stream.write("a\x1b[1m\n") == 6
    stream.seek(0)
    assert stream.buffer.getvalue() == b"a\\x1b[1m\n"  # pyright: ignore[reportAttributeAccessIssue]
