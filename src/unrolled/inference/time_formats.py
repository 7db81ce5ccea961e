"""Write words and tags with times as subtitles (SRT, WebVTT), annotations (Praat TextGrid) and CTM lines."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unrolled.core.errors import UsageError
from unrolled.core.values.json_values import as_list, as_number, as_object, as_plain

PAUSE = 0.8  # a subtitle ends if the next word starts at least this many seconds later
LONGEST, WIDEST = 6.0, 84  # maximum seconds and characters of a subtitle


@dataclass(frozen=True)
class Cue:
    """A text from `start` to `end`, in seconds."""

    start: float
    end: float
    text: str
    confidence: float = 1.0


def cues_of(record: Mapping[str, object]) -> list[Cue]:
    """Return the words of an answer, or the intervals of its tags.

    Raises UsageError if the answer has no times.
    """
    if "words" in record:
        return [_cue(as_object(word), "word") for word in as_list(record["words"])]
    found = None if record.get("intervals") is None else list(map(as_object, as_list(record["intervals"])))
    if found is None or any("start" not in one for one in found):
        raise UsageError(
            "these answers have no times",
            expected="words of a recording, or tags of a recording or a video read at a rate",
        )
    return [_cue(one, "tag") for one in found]


def _cue(one: Mapping[str, object], text: str) -> Cue:
    """Return a word or a tag with its times. text: the name of the field that has the word or the tag."""
    start, end, confidence = (as_number(one[name]) for name in ("start", "end", "confidence"))
    return Cue(start, end, as_plain(str, one[text]), confidence)


def srt(record: Mapping[str, object], name: str) -> str:
    """Return numbered subtitles (SRT), with times such as `00:00:01,500 --> 00:00:02,750`."""
    blocks = [
        f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n{cue.text}\n"
        for number, cue in enumerate(_subtitles(record), 1)
    ]
    return "\n".join(blocks)


def vtt(record: Mapping[str, object], name: str) -> str:
    """Return WebVTT subtitles, with times such as `00:00:01.500 --> 00:00:02.750`."""
    blocks = [
        f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n{html.escape(cue.text, quote=False)}\n"
        for cue in _subtitles(record)
    ]
    return "\n".join(["WEBVTT\n", *blocks])


def ctm(record: Mapping[str, object], name: str) -> str:
    """Return one line per word: recording, channel, start, duration, word, confidence (CTM of NIST)."""
    stem = "_".join(Path(name).stem.split())
    lines = (
        f"{stem} 1 {cue.start:.3f} {cue.end - cue.start:.3f} {cue.text} {cue.confidence:.3f}"
        for cue in cues_of(record)
    )
    return "".join(f"{line}\n" for line in lines)


def textgrid(record: Mapping[str, object], name: str) -> str:
    """Return one tier of intervals without gaps, in Praat's long text format."""
    cues = cues_of(record)
    end = round(max([float(as_number(record.get("seconds", 0.0))), *(cue.end for cue in cues)]), 3)
    tier = "words" if "words" in record else "tags"
    intervals = _filled(cues, end)
    lines = [
        *('File type = "ooTextFile"', 'Object class = "TextGrid"', ""),
        *("xmin = 0", f"xmax = {_number(end)}", "tiers? <exists>", "size = 1", "item []:", "    item [1]:"),
        *('        class = "IntervalTier"', f'        name = "{tier}"'),
        *(
            "        xmin = 0",
            f"        xmax = {_number(end)}",
            f"        intervals: size = {len(intervals)}",
        ),
    ]
    for number, cue in enumerate(intervals, 1):
        text = cue.text.replace('"', '""')
        lines += [f"        intervals [{number}]:", f"            xmin = {_number(cue.start)}"]
        lines += [f"            xmax = {_number(cue.end)}", f'            text = "{text}"']
    return "\n".join(lines) + "\n"


def intervals(record: Mapping[str, object], name: str) -> str:
    """Return the intervals of tags in the form of training tables: `0.1-0.52 speech; 1-1.3 cough`."""
    return "; ".join(f"{_number(cue.start)}-{_number(cue.end)} {cue.text}" for cue in cues_of(record)) + "\n"


# Name of the format -> function(record of an answer, name of its recording) that returns the text of a file.
FORMATS: dict[str, Callable[[Mapping[str, object], str], str]] = {
    "srt": srt,
    "vtt": vtt,
    "ctm": ctm,
    "textgrid": textgrid,
    "intervals": intervals,
}
JOINED = ("ctm", "intervals")  # formats that put several recordings into one file
ENDINGS = {"textgrid": ".TextGrid"}  # file extensions that differ from the name of the format


def _subtitles(record: Mapping[str, object]) -> list[Cue]:
    """Join words to subtitles, up to a pause or the maximum length. Tags are not joined."""
    cues = cues_of(record)
    if "words" not in record:
        return cues
    found: list[Cue] = []
    for cue in cues:
        last = found[-1] if found else None
        if (
            last is not None
            and cue.start - last.end < PAUSE
            and cue.end - last.start <= LONGEST
            and len(last.text) + 1 + len(cue.text) <= WIDEST
        ):
            found[-1] = Cue(last.start, cue.end, f"{last.text} {cue.text}")
        else:
            found.append(cue)
    return found


def _filled(cues: Sequence[Cue], end: float) -> list[Cue]:
    """Fill the gaps with empty cues, so that the cues cover the time from 0 to `end`."""
    found: list[Cue] = []
    at = 0.0
    for cue in sorted(cues, key=lambda cue: cue.start):
        start = max(at, cue.start)
        if start > at:
            found.append(Cue(at, start, ""))
        if cue.end > start:
            found.append(Cue(start, cue.end, cue.text))
            at = cue.end
    return [*found, Cue(at, end, "")] if end > at or not found else found


def _number(seconds: float) -> str:
    """Format seconds with at most 3 decimal places, without trailing zeros."""
    return f"{seconds:.3f}".rstrip("0").rstrip(".")


def _clock(seconds: float, point: str) -> str:
    whole = round(seconds * 1000)
    minutes, rest = divmod(whole, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{point}{rest % 1000:03}"
