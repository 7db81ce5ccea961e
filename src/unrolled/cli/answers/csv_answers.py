"""Answers as a table, `--format csv`: the columns that were read, then those of the answer."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence

from unrolled.cli.answers.line_io import Line
from unrolled.core.types import Answer
from unrolled.core.values.json_values import as_list


def table_writer(write: Callable[[str], None]) -> Callable[[Mapping[str, object]], None]:
    """A function that writes one row of a CSV file, the header first: the names of the first row. Later rows have the
    fields of these columns."""
    names: list[str] = []

    def put(row: Mapping[str, object]) -> None:
        if not names:
            names.extend(row)
            write(_csv_line(names))
        write(_csv_line([_field(row.get(name)) for name in names]))

    return put


def answer_row(answer: Answer, line: Line) -> dict[str, object]:
    """What was read, and the answer to it. If both have a column of one name, that of the answer gets a number."""
    known: dict[str, object] = dict(line.row) if line.row is not None else {"text": line.text}
    if line.id is not None and "id" not in known and line.id not in known.values():
        known = {"id": line.id, **known}
    return known | _renamed(answer.cells or {"prediction": answer.text}, known)


def forecast_rows(answer: Answer, line: Line) -> Iterator[dict[str, object]]:
    """A row for each step ahead: its number, its time if the times of the series are known, and of each column the
    forecast and the ends of its interval. line.forecast: the columns that are forecast, and the times."""
    names, times = line.forecast or ((), ())
    known: dict[str, object] = dict(line.row) if line.row is not None else {}
    if line.id is not None and line.id not in known.values():
        known = {"id": line.id, **known}
    values = _listed(answer.record.get("value"))
    intervals = _listed(answer.record.get("interval"), pairs=True)
    if not values:
        yield {**known, "step": None, **({"time": None} if times else {}), **dict.fromkeys(names)}
        return
    for step in range(len(values) // len(names)):
        row: dict[str, object] = {**known, "step": step + 1}
        if times:
            row["time"] = times[step]
        for column, name in enumerate(names):
            at = step * len(names) + column
            own: dict[str, object] = {name: values[at]}
            if intervals:
                low, high = as_list(intervals[at])
                own |= {f"{name}_low": low, f"{name}_high": high}
            row |= _renamed(own, known)
        yield row


def _listed(value: object, *, pairs: bool = False) -> list[object]:
    """Several values; a single one is a list of one."""
    if value is None:
        return []
    if not isinstance(value, list) or (pairs and not isinstance(value[0], list)):
        return [value]
    return value


def _renamed(own: Mapping[str, object], known: Mapping[str, object]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in own.items():
        free, number = name, 2
        while free in known:
            free, number = f"{name}_{number}", number + 1
        found[free] = value
    return found


def _field(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _csv_line(cells: Sequence[str]) -> str:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="").writerow(cells)
    return out.getvalue()
