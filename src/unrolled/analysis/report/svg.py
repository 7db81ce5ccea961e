"""Elements of SVG figures: escaped text, axes with round ticks, shapes. Colours come from the style of the page."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from unrolled.core.terminal import escaped

WIDE, HIGH = 340, 250  # size of a figure with axes, in pixels
LEFT, RIGHT, TOP, BOTTOM = 50, 12, 10, 42  # its margins


def safe(text: str) -> str:
    """Return a text for HTML and SVG, also inside quotes: markup and control characters are escaped."""
    return escape(escaped(text), quote=True)


def breakable(text: str) -> str:
    """Return a text for HTML, as `safe`, that a line can break after / and _ and before a line number."""
    return re.sub(r"(?<=[/_])|(?=:[0-9]+(?: |$))", "<wbr>", safe(text))


@dataclass(frozen=True)
class Axis:
    """A linear axis from `low` to `high`, with ticks at round numbers. low < high."""

    low: float
    high: float
    ticks: tuple[float, ...]
    step: float

    def share(self, value: float) -> float:
        """Return the position of a value: 0 at the low end, 1 at the high end."""
        return (value - self.low) / (self.high - self.low)

    def text(self, tick: float) -> str:
        """Return a tick as text, with the digits that its distance to the next tick needs."""
        if abs(self.high) >= 1e5 or abs(self.low) >= 1e5 or self.step < 1e-4:
            return f"{tick:.3g}"
        return f"{tick:,.{max(0, -math.floor(math.log10(self.step) + 1e-9))}f}"


def axis(values: Iterable[float], *, room: bool = True) -> Axis:
    """Return an axis that contains the values. room: extend it to round numbers."""
    known = list(values)
    low, high = min(known, default=0.0), max(known, default=1.0)
    if low == high:
        low, high = low - (abs(low) or 1.0) / 2, high + (abs(high) or 1.0) / 2
    raw = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= raw * 0.999)
    first, last = (
        (math.floor(low / step), math.ceil(high / step))
        if room
        else (math.ceil(low / step), math.floor(high / step))
    )
    ticks = tuple(i * step for i in range(first, last + 1))
    return Axis(ticks[0], ticks[-1], ticks, step) if room else Axis(low, high, ticks, step)


def to_x(scale: Axis, value: float) -> float:
    """Return the x of a value in a figure with axes, in pixels."""
    return LEFT + scale.share(value) * (WIDE - LEFT - RIGHT)


def to_y(scale: Axis, value: float) -> float:
    """Return the y of a value in a figure with axes, in pixels."""
    return HIGH - BOTTOM - scale.share(value) * (HIGH - TOP - BOTTOM)


def frame(title: str, across: Axis, up: Axis, names: tuple[str, str], content: Iterable[str]) -> str:
    """Return a figure with two axes. names: the names of the axes.  content: the shapes inside."""
    lines: list[str] = []
    for tick in across.ticks:
        x = to_x(across, tick)
        lines.append(
            f'<text x="{x:.1f}" y="{HIGH - BOTTOM + 14}" class="tick" text-anchor="middle">'
            f"{safe(across.text(tick))}</text>"
        )
    for tick in up.ticks:
        y = to_y(up, tick)
        lines.append(f'<line x1="{LEFT}" x2="{WIDE - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
        lines.append(
            f'<text x="{LEFT - 6}" y="{y + 3.5:.1f}" class="tick" text-anchor="end">{safe(up.text(tick))}</text>'
        )
    middle = (HIGH - BOTTOM + TOP) / 2
    lines += [
        *content,
        f'<text x="{(LEFT + WIDE - RIGHT) / 2:.1f}" y="{HIGH - 8}" class="axis" text-anchor="middle">'
        f"{safe(names[0])}</text>",
        f'<text transform="translate(11 {middle:.1f}) rotate(-90)" class="axis" text-anchor="middle">'
        f"{safe(names[1])}</text>",
    ]
    return picture(title, WIDE, HIGH, lines, "plot")


def picture(title: str, width: float, height: float, lines: Iterable[str], name: str) -> str:
    """Return an SVG element of this size. name: its class in the style of the page."""
    return "\n".join(
        [
            f'<svg class="{name}" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
            f'height="{height:.0f}" role="img" aria-label="{safe(title)}">',
            *lines,
            "</svg>",
        ]
    )
