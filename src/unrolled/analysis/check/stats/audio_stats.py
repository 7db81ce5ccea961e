"""Statistics of audio and transcripts for `check`: silence, clipping, sample rate, length, characters."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from unrolled.analysis.check.findings import Findings
from unrolled.analysis.check.odd_characters import look_at_text
from unrolled.analysis.check.stats.report_types import BaselineReport, PartReport, TranscriptsReport, XReport
from unrolled.core.types import Example, Place
from unrolled.data.media.audio import header, read
from unrolled.tasks.inputs.audio import AudioInput
from unrolled.tasks.outputs.ctc import Transcript, tidy

QUIET = 1e-3  # a recording with a lower peak is silent; full scale is 1
CLIPPED, OFTEN = 0.999, 1e-3  # level of a clipped sample; fraction of clipped samples that is audible
SHORT, LONG = 0.1, 30.0  # seconds: shorter and longer recordings are reported
RARE = 3  # a character with a lower count is too rare to be learnt
HASTY = 25  # characters per second: nobody speaks faster
SHOWN = 12


@dataclass
class SoundSurvey:
    """Statistics of recordings: sample rates and lengths; findings for silent and clipped ones."""

    learnt: AudioInput | None
    findings: Findings
    seconds: float = 0.0
    rates: Counter[int] = field(default_factory=Counter)
    channels: Counter[int] = field(default_factory=Counter)

    def add(self, example: Example) -> int:
        """Examine one recording, and return its number of frames. Raises DataError if it is broken."""
        path, place = Path(str(example.x)), example.place
        told = header(path)
        sound = read(path, told.rate)
        self.seconds += told.seconds
        self.rates[told.rate] += 1
        self.channels[told.channels] += 1
        loudest = float(np.abs(sound).max(initial=0.0))
        if loudest < QUIET:
            self.findings.odd("silence", place, f"peak level {loudest:.2g} (full scale is 1)")
        clipped = float((np.abs(sound) >= CLIPPED).mean())
        if clipped > OFTEN:
            self.findings.odd("clipping (samples at full scale)", place, f"{clipped:.1%} of the samples")
        if told.seconds < SHORT:
            self.findings.odd(f"shorter than {SHORT} seconds", place, f"{told.seconds:.3f} s")
        if told.seconds > LONG:
            self.findings.odd(f"longer than {LONG:.0f} seconds", place, f"{told.seconds:.1f} s")
        if self.learnt is None:
            return 0
        if told.rate < self.learnt.rate:
            detail = f"{told.rate:,} Hz; training uses {self.learnt.rate:,} Hz"
            self.findings.odd("sample rate lower than in training", place, detail)
        return self.learnt.mel.frames(round(told.seconds * self.learnt.rate))

    def report(self) -> XReport:
        """Return the total duration, and the number of recordings with each sample rate and channel count."""
        return {
            "seconds": self.seconds,
            "rates": {str(rate): count for rate, count in self.rates.most_common()},
            "channels": {str(channels): count for channels, count in self.channels.most_common()},
        }


@dataclass
class TranscriptSurvey:
    """Statistics of transcripts: characters; findings for empty texts and texts too long for the sound."""

    learnt: Transcript | None
    findings: Findings
    lower: bool
    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, Place] = field(default_factory=dict)
    texts: int = 0

    def add(self, example: Example, lines: Sequence[int] = ()) -> str:
        """Examine one transcript, and return it unchanged."""
        text, place = str(example.y), example.place
        self.texts += 1
        look_at_text(text, place, self.findings)
        said = tidy(text, lower=self.lower)
        if not said:
            self.findings.odd("empty transcript (learnt as silence)", place)
        self.counts.update(said)
        for character in set(said) - self.first.keys():
            self.first[character] = place
        seconds = (
            header(example.x).seconds if isinstance(example.x, Path) else math.inf
        )  # images have no duration
        if len(said) > HASTY * seconds:
            self.findings.odd(
                f"more than {HASTY} characters per second",
                place,
                f"{len(said)} in {seconds:.2f} s: {said[:40]}",
            )
        unknown = sorted(set(self.learnt.split(said)) - self.learnt.index.keys()) if self.learnt else []
        if unknown:
            self.findings.odd(
                "characters that are not in the training set", place, " ".join(map(repr, unknown[:10]))
            )
        return text

    def conclude(self) -> None:
        """Add a finding for each character that is too rare to be learnt."""
        for character, count in self.counts.items():
            if count < RARE:
                self.findings.odd(
                    f"character seen fewer than {RARE} times", self.first[character], repr(character)
                )

    def report(self) -> TranscriptsReport:
        """Return the number of transcripts and the count of each character."""
        return {"texts": self.texts, "alphabet": dict(self.counts.most_common())}

    def baseline(self) -> BaselineReport | None:
        """Return None: the empty transcript has an error rate of 1, which is not worth reporting."""
        return None


def in_words(part: PartReport) -> list[str]:
    """Return the duration, sample rates and channels of a part as text."""
    if "rates" not in part or "channels" not in part or "seconds" not in part:
        return []
    rates = ", ".join(f"{int(rate):,} Hz ({count:,} files)" for rate, count in part["rates"].items())
    channels = ", ".join(f"{count} ({sounds:,} files)" for count, sounds in part["channels"].items())
    return [f"  {part['seconds']:,.0f} seconds; sample rates: {rates}; channels: {channels}"]


def characters_in_words(y: TranscriptsReport, of: str) -> str:
    """Return the characters of the transcripts as text."""
    shown = [f"{name!r} {count:,}" for name, count in list(y["alphabet"].items())[:SHOWN]]
    more = len(y["alphabet"]) - len(shown)
    return f"{len(y['alphabet']):,} characters{of}: {', '.join(shown)}" + (
        f" and {more} more" if more > 0 else ""
    )
