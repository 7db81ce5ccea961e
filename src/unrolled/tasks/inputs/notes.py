"""Notes: x^<t> is the previous event of a tune (zeros at first), with the genre and the transposition.

The embeddings of the event, the genre and the transposition are added, so every step contains the genre.

The ids, in this order:
- `end`, the waits, and `on` and `off` of each pitch, independent of the training set,
- the settings that occur in the training set: voices, programs, velocities, tempos, meters, drums,
- the genres,
- the transpositions.

A setting that does not occur in the training set is replaced by the nearest setting of its kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from unrolled.core.config import Config, DataConfig, fill
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
from unrolled.tasks.size_rules import long_sequence_batch

GRID = 24  # steps per quarter note: sixteenth notes and triplets fall on this grid
PITCHES = 128
ON = 1 + LONGEST_WAIT  # the first id of `on`, after `end` and the waits
OFF = ON + PITCHES
SETTINGS = OFF + PITCHES
KINDS = ("voice", "program", "velocity", "tempo", "meter", "hit")
COMMON = (
    0.01  # minimum fraction of all notes that begin at an onset; rarer onsets are inaccuracies of playing
)
UNCONDITIONAL = 10  # one of 10 sequences is trained without its genre, so that sampling works without a genre


@dataclass(frozen=True)
class NoteInput:
    """The encoder of tunes.

    grid: steps per quarter note.
    settings, genres: the settings and genres that occur in the training set.
    transpose: the maximum number of semitones by which training transposes a tune up or down. Each
    transposition has an id, and "not transposed" has one too. The model reads this id, so it can learn the
    original keys of tunes.
    low, high: the lowest and highest pitch of the training set.
    onsets: steps of a quarter note (0 is the beat). A step is an onset if at least the fraction COMMON of all
    notes in the training set begin at it.
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
            raise DataError(
                "the note settings in the model file are damaged", expected="a grid, settings, genres"
            )

    @property
    def n_events(self) -> int:
        """Number of events. Their ids come first."""
        return SETTINGS + len(self.settings)

    @property
    def n_x(self) -> int:
        """Number of ids."""
        return self.n_events + len(self.genres) + (2 * self.transpose + 1 if self.transpose else 0)

    @property
    def multi_hot(self) -> bool:
        """Whether a step has other ids than the event."""
        return self.width > 1

    @property
    def width(self) -> int:
        """Ids per step: the event, the genre (if there are genres) and the transposition (if used in training)."""
        return 1 + bool(self.genres) + bool(self.transpose)

    @cached_property
    def _settings(self) -> dict[Event, int]:
        return {event: SETTINGS + i for i, event in enumerate(self.settings)}

    def event(self, number: int) -> Event:
        """Return the event of an id."""
        if number < ON:
            return ("wait", number) if number else END
        if number < SETTINGS:
            return ("on", number - ON) if number < OFF else ("off", number - OFF)
        return self.settings[number - SETTINGS]

    def number(self, event: Event) -> int | None:
        """Return the id of an event, or of the nearest event of its kind.

        Returns None if the training set has no event of this kind.
        """
        kind, value = event
        firsts = {"end": 0, "wait": 0, "on": ON, "off": OFF}
        if kind in firsts:
            return firsts[kind] + value
        if event in self._settings:
            return self._settings[event]
        near = [other for other in self.settings if other[0] == kind]
        return self._settings[min(near, key=lambda other: _distance(event, other))] if near else None

    def numbers(self, tune: Tune) -> NDArray[np.int64]:
        """Return [T] the ids of the events of a tune. The last is `end`."""
        found = map(self.number, events_of(quantised(tune, self.grid)[0]))
        return np.array([number for number in found if number is not None], dtype=np.int64)

    def dressed(self, numbers: Array, genre: str | None, place: Place | None = None) -> Array:
        """Add the genre and the id of "not transposed" to the ids of events [...]. Returns [..., width].

        Returns [...] unchanged if the width is 1. Raises DataError for an unknown genre.
        """
        if self.width == 1:
            return numbers
        x = np.full((*numbers.shape, self.width), ZERO_INPUT_ID, dtype=np.int64)
        x[..., 0] = numbers
        if self.transpose:
            x[..., -1] = self.n_events + len(self.genres) + self.transpose  # the id of "not transposed"
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
        """Encode a tune as ids [T, width], or [T] if the width is 1. Each step has the previous event.

        Raises DataError for an unknown genre.
        """
        tune = as_tune(x)
        return self.dressed(delayed(self.numbers(tune)[:-1]), tune.genre, place)

    def steps(self, x: object) -> tuple[str, ...]:
        """Return the names of the events of a tune."""
        return tuple(name_of(self.event(number)) for number in self.numbers(as_tune(x)).tolist())

    def unknown(self, x: object, encoded: Array) -> int:
        """Return how many events were replaced or dropped because they do not occur in the training set."""
        events = events_of(quantised(as_tune(x), self.grid)[0])
        return sum(self.event(self.number(event) or 0) != event for event in events)

    def performance(self) -> Performance:
        """Return the state of a performance before the first event of a tune."""
        return Performance(self.grid)

    def to_json(self) -> dict[str, object]:
        """Return the JSON object that `note_input` reads."""
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
    """Return the distance of two settings of the same kind.

    For meters it is the difference of the bar lengths.
    """
    (kind, value), (_, near) = event, other
    if kind == "meter":
        return abs((value >> 8) / (value & 255) - (near >> 8) / (near & 255)), near
    return abs(value - near), near


def note_input(value: Mapping[str, object]) -> NoteInput:
    """Create a NoteInput from the JSON object of `to_json`. Raises DataError if it is damaged."""
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
        raise DataError("the note settings in the model file are damaged", expected=", ".join(numbers))
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
    """Learn the settings, genres, pitches and onsets of tunes; also returns a one-line description.

    Raises DataError if there are no tunes.
    """
    grid = config.grid or GRID
    settings, genres, pitches = set[Event](), set[str](), set[int]()
    begun = np.zeros(grid, np.int64)  # for each step of a quarter note, the number of notes that begin there
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
    words = f"{tunes:,} tunes{of}, {notes:,} notes, {events:,} events; {grid} steps per quarter note"
    return learnt, words


def note_augmenter(given: NoteInput, flip: bool, steady: bool) -> Vary:
    """Return the augmentation of tunes, `transposed`. The arguments `flip` and `steady` are not used."""
    return partial(transposed, given)


def transposed(given: NoteInput, x: Array, y: Array, chance: np.random.Generator) -> Pair:
    """Augment one sequence of ids, x [T] or [T, width] and y [T].

    It is transposed at random if all pitches stay in range. With probability 1/10 the genre is removed.
    """
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


def tune_sizes(config: Config, sequences: int, steps: int) -> Config:
    """Fill the defaults for tunes. Their sequences are long, so a batch contains few of them."""
    hidden = config.model.hidden or (256 if steps > 200_000 else 128)
    epochs = max(4, min(60, round(8_000_000 / max(1, steps))))
    blanks = {
        "batch_size": long_sequence_batch(sequences),
        "hidden": hidden,
        "embedding": min(128, hidden),
        "dropout": 0.2,
    }
    return fill(config, blanks | ({"epochs": epochs} if config.training.minutes is None else {}))
