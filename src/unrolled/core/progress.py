"""Show the progress of training on stderr: a bar on a terminal, else plain lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from unrolled.core.terminal import escaped

BARS = "▁▂▃▄▅▆▇█"
PLAIN_SECONDS = 10.0  # minimum time between two lines of progress if stderr is not a terminal


@dataclass(frozen=True)
class Moment:
    """The progress of a training.

    share: completed fraction, 0 to 1.
    step: number of the step.
    loss: latest loss in nats.
    speed: tokens per second so far.
    """

    share: float
    step: int
    loss: float
    speed: float


@runtime_checkable
class Reporter(Protocol):
    """Receives notes and progress, and shows them."""

    def note(self, text: str) -> None:
        """Show a line permanently."""
        ...

    def moment(self, now: Moment) -> None:
        """Receive the progress. This is called often; the reporter decides what to show."""
        ...

    def validated(self, now: Moment, metrics: Mapping[str, float], sample: str | None) -> None:
        """Show a validation: its metrics and, for language models, a short text sampled from the model."""
        ...

    def close(self) -> None:
        """End the progress, after the training has succeeded or failed."""
        ...


class Silent:
    """A reporter that shows nothing, for estimators and tests."""

    def note(self, text: str) -> None:
        """Do nothing."""

    def moment(self, now: Moment) -> None:
        """Do nothing."""

    def validated(self, now: Moment, metrics: Mapping[str, float], sample: str | None) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def sparkline(values: list[float], width: int = 24) -> str:
    """Return the last `width` values as a row of bar characters.

    The lowest bar is the smallest value, and the highest bar is the largest value.
    """
    shown = values[-width:]
    low, high = min(shown, default=0.0), max(shown, default=0.0)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(BARS[round((value - low) * scale)] for value in shown)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: `1 thread`, `1,129 steps`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """Return seconds as text: `42s`, `3m05s`, `2h14m`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    return (
        f"{whole // 60}m{whole % 60:02d}s" if whole < 3600 else f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    )


class Curve:
    """Keeps the losses and the speed of a training, and formats the lines of progress."""

    def __init__(self) -> None:
        self._started: float | None = None
        self._share = 0.0
        self._losses: list[float] = []

    def moment(self, now: Moment) -> str:
        """Return one line with the progress and the remaining time."""
        return self._line(now, f"loss {now.loss:.3f}")

    def validated(self, now: Moment, metrics: Mapping[str, float], sample: str | None) -> str:
        """Return one line with the metrics and the curve of the losses. The sample follows below it."""
        self._losses.append(metrics.get("loss", metrics["train_loss"]))
        held_out = f"  valid {metrics['loss']:.4f}" if "loss" in metrics else ""
        others = {name: value for name, value in metrics.items() if name not in ("loss", "train_loss")}
        held_out += "".join(f"  {name.replace('_', ' ')} {value:.3f}" for name, value in others.items())
        losses = f"train {metrics['train_loss']:.3f}{held_out} {sparkline(self._losses)}"
        return self._line(now, losses) + ("\n  | " + sample.replace("\n", "\n  | ") if sample else "")

    def _line(self, now: Moment, losses: str) -> str:
        if self._started is None:
            self._started, self._share = time.monotonic(), now.share
        done = now.share - self._share
        left = duration((time.monotonic() - self._started) * (1 - now.share) / done) if done > 0 else "?"
        return f"{now.share:4.0%}  step {now.step:,}  {losses}  {now.speed:,.0f} tokens/s  {left} left"


class Lines:
    """A reporter that prints lines on stderr: each validation, and progress every `PLAIN_SECONDS`."""

    def __init__(self) -> None:
        self._curve = Curve()
        self._spoken = time.monotonic()

    def note(self, text: str) -> None:
        """Print the line."""
        self._spoken = time.monotonic()
        print(escaped(text), file=sys.stderr, flush=True)

    def moment(self, now: Moment) -> None:
        """Print a line if the last one is at least `PLAIN_SECONDS` old."""
        line = self._curve.moment(now)
        if time.monotonic() - self._spoken >= PLAIN_SECONDS:
            self.note(line)

    def validated(self, now: Moment, metrics: Mapping[str, float], sample: str | None) -> None:
        """Print a line, with the sample below it."""
        self.note(self._curve.validated(now, metrics, sample))

    def close(self) -> None:
        """Start a new curve for the next training."""
        self._curve = Curve()


class Bar:
    """A reporter that shows a progress bar on a terminal. Notes and validations scroll above it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._curve = Curve()
        self._console = Console(stderr=True, highlight=False)
        columns = (BarColumn(), TextColumn("{task.description}", markup=False))
        self._bar = Progress(*columns, console=self._console, transient=True)
        self._task = self._bar.add_task("", total=1.0)

    def note(self, text: str) -> None:
        """Print a line above the bar.

        Markup in the text is not interpreted, because it may come from user data.
        """
        self._console.print(escaped(text), markup=False, soft_wrap=True)

    def moment(self, now: Moment) -> None:
        """Update the bar."""
        self._bar.start()
        self._bar.update(self._task, completed=now.share, description=self._curve.moment(now))

    def validated(self, now: Moment, metrics: Mapping[str, float], sample: str | None) -> None:
        """Print a line above the bar, with the sample below the line."""
        self.note(self._curve.validated(now, metrics, sample))

    def close(self) -> None:
        """Remove the bar, restore the cursor, and start a new curve for the next training."""
        self._bar.stop()
        self._curve = Curve()


def console_reporter() -> Reporter:
    """Return the reporter for the command line: a bar if stderr is a terminal, else lines."""
    return Bar() if sys.stderr.isatty() else Lines()
