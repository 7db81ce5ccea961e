"""What a person sees: a bar on a terminal that always leaves it as it was, plain lines elsewhere."""

from __future__ import annotations

import os
import re
import select
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unrolled.core import progress
from unrolled.core.progress import Bar, Lines, Moment, Silent, console_reporter, duration, sparkline

SCRIPT = """
import sys, time
from unrolled.core.progress import Moment, console_reporter
reporter = console_reporter()
reporter.note("reading [bold]a person's[/bold] file")
for i in range(1, 41):
    now = Moment(i / 40, i, 3.0 - i / 40, 12345.0)
    reporter.moment(now)
    time.sleep(0.01)
    if i % 20 == 0:
        reporter.validated(now, {"train_loss": 2.5, "loss": 3 - i / 40}, "to be [red] or\\nnot")
    if i == 30 and "fail" in sys.argv:
        break
reporter.close()
reporter.note("the end")
"""


def on_a_terminal(*arguments: str, columns: int = 100) -> str:
    """What the script writes to a terminal of so many columns."""
    import fcntl
    import pty
    import struct
    import termios

    pid, master = pty.fork()
    if not pid:
        os.environ.update(TERM="xterm-256color")
        os.environ.pop("COLUMNS", None)
        time.sleep(0.2)  # until the size is set
        os.execv(sys.executable, [sys.executable, "-c", SCRIPT, *arguments])
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    said, ready = b"", select.poll()
    ready.register(master, select.POLLIN)
    while ready.poll(60_000):
        try:
            piece = os.read(master, 1 << 16)
        except OSError:  # Linux's way to say that the other end has gone
            break
        if not piece:
            break
        said += piece
    os.close(master)
    assert os.waitpid(pid, 0)[1] == 0
    return said.decode()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("columns", [100, 50])
@pytest.mark.parametrize("arguments", [(), ("fail",)])
def test_a_bar_moves_and_leaves_the_terminal_as_it_was(arguments, columns):
    said = on_a_terminal(*arguments, columns=columns)
    assert said.count("\x1b[?25l") == said.count("\x1b[?25h") == 1, "the cursor comes back"
    assert said.rindex("\x1b[?25h") < said.index("the end")
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said)
    assert "reading [bold]a person's[/bold] file" in text
    assert "  | to be [red] or\r\n  | not" in text
    assert re.search(r"50%  step 20  train 2.500  valid 2.5000 ▁  12,345 tokens/s  \ds left", text)
    assert re.search(r"━.*\d+%  step \d+", text)


def test_lines_say_little_and_validations_all(capsys, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    lines = Lines()
    for number in range(1, 101):
        clock[0] += 0.3
        lines.moment(Moment(number / 100, number, 2.0, 50.0))
        if number == 50:
            lines.validated(Moment(0.5, 50, 2.0, 50.0), {"train_loss": 2.0, "loss": 1.9}, None)
    lines.close()
    said = capsys.readouterr()
    assert not said.out
    shown = said.err.splitlines()
    assert len(shown) == 3
    assert shown[0].startswith(" 34%  step 34  loss 2.000  50 tokens/s  20s left")
    assert "valid 1.9000" in shown[1]


def test_the_first_line_does_not_guess_how_long_it_takes(capsys):
    Lines().validated(Moment(0.0, 0, 2.0, 0.0), {"train_loss": 2.0, "loss": 1.9}, "a\nb")
    assert "? left\n  | a\n  | b\n" in capsys.readouterr().err


def test_without_a_terminal_there_is_no_bar(capsys):
    assert isinstance(console_reporter(), Lines)
    silent = Silent()
    silent.note("x")
    silent.moment(Moment(0.5, 1, 1.0, 1.0))
    silent.close()
    assert capsys.readouterr() == ("", "")
    Bar().close()  # never started: nothing to take away


@given(st.lists(st.floats(-1e6, 1e6), max_size=60))
def test_sparkline_has_a_bar_a_value_and_keeps_their_order(values):
    line = sparkline(values)
    shown = values[-24:]
    assert len(line) == len(shown)
    heights = [progress.BARS.index(bar) for bar in line]
    for (one, low), (two, high) in zip(
        zip(shown, heights, strict=True), list(zip(shown, heights, strict=True))[1:], strict=False
    ):
        assert (one <= two) <= (low <= high)
    if len(set(shown)) > 1:
        assert (min(heights), max(heights)) == (0, 7)


def test_duration():
    cases = {0: "0s", 59.4: "59s", 59.6: "1m00s", 185: "3m05s", 3600: "1h00m", 8040: "2h14m", -3: "0s"}
    assert {seconds: duration(seconds) for seconds in cases} == cases
