"""Count comparisons with a kind's name outside the kind's file; fail above the limit in pyproject.toml.

A kind is an input, an output, a content or target of a reader, a cell, a front end or a text unit. The
differences between kinds belong in their objects: code that compares a name must be changed for each new
kind. Comparisons are `==`, `!=`, `in` and `not in` with a string (or a tuple, list or set of strings), and
`case` patterns of `match`.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "unrolled"


def kinds() -> frozenset[str]:
    """Return the names of all kinds from the registries."""
    sys.path.insert(0, str(SOURCE.parent))
    from unrolled.data.kinds import CONTENTS, TARGETS
    from unrolled.data.text.tokenize import UNITS
    from unrolled.models.cells import CELLS
    from unrolled.tasks.inputs import INPUTS
    from unrolled.tasks.outputs import OUTPUTS

    outputs = {name.rpartition(":")[2] for name in OUTPUTS}
    # Without the names that have other meanings too; `text`, for example, is also a format of answers.
    return frozenset({*CONTENTS, *TARGETS, *UNITS, *CELLS, *INPUTS, *outputs} - {"text", "white", "word"})


def compared(node: ast.AST) -> Iterator[str]:
    """Yield the strings in a comparison or a pattern."""
    if isinstance(node, ast.Compare):
        for side in (node.left, *node.comparators):
            several = side.elts if isinstance(side, ast.Tuple | ast.List | ast.Set) else [side]
            yield from (
                one.value for one in several if isinstance(one, ast.Constant) and isinstance(one.value, str)
            )
    elif isinstance(node, ast.MatchValue):
        value = node.value
        yield from [value.value] if isinstance(value, ast.Constant) and isinstance(value.value, str) else []


def findings(source: str, stem: str, names: frozenset[str]) -> list[tuple[int, str]]:
    """Return line and name of each comparison with a kind of another file. stem: the name of this file."""
    own = stem.replace("_", "-")
    found: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(source)):
        line = node.value.lineno if isinstance(node, ast.MatchValue) else getattr(node, "lineno", 0)
        found += [(line, name) for name in compared(node) if name in names and name != own]
    return sorted(found)


def main() -> int:
    """Print each comparison, their number and the limit."""
    names = kinds()
    found = [
        f"{path.relative_to(ROOT)}:{line}: {name!r}"
        for path in sorted(SOURCE.rglob("*.py"))
        for line, name in findings(path.read_text(encoding="utf-8"), path.stem, names)
    ]
    limit = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["unrolled"]["limits"]["kinds"]
    print(*found, f"comparisons with names of kinds: {len(found)} of at most {limit}", sep="\n")
    return int(len(found) > limit)


if __name__ == "__main__":
    raise SystemExit(main())
