"""Count the events of a MIDI file without parsing it: parsed events need 300 times the memory of the file."""

from __future__ import annotations

_DATA = {
    0x8: 2,
    0x9: 2,
    0xA: 2,
    0xB: 2,
    0xC: 1,
    0xD: 1,
    0xE: 2,
}  # upper four bits of a status byte -> number of data bytes


def count_events(content: bytes, most: int) -> int:
    """Return the number of events of all tracks, at most `most` + 1.

    Count a track up to its first invalid byte.
    """
    count, at = 0, 14
    while at + 8 <= len(content) and count <= most:
        end = at + 8 + int.from_bytes(content[at + 4 : at + 8], "big")
        if content[at : at + 4] == b"MTrk":
            count += _of_track(content, at + 8, min(end, len(content)), most - count)
        at = end
    return count


def _of_track(content: bytes, at: int, end: int, most: int) -> int:
    count, status = 0, 0
    try:
        while at < end and count <= most:
            while content[at] & 0x80:  # the delta time before an event
                at += 1
            at += 1
            if content[at] & 0x80:
                status = content[at]
                at += 1
            if status in (0xF0, 0xF7, 0xFF):
                at += status == 0xFF
                size = 0
                while content[at] & 0x80:
                    size, at = (size | content[at] & 0x7F) << 7, at + 1
                at += 1 + (size | content[at])
            else:
                at += _DATA[status >> 4]
            count += 1
    except (IndexError, KeyError):
        pass
    return count
