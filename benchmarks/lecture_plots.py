"""The figures of docs/lecture as SVG: lines over an axis, and groups of bars, on a white ground."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 780, 340
LEFT, RIGHT, TOP, LOW = 70, 540, 24, 280  # the edges of the plot; the legend is on the right of it
COLOURS = ("#c33333", "#0a7a55", "#2456b8", "#b06a00", "#7a3fa0", "#444444")
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Axis:
    """An axis: its label, the values with a tick, and whether it is logarithmic or shows percent."""

    label: str
    ticks: Sequence[float]
    log: bool = False
    percent: bool = False

    def place(self, value: float, begin: float, end: float) -> float:
        """Return the position of a value between the pixels `begin` and `end`. Values outside are cut off."""
        low, high = self._scaled(self.ticks[0]), self._scaled(self.ticks[-1])
        share = (self._scaled(max(value, self.ticks[0])) - low) / (high - low)
        return begin + min(max(share, 0.0), 1.0) * (end - begin)

    def text(self, value: float) -> str:
        """Return the label of a tick."""
        if self.percent:
            return f"{value * 100:g}%"
        if self.log and value < 0.01:
            return f"1e{math.log10(value):.0f}"
        return f"{value:g}"

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self.log else value


def lines(
    series: Mapping[str, Points],
    x: Axis,
    y: Axis,
    marks: Mapping[str, float] | None = None,
    dots: bool = False,
) -> str:
    """Return a plot with one line for each series. marks: dashed vertical lines with a label."""
    parts = [*_frame(y), *_ticks(x), *_legend(list(series), y.label, x.label)]
    for label, value in (marks or {}).items():
        at = x.place(value, LEFT, RIGHT)
        parts.append(f'<path d="M{at:.1f} {TOP}V{LOW}" stroke="#888888" stroke-dasharray="4"/>')
        parts.append(f'<text x="{at + 4:.1f}" y="{TOP - 8}" font-size="12">{escape(label)}</text>')
    for number, points in enumerate(series.values()):
        places = [(x.place(a, LEFT, RIGHT), y.place(b, LOW, TOP)) for a, b in points]
        way = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
        colour = COLOURS[number % len(COLOURS)]
        dash = ' stroke-dasharray="7 3"' if number >= len(COLOURS) else ""
        parts.append(f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        if dots:
            parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3.5" fill="{colour}"/>' for a, b in places]
    return _picture(parts)


def bars(groups: Sequence[str], series: Mapping[str, Sequence[float]], y: Axis, x_label: str = "") -> str:
    """Return a plot with a group of bars for each name in `groups`: one bar for each series."""
    parts = [*_frame(y), *_legend(list(series), y.label, x_label)]
    step = (RIGHT - LEFT) / len(groups)
    size = min(0.8 * step / len(series), 40)
    for at, group in enumerate(groups):
        middle = LEFT + (at + 0.5) * step
        parts.append(f'<text x="{middle:.1f}" y="{LOW + 18}" text-anchor="middle">{escape(group)}</text>')
        for number, values in enumerate(series.values()):
            top = y.place(values[at], LOW, TOP)
            begin = middle + (number - len(series) / 2) * size
            parts.append(
                f'<rect x="{begin:.1f}" y="{top:.1f}" width="{size - 1:.1f}" height="{LOW - top:.1f}" '
                f'fill="{COLOURS[number % len(COLOURS)]}"/>'
            )
    return _picture(parts)


def _frame(y: Axis) -> list[str]:
    """Return the horizontal lines with their labels."""
    parts: list[str] = []
    for value in y.ticks:
        at = y.place(value, LOW, TOP)
        parts.append(f'<path d="M{LEFT} {at:.1f}H{RIGHT}" stroke="#dddddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{y.text(value)}</text>')
    return parts


def _ticks(x: Axis) -> list[str]:
    places = [(x.place(value, LEFT, RIGHT), x.text(value)) for value in x.ticks]
    return [f'<text x="{at:.1f}" y="{LOW + 18}" text-anchor="middle">{text}</text>' for at, text in places]


def _legend(names: Sequence[str], y_label: str, x_label: str) -> list[str]:
    middle = (TOP + LOW) / 2
    parts = [
        f'<text x="{(LEFT + RIGHT) / 2}" y="{LOW + 42}" text-anchor="middle">{escape(x_label)}</text>',
        f'<text transform="translate(16 {middle}) rotate(-90)" text-anchor="middle">{escape(y_label)}</text>',
    ]
    for number, name in enumerate(names):
        y, colour = TOP + 14 + 22 * number, COLOURS[number % len(COLOURS)]
        dash = ' stroke-dasharray="7 3"' if number >= len(COLOURS) else ""
        parts.append(f'<path d="M{RIGHT + 14} {y - 4}h22" stroke="{colour}" stroke-width="4"{dash}/>')
        parts.append(f'<text x="{RIGHT + 42}" y="{y}">{escape(name)}</text>')
    return parts


def _picture(parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        'font-size="13" fill="#222222"><rect width="100%" height="100%" fill="#ffffff"/>'
    )
    return "\n".join([head, *parts, "</svg>", ""])
