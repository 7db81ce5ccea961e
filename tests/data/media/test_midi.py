"""MIDI files: there and back, and damaged ones, which end in an error of ours, soon."""

from __future__ import annotations

import io
import random
import struct
from pathlib import Path

import mido
import pretty_midi
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.small_tunes import tune
from unrolled.core.errors import DataError, UsageError
from unrolled.core.types import DRUMS, Note, Tune
from unrolled.data.media import midi
from unrolled.data.media.midi import midi_bytes, parse_midi, read_midi, seconds_until

FILE = Path("tune.mid")


def header(kind: int = 1, tracks: int = 1, division: int = 96) -> bytes:
    return b"MThd" + struct.pack(">IHHh", 6, kind, tracks, division)


def track(content: bytes, length: int | None = None) -> bytes:
    return b"MTrk" + struct.pack(">I", len(content) if length is None else length) + content


NOTE = b"\x00\x90\x3c\x40\x60\x80\x3c\x00"
END = b"\x00\xff\x2f\x00"


def test_a_tune_comes_back_from_its_file():
    made = tune("march", 1)
    found = parse_midi(midi_bytes(made), FILE)
    assert (found.notes, found.beat, found.programs) == (made.notes, made.beat, made.programs)
    assert (found.tempos, found.meters, found.remarks) == (made.tempos, made.meters, ())


def test_drums_and_fifteen_voices_have_channels_of_their_own():
    notes = [Note(10 * i, 10 * i + 5, 40 + i, 64, i) for i in range(15)] + [Note(200, 201, 38, 64, DRUMS)]
    made = Tune(tuple(notes), 96, tuple(range(20, 35)))
    file = mido.MidiFile(file=__import__("io").BytesIO(midi_bytes(made)))
    channels = [m.channel for t in file.tracks for m in t if m.type == "note_on"]
    assert channels == [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 9]
    found = parse_midi(midi_bytes(made), FILE)
    assert found.notes == made.notes and found.programs == made.programs


def test_what_is_odd_is_put_right_and_told():
    lost = parse_midi(
        header() + track(b"\x00\x90\x3c\x40\x60\x90\x3c\x50\x60\x90\x3e\x40\x60\xff\x2f\x00"), FILE
    )
    assert [(n.start, n.end, n.pitch) for n in lost.notes] == [(0, 96, 60), (96, 288, 60), (192, 288, 62)]
    assert "1 note struck again while it sounded: the first note ends there" in lost.remarks
    assert "2 notes without an end: ended with its track" in lost.remarks
    nothing = parse_midi(header() + track(b"\x00\x90\x3c\x40\x00\x80\x3c\x00" + NOTE + END), FILE)
    assert nothing.notes[0].end == 1 and "of length 0" in nothing.remarks[0]


def test_sixteen_voices_and_more_are_joined():
    tracks = [track(b"\x00\x90\x3c\x40\x60\x80\x3c\x00" + END) for _ in range(18)]
    found = parse_midi(header(tracks=18) + b"".join(tracks), FILE)
    assert {note.voice for note in found.notes} == set(range(15))
    assert "3 notes of voices beyond 15" in found.remarks[0]


def test_seconds_follow_the_tempos():
    assert seconds_until(960, 480, ()) == 1.0
    assert seconds_until(960, 480, ((480, 60.0),)) == 0.5 + 1.0
    assert seconds_until(480, 480, ((0, 240.0), (960, 60.0))) == 0.25


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "empty file"),
        (b"RIFF1234WAVE", "is not a MIDI file"),
        (b"MThd", "damaged MIDI file"),
        (header(tracks=0), "no notes"),
        (header(tracks=65535), "no notes"),
        (header() + track(END), "no notes"),
        (header() + track(NOTE + END, 1000), "damaged MIDI file"),
        (header() + track(NOTE + END, 2**32 - 1), "damaged MIDI file"),
        (header(division=0) + track(NOTE + END), "0 ticks per quarter note"),
        (header(division=-7656) + track(NOTE + END), "ticks per quarter note"),
        (header(kind=2) + track(NOTE + END), "type 2"),
        (header() + track(b"\x00\x3c\x40" + END), "damaged MIDI file"),
        (header() + track(b"\x00\xff\x51\x03\x00\x00\x00" + NOTE + END), "tempo of 0"),
        (header() + track(b"\xff\xff\xff\x7f" + NOTE[1:] + END), "hours"),
        (header() + track(b"\x00\x90\xff\xff" + END), "no notes"),
        (header(division=1) + track(b"\x00\x90\x3c\x40\x87\xff\xff\x00\x80\x3c\x00" + END), "hours"),
    ],
)
def test_damaged_files_are_refused_with_a_reason(content: bytes, reason: str):
    with pytest.raises(DataError, match=reason) as caught:
        parse_midi(content, FILE)
    assert str(caught.value).startswith("tune.mid: ")


def test_a_file_too_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(midi, "LARGEST", 100)
    (tmp_path / "a.mid").write_bytes(header() + track(NOTE * 50 + END))
    with pytest.raises(DataError, match="too large"):
        read_midi(tmp_path / "a.mid")
    with pytest.raises(UsageError, match="no such file"):
        read_midi(tmp_path / "b.mid")


@pytest.mark.parametrize(
    "event",
    [
        b"\xff\x59\x02\x50\x50",  # 80 flats
        b"\xff\x59\x02\x00\xff",  # the mode 255
        b"\xff\x59\x01\x00",
        b"\xff\x54\x05\xff\xff\xff\xff\xff",  # SMPTE offset
        b"\xff\x00\x00",  # sequence number
        b"\xff\x20\x00",  # channel prefix
        b"\xff\x21\x03abc",  # port
        b"\xff\x03\x04\xff\xfe\x80\x81",  # name
        b"\xff\x51\x02\x07\xa1",  # tempo of two bytes
        b"\xff\x58\x01\x04",  # meter of one byte
        b"\xb0\x07\xff",  # loudness 255
        b"\xe0\xff\xff",  # pitch bend
        b"\xc0\xff",  # program 255
    ],
)
def test_what_nothing_needs_or_one_bad_byte_does_not_stop_a_tune(event: bytes):
    found = parse_midi(header() + track(b"\x00" + event + NOTE + END), FILE)
    assert [(n.start, n.end, n.pitch) for n in found.notes] == [(0, 96, 60)]
    remarked = (event[-1:] == b"\xff" and event[0] != 0xFF) or event[1] in (0x51, 0x58) or event[0] == 0xE0
    assert bool(found.remarks) == remarked, found.remarks


Notes = list[tuple[int, int, int]]


@st.composite
def lines(draw: st.DrawFn) -> Notes:
    """Notes (start, end, pitch) of one channel, of which a pitch often begins anew where it ends."""
    found: Notes = []
    for pitch in draw(st.lists(st.integers(30, 90), min_size=1, max_size=4, unique=True)):
        at = 0
        for gap, length in draw(
            st.lists(st.tuples(st.sampled_from([0, 0, 7, 120]), st.integers(1, 400)), min_size=1, max_size=6)
        ):
            found.append((at + gap, at + gap + length, pitch))
            at += gap + length
    return found


@pytest.mark.parametrize(
    "event",
    [
        b"\xf0\x04\x7e\xff\x80\xf7",  # a system exclusive message with bytes above 127
        b"\xf0\x02\xff\xff",  # one that goes on
        b"\xf7\x03\xf3\xff\x01",  # an escape
        b"\xf4",  # not defined
        b"\xfd",
        b"\xf1\xff",
        b"\xf2\x00\x00",
        b"\xf8",
    ],
)
def test_system_messages_stop_no_tune(event: bytes):
    found = parse_midi(header() + track(b"\x00" + event + NOTE + b"\x00" + event + END), FILE)
    assert [(n.start, n.end, n.pitch) for n in found.notes] == [(0, 96, 60)] and found.remarks == ()


def test_a_note_of_a_wrong_pitch_is_left_out_and_reported():
    wrong = b"\x00\x90\xff\x40\x30\x80\xff\x00"
    found = parse_midi(header() + track(wrong + NOTE + wrong + NOTE + END), FILE)
    assert [(n.start, n.end, n.pitch) for n in found.notes] == [(48, 144, 60), (192, 288, 60)]
    assert found.remarks == ("4 note events with a pitch above 127: ignored",)


def test_all_tracks_are_read_whatever_the_header_counts_or_lies_between():
    content = track(NOTE + END) + b"XFIH\x00\x00\x00\x03abc" + track(NOTE.replace(b"\x3c", b"\x40") + END)
    for count, remarks in ((1, ("1 track that the header does not count: read too",)), (2, ())):
        found = parse_midi(header(tracks=count) + content, FILE)
        assert sorted(n.pitch for n in found.notes) == [60, 64] and found.remarks == remarks
    with pytest.raises(DataError, match="damaged MIDI file"):
        parse_midi(header(tracks=3) + content, FILE)


@pytest.mark.property
@settings(max_examples=150, deadline=None)
@given(
    tracks=st.lists(lines(), min_size=1, max_size=4),
    programs=st.lists(st.integers(0, 127), min_size=4, max_size=4),
    before=st.booleans(),
    first=st.booleans(),
)
def test_files_of_mido_come_back(tracks: list[Notes], programs: list[int], before: bool, first: bool):
    """Random tracks; of a repeated note on comes before off, or behind it; programs in their own track, or in the
    first."""
    file = mido.MidiFile(type=1, ticks_per_beat=96)
    settings_track = mido.MidiTrack()
    file.tracks.append(settings_track)
    for channel, notes in enumerate(tracks):
        program = mido.Message("program_change", channel=channel, program=programs[channel])
        made = mido.MidiTrack()
        (settings_track if first else made).append(program)
        events = [(start, not before, ("note_on", pitch)) for start, _, pitch in notes]
        events += [(end, before, ("note_off", pitch)) for _, end, pitch in notes]
        at = 0
        for tick, _, (kind, pitch) in sorted(events, key=lambda event: event[:2]):
            made.append(mido.Message(kind, channel=channel, note=pitch, velocity=70, time=tick - at))
            at = tick
        file.tracks.append(made)
    out = io.BytesIO()
    file.save(file=out)
    found = parse_midi(out.getvalue(), FILE)
    assert found.remarks == ()
    for channel, notes in enumerate(tracks):
        own = [note for note in found.notes if found.programs[note.voice] == programs[channel]]
        assert {(n.start, n.end, n.pitch) for n in own} >= set(notes)
    assert len(found.notes) == sum(map(len, tracks))


@pytest.mark.property
@settings(max_examples=60, deadline=None)
@given(
    parts=st.lists(lines(), min_size=1, max_size=4),
    programs=st.lists(st.integers(0, 127), min_size=4, max_size=4, unique=True),
    tempo=st.integers(40, 240),
)
def test_files_of_pretty_midi_come_back_and_ours_go_there(
    parts: list[Notes], programs: list[int], tempo: int
):
    made = pretty_midi.PrettyMIDI(resolution=96, initial_tempo=tempo)
    for program, notes in zip(programs, parts, strict=False):
        instrument = pretty_midi.Instrument(program=program)
        for start, end, pitch in notes:
            times = made.tick_to_time(start), made.tick_to_time(end)
            instrument.notes.append(pretty_midi.Note(70, pitch, *times))
        made.instruments.append(instrument)
    out = io.BytesIO()
    made.write(out)
    found = parse_midi(out.getvalue(), FILE)
    expected = {(p, *note) for p, notes in zip(programs, parts, strict=False) for note in notes}
    assert {(found.programs[n.voice], n.start, n.end, n.pitch) for n in found.notes} == expected
    assert found.tempos[0][1] == pytest.approx(tempo, rel=1e-5)
    again = pretty_midi.PrettyMIDI(io.BytesIO(midi_bytes(found)))
    there = {
        (i.program, again.time_to_tick(n.start), again.time_to_tick(n.end), n.pitch)
        for i in again.instruments
        for n in i.notes
    }
    assert there == expected


def test_a_program_of_another_track_counts_until_the_track_has_its_own():
    one = b"\x00\xc0\x28\x00\xc1\x49\x60\xc0\x05" + END
    first = b"\x00\x90\x3c\x40\x60\x80\x3c\x00\x00\x90\x3e\x40\x60\x80\x3e\x00" + END
    second = b"\x00\x91\x3c\x40\x60\x81\x3c\x00\x00\xc1\x07\x00\x91\x3e\x40\x60\x81\x3e\x00" + END
    found = parse_midi(header(tracks=3) + track(one) + track(first) + track(second), FILE)
    assert [(n.start, found.programs[n.voice]) for n in found.notes] == [(0, 40), (0, 73), (96, 5), (96, 7)]


def mutants(count: int, seed: int):
    """Files with bytes changed, cut off, doubled or dropped."""
    chance = random.Random(seed)
    for number in range(count):
        content = bytearray(midi_bytes(tune("march" if number % 2 else "waltz", number % 7)))
        for _ in range(chance.choice((1, 1, 2, 8, 40))):
            at = chance.randrange(len(content))
            match chance.randrange(5):
                case 0:
                    content[at] = chance.randrange(256)
                case 1:
                    content[at] ^= 1 << chance.randrange(8)
                case 2:
                    del content[at:]
                case 3:
                    del content[at : at + chance.randrange(1, 9)]
                case _:
                    content[at:at] = content[at : at + chance.randrange(1, 99)]
            if not content:
                break
        yield bytes(content)


def read_or_refused(content: bytes) -> bool:
    try:
        found = parse_midi(content, FILE)
    except DataError:
        return False
    assert found.notes and all(0 <= n.start < n.end and 0 <= n.pitch < 128 for n in found.notes)
    assert 0 <= seconds_until(max(n.end for n in found.notes), found.beat, found.tempos) <= midi.LONGEST
    return True


def test_mutants_end_in_a_tune_or_an_error_of_ours():
    read = [read_or_refused(content) for content in mutants(150, 1)]
    assert 10 < sum(read) < 140


@pytest.mark.slow
def test_two_thousand_mutants_end_in_a_tune_or_an_error_of_ours():
    for content in mutants(2_000, 2):
        read_or_refused(content)
