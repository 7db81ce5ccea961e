"""Repairs of the bytes of a MIDI file before it is parsed, in place: what nothing here needs must not stop a tune.

mido refuses a whole file over a key signature that cannot be, or one data byte above 127. Players read such files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

_NEEDED = {
    0x2F: (0, 0),
    0x51: (3, 3),
    0x58: (2, 255),
}  # end, tempo, meter: how many bytes they have, least and most
_TEMPO, _METER = 0x51, 0x58
_OPAQUE = 0x7F  # a meta event whose content nobody looks at
_SYSEX = (0xF0, 0xF7)
_META = 0xFF
_SIZES = {0x80: 2, 0x90: 2, 0xA0: 2, 0xB0: 2, 0xC0: 1, 0xD0: 1, 0xE0: 2}  # data bytes of a channel message
_NOTES = (0x80, 0x90)
HIGHEST = 127


def repaired(content: bytes) -> tuple[bytes, Counter[str]]:
    """The content with meta events that are not needed, or are damaged, made opaque, and data bytes above 127 made 127;
    and how often each was done, of what is worth a remark. Pitches stay, so that a note of a wrong one is refused.

    What cannot be followed stays as it is: the parser will say what is wrong.
    """
    made, counts = bytearray(content), Counter[str]()
    for begin, end in _tracks(content):
        try:
            _repair(made, begin, end, counts)
        except IndexError:  # the track breaks off
            continue
    return bytes(made), counts


def _tracks(content: bytes) -> Iterator[tuple[int, int]]:
    """Where the events of each track begin and end."""
    at = 8 + int.from_bytes(content[4:8], "big")
    while at + 8 <= len(content):
        size = int.from_bytes(content[at + 4 : at + 8], "big")
        if content[at : at + 4] == b"MTrk":
            yield at + 8, min(len(content), at + 8 + size)
        at += 8 + size


def _repair(made: bytearray, at: int, end: int, counts: Counter[str]) -> None:
    status = 0
    while at < end:
        _, at = _number(made, at)
        if made[at] >= 0x80:
            status, at = made[at], at + 1
        if status == _META:
            kind = made[at]
            size, body = _number(made, at + 1)
            least, most = _NEEDED.get(kind, (1, 0))
            if not least <= size <= most:
                if kind in _NEEDED:
                    name = {_TEMPO: "tempo", _METER: "meter"}.get(kind, "end of a track")
                    counts[f"{name} that is damaged: left out"] += 1
                made[at] = _OPAQUE
            at, status = body + size, 0
        elif status in _SYSEX:
            size, body = _number(made, at)
            at, status = body + size, 0
        else:
            at = _channel_message(made, at, status, counts)


def _channel_message(made: bytearray, at: int, status: int, counts: Counter[str]) -> int:
    """Make the data bytes of a message legal; where the next event begins."""
    size = _SIZES.get(status & 0xF0)
    if size is None or status > 0xEF:
        raise IndexError  # no status that a file may have
    for place in range(at, at + size):
        pitch = status & 0xF0 in _NOTES and place == at
        if made[place] > HIGHEST and not pitch:
            made[place] = HIGHEST
            counts["data byte{s} above 127: taken as 127"] += 1
    return at + size


def _number(content: bytearray, at: int) -> tuple[int, int]:
    """A number of variable length, and where it ends."""
    value = 0
    for _ in range(4):
        value, at = value << 7 | content[at] & 0x7F, at + 1
        if content[at - 1] < 0x80:
            return value, at
    raise IndexError
