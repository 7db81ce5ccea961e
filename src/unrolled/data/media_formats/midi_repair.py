"""Repair the bytes of a MIDI file before it is parsed: damage in parts that are not needed must not reject the tune.

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
_SYSTEM = {
    0xF1: 1,
    0xF2: 2,
    0xF3: 1,
    0xF6: 0,
    0xF8: 0,
    0xFA: 0,
    0xFB: 0,
    0xFC: 0,
    0xFE: 0,
}  # the same of system messages
_TUNE_REQUEST = 0xF6  # a system message without data: it takes the place of one that is not defined
HIGHEST = 127


def repaired(content: bytes) -> tuple[bytes, Counter[str]]:
    """The content as a strict parser accepts it, and how often each remark applies.

    * Chunks other than tracks are removed, and the header counts the tracks that there are.
    * Meta events that are not needed, or are damaged, become opaque; system messages lose their content.
    * A note whose pitch is above 127 becomes silent. Other data bytes above 127 become 127.

    Content that cannot be followed stays as it is: the parser will say what is wrong.
    """
    counts = Counter[str]()
    made = bytearray(_only_tracks(content, counts))
    for begin, end in _tracks(made):
        try:
            _repair(made, begin, end, counts)
        except IndexError:  # the track breaks off
            continue
    return bytes(made), counts


def _only_tracks(content: bytes, counts: Counter[str]) -> bytes:
    """The header and the tracks, if the header says that there are no more tracks than there are."""
    tracks = list(_tracks(content))
    said = int.from_bytes(content[10:12], "big")
    first = 8 + int.from_bytes(content[4:8], "big")
    sizes = first + sum(8 + end - begin for begin, end in tracks)
    if not 0 < said <= len(tracks) or (said == len(tracks) and sizes == len(content)):
        return content
    if said < len(tracks):
        counts["track{s} that the header does not count: read"] += len(tracks) - said
    body = b"".join(content[begin - 8 : end] for begin, end in tracks)
    return content[:10] + len(tracks).to_bytes(2, "big") + content[12:first] + body


def _tracks(content: bytes | bytearray) -> Iterator[tuple[int, int]]:
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
            at, status = _meta_event(made, at, counts), 0
        elif status in _SYSEX:
            size, body = _number(made, at)
            closed = size > 0 and made[body + size - 1] == _SYSEX[1]
            made[body : body + size - closed] = bytes(size - closed)
            at, status = body + size, 0
        elif status >= 0xF0:
            if status not in _SYSTEM:
                made[at - 1] = _TUNE_REQUEST
            size = _SYSTEM.get(status, 0)
            made[at : at + size] = bytes(size)
            at, status = at + size, 0
        else:
            at = _channel_message(made, at, status, counts)


def _meta_event(made: bytearray, at: int, counts: Counter[str]) -> int:
    """Make a meta event opaque if it is damaged or not needed; where the next event begins."""
    kind = made[at]
    size, body = _number(made, at + 1)
    least, most = _NEEDED.get(kind, (1, 0))
    if not least <= size <= most:
        if kind in _NEEDED:
            name = {_TEMPO: "tempo", _METER: "meter"}.get(kind, "end of a track")
            counts[f"{name} that is damaged: left out"] += 1
        made[at] = _OPAQUE
    return body + size


def _channel_message(made: bytearray, at: int, status: int, counts: Counter[str]) -> int:
    """Make the data bytes of a message legal; where the next event begins."""
    size = _SIZES.get(status & 0xF0)
    if size is None:
        raise IndexError  # no status yet
    if status & 0xF0 in _NOTES and made[at] > HIGHEST:
        made[at], made[at + 1] = HIGHEST, 0  # with velocity 0 no note begins
        counts["note event{s} with a pitch above 127: left out"] += 1
    for place in range(at, at + size):
        if made[place] > HIGHEST:
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
