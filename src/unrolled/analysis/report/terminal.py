"""Format the details of an evaluation as text for a terminal. Figures are left out: a page shows them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from unrolled.analysis.report.cells import cell_text, is_number
from unrolled.tasks.details.parts import Details, Matrix, Table

WIDTH = 110  # characters of a line, if the output is not a terminal
NAME = 12  # maximum number of characters of a class in a confusion matrix


def in_words(details: Details) -> str:
    """Return the tables of the details as text, separated by empty lines. It is empty if there are none."""
    blocks = [
        _table(part) for part in details.parts if isinstance(part, Table) and part.rows and part.shown != 0
    ]
    matrices = [_matrix(part) for part in details.parts if isinstance(part, Matrix) and part.on_terminal]
    return "\n\n".join([*matrices, *blocks])


def _table(table: Table) -> str:
    """Return a table as text. Long texts are on lines of their own, so that places are never cut."""
    rows = table.rows if table.shown is None else table.rows[: table.shown]
    more = f" ({len(rows):,} of {len(table.rows):,})" if len(rows) < len(table.rows) else ""
    short = [i for i, name in enumerate(table.columns) if name not in table.long]
    right = [is_number(table.rows, i) for i in short]
    cells = [[cell_text(row[i]) for i in short] for row in rows]
    head, *lines = _aligned([[table.columns[i] for i in short], *cells], right)
    width = shutil.get_terminal_size((WIDTH, 24)).columns
    below = [
        [
            _cut(f"      {f'{name}: ' if len(table.long) > 1 else ''}{cell_text(cell)}", width)
            for name, cell in zip(table.columns, row, strict=True)
            if name in table.long and cell
        ]
        for row in rows
    ]
    body = [line for first, others in zip(lines, below, strict=True) for line in (first, *others)]
    return "\n".join([f"{table.title}{more}:", head, *body])


def _matrix(matrix: Matrix) -> str:
    columns = [_cut(cell_text(name), NAME) for name in matrix.columns]
    rows = [
        [cell_text(name), *(f"{count:,}" for count in counts)]
        for name, counts in zip(matrix.rows, matrix.counts, strict=True)
    ]
    title = f"{matrix.title} (rows: true, columns: predicted):"
    return "\n".join([title, *_aligned([["", *columns], *rows], [False, *(True for _ in columns)])])


def _aligned(rows: Sequence[Sequence[str]], right: Sequence[bool]) -> list[str]:
    """Return aligned rows. right: whether a column is aligned to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  "
        + "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in rows
    ]


def _cut(text: str, characters: int) -> str:
    return text if len(text) <= characters else text[: characters - 3] + "..."
