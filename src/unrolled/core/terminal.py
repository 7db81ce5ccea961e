"""Print text safely on a terminal: control characters from data, file names and models are escaped."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_CONTROL = [*range(0x20), *range(0x7F, 0xA0)]  # C0, DEL and C1
_DIRECTION = [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]  # characters that change the writing direction
_KEPT = "\t\n"
_TABLE = {
    **{code: f"\\x{code:02x}" for code in _CONTROL if chr(code) not in _KEPT},
    **{code: f"\\u{code:04x}" for code in _DIRECTION},
}


def escaped(text: str) -> str:
    """Return the text with control characters escaped, such as `\\x1b`. Tabs and line breaks stay."""
    return text if text.isprintable() else text.translate(_TABLE)


class TerminalText(io.TextIOWrapper):
    """A text stream that escapes control characters."""

    def write(self, text: str, /) -> int:
        """Write the escaped text. Return the number of characters of `text`."""
        super().write(escaped(text))
        return len(text)


@contextmanager
def escaping_terminal() -> Iterator[None]:
    """Escape the output to stdout in the `with` block if it is a terminal.

    Files and pipes get the text unchanged.
    """
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
            new.detach()  # otherwise the buffer of stdout would be closed too
