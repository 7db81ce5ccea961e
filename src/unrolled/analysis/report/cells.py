"""Format the cells of tables and the ticks of axes as text."""

from __future__ import annotations

from collections.abc import Sequence

from unrolled.core.terminal import escaped
from unrolled.tasks.details.parts import Cell


def cell_text(cell: Cell) -> str:
    """Return a cell as one line of text: counts with a comma, other numbers with three or four digits."""
    if cell is None:
        return "-"
    if isinstance(cell, str):
        return escaped(" ".join(cell.split()))
    if isinstance(cell, int):
        return f"{cell:,}"
    if 0 < abs(cell) < 1e-3:
        return f"{cell:.1e}"
    return f"{cell:.3f}" if abs(cell) < 100 else f"{cell:,.5g}" if abs(cell) < 1e6 else f"{cell:.4g}"


def is_number(rows: Sequence[Sequence[Cell]], column: int) -> bool:
    """Whether a column has numbers only."""
    return all(not isinstance(row[column], str) for row in rows)
