"""Write words and tags with times as subtitles (SRT, WebVTT), annotations (TextGrid of Praat) and CTM lines."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unrolled.core.errors import UsageError
from unrolled.core.values.json_values import as_list, as_number, as_object, as_plain

PAUSE = 0.8  # seconds between two words that end a subtitle
LONGEST, WIDEST = 6.0, 84  # seconds and characters of a subtitle


@dataclass(frozen=True)
class Cue:
    """A text between two moments, in seconds."""

    start: float
    end: float
    text: str
    confidence: float = 1.0


def cues_of(record: Mapping[str, object]) -> list[Cue]:
    """The words of an answer, or its tags as intervals. Raises UsageError where the answer has no times."""
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
    """A word or a tag with its times. text: the name of the field that says it."""
    start, end, confidence = (as_number(one[name]) for name in ("start", "end", "confidence"))
    return Cue(start, end, as_plain(str, one[text]), confidence)


def srt(record: Mapping[str, object], name: str) -> str:
    """Numbered subtitles: `00:00:01,500 --> 00:00:02,750`."""
    blocks = [
        f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n{cue.text}\n"
        for number, cue in enumerate(_subtitles(record), 1)
    ]
    return "\n".join(blocks)


def vtt(record: Mapping[str, object], name: str) -> str:
    """WebVTT: `00:00:01.500 --> 00:00:02.750`."""
    blocks = [
        f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n{html.escape(cue.text, quote=False)}\n"
        for cue in _subtitles(record)
    ]
    return "\n".join(["WEBVTT\n", *blocks])


def ctm(record: Mapping[str, object], name: str) -> str:
    """A line for each word: recording, channel, start, duration, word, confidence (NIST)."""
    stem = "_".join(Path(name).stem.split())
    lines = (
        f"{stem} 1 {cue.start:.3f} {cue.end - cue.start:.3f} {cue.text} {cue.confidence:.3f}"
        for cue in cues_of(record)
    )
    return "".join(f"{line}\n" for line in lines)


def textgrid(record: Mapping[str, object], name: str) -> str:
    """One tier of intervals without gaps, in Praat's long text format."""
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
    """The stretches of tags as tables of training have them: `0.1-0.52 speech; 1-1.3 cough`."""
    return "; ".join(f"{_number(cue.start)}-{_number(cue.end)} {cue.text}" for cue in cues_of(record)) + "\n"


# By the name of the format: from the record of an answer and the name of its file to the text of a file.
FORMATS: dict[str, Callable[[Mapping[str, object], str], str]] = {
    "srt": srt,
    "vtt": vtt,
    "ctm": ctm,
    "textgrid": textgrid,
    "intervals": intervals,
}
JOINED = ("ctm", "intervals")  # several recordings go into one file
ENDINGS = {"textgrid": ".TextGrid"}  # of files, where it is not the name of the format


def _subtitles(record: Mapping[str, object]) -> list[Cue]:
    """Words together until a pause, or until there are enough; tags one by one."""
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
    """The cues with empty ones between, so that they reach from 0 to the end."""
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
    """In milliseconds at most, without zeros behind."""
    return f"{seconds:.3f}".rstrip("0").rstrip(".")


def _clock(seconds: float, point: str) -> str:
    whole = round(seconds * 1000)
    minutes, rest = divmod(whole, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{point}{rest % 1000:03}"
