"""MIDI files: there and back, and damaged ones, which end in an error of ours, soon."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import mido
import pytest

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
    assert "1 note struck again while it sounded: the first ends there" in lost.remarks
    assert "2 notes without an end: ended with its track" in lost.remarks
    nothing = parse_midi(header() + track(b"\x00\x90\x3c\x40\x00\x80\x3c\x00" + NOTE + END), FILE)
    assert nothing.notes[0].end == 1 and "of no length" in nothing.remarks[0]


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
        (b"RIFF1234WAVE", "is no MIDI file"),
        (b"MThd", "damaged MIDI file"),
        (header(tracks=0), "no notes"),
        (header(tracks=65535), "no notes"),
        (header() + track(END), "no notes"),
        (header() + track(NOTE + END, 1000), "damaged MIDI file"),
        (header() + track(NOTE + END, 2**32 - 1), "damaged MIDI file"),
        (header(division=0) + track(NOTE + END), "0 ticks a quarter note"),
        (header(division=-7656) + track(NOTE + END), "ticks a quarter note"),
        (header(kind=2) + track(NOTE + END), "type 2"),
        (header() + track(b"\x00\x3c\x40" + END), "damaged MIDI file"),
        (header() + track(b"\x00\xff\x51\x03\x00\x00\x00" + NOTE + END), "tempo of 0"),
        (header() + track(b"\xff\xff\xff\x7f" + NOTE[1:] + END), "hours"),
        (header() + track(b"\x00\x90\xff\xff" + END), "damaged MIDI file"),
        (header() + track(b"\x00\xff\x59\x02\x50\x50" + NOTE + END), "damaged MIDI file"),
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
