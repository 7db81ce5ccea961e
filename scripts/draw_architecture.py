"""Draw docs/architecture.svg from the import graph: the packages, one sentence for each, and their imports.

python scripts/draw_architecture.py [--check]      --check: fail if the file is not up to date
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
import tomllib
from html import escape
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "docs" / "architecture.svg"
WIDTH, ROW, BOX, MARGIN = 880, 52, 40, 16  # pixels: width of the picture, row height, box height, margin
LEFT, RIGHT = MARGIN, 600  # left and right edge of the boxes
# One colour per package, for its box and for the lines to the packages that it imports.
COLOURS = (
    *("#4e79a7", "#f28e2b", "#e15759", "#76b7b2", "#59a14f", "#b07aa1"),
    *("#d37295", "#9c755f", "#8c8c00", "#499894", "#79706e", "#333333", "#a0522d"),
)


def packages() -> list[str]:
    """Return the packages from top to bottom, in the order of the import contract."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    return next(contract["layers"] for contract in contracts if contract["id"] == "layers")


def sentence(package: str) -> str:
    """Return the first sentence of the docstring of a package, up to a semicolon: it must fit into a box."""
    source = (ROOT / "src" / "unrolled" / package / "__init__.py").read_text(encoding="utf-8")
    line = (ast.get_docstring(ast.parse(source)) or "").splitlines()[0].replace("`", "")
    return re.split(r"[.;](?: |$)", line)[0]


def imports(names: list[str]) -> list[tuple[int, int]]:
    """Return pairs of rows: the package in the first row imports the package in the second row."""
    graph = grimp.build_graph("unrolled")
    found: set[tuple[int, int]] = set()
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            parts = [name.split(".")[1:2] for name in (module, imported)]
            if all(part and part[0] in names for part in parts) and parts[0] != parts[1]:
                found.add((names.index(parts[0][0]), names.index(parts[1][0])))
    return sorted(found)


def needed(edges: list[tuple[int, int]]) -> set[tuple[int, int]]:
    """Return the direct imports between packages that are not also connected by a path of several imports."""
    below: dict[int, set[int]] = {}
    for above, imported in sorted(edges, reverse=True):  # packages below come first
        below.setdefault(above, set()).add(imported)
    reached: dict[int, set[int]] = {}
    for above in sorted(below, reverse=True):
        reached[above] = set().union(*({one} | reached.get(one, set()) for one in below[above]))
    return {
        (above, imported)
        for above, imported in edges
        if not any(imported in reached.get(other, set()) for other in below[above] - {imported})
    }


def draw(names: list[str], edges: list[tuple[int, int]]) -> str:
    """Return the picture as SVG, with boxes from top to bottom and an arc for each import.

    The arc is pale if a path of other imports connects the same packages.
    """
    height = 2 * MARGIN + ROW * len(names)
    direct = needed(edges)
    middle = [MARGIN + ROW * row + BOX // 2 for row in range(len(names))]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">',
        "<title>The packages of unrolled. A package imports only packages below it.</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    for colour in COLOURS:
        parts.append(
            f'<marker id="end{colour[1:]}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
            f'orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="{colour}"/></marker>'
        )
    for above, below in sorted(edges, key=lambda edge: edge in direct):
        reach = RIGHT + 22 * (below - above) + 14
        start, end = middle[above] + 8, middle[below] - 8
        parts.append(
            f'<path d="M{RIGHT} {start} C{reach} {start} {reach} {end} {RIGHT + 2} {end}" fill="none" '
            f'stroke="{COLOURS[above]}" stroke-width="2" '
            f'opacity="{1 if (above, below) in direct else 0.22}" marker-end="url(#end{COLOURS[above][1:]})">'
            f"<title>{names[above]} imports {names[below]}</title></path>"
        )
    for row, name in enumerate(names):
        top = MARGIN + ROW * row
        parts += [
            f'<rect x="{LEFT}" y="{top}" width="{RIGHT - LEFT}" height="{BOX}" rx="5" fill="#ffffff" '
            f'stroke="{COLOURS[row]}" stroke-width="2"/>',
            f'<text x="{LEFT + 12}" y="{middle[row] + 5}" font-size="15" font-weight="bold" '
            f'fill="{COLOURS[row]}">{name}</text>',
            f'<text x="{LEFT + 110}" y="{middle[row] + 4}" font-size="13" fill="#222222">'
            f"{escape(sentence(name))}</text>",
        ]
    return "\n".join([*parts, "</svg>", ""])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="fail if the file is not up to date")
    names = packages()
    picture = draw(names, imports(names))
    if not parser.parse_args().check:
        OUTPUT.write_text(picture, encoding="utf-8")
    elif OUTPUT.read_text(encoding="utf-8") != picture:
        print(f"error: {OUTPUT.name} is out of date; run scripts/draw_architecture.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
