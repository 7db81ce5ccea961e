"""Convert a tune to a sequence of events and back. `quantised` rounds its times to the grid first.

An event is (kind, value):
- `wait`: advance by `value` steps of the grid.
- `on`, `off`: start or end a pitch.  `hit`: a drum.
- `voice`: select the voice of the next notes.
- `program`, `velocity`: set the instrument or the velocity of the current voice.
- `tempo`, `meter`, and `end` (the last event).

An `off` ends the pitch in the voice in which it sounds. If the pitch sounds in several voices, `off` ends it
in the current voice. A melody looks like this: voice 0, program 0, velocity 22, on 60, wait 24, off 60, on 62
... The kinds on, off, wait and velocity are from Oore et al., arXiv 1808.03715v1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TypeVar

from unrolled.core.types import DRUMS, Note, Tune

T = TypeVar("T")
Event = tuple[str, int]

LONGEST_WAIT = 96  # maximum steps of one event; a longer wait needs several events
LOUDNESS = 4  # number of MIDI velocities per velocity event
TEMPOS = 32  # tempo values per octave (doubling), relative to 120
SLOWEST, FASTEST = -96, 64  # 15 and 480 quarter notes per minute
_DENOMINATORS = (1, 2, 4, 8, 16, 32, 64)
_WRITTEN = 480  # ticks per quarter note in a file, if it is a multiple of the grid
END: Event = ("end", 0)


@dataclass(frozen=True)
class Changes:
    """Counts of the notes that `quantised` changed.

    notes: all notes of the tune.
    moved: notes with a start or an end that was not on the grid.
    doubled: notes that were removed, because another note of the voice has the same start and pitch.
    cut: notes that were shortened to the start of the next note of the same pitch.
    """

    notes: int = 0
    moved: int = 0
    doubled: int = 0
    cut: int = 0


def quantised(tune: Tune, grid: int) -> tuple[Tune, Changes]:
    """Quantise a tune to a grid, so that events can represent it exactly.

    Return the tune and the counts of changes.

    grid: steps per quarter note.

    - Times are rounded to the nearest step. A note has at least one step, a drum exactly one.
    - A pitch sounds at most once at a time in a voice.
    - Velocities are rounded to the middle of a range of four.
    - Tempos are rounded to the nearest 32nd of an octave from 120 (2.2%). A step has one tempo and one meter,
      the last ones at it. Without any, the tempo is 120 and the meter 4/4.
    - Silence after the last note is removed.
    """

    def step(tick: int) -> int:
        return (2 * tick * grid + tune.beat) // (2 * tune.beat)

    numbers = {voice: i for i, voice in enumerate(sorted({note.voice for note in tune.notes} - {DRUMS}))}
    numbers[DRUMS] = DRUMS
    moved = 0
    found: list[Note] = []
    for note in tune.notes:
        start, end = step(note.start), step(note.end)
        moved += any(tick * grid % tune.beat for tick in (note.start, note.end))
        end = start + 1 if note.voice == DRUMS else max(start + 1, end)
        loud = note.velocity // LOUDNESS * LOUDNESS + LOUDNESS // 2
        found.append(Note(start, end, note.pitch, min(127, loud), numbers[note.voice]))
    single, doubled, cut = _one_at_a_time(found)
    programs = tuple(
        tune.programs[voice] if voice < len(tune.programs) else 0 for voice in numbers if voice != DRUMS
    )
    tempos = ((step(tick), tempo_of(nearest_tempo(tempo))) for tick, tempo in tune.tempos)
    meters = (
        (step(tick), (over, under))
        for tick, over, under in tune.meters
        if 1 <= over <= 64 and under in _DENOMINATORS
    )
    last = max([0, *(note.start for note in single)])
    changed = replace(
        tune,
        notes=tuple(single),
        beat=grid,
        programs=programs,
        tempos=tuple(_changes(tempos, tempo_of(0), last)),
        meters=tuple((at, *meter) for at, meter in _changes(meters, (4, 4), last)),
        remarks=(),
    )
    return changed, Changes(len(tune.notes), moved, doubled, cut)


def _one_at_a_time(notes: list[Note]) -> tuple[list[Note], int, int]:
    """Remove and cut notes so that a pitch sounds at most once at a time in a voice.

    Return the notes, the number of removed notes and the number of cut notes.
    """
    kept: list[Note] = []
    doubled = cut = 0
    ordered = sorted(notes, key=lambda note: (note.voice, note.pitch, note.start, -note.end))
    for _, group in groupby(ordered, key=lambda note: (note.voice, note.pitch)):
        own: list[Note] = []
        for note in group:
            if own and own[-1].start == note.start:
                doubled += 1
                continue
            if own and own[-1].end > note.start:
                own[-1] = replace(own[-1], end=note.start)
                cut += 1
            own.append(note)
        kept += own
    return sorted(kept, key=lambda note: (note.start, note.voice, note.pitch)), doubled, cut


def _changes(marks: Iterable[tuple[int, T]], usual: T, last: int) -> Iterator[tuple[int, T]]:
    """Yield (step, value) for each change of a value, such as the tempo.

    Of several marks at one step, only the last counts. Marks after `last` are dropped. The value at step 0 is
    `usual` if there is no mark.
    """
    by_step = {0: usual} | {step: value for step, value in marks if step <= last}
    before = None
    for step, value in sorted(by_step.items(), key=lambda mark: mark[0]):
        if value != before:
            yield step, value
        before = value


def nearest_tempo(tempo: float) -> int:
    """Convert quarter notes per minute to the nearest tempo value: 32nds of an octave relative to 120."""
    return max(SLOWEST, min(FASTEST, round(TEMPOS * math.log2(max(tempo, 1e-3) / 120))))


def tempo_of(value: int) -> float:
    """Convert a tempo value to quarter notes per minute: the inverse of `nearest_tempo`."""
    return 120 * 2 ** (value / TEMPOS)


def events_of(tune: Tune) -> list[Event]:
    """Convert a tune of `quantised` to events, with `end` as the last one.

    The order at a step: ends of notes, then tempo and meter, then starts of notes by voice and from low to
    high.
    """
    found: list[Event] = []
    voice, programmed, loud, sounding = -1, set[int](), dict[int, int](), set[tuple[int, int]]()
    step = 0
    for at, order, detail in sorted(_moments(tune)):
        found += waits(at - step)
        step = at
        if len(detail) == 2:
            found.append(detail)
            continue
        own, pitch, velocity = detail
        if order == 0:
            if own != voice and sum((other, pitch) in sounding for other in range(DRUMS)) > 1:
                found.append(("voice", own))
                voice = own
            found.append(("off", pitch))
            sounding.discard((own, pitch))
            continue
        if own != voice:
            found.append(("voice", own))
            voice = own
        if own not in programmed and own != DRUMS:
            found.append(("program", tune.programs[own]))
            programmed.add(own)
        if loud.get(own) != velocity:
            found.append(("velocity", velocity))
            loud[own] = velocity
        if own == DRUMS:
            found.append(("hit", pitch))
        else:
            found.append(("on", pitch))
            sounding.add((own, pitch))
    return [*found, END]


def _moments(tune: Tune) -> Iterator[tuple[int, int, Event | tuple[int, int, int]]]:
    """Yield (step, order, detail). order: 0 end of a note, 1 tempo or meter, 2 start of a note."""
    for step, tempo in tune.tempos:
        yield step, 1, ("tempo", nearest_tempo(tempo))
    for step, over, under in tune.meters:
        yield step, 1, ("meter", over * 256 + under)
    for note in tune.notes:
        velocity = note.velocity // LOUDNESS
        yield note.start, 2, (note.voice, note.pitch, velocity)
        if note.voice != DRUMS:
            yield note.end, 0, (note.voice, note.pitch, velocity)


def waits(steps: int) -> list[Event]:
    """Return the `wait` events for a number of steps."""
    whole, rest = divmod(steps, LONGEST_WAIT)
    return [("wait", LONGEST_WAIT)] * whole + ([("wait", rest)] if rest else [])


class Performance:
    """The state of a tune after some events, and its notes so far. Use `fork` to try different continuations.

    step: current step of the grid.  sounding: (voice, pitch) of each sounding note -> its start and velocity.
    Invalid events, such as the end of a note that does not sound, are ignored. So every sequence of events is
    a tune.
    """

    def __init__(self, grid: int) -> None:
        self.grid, self.step, self.voice, self.since = grid, 0, 0, 0
        self.tempo, self.meter = tempo_of(0), (4, 4)
        self.seconds, self.bars = 0.0, 0.0
        self.loud: dict[int, int] = {}
        self.programs: dict[int, int] = {}
        self.sounding: dict[tuple[int, int], tuple[int, int]] = {}
        self.notes: list[Note] = []
        self.tempos: list[tuple[int, float]] = []
        self.meters: list[tuple[int, int, int]] = []

    def fork(self) -> Performance:
        """Return an independent copy of the state."""
        other = Performance(self.grid)
        for name, value in vars(self).items():
            setattr(other, name, value.copy() if isinstance(value, list | dict) else value)
        return other

    def play(self, event: Event) -> None:
        """Apply one event."""
        kind, value = event
        self.since = 0 if kind == "wait" else self.since + 1
        match kind:
            case "wait":
                self._wait(value)
            case "voice":
                self.voice = value
            case "program":
                self.programs[self.voice] = value
            case "velocity":
                self.loud[self.voice] = value
            case "tempo":
                self.tempo = tempo_of(value)
                self.tempos.append((self.step, self.tempo))
            case "meter":
                self.meter = divmod(value, 256)
                self.meters.append((self.step, *self.meter))
            case "on":
                self._end(self.voice, value)
                self.sounding[self.voice, value] = (self.step, self.loud.get(self.voice, 16))
            case "hit":
                velocity = _middle(self.loud.get(self.voice, 16))
                self.notes.append(Note(self.step, self.step + 1, value, velocity, DRUMS))
            case "off":
                self._off(value)
            case _:
                pass

    def _wait(self, steps: int) -> None:
        self.step += steps
        self.seconds += steps / self.grid * 60 / self.tempo
        self.bars += steps / self.grid / (4 * self.meter[0] / self.meter[1])

    def _off(self, pitch: int) -> None:
        voices = [voice for voice, other in self.sounding if other == pitch]
        self._end(voices[0] if len(voices) == 1 else self.voice, pitch)

    def _end(self, voice: int, pitch: int) -> None:
        """End a pitch in a voice if it sounds. A note that ends at its start is dropped."""
        if (voice, pitch) in self.sounding:
            start, loud = self.sounding.pop((voice, pitch))
            if start < self.step:
                self.notes.append(Note(start, self.step, pitch, _middle(loud), voice))

    def tune(self, genre: str | None = None) -> Tune:
        """Return the tune so far. A note that still sounds ends now, or one step after its start.

        The tune has 480 ticks per quarter note if this is a multiple of the grid, else `grid` ticks.
        """
        open_notes = [
            Note(start, max(start + 1, self.step), pitch, _middle(loud), voice)
            for (voice, pitch), (start, loud) in self.sounding.items()
        ]
        scale = _WRITTEN // self.grid if _WRITTEN % self.grid == 0 else 1
        notes = sorted([*self.notes, *open_notes], key=lambda note: (note.start, note.voice, note.pitch))
        voices = max([0, *(note.voice + 1 for note in notes if note.voice != DRUMS)])
        return Tune(
            notes=tuple(replace(note, start=note.start * scale, end=note.end * scale) for note in notes),
            beat=self.grid * scale,
            programs=tuple(self.programs.get(voice, 0) for voice in range(voices)),
            tempos=tuple((step * scale, tempo) for step, tempo in self.tempos),
            meters=tuple((step * scale, over, under) for step, over, under in self.meters),
            genre=genre,
        )


def tune_of(events: Sequence[Event], grid: int, genre: str | None = None) -> Tune:
    """Convert any sequence of events to a tune."""
    performance = Performance(grid)
    for event in events:
        performance.play(event)
    return performance.tune(genre)


def _middle(loudness: int) -> int:
    return max(1, min(127, loudness * LOUDNESS + LOUDNESS // 2))


def name_of(event: Event) -> str:
    """Return an event as text for users: `on C4`, `wait 12`, `meter 3/4`."""
    kind, value = event
    match kind:
        case "on" | "off":
            return f"{kind} {pitch_name(value)}"
        case "meter":
            return f"meter {value // 256}/{value % 256}"
        case "tempo":
            return f"tempo {tempo_of(value):.5g}"
        case "velocity":
            return f"velocity {_middle(value)}"
        case "end":
            return kind
        case _:
            return f"{kind} {value}"


PITCHES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


def pitch_name(pitch: int) -> str:
    """Return the name of a MIDI pitch, such as C4 for 60."""
    return f"{PITCHES[pitch % 12]}{pitch // 12 - 1}"
