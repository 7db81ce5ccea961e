"""Answers as a table, `--format csv`: the columns that were read, then those of the answer."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from unrolled.cli.answers.line_io import Line
from unrolled.core.types import Answer


def table_writer(write: Callable[[str], None]) -> Callable[[Mapping[str, Any]], None]:
    """A function that writes one row of a CSV file, the header first: the names of the first row. Later rows have the
    fields of these columns."""
    names: list[str] = []

    def put(row: Mapping[str, Any]) -> None:
        if not names:
            names.extend(row)
            write(_csv_line(names))
        write(_csv_line([_field(row.get(name)) for name in names]))

    return put


def answer_row(answer: Answer, line: Line) -> dict[str, Any]:
    """What was read, and the answer to it. If both have a column of one name, that of the answer gets a number."""
    known: dict[str, Any] = dict(line.row) if line.row is not None else {"text": line.text}
    if line.id is not None and "id" not in known and line.id not in known.values():
        known = {"id": line.id, **known}
    return known | _renamed(answer.cells or {"prediction": answer.text}, known)


def forecast_rows(answer: Answer, line: Line) -> Iterator[dict[str, Any]]:
    """A row for each step ahead: its number, its time if the times of the series are known, and of each column the
    forecast and the ends of its interval. line.forecast: the columns that are forecast, and the times."""
    names, times = line.forecast or ((), ())
    known: dict[str, Any] = dict(line.row) if line.row is not None else {}
    if line.id is not None and line.id not in known.values():
        known = {"id": line.id, **known}
    values = _listed(answer.record.get("value"))
    intervals = _listed(answer.record.get("interval"), pairs=True)
    if not values:
        yield {**known, "step": None, **({"time": None} if times else {}), **dict.fromkeys(names)}
        return
    for step in range(len(values) // len(names)):
        row: dict[str, Any] = {**known, "step": step + 1}
        if times:
            row["time"] = times[step]
        for column, name in enumerate(names):
            at = step * len(names) + column
            own = {name: values[at]}
            if intervals:
                own |= {f"{name}_low": intervals[at][0], f"{name}_high": intervals[at][1]}
            row |= _renamed(own, known)
        yield row


def _listed(value: Any, *, pairs: bool = False) -> list[Any]:
    """Several values; a single one is a list of one."""
    if value is None:
        return []
    single = not isinstance(value, list) or (pairs and not isinstance(value[0], list))
    return [value] if single else value


def _renamed(own: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in own.items():
        free, number = name, 2
        while free in known:
            free, number = f"{name}_{number}", number + 1
        found[free] = value
    return found


def _field(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _csv_line(cells: Sequence[str]) -> str:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="").writerow(cells)
    return out.getvalue()
