"""Write docs/reference/files.md: all files of the package, with the first paragraph of their docstrings.

python scripts/list_files.py [--check]      --check: fail if the page is not up to date
"""

from __future__ import annotations

import argparse
import ast
import sys
from itertools import groupby
from pathlib import Path

from docstring_markdown import cell
from draw_architecture import packages

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "unrolled"
PAGE = ROOT / "docs" / "reference" / "files.md"
HEAD = """# The files

All files of `src/unrolled` by package, in the order of [the architecture](../architecture.md). A script writes this
page from the docstrings: `python scripts/list_files.py`. The native kernels are C++ files in `csrc/`.
"""


def summary(path: Path) -> str:
    """Return the first paragraph of a module's docstring on one line, escaped for a table."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return cell(docstring.split("\n\n")[0]).removesuffix(".")


def page() -> str:
    """Return the page, with a section for each package and a table row for each file."""
    parts = [HEAD]
    for package in packages():
        folder = PACKAGE / package
        parts.append(
            f"\n## {package}\n\n{summary(folder / '__init__.py')}.\n\n| file | what it does |\n|---|---|\n"
        )
        files = sorted(folder.rglob("*.py"), key=lambda path: (len(path.parent.parts), path))
        for parent, group in groupby(files, key=lambda path: path.parent):
            for path in group:
                if path.name == "__init__.py" and parent == folder:
                    continue
                parts.append(f"| `{path.relative_to(PACKAGE)}` | {summary(path)} |\n")
    return "".join(parts)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="fail if the page is not up to date")
    text = page()
    if not parser.parse_args().check:
        PAGE.write_text(text, encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8") != text:
        print(f"error: {PAGE.name} is out of date; run scripts/list_files.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
