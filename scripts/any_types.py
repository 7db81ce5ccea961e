"""Counts the lines of code that name the type `Any`, and fails past the limit in pyproject.toml.

`Any` switches the type checker off. It is for values of libraries that have no types, and for methods that every kind
has with types of its own. Elsewhere a type, a type parameter or `object` says more.
"""

from __future__ import annotations

import io
import sys
import tokenize
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "unrolled"


def lines_with_any(source: str) -> list[int]:
    """The numbers of the lines that name `Any` in code, imports among them; texts and comments are left out."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return sorted(
        {token.start[0] for token in tokens if token.type == tokenize.NAME and token.string == "Any"}
    )


def main(arguments: list[str]) -> int:
    """Print how many lines there are, and the limit; with --all each line."""
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted(SOURCE.rglob("*.py"))
        for line in lines_with_any(path.read_text(encoding="utf-8"))
    ]
    limit = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["unrolled"]["limits"]["any"]
    print(
        *(found if "--all" in arguments else ()), f"lines with Any: {len(found)} of at most {limit}", sep="\n"
    )
    return int(len(found) > limit)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
