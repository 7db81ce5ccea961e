"""Draw the figures of an evaluation as inline SVG: heat maps, bars, reliability diagrams, histograms, points."""

from __future__ import annotations

from collections.abc import Sequence

from unrolled.analysis.report.svg import (
    BOTTOM,
    HIGH,
    LEFT,
    RIGHT,
    WIDE,
    axis,
    frame,
    picture,
    safe,
    to_x,
    to_y,
)
from unrolled.tasks.details.parts import Bars, Calibration, Histogram, Lines, Matrix, Scatter

LETTERS = 26  # maximum number of letters of a name in a heat map
LETTER = 6.2  # width of a letter in pixels, about
NAME = 34  # maximum number of letters of a name above a bar, so that it fits on a phone
CELLS = (
    (6, 52),
    (12, 34),
    (24, 28),
)  # maximum number of columns, and the size of a cell with a number in pixels
SMALL = 13  # size of a cell without a number
COLOURS = 4  # number of colours of groups in the style of the page: c0 to c3


def heat_map(matrix: Matrix) -> str:
    """Draw a confusion matrix. The colour of a cell shows its fraction of the items of its row."""
    numbers = len(matrix.columns) <= CELLS[-1][0]
    cell = next((size for most, size in CELLS if len(matrix.columns) <= most), SMALL)
    size = 11 if numbers else 9
    rows, columns = ([_cut(name) for name in names] for names in (matrix.rows, matrix.columns))
    left = max(map(len, rows)) * LETTER * size / 11 + 10
    top = max(map(len, columns)) * LETTER * size / 11 + 10
    width, height = left + cell * len(columns) + 8, top + cell * len(rows) + 8
    lines = [
        f'<text transform="translate({left + (j + 0.5) * cell + size / 3:.1f} {top - 5:.1f}) rotate(-90)" '
        f'font-size="{size}">{safe(name)}</text>'
        for j, name in enumerate(columns)
    ]
    for i, (name, counts) in enumerate(zip(rows, matrix.counts, strict=True)):
        y = top + i * cell
        lines.append(
            f'<text x="{left - 5:.1f}" y="{y + cell / 2 + size / 3:.1f}" font-size="{size}" text-anchor="end">'
            f"{safe(name)}</text>"
        )
        lines.append(
            f'<rect x="{left:.1f}" y="{y:.1f}" width="{cell * len(columns)}" height="{cell - 1}" class="empty"/>'
        )
        for j, count in enumerate(counts):
            if count:
                lines.append(_cell(matrix, (i, j), (left + j * cell, y), cell, numbers))
    return picture(matrix.title, width, height, lines, "map")


def _cell(matrix: Matrix, at: tuple[int, int], corner: tuple[float, float], cell: int, numbers: bool) -> str:
    (i, j), (x, y) = at, corner
    count, total = matrix.counts[i][j], matrix.totals[i]
    share = count / total if total else 0.0
    right = matrix.rows[i] == matrix.columns[j]
    # The square root makes rare confusions visible.
    shade = 0.08 + 0.92 * share**0.5
    title = f"true {matrix.rows[i]}, predicted {matrix.columns[j]}: {count:,} of {total:,} ({share:.1%})"
    text = ""
    if numbers:
        kind = "on" if shade > 0.6 else "off"
        text = (
            f'<text x="{x + cell / 2 - 0.5:.1f}" y="{y + cell / 2 + 3.5:.1f}" font-size="10" '
            f'text-anchor="middle" class="{kind}">{count if count < 10_000 else f"{count:.0e}"}</text>'
        )
    return (
        f'<g><title>{safe(title)}</title><rect x="{x:.1f}" y="{y:.1f}" width="{cell - 1}" height="{cell - 1}" '
        f'class="{"right" if right else "wrong"}" fill-opacity="{shade:.2f}"/>{text}</g>'
    )


def bars(figure: Bars, first: int, last: int) -> str:
    """Draw the bars `first` to `last` - 1. Their length follows the width of the page; the text keeps its size."""
    row = 36
    lines: list[str] = []
    for i, (name, value, text) in enumerate(figure.bars[first:last]):
        y, share = i * row, 100 * min(1.0, max(0.0, value))
        lines += [
            f'<text x="0" y="{y + 13}" class="name">{safe(_cut(name, NAME))}</text>',
            f'<text x="100%" y="{y + 13}" class="tick" text-anchor="end">{safe(text)}</text>',
            f'<rect x="0" y="{y + 19}" width="100%" height="8" rx="2" class="empty"/>',
            f'<rect x="0" y="{y + 19}" width="{share:.2f}%" height="8" rx="2" class="right"/>',
        ]
    count = len(figure.bars[first:last])
    return "\n".join(
        [
            f'<svg class="bars" width="100%" height="{count * row}" role="img" aria-label="{safe(figure.title)}">',
            *lines,
            "</svg>",
        ]
    )


def calibration(figure: Calibration) -> str:
    """Draw a reliability diagram: accuracy against probability. A larger point has more items."""
    unit = axis([0.0, 1.0])
    most = max((count for _, _, count, _, _ in figure.bins), default=1)
    points = [(to_x(unit, mean), to_y(unit, share)) for _, _, _, mean, share in figure.bins]
    content = [
        f'<line x1="{to_x(unit, 0)}" y1="{to_y(unit, 0)}" x2="{to_x(unit, 1)}" y2="{to_y(unit, 1)}" class="ideal"/>',
        f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}" class="line c0"/>',
    ]
    for (x, y), (low, high, count, mean, share) in zip(points, figure.bins, strict=True):
        title = (
            f"probability {low:.1f} to {high:.1f}: {count:,} items, mean probability {mean:.3f}, "
            f"{share:.3f} correct"
        )
        radius = 2.5 + 4 * (count / most) ** 0.5
        content.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" class="c0"><title>{safe(title)}</title></circle>'
        )
    return frame(figure.title, unit, unit, ("probability of the answer", "fraction correct"), content)


def histogram(figure: Histogram) -> str:
    """Draw stacked bars over bins."""
    across = axis(figure.edges, room=False)
    sums = [sum(counts) for counts in zip(*figure.groups.values(), strict=True)]
    up = axis([0, *sums])
    content: list[str] = []
    for i, (low, high) in enumerate(zip(figure.edges, figure.edges[1:], strict=False)):
        base = 0
        for number, (name, counts) in enumerate(figure.groups.items()):
            if not counts[i]:
                continue
            x, y = to_x(across, low), to_y(up, base + counts[i])
            wide, high_ = max(0.5, to_x(across, high) - x - 0.7), to_y(up, base) - y
            title = f"{across.text(low)} to {across.text(high)}: {counts[i]:,} {name}"
            content.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high_:.1f}" '
                f'class="c{number % COLOURS}"><title>{safe(title)}</title></rect>'
            )
            base += counts[i]
    return frame(figure.title, across, up, (figure.x, "items"), content) + legend(list(figure.groups))


def scatter(figure: Scatter) -> str:
    """Draw points. With a diagonal, both axes have the same range."""
    xs, ys = ([point[k] for point in figure.points] for k in (0, 1))
    across, up = (axis([*xs, *ys]),) * 2 if figure.diagonal else (axis(xs), axis([*ys, 0.0]))
    content: list[str] = []
    if figure.diagonal:
        ends = (across.low, across.high)
        content.append(
            f'<line x1="{to_x(across, ends[0]):.1f}" y1="{to_y(up, ends[0]):.1f}" '
            f'x2="{to_x(across, ends[1]):.1f}" y2="{to_y(up, ends[1]):.1f}" class="ideal"/>'
        )
    if figure.level:
        y = to_y(up, 0.0)
        content.append(f'<line x1="{LEFT}" x2="{WIDE - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="ideal"/>')
    size = 2.5 if len(xs) <= 500 else 1.5
    content += [
        f'<circle cx="{to_x(across, x):.1f}" cy="{to_y(up, y):.1f}" r="{size}" class="c0 dot"/>'
        for x, y in figure.points
    ]
    return frame(figure.title, across, up, (figure.x, figure.y), content)


def lines(figure: Lines) -> str:
    """Draw one line for each group."""
    across = axis(figure.at, room=False)
    up = axis([0.0, *(y for values in figure.groups.values() for y in values)])
    content: list[str] = []
    for number, (name, values) in enumerate(figure.groups.items()):
        points = [(to_x(across, x), to_y(up, y)) for x, y in zip(figure.at, values, strict=True)]
        kind = f"c{number % COLOURS}"
        content.append(
            f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}" class="line {kind}"/>'
        )
        content += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" class="{kind}"><title>'
            f"{safe(f'{figure.x} {at:g}, {name}: {value:.4g}')}</title></circle>"
            for (x, y), at, value in zip(points, figure.at, values, strict=True)
        ]
    content.append(
        f'<line x1="{LEFT}" x2="{WIDE - RIGHT}" y1="{HIGH - BOTTOM}" y2="{HIGH - BOTTOM}" class="base"/>'
    )
    names = list(figure.groups)
    return frame(figure.title, across, up, (figure.x, figure.y), content) + legend(names)


def legend(names: Sequence[str]) -> str:
    """Return the legend of groups as HTML; an empty text for one group."""
    if len(names) < 2:
        return ""
    entries = (
        f'<span><i class="c{number % COLOURS}"></i>{safe(name)}</span>' for number, name in enumerate(names)
    )
    return f'<p class="legend">{"".join(entries)}</p>'


def _cut(name: str, letters: int = LETTERS) -> str:
    return name if len(name) <= letters else name[: letters - 3] + "..."
