"""Progress of training on stderr: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from unrolled.core.terminal import escaped

BARS = "▁▂▃▄▅▆▇█"
PLAIN_SECONDS = 10.0  # without a terminal, at most one line of progress in so many seconds


@dataclass(frozen=True)
class Moment:
    """Where a training stands: share done (0 to 1), step, latest loss in nats, tokens a second so far."""

    share: float
    step: int
    loss: float
    speed: float


@runtime_checkable
class Reporter(Protocol):
    """Where notes and progress go."""

    def note(self, text: str) -> None:
        """One line that stays."""
        ...

    def moment(self, now: Moment) -> None:
        """Progress, as often as there is any: the reporter decides what to show."""
        ...

    def validated(self, now: Moment, metrics: Mapping[str, float], sample: str | None) -> None:
        """A validation: its losses, and for language models a few characters that the model would write."""
        ...

    def close(self) -> None:
        """The training has ended, well or not."""
        ...


class Silent:
    """Says nothing: for estimators and tests."""

    def note(self, text: str) -> None:
        """Nothing."""

    def moment(self, now: Moment) -> None:
        """Nothing."""

    def validated(self, now: Moment, metrics: Mapping[str, float], sample: str | None) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


def sparkline(values: list[float], width: int = 24) -> str:
    """The last `width` values as bars, the largest full: a curve in one line of text."""
    shown = values[-width:]
    low, high = min(shown, default=0.0), max(shown, default=0.0)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(BARS[round((value - low) * scale)] for value in shown)


def counted(number: int, noun: str) -> str:
    """How many of a thing, for people: 1 thread, 1,129 steps."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """Seconds for people: 42s, 3m05s, 2h14m."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    return (
        f"{whole // 60}m{whole % 60:02d}s" if whole < 3600 else f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    )


class Curve:
    """The validations and the pace so far, and the lines that tell them."""

    def __init__(self) -> None:
        self._started: float | None = None
        self._share = 0.0
        self._losses: list[float] = []

    def moment(self, now: Moment) -> str:
        """One line: where the training stands, and how long it still takes."""
        return self._line(now, f"loss {now.loss:.3f}")

    def validated(self, now: Moment, metrics: Mapping[str, float], sample: str | None) -> str:
        """One line with both losses and their curve; the sample below it."""
        self._losses.append(metrics.get("loss", metrics["train_loss"]))
        held_out = f"  valid {metrics['loss']:.4f}" if "loss" in metrics else ""
        losses = f"train {metrics['train_loss']:.3f}{held_out} {sparkline(self._losses)}"
        return self._line(now, losses) + ("\n  | " + sample.replace("\n", "\n  | ") if sample else "")

    def _line(self, now: Moment, losses: str) -> str:
        if self._started is None:
            self._started, self._share = time.monotonic(), now.share
        done = now.share - self._share
        left = duration((time.monotonic() - self._started) * (1 - now.share) / done) if done > 0 else "?"
        return f"{now.share:4.0%}  step {now.step:,}  {losses}  {now.speed:,.0f} tokens/s  {left} left"


class Lines:
    """Plain lines on stderr: each validation, and between them a line every `PLAIN_SECONDS`."""

    def __init__(self) -> None:
        self._curve = Curve()
        self._spoken = time.monotonic()

    def note(self, text: str) -> None:
        """Print the line."""
        self._spoken = time.monotonic()
        print(escaped(text), file=sys.stderr, flush=True)

    def moment(self, now: Moment) -> None:
        """A line now and then."""
        line = self._curve.moment(now)
        if time.monotonic() - self._spoken >= PLAIN_SECONDS:
            self.note(line)

    def validated(self, now: Moment, metrics: Mapping[str, float], sample: str | None) -> None:
        """A line, with the sample below it."""
        self.note(self._curve.validated(now, metrics, sample))

    def close(self) -> None:
        """Lines stay as they are; the next training has a curve of its own."""
        self._curve = Curve()


class Bar:
    """A moving bar on a terminal; notes and validations scroll above it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._curve = Curve()
        self._console = Console(stderr=True, highlight=False)
        columns = (BarColumn(), TextColumn("{task.description}", markup=False))
        self._bar = Progress(*columns, console=self._console, transient=True)
        self._task = self._bar.add_task("", total=1.0)

    def note(self, text: str) -> None:
        """Print above the bar. The text is a person's: what looks like markup in it is none."""
        self._console.print(escaped(text), markup=False, soft_wrap=True)

    def moment(self, now: Moment) -> None:
        """Move the bar."""
        self._bar.start()
        self._bar.update(self._task, completed=now.share, description=self._curve.moment(now))

    def validated(self, now: Moment, metrics: Mapping[str, float], sample: str | None) -> None:
        """A line above the bar, with the sample below it."""
        self.note(self._curve.validated(now, metrics, sample))

    def close(self) -> None:
        """Take the bar away and give the cursor back; the next training has a curve of its own."""
        self._bar.stop()
        self._curve = Curve()


def console_reporter() -> Reporter:
    """The reporter for a command line: a bar where stderr is a terminal, lines elsewhere."""
    return Bar() if sys.stderr.isatty() else Lines()
