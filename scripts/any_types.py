"""Count the lines of code that use the type `Any`, and fail above the limit in pyproject.toml.

`Any` turns the type checker off. Use it for values from libraries without types, and for methods that each
kind implements with its own types. Elsewhere, use a type, a type parameter or `object`.
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
    """Return the numbers of the lines with `Any` in code or imports. Strings and comments do not count."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return sorted(
        {token.start[0] for token in tokens if token.type == tokenize.NAME and token.string == "Any"}
    )


def main(arguments: list[str]) -> int:
    """Print the number of lines and the limit. With --all, print each line too."""
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
