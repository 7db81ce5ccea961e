"""Repair the bytes of a MIDI file before it is parsed, so that damage in unneeded parts is not an error.

mido rejects a file with an invalid key signature or a single data byte above 127. Players accept such files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

_NEEDED = {
    0x2F: (0, 0),
    0x51: (3, 3),
    0x58: (2, 255),
}  # end, tempo, meter -> minimum and maximum number of bytes
_TEMPO, _METER = 0x51, 0x58
_OPAQUE = 0x7F  # a meta event whose content is ignored
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
}  # data bytes of a system message
_TUNE_REQUEST = 0xF6  # a system message without data; it replaces undefined system messages
HIGHEST = 127


def repaired(content: bytes) -> tuple[bytes, Counter[str]]:
    """Return the content in a form that a strict parser accepts, and how often each remark applies.

    * Chunks other than tracks are removed. The number of tracks in the header is corrected.
    * Meta events that are unneeded or damaged become opaque. The content of system messages is set to zero.
    * A note whose pitch is above 127 becomes silent. Other data bytes above 127 become 127.

    Content that cannot be followed is not changed: the parser reports the error.
    """
    counts = Counter[str]()
    made = bytearray(_only_tracks(content, counts))
    for begin, end in _tracks(made):
        try:
            _repair(made, begin, end, counts)
        except IndexError:  # the track is truncated
            continue
    return bytes(made), counts


def _only_tracks(content: bytes, counts: Counter[str]) -> bytes:
    """Return the header and the tracks only, with the correct number of tracks.

    If the header claims more tracks than the file has, or none, return the content unchanged.
    """
    tracks = list(_tracks(content))
    said = int.from_bytes(content[10:12], "big")
    first = 8 + int.from_bytes(content[4:8], "big")
    sizes = first + sum(8 + end - begin for begin, end in tracks)
    if not 0 < said <= len(tracks) or (said == len(tracks) and sizes == len(content)):
        return content
    if said < len(tracks):
        counts["track{s} that the header does not count: read too"] += len(tracks) - said
    body = b"".join(content[begin - 8 : end] for begin, end in tracks)
    return content[:10] + len(tracks).to_bytes(2, "big") + content[12:first] + body


def _tracks(content: bytes | bytearray) -> Iterator[tuple[int, int]]:
    """Yield the byte positions at which the events of each track begin and end."""
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
    """Make a meta event opaque if it is damaged or unneeded. Return the position of the next event."""
    kind = made[at]
    size, body = _number(made, at + 1)
    least, most = _NEEDED.get(kind, (1, 0))
    if not least <= size <= most:
        if kind in _NEEDED:
            name = {_TEMPO: "tempo", _METER: "meter"}.get(kind, "end of a track")
            counts[f"damaged {name}: ignored"] += 1
        made[at] = _OPAQUE
    return body + size


def _channel_message(made: bytearray, at: int, status: int, counts: Counter[str]) -> int:
    """Make the data bytes of a channel message valid. Return the position of the next event."""
    size = _SIZES.get(status & 0xF0)
    if size is None:
        raise IndexError  # no status byte yet
    if status & 0xF0 in _NOTES and made[at] > HIGHEST:
        made[at], made[at + 1] = HIGHEST, 0  # with velocity 0 no note begins
        counts["note event{s} with a pitch above 127: ignored"] += 1
    for place in range(at, at + size):
        if made[place] > HIGHEST:
            made[place] = HIGHEST
            counts["data byte{s} above 127: set to 127"] += 1
    return at + size


def _number(content: bytearray, at: int) -> tuple[int, int]:
    """Decode a number of variable length.

    Return it and the position after it. Raises IndexError if invalid.
    """
    value = 0
    for _ in range(4):
        value, at = value << 7 | content[at] & 0x7F, at + 1
        if content[at - 1] < 0x80:
            return value, at
    raise IndexError
