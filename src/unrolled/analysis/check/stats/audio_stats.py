"""Statistics of recordings and transcripts for `check`: silence, clipping, sample rates, lengths, characters."""

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

QUIET = 1e-3  # the loudest sample of a sound that is silence, of 1
CLIPPED, OFTEN = 0.999, 1e-3  # a sample at the limit; the share of them that can be heard
SHORT, LONG = 0.1, 30.0  # seconds
RARE = 3  # times that a character must be there to be learnt
HASTY = 25  # characters a second: nobody speaks so quickly
SHOWN = 12


@dataclass
class SoundSurvey:
    """Sounds: their rates and lengths, and those that are silent or clipped."""

    learnt: AudioInput | None
    findings: Findings
    seconds: float = 0.0
    rates: Counter[int] = field(default_factory=Counter)
    channels: Counter[int] = field(default_factory=Counter)

    def add(self, example: Example) -> int:
        """Look at one more; its frames. Raises DataError where it cannot be decoded."""
        path, place = Path(str(example.x)), example.place
        told = header(path)
        sound = read(path, told.rate)
        self.seconds += told.seconds
        self.rates[told.rate] += 1
        self.channels[told.channels] += 1
        loudest = float(np.abs(sound).max(initial=0.0))
        if loudest < QUIET:
            self.findings.odd("silence", place, f"its loudest sample is {loudest:.2g} of 1")
        clipped = float((np.abs(sound) >= CLIPPED).mean())
        if clipped > OFTEN:
            self.findings.odd("clipped: samples at the limit", place, f"{clipped:.1%} of them")
        if told.seconds < SHORT:
            self.findings.odd(f"shorter than {SHORT} seconds", place, f"{told.seconds:.3f}")
        if told.seconds > LONG:
            self.findings.odd(f"longer than {LONG:.0f} seconds", place, f"{told.seconds:.1f}")
        if self.learnt is None:
            return 0
        if told.rate < self.learnt.rate:
            detail = f"{told.rate:,}; the others have {self.learnt.rate:,}"
            self.findings.odd("fewer samples a second than is listened to", place, detail)
        return self.learnt.mel.frames(round(told.seconds * self.learnt.rate))

    def report(self) -> XReport:
        """Seconds in all; rates and channels with how many sounds have them."""
        return {
            "seconds": self.seconds,
            "rates": {str(rate): count for rate, count in self.rates.most_common()},
            "channels": {str(channels): count for channels, count in self.channels.most_common()},
        }


@dataclass
class TranscriptSurvey:
    """What is said: characters, and texts that are empty or too long for their sound."""

    learnt: Transcript | None
    findings: Findings
    lower: bool
    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, Place] = field(default_factory=dict)
    texts: int = 0

    def add(self, example: Example, lines: Sequence[int] = ()) -> str:
        """Look at one more; its text."""
        text, place = str(example.y), example.place
        self.texts += 1
        look_at_text(text, place, self.findings)
        said = tidy(text, lower=self.lower)
        if not said:
            self.findings.odd("nothing said (learnt as silence)", place)
        self.counts.update(said)
        for character in set(said) - self.first.keys():
            self.first[character] = place
        seconds = header(example.x).seconds if isinstance(example.x, Path) else math.inf  # a picture lasts
        if len(said) > HASTY * seconds:
            self.findings.odd(
                f"more than {HASTY} characters a second",
                place,
                f"{len(said)} in {seconds:.2f} s: {said[:40]}",
            )
        unknown = sorted(set(self.learnt.split(said)) - self.learnt.index.keys()) if self.learnt else []
        if unknown:
            self.findings.odd(
                "characters that training does not have", place, " ".join(map(repr, unknown[:10]))
            )
        return text

    def conclude(self) -> None:
        """Characters that are too rare to be learnt."""
        for character, count in self.counts.items():
            if count < RARE:
                self.findings.odd(
                    f"character seen fewer than {RARE} times", self.first[character], repr(character)
                )

    def report(self) -> TranscriptsReport:
        """Each character and how often it is there."""
        return {"texts": self.texts, "alphabet": dict(self.counts.most_common())}

    def baseline(self) -> BaselineReport | None:
        """To say nothing has an error rate of 1, which needs no telling."""
        return None


def in_words(part: PartReport) -> list[str]:
    """Seconds, rates and channels of a part for people."""
    if "rates" not in part or "channels" not in part or "seconds" not in part:
        return []
    rates = ", ".join(f"{int(rate):,} ({count:,} sounds)" for rate, count in part["rates"].items())
    channels = ", ".join(f"{count} ({sounds:,} sounds)" for count, sounds in part["channels"].items())
    return [f"  {part['seconds']:,.0f} seconds; samples a second: {rates}; channels: {channels}"]


def characters_in_words(y: TranscriptsReport, of: str) -> str:
    """What is said, for people."""
    shown = [f"{name!r} {count:,}" for name, count in list(y["alphabet"].items())[:SHOWN]]
    more = len(y["alphabet"]) - len(shown)
    return f"{len(y['alphabet']):,} characters{of}: {', '.join(shown)}" + (
        f" and {more} more" if more > 0 else ""
    )
