"""Notes: x^<t> is the previous event of a tune (zeros at first), with the genre and the transposition. Their embeddings
are added, so every step knows the genre.

The ids: `end`, the waits, `on` and `off` of each pitch, whatever the training part has; then the settings (voices,
programs, velocities, tempos, meters, drums) that it has; then genres, then transpositions. A setting that it does not
have becomes the nearest of its kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from unrolled.core.config import DataConfig
from unrolled.core.errors import DataError
from unrolled.core.types import ZERO_INPUT_ID, Array, Example, Pair, Place, Tune, Vary, delayed
from unrolled.core.values.example_values import as_tune
from unrolled.core.values.json_values import as_plain
from unrolled.data.features.note_events import (
    END,
    LONGEST_WAIT,
    Event,
    Performance,
    events_of,
    name_of,
    quantised,
)

GRID = 24  # steps of a quarter note: sixteenths and triplets fall on it
PITCHES = 128
ON = 1 + LONGEST_WAIT  # the first id of `on`, behind `end` and the waits
OFF = ON + PITCHES
SETTINGS = OFF + PITCHES
KINDS = ("voice", "program", "velocity", "tempo", "meter", "hit")
COMMON = 0.01  # of all notes: where so few begin is an accident of playing
UNCONDITIONAL = 10  # one sequence in so many is learnt without its genre, so that none need be asked for


@dataclass(frozen=True)
class NoteInput:
    """What was learnt: the settings and genres of the training part, its lowest and highest pitch, and onsets: the
    steps of a quarter note (0 is the beat) at which no fewer than COMMON of its notes begin.

    transpose: how many semitones up or down training moves a tune at most, each way (and none) an id of its own: told
    of it, the model knows in which keys tunes really are.
    """

    grid: int
    settings: tuple[Event, ...]
    genres: tuple[str, ...]
    transpose: int
    low: int
    high: int
    onsets: tuple[int, ...]

    ids = True
    unk_candidates = np.zeros(0, dtype=np.bool_)

    def __post_init__(self) -> None:
        if (
            not 1 <= self.grid <= 480
            or not 0 <= self.transpose <= 12
            or not 0 <= self.low <= self.high < PITCHES
            or not set(self.onsets) <= set(range(self.grid))
            or {kind for kind, _ in self.settings} - set(KINDS)
            or len(set(self.settings)) < len(self.settings)
            or len(set(self.genres)) < len(self.genres)
        ):
            raise DataError("how the model reads notes is damaged", expected="a grid, settings, genres")

    @property
    def n_events(self) -> int:
        """How many events there are, the first ids."""
        return SETTINGS + len(self.settings)

    @property
    def n_x(self) -> int:
        """How many ids there are."""
        return self.n_events + len(self.genres) + (2 * self.transpose + 1 if self.transpose else 0)

    @property
    def multi_hot(self) -> bool:
        """Whether a step is more than an event."""
        return self.width > 1

    @property
    def width(self) -> int:
        """Ids of a step: the event, the genre where there are any, the transposition where training does it."""
        return 1 + bool(self.genres) + bool(self.transpose)

    @cached_property
    def _settings(self) -> dict[Event, int]:
        return {event: SETTINGS + i for i, event in enumerate(self.settings)}

    def event(self, number: int) -> Event:
        """The event of an id."""
        if number < ON:
            return ("wait", number) if number else END
        if number < SETTINGS:
            return ("on", number - ON) if number < OFF else ("off", number - OFF)
        return self.settings[number - SETTINGS]

    def number(self, event: Event) -> int | None:
        """The id of an event, or of the nearest of its kind; None where the training part has none of its kind."""
        kind, value = event
        firsts = {"end": 0, "wait": 0, "on": ON, "off": OFF}
        if kind in firsts:
            return firsts[kind] + value
        if event in self._settings:
            return self._settings[event]
        near = [other for other in self.settings if other[0] == kind]
        return self._settings[min(near, key=lambda other: _distance(event, other))] if near else None

    def numbers(self, tune: Tune) -> NDArray[np.int64]:
        """[T] the ids of a tune's events, `end` the last."""
        found = map(self.number, events_of(quantised(tune, self.grid)[0]))
        return np.array([number for number in found if number is not None], dtype=np.int64)

    def dressed(self, numbers: Array, genre: str | None, place: Place | None = None) -> Array:
        """[..., width] (or [...] where an event is all) ids of steps from those of events [...]."""
        if self.width == 1:
            return numbers
        x = np.full((*numbers.shape, self.width), ZERO_INPUT_ID, dtype=np.int64)
        x[..., 0] = numbers
        if self.transpose:
            x[..., -1] = self.n_events + len(self.genres) + self.transpose  # not at all
        if genre is not None and self.genres:
            if genre not in self.genres:
                raise DataError(
                    f"unknown genre {genre[:40]!r}",
                    file=place.file if place else None,
                    line=place.line if place else None,
                    expected=f"one of {', '.join(self.genres)}",
                )
            x[..., 1] = self.n_events + self.genres.index(genre)
        return x

    def encode(self, x: object, place: Place | None = None) -> Array:
        """[T, width] ids of a tune, or [T]: each step has the event before it. Raises DataError: unknown genre."""
        tune = as_tune(x)
        return self.dressed(delayed(self.numbers(tune)[:-1]), tune.genre, place)

    def steps(self, x: object) -> tuple[str, ...]:
        """The events of a tune, for people."""
        return tuple(name_of(self.event(number)) for number in self.numbers(as_tune(x)).tolist())

    def unknown(self, x: object, encoded: Array) -> int:
        """How many events became others, or none, because the training part does not have them."""
        events = events_of(quantised(as_tune(x), self.grid)[0])
        return sum(self.event(self.number(event) or 0) != event for event in events)

    def performance(self) -> Performance:
        """Where every tune begins."""
        return Performance(self.grid)

    def to_json(self) -> dict[str, object]:
        """What `note_input` reads."""
        return {
            "grid": self.grid,
            "settings": [list(event) for event in self.settings],
            "genres": list(self.genres),
            "transpose": self.transpose,
            "low": self.low,
            "high": self.high,
            "onsets": list(self.onsets),
        }


def _distance(event: Event, other: Event) -> tuple[float, int]:
    """How unlike two settings of a kind are: meters by how long a bar is."""
    (kind, value), (_, near) = event, other
    if kind == "meter":
        return abs((value >> 8) / (value & 255) - (near >> 8) / (near & 255)), near
    return abs(value - near), near


def note_input(value: Mapping[str, object]) -> NoteInput:
    """What `to_json` gave; raises DataError where it is damaged."""
    numbers = ("grid", "transpose", "low", "high")
    settings, genres, onsets = value.get("settings"), value.get("genres"), value.get("onsets")
    if (
        set(value) != {*numbers, "settings", "genres", "onsets"}
        or not all(type(value[name]) is int for name in numbers)
        or not isinstance(settings, list)
        or not isinstance(genres, list)
        or not isinstance(onsets, list)
        or not all(type(step) is int for step in onsets)
        or not all(isinstance(genre, str) for genre in genres)
        or not all(
            isinstance(event, list)
            and [type(part) for part in event] == [str, int]
            and 0 <= abs(event[1]) < 1 << 16
            for event in settings
        )
    ):
        raise DataError("how the model reads notes is damaged", expected=", ".join(numbers))
    events = tuple((kind, number) for kind, number in settings)
    grid, transpose, low, high = (as_plain(int, value[name]) for name in numbers)
    return NoteInput(
        grid=grid,
        settings=events,
        genres=tuple(genres),
        transpose=transpose,
        low=low,
        high=high,
        onsets=tuple(onsets),
    )


def learn_notes(examples: Iterable[Example], config: DataConfig) -> tuple[NoteInput, str]:
    """The settings, genres and pitches of some tunes. Raises DataError where there are none."""
    grid = config.grid or GRID
    settings, genres, pitches = set[Event](), set[str](), set[int]()
    begun = np.zeros(grid, np.int64)  # notes by the step of a quarter note at which they begin
    tunes = notes = events = 0
    for example in examples:
        tune = as_tune(example.x)
        plain = quantised(tune, grid)[0]
        own = events_of(plain)
        begun += np.bincount(np.array([note.start % grid for note in plain.notes], np.int64), minlength=grid)
        settings.update(event for event in own if event[0] in KINDS)
        genres.update([tune.genre] if tune.genre is not None else [])
        pitches.update(value for kind, value in own if kind == "on")
        tunes, notes, events = tunes + 1, notes + len(tune.notes), events + len(own)
    if not tunes:
        raise DataError("no examples: not one tune")
    ordered = sorted(settings, key=lambda event: (KINDS.index(event[0]), event[1]))
    learnt = NoteInput(
        grid=grid,
        settings=tuple(ordered),
        genres=tuple(sorted(genres)),
        transpose=config.transpose or 0,
        low=min(pitches, default=0),
        high=max(pitches, default=PITCHES - 1),
        onsets=tuple(np.flatnonzero(begun >= max(1, COMMON * begun.sum())).tolist()),
    )
    of = f" of {', '.join(learnt.genres)}" if genres else ""
    words = f"{tunes:,} tunes{of}, {notes:,} notes, {events:,} events; {grid} steps a quarter note"
    return learnt, words


def note_augmenter(given: NoteInput, flip: bool, steady: bool) -> Vary:
    """What training makes of a tune: `transposed`, whether or not there is a y at every step."""
    return partial(transposed, given)


def transposed(given: NoteInput, x: Array, y: Array, chance: np.random.Generator) -> Pair:
    """One sequence of ids, x [T] or [T, width] and y [T], transposed as far as pitches allow; and without its genre one
    time in ten."""
    shift = int(chance.integers(-given.transpose, given.transpose + 1))
    forgotten = chance.integers(UNCONDITIONAL) == 0
    if given.width == 1:
        return x, y
    x, y = np.array(x), np.array(y)
    if given.genres and forgotten:
        x[:, 1] = ZERO_INPUT_ID
    every = np.concatenate([x[:, 0], y])
    pitches = (every[(every >= ON) & (every < SETTINGS)] - ON) % PITCHES
    if not shift or not len(pitches) or not 0 <= pitches.min() + shift <= pitches.max() + shift < PITCHES:
        return x, y
    for ids in (x[:, 0], y):
        ids[(ids >= ON) & (ids < SETTINGS)] += shift
    x[:, -1] += shift
    return x, y
