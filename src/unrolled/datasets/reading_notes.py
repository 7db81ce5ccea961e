"""Notes about decisions made while reading data: ignored comments, missing numbers, irregular time stamps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from unrolled.core.types import Example, Place
from unrolled.data.time_stamps import oddities, step_text, time_text

KEPT = 100_000  # maximum number of places that are counted for one kind of note


@dataclass
class Notes:
    """Notes about some data.

    places: kind of note -> the places it is about.
    missing, numbers: count of missing numbers and of all numbers of x, in the last pass over the data.
    times: the line about the time stamps, if there are any.
    """

    places: dict[str, dict[str, None]] = field(default_factory=dict)
    missing: int = 0
    numbers: int = 0
    times: list[str] = field(default_factory=list)

    def add(self, place: Place, what: str) -> None:
        """Add a note about a place. Data is read several times, so a repeated note counts once."""
        known = self.places.setdefault(what, {})
        if len(known) < KEPT:
            known[str(place)] = None

    def lines(self) -> list[str]:
        """Return one line for each kind of note, with its first place."""
        found: list[str] = []
        for what, places in self.places.items():
            more = f" (and {len(places) - 1:,} times more)" if len(places) > 1 else ""
            found.append(f"{next(iter(places))}: {what}{more}")
        return found + self.times

    def watched(self, examples: Iterable[Example]) -> Iterator[Example]:
        """Yield the examples unchanged. After the last one, set `missing`, `numbers` and `times`."""
        missing = numbers = 0
        times = Times()
        for example in examples:
            if isinstance(example.x, np.ndarray) and example.x.dtype.kind == "f":
                missing, numbers = missing + int(np.isnan(example.x).sum()), numbers + example.x.size
            times.add(example)
            yield example
        self.missing, self.numbers = missing, numbers
        self.times[:] = times.lines()


@dataclass
class Times:
    """Summary of the time stamps of all series."""

    first: np.datetime64 | None = None
    last: np.datetime64 | None = None
    steps: list[int] = field(default_factory=list)  # the usual step of each series, in microseconds
    odd: Counter[str] = field(default_factory=Counter)

    def add(self, example: Example) -> None:
        """Add the time stamps of a series."""
        if example.times is None or not len(example.times):
            return
        found = oddities(example.times)
        self.steps += [] if found.usual is None else [found.usual]
        self.odd.update({name: len(places) for name, places in found.named.items()})
        low, high = example.times.min(), example.times.max()
        self.first = low if self.first is None else min(self.first, low)
        self.last = high if self.last is None else max(self.last, high)

    def lines(self) -> list[str]:
        """Return the summary as one line; no line if no series has time stamps."""
        if self.first is None or self.last is None:
            return []
        usual = step_text(float(np.median(self.steps))) if self.steps else "unknown"
        what = (
            f"time stamps from {time_text(self.first)} to {time_text(self.last)}, the usual step is {usual}"
        )
        odd = ", ".join(f"{name}: {count:,}" for name, count in self.odd.items() if count)
        return [f"{what}; {odd}; --resample puts them on a regular grid" if odd else what]
