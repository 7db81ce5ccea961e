"""Parse the time stamps of a series (ISO 8601), find irregular stamps, resample a series to a regular grid.

Times are datetime64[us]. A time with an offset (`+02:00`, `Z`) is converted to UTC. A time without an offset
is not converted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import DataError, UsageError
from unrolled.core.types import Array, Place

Times = Array  # datetime64[us]

LONGEST = 50_000_000  # maximum steps of a grid; a longer grid means that the requested step is a mistake
GAP = 1.5  # gap threshold: more than this many usual steps between two time stamps

_LOOKS_ISO = re.compile(r"[0-9]{4}-?[0-9]{2}(-?[0-9]{2})?([T ].*)?|[0-9]{4}-?W[0-9]{2}.*")
_STEP = re.compile(r"([0-9]+(?:\.[0-9]+)?)?\s*(ms|s|min|h|d|w)")
_MICROSECONDS = {
    "ms": 1_000,
    "s": 1_000_000,
    "min": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
    "w": 604_800_000_000,
}


def parse_time(text: str) -> np.datetime64 | None:
    """Parse ISO 8601 text: `2024-05-01`, `2024-05-01 13:30`, `2024-05-01T13:30:00Z` ...

    Return None if the text is not a time.
    """
    text = text.strip()
    if not _LOOKS_ISO.fullmatch(text) or text.isdigit():
        return None
    try:
        time = datetime.fromisoformat(f"{text}-01" if len(text) == 7 else text)
    except ValueError:
        return None
    if time.tzinfo is not None:
        try:
            time = time.astimezone(UTC).replace(tzinfo=None)
        except OverflowError:
            return None
    return np.datetime64(time, "us")


def as_time(cell: object, column: str, place: Place) -> np.datetime64:
    """Convert a field to a time. Raises DataError that names the row, the column and the value."""
    time = parse_time(cell) if isinstance(cell, str) else None
    if time is None:
        what = f"column {column!r} has {str(cell)[:40]!r}, which is not a time"
        raise DataError(what, file=place.file, line=place.line, expected="a time such as 2024-05-01T13:30")
    return time


def parse_step(text: str) -> int:
    """Return the microseconds of a time step such as `10s`, `15min`, `1h`.

    Raises UsageError for other text.
    """
    match = _STEP.fullmatch(text.strip().lower())
    step = round(float(match[1] or 1) * _MICROSECONDS[match[2]]) if match else 0
    if not 0 < step < 2**53:
        raise UsageError(
            f"--resample {text}", expected="a number and a unit (ms s min h d w): 10s, 15min, 1h"
        )
    return step


def time_text(time: np.datetime64) -> str:
    """Return a time as ISO text. Omit microseconds that are 0, and a time of day that is midnight."""
    text = str(time.astype("datetime64[us]"))
    text = text.removesuffix(".000000")
    return text.removesuffix("T00:00:00")


def time_texts(times: Times) -> tuple[str, ...]:
    """Return times as ISO text, all in the same form. Omit the time of day if every time is midnight."""
    texts = [str(time.astype("datetime64[us]")) for time in times]
    for end in (".000000", "T00:00:00"):
        if all(text.endswith(end) for text in texts):
            texts = [text.removesuffix(end) for text in texts]
    return tuple(texts)


def step_text(microseconds: float) -> str:
    """Return a time step as text for messages, in the largest unit in which it is a whole number."""
    for unit, size in sorted(_MICROSECONDS.items(), key=lambda item: -item[1]):
        if microseconds >= size and microseconds % size == 0:
            return f"{microseconds / size:g} {unit}"
    return f"{microseconds / 1e6:g} s"


def usual_step(times: Times) -> int | None:
    """Return the median of the positive steps in microseconds; None if there is no positive step."""
    steps = np.diff(times).astype(np.int64)
    steps = steps[steps > 0]
    return int(np.median(steps)) if len(steps) else None


def next_times(times: Times, count: int) -> Times:
    """Return the time stamps of the `count` steps after a series, [count]; empty if it has no usual step."""
    step = usual_step(times)
    if step is None:
        return np.zeros(0, "datetime64[us]")
    return times[-1] + (np.arange(1, count + 1) * step).astype("timedelta64[us]")


@dataclass(frozen=True)
class Oddities:
    """The indices (from 0) of steps with an irregular time stamp, compared with the previous stamp.

    usual: the usual step in microseconds.
    gaps: more than 1.5 usual steps later.
    repeated: the same time.
    backward: earlier.
    unequal: the step differs from the usual one by more than 1%, and is none of the above.
    """

    usual: int | None
    gaps: tuple[int, ...]
    repeated: tuple[int, ...]
    backward: tuple[int, ...]
    unequal: tuple[int, ...]

    @property
    def named(self) -> dict[str, tuple[int, ...]]:
        """Return the indices by the name of the irregularity, for messages."""
        return {
            "gaps in time": self.gaps,
            "repeated time stamps": self.repeated,
            "time stamps earlier than the one before": self.backward,
            "unequal steps of time": self.unequal,
        }


def oddities(times: Times) -> Oddities:
    """Find the irregular time stamps of one series."""
    steps = np.diff(times).astype(np.int64)
    usual = usual_step(times)
    gaps = steps > GAP * usual if usual else np.zeros(len(steps), bool)
    unequal = (steps > 0) & ~gaps & (np.abs(steps - (usual or 0)) > 0.01 * (usual or 0))

    def places(found: NDArray[np.bool_]) -> tuple[int, ...]:
        return tuple((np.flatnonzero(found) + 1).tolist())

    return Oddities(usual, places(gaps), places(steps == 0), places(steps < 0), places(unequal))


def resample(
    parts: Sequence[Array], times: Times, step: int, place: Place
) -> tuple[list[NDArray[np.float64]], Times]:
    """Resample arrays of numbers [T, n] to a regular grid of `step` microseconds.

    Each grid step has the mean of the numbers that fall into it, or NaN if there is none.
    times: [T], in any order.

    Returns the resampled arrays and the times of the grid. Raises DataError if the grid would have more than
    LONGEST steps.
    """
    at = times.astype(np.int64) // step  # [T]
    first, last = int(at.min()), int(at.max())
    count = last - first + 1
    if count > LONGEST:
        what = f"a grid of {count:,} steps from {time_text(times.min())} to {time_text(times.max())}"
        raise DataError(what, file=place.file, line=place.line, expected="a longer step for --resample")
    rows = at - first
    found: list[NDArray[np.float64]] = []
    for part in parts:
        known = ~np.isnan(part)
        total, seen = np.zeros((count, part.shape[1])), np.zeros((count, part.shape[1]))
        np.add.at(total, rows, np.where(known, part, 0.0))
        np.add.at(seen, rows, known)
        found.append(np.where(seen > 0, total / np.maximum(seen, 1), np.nan))
    return found, (np.arange(first, last + 1) * step).astype("datetime64[us]")
