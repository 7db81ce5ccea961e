"""Text for a terminal: control characters of data, file names and model files are shown, never obeyed."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_CONTROL = [*range(0x20), *range(0x7F, 0xA0)]  # C0, DEL and C1
_DIRECTION = [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]  # what turns the direction of writing
_KEPT = "\t\n"
_TABLE = {
    **{code: f"\\x{code:02x}" for code in _CONTROL if chr(code) not in _KEPT},
    **{code: f"\\u{code:04x}" for code in _DIRECTION},
}


def escaped(text: str) -> str:
    """The text with control characters written as `\\x1b`; tabs and line ends stay."""
    return text if text.isprintable() else text.translate(_TABLE)


class TerminalText(io.TextIOWrapper):
    """A text stream to a terminal that writes `escaped` text."""

    def write(self, text: str, /) -> int:
        """Write text; returns how many characters it had."""
        super().write(escaped(text))
        return len(text)


@contextmanager
def escaping_terminal() -> Iterator[None]:
    """While this lasts, what goes to stdout is escaped if it is a terminal. Files and pipes get what is written."""
    old = sys.stdout
    if not isinstance(old, io.TextIOWrapper) or not old.isatty():
        yield
        return
    old.flush()
    new = TerminalText(old.buffer, encoding="utf-8", errors="backslashreplace", line_buffering=True)
    sys.stdout = new
    try:
        yield
    finally:
        sys.stdout = old
        with suppress(OSError):
            new.flush()
        with suppress(OSError, ValueError):
            new.detach()  # else the buffer would be closed with it
