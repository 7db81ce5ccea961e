"""Read and write MIDI files with mido, within limits.

A damaged file raises DataError early, without using much memory.

A voice is a channel of a track with one program; channel 10 is the drum set. A program change applies to its
channel in all tracks, except tracks with their own program change. Pedals, pitch bends, controllers and key
signatures are ignored. Other changes to the tune are listed in its `remarks`.
"""

from __future__ import annotations

import io
import struct
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from unrolled.core.atomic_files import opening_error
from unrolled.core.errors import DataError, need
from unrolled.core.regular_files import open_regular
from unrolled.core.types import DRUMS, Note, Tune
from unrolled.data.media_formats.midi_repair import repaired
from unrolled.data.media_formats.midi_size import count_events

if TYPE_CHECKING:
    from mido import Message, MetaMessage, MidiFile, MidiTrack

LARGEST = 2 << 20  # maximum bytes of a file; its parsed messages need 300 times more memory
MOST_NOTES = 100_000
MOST_EVENTS = 200_000  # more events would take seconds to parse
LONGEST = 24 * 60 * 60  # maximum seconds of a tune
MOST_BEATS = 100_000  # maximum quarter notes of a tune
_DRUM_CHANNEL = 9  # index of channel 10
_USUAL_TEMPO = 120.0  # default quarter notes per minute
_STRUCK_AGAIN = "struck again while it sounded: the first note ends there"


def read_midi(path: Path) -> Tune:
    """Read the tune of a file.

    Raises DataError if the file is damaged, too large, too long or has no notes. Raises UsageError if it does
    not exist, StorageError if it cannot be read, and MissingExtra if mido is not installed.
    """
    try:
        with open_regular(path) as stream:
            content = stream.read(LARGEST + 1)
    except OSError as error:
        raise opening_error(error, path) from error
    return parse_midi(content, path)


def parse_midi(content: bytes, path: Path) -> Tune:
    """Parse the bytes of a MIDI file to a tune.

    `path` is used in messages. Raises DataError and MissingExtra.
    """
    if not content:
        raise DataError("empty file", file=path, expected="a MIDI file")
    if len(content) > LARGEST:
        raise DataError("the file is too large", file=path, expected=f"at most {LARGEST >> 20} MB of MIDI")
    if content[:4] != b"MThd":
        raise DataError("is not a MIDI file", file=path, expected="MThd as the first bytes")
    if count_events(content, MOST_EVENTS) > MOST_EVENTS:
        raise DataError(
            f"more than {MOST_EVENTS:,} events", file=path, expected="fewer", hint="cutting it into pieces"
        )
    content, repairs = repaired(content)
    file = _parsed(content, path)
    if file.ticks_per_beat < 1:
        what = f"{file.ticks_per_beat} ticks per quarter note (film frames as time unit, or damaged)"
        raise DataError(what, file=path, expected="1 or more ticks per quarter note")
    if file.type == 2:
        raise DataError("contains several tunes (MIDI type 2)", file=path, expected="type 0 or 1")
    reading = _Reading(_channel_programs(file.tracks), counts=repairs)
    for number, track in enumerate(file.tracks):
        reading.add(number, track, path)
    return reading.tune(file.ticks_per_beat, path)


def _parsed(content: bytes, path: Path) -> MidiFile:
    with need("music", "mido"):
        import mido
        from mido.midifiles.meta import KeySignatureError
    # Errors that mido raises for damaged and for truncated files.
    damage = (
        EOFError,
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        OverflowError,
        struct.error,
    )
    try:
        return mido.MidiFile(file=io.BytesIO(content))
    except (*damage, KeySignatureError) as error:
        reason = str(error) or "it is truncated"
        raise DataError(f"damaged MIDI file: {reason[:80]}", file=path, expected="a complete file") from error


def _channel_programs(tracks: Sequence[MidiTrack]) -> dict[int, tuple[list[int], list[int]]]:
    """Return, for each channel, the sorted ticks of its program changes in all tracks, and the programs."""
    found: dict[int, list[tuple[int, int, int]]] = {}
    for number, track in enumerate(tracks):
        tick = 0
        for message in track:
            tick += int(message.time)
            if message.type == "program_change":
                found.setdefault(message.channel, []).append((tick, number, message.program))
    ordered = {channel: sorted(marks, key=lambda mark: mark[:2]) for channel, marks in found.items()}
    return {
        channel: ([tick for tick, _, _ in marks], [program for _, _, program in marks])
        for channel, marks in ordered.items()
    }


@dataclass
class _Reading:
    """Collects the contents of a file, track by track. Ticks count from the start of the file.

    channels: the result of `_channel_programs`.  counts: remark -> how often it applies.
    """

    channels: dict[int, tuple[list[int], list[int]]]
    notes: list[Note] = field(default_factory=list)
    keys: list[tuple[int, int, int]] = field(default_factory=list)  # (track, channel, program) of each voice
    tempos: dict[int, float] = field(default_factory=dict)
    meters: dict[int, tuple[int, int]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    last: int = 0

    def add(self, number: int, track: MidiTrack, path: Path) -> None:
        """Add one track. Raises DataError for a tempo of 0 or too many notes."""
        tick, programs = 0, dict[int, int]()
        sounding: dict[tuple[int, int], tuple[int, int, int]] = {}  # channel, pitch -> start, velocity, voice
        renewed: dict[tuple[int, int], int] = {}  # channel, pitch -> tick of a new note while it was sounding
        for message in track:
            tick += int(message.time)
            match message.type:
                case "program_change":
                    programs[message.channel] = message.program
                case "set_tempo":
                    if not message.tempo:
                        raise DataError(
                            "a tempo of 0", file=path, expected="1 or more microseconds per quarter note"
                        )
                    self.tempos[tick] = 6e7 / message.tempo
                case "time_signature":
                    self.meters[tick] = (message.numerator, message.denominator)
                case "note_on" | "note_off":
                    key = (message.channel, message.note)
                    if message.type == "note_on" and message.velocity:
                        if key in sounding:
                            self._close(key, sounding.pop(key), tick)
                            renewed[key] = tick
                            self._count(_STRUCK_AGAIN, True)
                        program = programs.get(message.channel, self._program(message.channel, tick))
                        voice = self._voice((number, message.channel, program))
                        sounding[key] = (tick, message.velocity, voice)
                    elif (
                        renewed.get(key) == tick
                    ):  # at this tick the end of the old note comes after the start of the new one
                        del renewed[key]
                        self.counts[f"note{{s}} {_STRUCK_AGAIN}"] -= 1
                    elif key in sounding:
                        self._close(key, sounding.pop(key), tick)
                case _:
                    pass
            if len(self.notes) > MOST_NOTES:
                raise DataError(f"more than {MOST_NOTES:,} notes", file=path, expected="fewer")
        self.last = max(self.last, tick)
        for key, begun in sounding.items():
            self._count("without an end: ended with its track", True)
            self._close(key, begun, tick)

    def _close(self, key: tuple[int, int], begun: tuple[int, int, int], tick: int) -> None:
        start, velocity, voice = begun
        if tick == start:
            self._count("of length 0: extended to one tick", voice != DRUMS)
        self.notes.append(Note(start, max(tick, start + 1), key[1], velocity, voice))

    def _program(self, channel: int, tick: int) -> int:
        """Return the program of a channel at a tick, from the changes in all tracks; 0 before the first."""
        ticks, programs = self.channels.get(channel, ([], []))
        place = bisect_right(ticks, tick)
        return programs[place - 1] if place else 0

    def _voice(self, key: tuple[int, int, int]) -> int:
        if key[1] == _DRUM_CHANNEL:
            return DRUMS
        if key not in self.keys:
            if len(self.keys) == DRUMS:
                self._count(f"of voices beyond {DRUMS}: moved to the last voice", True)
                return DRUMS - 1
            self.keys.append(key)
        return self.keys.index(key)

    def _count(self, kind: str, there: object) -> None:
        if there:
            self.counts[f"note{{s}} {kind}"] += 1

    def tune(self, beat: int, path: Path) -> Tune:
        """Return the tune with its notes sorted by time.

        Raises DataError if it has no notes or is too long.
        """
        if not self.notes:
            raise DataError("no notes", file=path, expected="at least one note")
        self.last = max(self.last, *(note.end for note in self.notes))
        tempos = tuple(sorted(self.tempos.items()))
        seconds = seconds_until(self.last, beat, tempos)
        if seconds > LONGEST or self.last > MOST_BEATS * beat:
            what = f"lasts {self.last / beat:,.0f} quarter notes, {seconds / 3600:,.0f} hours"
            raise DataError(what, file=path, expected=f"at most {MOST_BEATS:,} quarter notes and 24 hours")
        return Tune(
            notes=tuple(sorted(self.notes, key=lambda note: (note.start, note.voice, note.pitch))),
            beat=beat,
            programs=tuple(program for _, _, program in self.keys),
            tempos=tempos,
            meters=tuple((tick, *meter) for tick, meter in sorted(self.meters.items())),
            remarks=tuple(
                f"{count:,} {kind.format(s='s' * (count > 1))}"
                for kind, count in self.counts.items()
                if count
            ),
        )


def seconds_until(tick: int, beat: int, tempos: tuple[tuple[int, float], ...]) -> float:
    """Return the time of a tick in seconds from the start.

    tempos: (tick, quarter notes per minute), sorted; 120 before the first.
    """
    marks = [(0, _USUAL_TEMPO), *tempos, (tick, 0.0)]
    spans = ((max(0, min(end, tick) - begin), tempo) for (begin, tempo), (end, _) in pairwise(marks))
    return sum(span / beat * 60 / tempo for span, tempo in spans if span)


def midi_bytes(tune: Tune) -> bytes:
    """Return the bytes of a MIDI file of type 1: a track for tempo and meter, then one track per voice.

    Raises MissingExtra if mido is not installed.
    """
    with need("music", "mido"):
        import mido
    file = mido.MidiFile(type=1, ticks_per_beat=tune.beat)
    end = max([0, *(note.end for note in tune.notes)])
    marks = [
        (tick, mido.MetaMessage("set_tempo", tempo=max(1, min(0xFFFFFF, round(6e7 / tempo)))))
        for tick, tempo in tune.tempos
    ]
    marks += [
        (tick, mido.MetaMessage("time_signature", numerator=over, denominator=under))
        for tick, over, under in tune.meters
    ]
    file.tracks.append(_track(sorted(marks, key=lambda mark: mark[0]), end))
    for voice in sorted({note.voice for note in tune.notes}):
        file.tracks.append(_track(_voice_messages(tune, voice), end))
    out = io.BytesIO()
    file.save(file=out)
    return out.getvalue()


def _voice_messages(tune: Tune, voice: int) -> list[tuple[int, Message]]:
    """Return (tick, message) of a voice, sorted by tick. At one tick, ends of notes come before starts."""
    import mido

    channel = _DRUM_CHANNEL if voice == DRUMS else voice + (voice >= _DRUM_CHANNEL)
    program = tune.programs[voice] if voice < len(tune.programs) else 0
    first = [] if voice == DRUMS else [(0, mido.Message("program_change", channel=channel, program=program))]

    def events() -> Iterator[tuple[int, int, Message]]:
        for note in tune.notes:
            if note.voice == voice:
                on = mido.Message("note_on", channel=channel, note=note.pitch, velocity=note.velocity)
                yield note.start, 1, on
                yield note.end, 0, mido.Message("note_off", channel=channel, note=note.pitch, velocity=0)

    ordered = sorted(events(), key=lambda event: event[:2])
    return [*first, *((tick, message) for tick, _, message in ordered)]


def _track(messages: Sequence[tuple[int, Message | MetaMessage]], end: int) -> MidiTrack:
    """Return a track of messages.

    `messages` have absolute ticks; a track stores the ticks between messages.
    """
    import mido

    track, before = mido.MidiTrack(), 0
    for tick, message in messages:
        track.append(message.copy(time=tick - before))
        before = tick
    track.append(mido.MetaMessage("end_of_track", time=max(0, end - before)))
    return track
