"""Compose tunes with a trained model, event by event; only events that make sense at this point are drawn.

A `Player` stands before the engine as another engine. Its state is the network's and a `Performance`; what it answers
are the engine's log-probabilities, with those events out of the question that would make no sense there, or that were
not wanted. So `models/decoding/sampling.py` draws a tune as it draws a text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import UsageError
from unrolled.core.types import DRUMS, Tune
from unrolled.data.features.note_events import Performance
from unrolled.inference.open_model import Trained
from unrolled.models.decoding.sampling import Settings, stream_all
from unrolled.models.engines import Engine
from unrolled.tasks.inputs.notes import OFF, ON, SETTINGS, NoteInput
from unrolled.tasks.inputs.notes import PITCHES as MIDI_PITCHES
from unrolled.tasks.outputs.next_note import NextNotes

MOST_EVENTS = 20_000  # of a sample
AT_ONCE = 64  # events without a wait between them
BARS = 64  # where no length is asked for
TINY = 1e-30  # a probability above zero


@dataclass(frozen=True)
class Wish:
    """What to compose: `count` tunes of a genre (None: none in particular) that go on from `prompt`, at most `bars` or
    `seconds` long with it, of pitches from `low` to `high` and of `scale`, pitch classes (None: all); drawn as
    `sampling.Settings` says.

    Raises UsageError for what can be no wish.
    """

    count: int = 1
    genre: str | None = None
    prompt: Tune | None = None
    bars: float | None = None
    seconds: float | None = None
    low: int = 0
    high: int = 127
    scale: frozenset[int] | None = None
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value, low in (
            ("count", self.count, 1),
            ("seed", self.seed, 0),
            ("bars", self.bars, 0.25),
            ("seconds", self.seconds, 0.1),
        ):
            if value is not None and not low <= value < np.inf:
                raise UsageError(f"{name} {value}", expected=f"at least {low}")
        if not 0 <= self.low <= self.high < MIDI_PITCHES:
            raise UsageError(f"pitches from {self.low} to {self.high}", expected="0 to 127, low to high")


@dataclass(frozen=True)
class Player:
    """The engine of one wish: `start`, `run` and `step` as an engine has them, for tunes."""

    engine: Engine
    notes: NoteInput
    wish: Wish

    def start(self, rows: int) -> Any:
        """Zeros, and nothing played."""
        return self.engine.start(rows), self.notes.performance()

    def run(self, x: NDArray[Any], lengths: NDArray[Any], state: Any = None) -> tuple[NDArray[Any], Any]:
        """The events of a prompt [1, T], the first of them x^<1>."""
        network, before = self.start(1) if state is None else state
        performance = before.fork()
        for number in x[0].tolist():
            if number >= 0:
                performance.play(self.notes.event(number))
        answers, network = self.engine.run(self.notes.dressed(x, self.wish.genre), lengths, network)
        answers = np.array(answers)
        answers[0, -1] = self._sensible(answers[0, -1], performance)
        return answers, (network, performance)

    def step(
        self, state: Any, x: NDArray[Any], k: int | None = None
    ) -> tuple[NDArray[Any], NDArray[np.int64], Any]:
        """One event [1]."""
        network, before = state
        performance = before.fork()
        performance.play(self.notes.event(int(x[0])))
        answers, ids, network = self.engine.step(network, self.notes.dressed(x, self.wish.genre), None)
        return self._sensible(answers[0], performance)[None], ids, (network, performance)

    def _sensible(self, log_probs: NDArray[Any], now: Performance) -> NDArray[Any]:
        """[n_y] with -inf for what makes no sense now: an end before every note has ended, the end of a note that does
        not sound, a note that sounds already, or one where in training none begin, a setting that stands; and past the
        length all but ends. What is out of the question makes an end no likelier: the others share it."""
        found = np.full_like(log_probs, -np.inf)
        allowed = self._allowed(now)
        found[allowed] = log_probs[allowed]
        if allowed[0] and allowed[1:].any():
            others = np.log(np.maximum(-np.expm1(found[0]), TINY))  # of which an end leaves so much
            found[1:] += others - np.logaddexp.reduce(found[1:])
        return found

    def _allowed(self, now: Performance) -> NDArray[np.bool_]:
        allowed = np.zeros(self.notes.n_events, dtype=np.bool_)
        for _, pitch in now.sounding:
            allowed[OFF + pitch] = True
        if self._over(now):
            allowed[0] = not now.sounding
            return allowed
        allowed[0] = not now.sounding and now.step > 0
        allowed[1:ON] = True
        if now.since >= AT_ONCE:
            return allowed
        begins = now.step % self.notes.grid in self.notes.onsets
        allowed[ON:OFF] = self._pitches if begins and now.voice != DRUMS else False
        for voice, pitch in now.sounding:
            if voice == now.voice:
                allowed[ON + pitch] = False
        for i, (kind, value) in enumerate(self.notes.settings, SETTINGS):
            allowed[i] = self._changes(kind, value, now) and (begins or kind != "hit")
        return allowed

    @property
    def _pitches(self) -> NDArray[np.bool_]:
        """[128] those of the training part that were not wished away."""
        low, high = max(self.wish.low, self.notes.low), min(self.wish.high, self.notes.high)
        pitches = np.arange(MIDI_PITCHES)
        allowed = (pitches >= low) & (pitches <= high)
        scale = self.wish.scale
        return allowed if scale is None else allowed & np.isin(pitches % 12, list(scale))

    def _changes(self, kind: str, value: int, now: Performance) -> bool:
        """Whether a setting changes anything."""
        match kind:
            case "voice":
                return value != now.voice or not now.loud
            case "program":
                return now.voice != DRUMS and now.programs.get(now.voice) != value
            case "velocity":
                return now.loud.get(now.voice) != value
            case "hit":
                return now.voice == DRUMS
            case "meter":
                return not now.meters or now.meter != divmod(value, 256)
            case _:
                return True

    def _over(self, now: Performance) -> bool:
        """Whether the tune is as long as it may be."""
        if self.wish.seconds is not None:
            return now.seconds >= self.wish.seconds
        return now.bars >= (BARS if self.wish.bars is None else self.wish.bars)


def notes_of(model: Trained) -> NoteInput:
    """How a model of tunes reads them. Raises UsageError for a model of anything else."""
    match model.output:
        case NextNotes(notes=notes):
            return notes
        case _:
            raise UsageError(
                f"is no model of tunes (its task is '{model.file.task}')", expected="one of compose"
            )


def compose(model: Trained, wish: Wish) -> Iterator[Tune]:
    """The tunes. Raises UsageError: an unknown genre, no model of tunes."""
    notes = notes_of(model)
    if wish.genre is not None and wish.genre not in notes.genres:
        known = ", ".join(notes.genres) or "none: the model was trained without genres"
        raise UsageError(f"unknown genre '{wish.genre}'", expected=known)
    prompt: list[int] = []
    if wish.prompt is not None:
        prompt = notes.numbers(wish.prompt).tolist()[:-1]
    settings = Settings(wish.temperature, wish.top_k, wish.top_p, (), 0)
    return _drawn(Player(model.engine, notes, wish), prompt, settings)


def _drawn(player: Player, prompt: list[int], settings: Settings) -> Iterator[Tune]:
    notes, wish = player.notes, player.wish
    chance = np.random.default_rng(wish.seed)
    for drawn in stream_all(player, chance, prompt, MOST_EVENTS, settings, wish.count):
        performance = notes.performance()
        for number in (*prompt, *drawn):
            performance.play(notes.event(number))
        yield performance.tune(wish.genre)
