"""Writes the reference pages of docs/reference from the code: commands, options, Python interface.

python scripts/reference.py [--check]      --check: fail if a page is not up to date
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from docstring_markdown import write
from reference_options import commands_page, options_page
from reference_python import python_page

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "reference"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="fail if a page is not up to date")
    pages = {
        FOLDER / "commands.md": commands_page(),
        FOLDER / "options.md": options_page(),
        FOLDER / "python.md": python_page(),
    }
    return write(pages, parser.parse_args().check, Path(__file__).name)


if __name__ == "__main__":
    sys.exit(main())
