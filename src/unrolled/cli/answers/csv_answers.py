"""Write answers as a table (`--format csv`): the columns of the input, then the columns of the answer."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence

from unrolled.cli.answers.line_io import Line
from unrolled.core.types import Answer
from unrolled.core.values.json_values import as_list


def table_writer(write: Callable[[str], None]) -> Callable[[Mapping[str, object]], None]:
    """Return a function that writes one row of a CSV file with `write`.

    The keys of the first row become the header. Later rows have the same columns; other keys are left out.
    """
    names: list[str] = []

    def put(row: Mapping[str, object]) -> None:
        if not names:
            names.extend(row)
            write(_csv_line(names))
        write(_csv_line([_field(row.get(name)) for name in names]))

    return put


def answer_row(answer: Answer, line: Line) -> dict[str, object]:
    """Return the columns of the input and of the answer.

    If both have a column with the same name, the name of the answer's column gets a number (`label_2`).
    """
    known: dict[str, object] = dict(line.row) if line.row is not None else {"text": line.text}
    if line.id is not None and "id" not in known and line.id not in known.values():
        known = {"id": line.id, **known}
    return known | _renamed(answer.cells or {"prediction": answer.text}, known)


def forecast_rows(answer: Answer, line: Line) -> Iterator[dict[str, object]]:
    """Yield one row per forecast step, with these columns:

    - the columns of the input
    - `step`, from 1, and `time` if the series has times
    - for each forecast column its value, and the limits of its interval as NAME_low and NAME_high

    line.forecast: the names of the forecast columns, and the time of each step.
    """
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
    """Return the values as a list. A single value becomes a list of one. pairs: each value is a pair."""
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
