"""Write an evaluation as one HTML page with inline figures. It needs no network and no JavaScript."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from unrolled.analysis.report import charts
from unrolled.analysis.report.cells import cell_text, is_number
from unrolled.analysis.report.description import described
from unrolled.analysis.report.style import STYLE
from unrolled.analysis.report.svg import breakable, safe
from unrolled.core.version import __version__
from unrolled.tasks.details.parts import (
    Bars,
    Calibration,
    Cell,
    Details,
    Histogram,
    Lines,
    Matrix,
    Part,
    Scatter,
    Table,
)

UNFOLDED = 24  # maximum number of rows of a table that is shown without a click
NOTHING_LOADED = "default-src 'none'; style-src 'unsafe-inline'"  # the browser rejects any request


def page(
    model: Path,
    data: Sequence[Path],
    metrics: Sequence[tuple[str, str, str]],
    details: Details | None,
    date: str,
) -> str:
    """Return the page.

    metrics: name, value and confidence interval of each metric, as text.
    details: tables and figures; None: there are none.
    date: the date of the evaluation.
    Raises the errors of reading the model and the sizes of the data files.
    """
    title = f"Evaluation of {model.name}"
    about = described(model, data)
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{NOTHING_LOADED}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{safe(title)}</title>",
            f"<style>{STYLE}</style>",
            "</head>",
            "<body><main>",
            f"<h1>{safe(title)}</h1>",
            f'<p class="soft">{safe(about.summary)}<br>{safe(date)}</p>',
            "<h2>metrics</h2>",
            _metrics(metrics),
            *_sections(details.parts if details is not None else ()),
            "<h2>data</h2>",
            _definitions(about.data),
            "<h2>model</h2>",
            _definitions(about.model),
            _folded("settings of the training", f"<pre>{safe(about.settings)}</pre>"),
            f"<footer>unrolled {safe(__version__)}. This page is one file and loads nothing else.</footer>",
            "</main></body>",
            "</html>",
            "",
        ]
    )


def _metrics(metrics: Sequence[tuple[str, str, str]]) -> str:
    table = Table("metrics", ("metric", "value", "95% interval"), tuple(metrics))
    note = (
        "The intervals are percentile intervals of 1,000 bootstrap samples of the data."
        if any(interval for _, _, interval in metrics)
        else ""
    )
    return _rows(table, table.rows) + _note(note)


def _sections(parts: Iterable[Part]) -> Iterable[str]:
    """Yield the parts in order. Small figures that follow each other share a row."""
    small: list[str] = []
    for part in parts:
        if isinstance(part, Calibration | Histogram | Scatter | Lines):
            small.append(f"<section><h2>{safe(part.title)}</h2>{_small(part)}{_note(part.note)}</section>")
            continue
        if small:
            yield f'<div class="plots">{"".join(small)}</div>'
            small = []
        yield _large(part)
    if small:
        yield f'<div class="plots">{"".join(small)}</div>'


def _small(part: Calibration | Histogram | Scatter | Lines) -> str:
    match part:
        case Calibration():
            return charts.calibration(part)
        case Histogram():
            return charts.histogram(part)
        case Scatter():
            return charts.scatter(part)
        case Lines():
            return charts.lines(part)


def _large(part: Table | Matrix | Bars) -> str:
    head = f"<h2>{safe(part.title)}</h2>"
    match part:
        case Table():
            return head + _note(part.note) + _table(part)
        case Bars():
            return head + _note(part.note) + _bars(part)
        case Matrix():
            picture = f'<div class="scroll">{charts.heat_map(part)}</div>'
            note = _note(
                f"{part.note} Cells on the diagonal are correct. A colour is stronger for a larger part of a row."
            )
            return _folded(part.title, note + picture) if part.folded else head + note + picture


def _bars(figure: Bars) -> str:
    count, shown = len(figure.bars), figure.shown
    if count <= shown + 4:
        return charts.bars(figure, 0, count)
    rest = charts.bars(figure, shown, count)
    return charts.bars(figure, 0, shown) + _folded(f"{count - shown:,} more", rest)


def _table(table: Table) -> str:
    """Return a table. If it is long, only its first rows are shown without a click."""
    count = len(table.rows)
    shown = min(table.shown or UNFOLDED, count)
    if count <= UNFOLDED and not table.shown:
        shown = count
    first = _rows(table, table.rows[:shown])
    if shown == count:
        return first
    return first + _folded(f"{count - shown:,} more", _rows(table, table.rows[shown:]))


def _rows(table: Table, rows: Sequence[Sequence[Cell]]) -> str:
    # Long texts come after the first column: they take the room that the short columns leave.
    order = sorted(range(len(table.columns)), key=lambda i: (i > 0, table.columns[i] not in table.long, i))
    order = [
        i for i in order if any(row[i] != "" for row in table.rows) or table.columns[i] not in table.long
    ]
    table = replace(table, columns=tuple(table.columns[i] for i in order))
    rows = [[row[i] for i in order] for row in rows]
    kinds = [
        "number"
        if is_number(rows, i)
        else "long"
        if name in table.long
        else "place"
        if name == "place"
        else ""
        for i, name in enumerate(table.columns)
    ]
    head = "".join(
        f'<th class="{kind}">{safe(name)}</th>' for kind, name in zip(kinds, table.columns, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<td class="{kind}" data-name="{safe(name)}">{breakable(cell_text(cell))}</td>'
            for kind, name, cell in zip(kinds, table.columns, row, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    cards = ' class="cards"' if table.long else ""
    return (
        f'<div class="scroll"><table{cards}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _definitions(entries: Mapping[str, str]) -> str:
    return (
        f"<dl>{''.join(f'<dt>{safe(name)}</dt><dd>{safe(text)}</dd>' for name, text in entries.items())}</dl>"
    )


def _folded(title: str, content: str) -> str:
    return f"<details><summary>{safe(title)}</summary>{content}</details>"


def _note(text: str) -> str:
    return f'<p class="note">{safe(text)}</p>' if text else ""
