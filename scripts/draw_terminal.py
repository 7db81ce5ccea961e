"""Draw docs/terminal.svg: run the first example of the README and draw what the terminal shows.

python scripts/draw_terminal.py      runs for some seconds, with the `unrolled` of this environment
"""

from __future__ import annotations

import io
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

PAGE = Path(__file__).resolve().parent.parent / "docs" / "terminal.svg"
COLUMNS = 92
COMMANDS = (
    "unrolled demo --files data",
    "unrolled train classify data/tickets.csv --epochs 8 --hidden 48 --out tickets.model",
    "echo 'my parcel is a week late' | unrolled predict tickets.model",
)
# Readable on a white and on a dark page: the window has its own background.
THEME = TerminalTheme(
    (28, 32, 38),
    (222, 226, 230),
    [(28, 32, 38), (240, 113, 120), (150, 200, 120), (230, 190, 110), (110, 170, 240), (200, 140, 230),
     (110, 200, 210), (222, 226, 230)],
)  # fmt: skip
# The fonts of the reader's system: the picture loads nothing from other hosts.
FORMAT = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" /></clipPath>{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">{matrix}</g>
</g>
</svg>
"""


def shown(command: str, folder: Path) -> list[str]:
    """Run a command in a folder and return the lines that a terminal shows at its end.

    Raises CalledProcessError if it fails.
    """
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines = done.stdout.rstrip("\n").splitlines()
    progress = [line for line in lines if line.lstrip()[:4].rstrip("0123456789% ") == "" and "%" in line[:5]]
    return [line for line in lines if line not in progress[:-1]]


def draw() -> str:
    """Run all commands and return the SVG."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, highlight=False)
    with tempfile.TemporaryDirectory() as name:
        for number, command in enumerate(COMMANDS):
            console.print(Text("$ ", "green") + Text(command, "bold"))
            lines = shown(command, Path(name))
            for line in lines[: 4 if number == 0 else None]:
                console.print(Text(line), overflow="crop", no_wrap=True)
    return console.export_svg(title="unrolled", theme=THEME, code_format=FORMAT, unique_id="terminal")


def main() -> int:
    """Write the picture."""
    PAGE.write_text(draw(), encoding="utf-8")
    print(f"wrote {shlex.quote(str(PAGE.relative_to(Path.cwd())))}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
