"""Draw a tune as a piano roll in SVG: time to the right, pitch upwards, one colour per voice."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from xml.sax.saxutils import escape

from unrolled.core.terminal import escaped
from unrolled.core.types import DRUMS, Tune
from unrolled.data.features.note_events import pitch_name

WIDE = 28  # pixels per quarter note
HIGH = 7  # pixels per semitone
LEFT, TOP = 44, 26  # margins in pixels
BLACK = (1, 3, 6, 8, 10)  # pitch classes of the black keys
COLOURS = ("#2563eb", "#dc2626", "#059669", "#d97706", "#7c3aed", "#0891b2", "#be185d", "#4d7c0f")


def svg(tune: Tune, title: str = "") -> str:
    """Return a tune as the text of an SVG file. Drums are drawn only if the tune has no other notes."""
    notes = [note for note in tune.notes if note.voice != DRUMS] or list(tune.notes)
    pitches = [note.pitch for note in notes] or [60]
    low, high = min(pitches) - 2, max(pitches) + 2
    end = max([tune.beat, *(note.end for note in notes)])
    width, height = end / tune.beat * WIDE, (high - low + 1) * HIGH

    def x(tick: float) -> float:
        return LEFT + tick / tune.beat * WIDE

    def y(pitch: int) -> float:
        return TOP + (high - pitch) * HIGH

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + width + 12:.0f}" height="{TOP + height + 12:.0f}" '
        'font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="16" fill="#111827">{escape(escaped(title))}</text>',
    ]
    for pitch in range(low, high + 1):
        fill = "#f3f4f6" if pitch % 12 in BLACK else "#ffffff"
        lines.append(f'<rect x="{LEFT}" y="{y(pitch)}" width="{width:.1f}" height="{HIGH}" fill="{fill}"/>')
        if pitch % 12 == 0:
            lines.append(f'<text x="8" y="{y(pitch) + HIGH + 1}" fill="#6b7280">{pitch_name(pitch)}</text>')
    for number, tick in enumerate(bars(tune, end)):
        colour = "#9ca3af" if number % 4 == 0 else "#e5e7eb"
        at = f'x1="{x(tick):.1f}" x2="{x(tick):.1f}"'
        lines.append(f'<line {at} y1="{TOP}" y2="{TOP + height}" stroke="{colour}"/>')
    for note in notes:
        wide = max(1.5, (note.end - note.start) / tune.beat * WIDE - 1)
        fill, strength = COLOURS[note.voice % len(COLOURS)], 0.4 + 0.6 * note.velocity / 127
        lines.append(
            f'<rect x="{x(note.start):.1f}" y="{y(note.pitch)}" width="{wide:.1f}" height="{HIGH - 1}" rx="1.5" '
            f'fill="{fill}" fill-opacity="{strength:.2f}"/>'
        )
    return "\n".join([*lines, "</svg>", ""])


def bars(tune: Tune, end: int) -> Iterator[float]:
    """Yield the ticks at which bars begin, according to the meters; 4/4 before the first meter."""
    marks = [(0, 4, 4), *tune.meters, (end, 4, 4)]
    for (begin, over, under), (until, _, _) in pairwise(marks):
        tick, long = float(begin), 4 * tune.beat * over / under
        while tick < min(until, end):
            yield tick
            tick += long
