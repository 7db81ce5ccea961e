"""Compose new tunes with a trained model. Events are sampled one by one, without impossible events.

A `Player` wraps an engine and has the same methods. Its state is the state of the network and a
`Performance`. It returns the log-probabilities of the engine, with -inf for events that are impossible or not
wanted at this point. So `decoding.sampling` samples a tune in the same way as a text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import UsageError
from unrolled.core.types import DRUMS, Array, State, Tune
from unrolled.data.features.note_events import (
    FASTEST,
    SLOWEST,
    Event,
    Performance,
    nearest_tempo,
    tempo_of,
)
from unrolled.inference.open_model import Predictor
from unrolled.models.decoding.sampling import SamplingOptions, stream, stream_all
from unrolled.models.engines import Engine
from unrolled.tasks.inputs.notes import OFF, ON, SETTINGS, NoteInput
from unrolled.tasks.inputs.notes import PITCHES as MIDI_PITCHES
from unrolled.tasks.outputs.next_note import NextNotes

MOST_EVENTS = 20_000  # maximum number of events of a sample
AT_ONCE = 64  # maximum number of events at the same time, without a wait between them
BARS = 64  # maximum length of a tune if no length is requested
ATTEMPTS = 20  # maximum number of attempts to sample a tune with a note
TINY = 1e-30  # the smallest probability whose logarithm is taken


@dataclass(frozen=True)
class CompositionOptions:
    """What to compose: `count` tunes that continue `prompt`.

    genre: None: no genre.
    bars, seconds: the length of a tune, including the prompt. A tune is never longer, and it is shorter by at
        most one bar (or by 10% of the seconds). If both are None, the model ends the tune within 64 bars.
    low, high: the range of pitches.
    scale: the allowed pitch classes; None: all.
    tempo: quarter notes per minute; None: the model decides.
    meter: such as (3, 4); None: the model decides.
    program: the MIDI program of all voices except the drums; None: the model decides.
    temperature, top_k, top_p: see `SamplingOptions`.
    seed: the random seed.
    Raises UsageError for values out of range.
    """

    count: int = 1
    genre: str | None = None
    prompt: Tune | None = None
    bars: float | None = None
    seconds: float | None = None
    low: int = 0
    high: int = 127
    scale: frozenset[int] | None = None
    tempo: float | None = None
    meter: tuple[int, int] | None = None
    program: int | None = None
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
        slowest, fastest = tempo_of(SLOWEST), tempo_of(FASTEST)
        if self.tempo is not None and not slowest <= self.tempo <= fastest:
            raise UsageError(
                f"tempo {self.tempo:g}", expected=f"{slowest:g} to {fastest:g} quarter notes per minute"
            )
        if self.program is not None and not 0 <= self.program < MIDI_PITCHES:
            raise UsageError(f"program {self.program}", expected="0 to 127")
        if not 0 <= self.low <= self.high < MIDI_PITCHES:
            raise UsageError(f"pitches from {self.low} to {self.high}", expected="0 to 127, low to high")


Played = tuple[State, Performance]  # the state of the network, and the performance so far


@dataclass(frozen=True)
class Player:
    """An engine for sampling tunes with the options `sample_options`.

    It has the methods `start`, `run` and `step` of an engine.
    prompted: number of notes of the prompt.
    """

    engine: Engine
    notes: NoteInput
    sample_options: CompositionOptions
    prompted: int = 0

    def start(self, rows: int) -> Played:
        """Return the state before the first event: zeros, and an empty performance."""
        return self.engine.start(rows), self.notes.performance()

    def run(self, x: Array, lengths: Array, state: Played | None = None) -> tuple[Array, Played]:
        """Run the events of a prompt, [1, T]. The first input, x^<1>, is a vector of zeros."""
        network, before = self.start(1) if state is None else state
        performance = before.fork()
        for number in x[0].tolist():
            if number >= 0:
                performance.play(self.notes.event(number))
        answers, network = self.engine.run(self.notes.dressed(x, self.sample_options.genre), lengths, network)
        answers = np.array(answers)
        answers[0, -1] = self._sensible(answers[0, -1], performance)
        return answers, (network, performance)

    def step(self, state: Played, x: Array, k: int | None = None) -> tuple[Array, NDArray[np.int64], Played]:
        """Run one event, [1]."""
        network, before = state
        performance = before.fork()
        performance.play(self.notes.event(int(x[0])))
        answers, ids, network = self.engine.step(
            network, self.notes.dressed(x, self.sample_options.genre), None
        )
        return self._sensible(answers[0], performance)[None], ids, (network, performance)

    def _sensible(self, log_probs: Array, now: Performance) -> Array:
        """Return the log-probabilities [n_y], with -inf for events that are impossible now.

        These are impossible:
        - the end of the tune while a note sounds,
        - the end of a note that does not sound,
        - the start of a note that sounds already, or at a step at which no notes start in training,
        - a setting that changes nothing,
        - at the maximum length, everything except ends.

        The probability of the end of the tune does not change. The probability of the impossible events is
        divided among the other possible events.
        """
        found = np.full_like(log_probs, -np.inf)
        allowed = self._allowed(now)
        found[allowed] = log_probs[allowed]
        if allowed[0] and allowed[1:].any():
            # log(1 - P(end)), the total of all other events.
            others = np.log(np.maximum(-np.expm1(found[0]), TINY))
            found[1:] += others - np.logaddexp.reduce(found[1:])
        return found

    def _allowed(self, now: Performance) -> NDArray[np.bool_]:
        allowed = np.zeros(self.notes.n_events, dtype=np.bool_)
        for _, pitch in now.sounding:
            allowed[OFF + pitch] = True
        room = self._room(now)
        if room < 1:
            allowed[0] = not now.sounding
            return allowed
        allowed[0] = not now.sounding and now.step > 0 and self._may_end(now)
        allowed[1 : min(ON, 1 + room)] = True  # no wait beyond the maximum length
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
    def nothing_to_play(self) -> bool:
        """Whether the options allow no pitch and the model has no drums."""
        return not self._pitches.any() and all(kind != "hit" for kind, _ in self.notes.settings)

    def out_of_room(self, now: Performance) -> bool:
        """Whether the tune has reached its maximum length."""
        return self._room(now) < 1

    @property
    def _pitches(self) -> NDArray[np.bool_]:
        """[128] True for the pitches that the training set has and the options allow."""
        low, high = (
            max(self.sample_options.low, self.notes.low),
            min(self.sample_options.high, self.notes.high),
        )
        pitches = np.arange(MIDI_PITCHES)
        allowed = (pitches >= low) & (pitches <= high)
        scale = self.sample_options.scale
        return allowed if scale is None else allowed & np.isin(pitches % 12, list(scale))

    def _changes(self, kind: str, value: int, now: Performance) -> bool:
        """Whether a setting changes anything."""
        match kind:
            case "voice":
                return value != now.voice or not now.loud
            case "program":
                wished = self.sample_options.program
                asked = wished in (None, value) or ("program", wished) not in self.notes.settings
                return asked and now.voice != DRUMS and now.programs.get(now.voice) != value
            case "velocity":
                return now.loud.get(now.voice) != value
            case "hit":
                return now.voice == DRUMS
            case "meter":
                return self.sample_options.meter is None and (
                    not now.meters or now.meter != divmod(value, 256)
                )
            case "tempo":
                return self.sample_options.tempo is None
            case _:
                return True

    def _room(self, now: Performance) -> int:
        """Return how many more steps the tune may last."""
        if self.sample_options.seconds is not None:
            left = (
                (self.sample_options.seconds - self.seconds(now))
                * (self.sample_options.tempo or now.tempo)
                / 60
            )
        else:
            left = (BARS if self.sample_options.bars is None else self.sample_options.bars) - now.bars
            left *= 4 * now.meter[0] / now.meter[1]
        return max(0, int(left * self.notes.grid + 1e-6))

    def seconds(self, now: Performance) -> float:
        """Return the length of the tune so far, in seconds.

        It is computed from the requested tempo if there is one, because the model may not have this tempo.
        """
        return (
            now.seconds
            if self.sample_options.tempo is None
            else now.step / self.notes.grid * 60 / self.sample_options.tempo
        )

    def _may_end(self, now: Performance) -> bool:
        """Whether the tune has a note that is not from the prompt, and is long enough to end."""
        if len(now.notes) <= self.prompted:
            return False
        if self.sample_options.seconds is not None:
            return self.seconds(now) >= 0.9 * self.sample_options.seconds
        return self.sample_options.bars is None or now.bars >= self.sample_options.bars - 1


def notes_of(model: Predictor) -> NoteInput:
    """Return the input encoding of a model of tunes. Raises UsageError for any other model."""
    match model.output:
        case NextNotes(notes=notes):
            return notes
        case _:
            raise UsageError(
                f"is not a model of tunes (its task is '{model.file.task}')", expected="a model of compose"
            )


def compose(model: Predictor, sample_options: CompositionOptions) -> Iterator[Tune]:
    """Compose tunes; each has at least one note that is not from the prompt.

    Raises UsageError for an unknown genre or meter, a model of another task, a prompt as long as the
    requested length, or pitches that the model does not have.
    """
    notes = notes_of(model)
    if sample_options.genre is not None and sample_options.genre not in notes.genres:
        known = ", ".join(notes.genres) or "none: the model was trained without genres"
        raise UsageError(f"unknown genre '{sample_options.genre}'", expected=known)
    prompt = _prompt(notes, sample_options)
    begun = _played(notes, prompt)
    player = Player(model.engine, notes, sample_options, len(begun.notes))
    if player.nothing_to_play:
        raise UsageError(
            "no pitch of the model is in this key and range", expected="a wider --range, or another --key"
        )
    if player.out_of_room(begun):
        raise UsageError(
            f"the prompt lasts {begun.bars:.2f} bars, {player.seconds(begun):.1f} seconds",
            expected="a longer --length",
        )
    return _drawn(
        player,
        prompt,
        SamplingOptions(sample_options.temperature, sample_options.top_k, sample_options.top_p, (), 0),
    )


def _prompt(notes: NoteInput, sample_options: CompositionOptions) -> list[int]:
    """Return the ids of the first events of a tune: the requested tempo and meter, and the prompt."""
    if (
        sample_options.meter is not None
        and ("meter", sample_options.meter[0] * 256 + sample_options.meter[1]) not in notes.settings
    ):
        known = [divmod(value, 256) for kind, value in notes.settings if kind == "meter"]
        shown = ", ".join(f"{over}/{under}" for over, under in known) or "none"
        raise UsageError(
            f"meter {sample_options.meter[0]}/{sample_options.meter[1]}",
            expected=f"a meter of the training set: {shown}",
        )
    given = sample_options.prompt or Tune((), notes.grid)
    if sample_options.tempo is not None:
        given = replace(given, tempos=((0, sample_options.tempo),))
    if sample_options.meter is not None:
        given = replace(given, meters=((0, *sample_options.meter),))
    if sample_options.prompt is not None:
        return notes.numbers(given).tolist()[:-1]
    asked: list[Event] = []
    if sample_options.tempo is not None:
        asked.append(("tempo", nearest_tempo(sample_options.tempo)))
    if sample_options.meter is not None:
        asked.append(("meter", sample_options.meter[0] * 256 + sample_options.meter[1]))
    return [number for number in map(notes.number, asked) if number is not None]


def _played(notes: NoteInput, numbers: Iterable[int]) -> Performance:
    performance = notes.performance()
    for number in numbers:
        performance.play(notes.event(number))
    return performance


def _drawn(player: Player, prompt: list[int], settings: SamplingOptions) -> Iterator[Tune]:
    notes, sample_options = player.notes, player.sample_options
    chance = np.random.default_rng(sample_options.seed)
    for number, drawn in enumerate(
        stream_all(player, chance, prompt, MOST_EVENTS, settings, sample_options.count)
    ):
        found = _played(notes, (*prompt, *drawn)).tune(sample_options.genre)
        for attempt in range(1, ATTEMPTS):
            if len(found.notes) > player.prompted:
                break
            again = np.random.default_rng((sample_options.seed, number, attempt))
            drawn = stream(player, again, prompt, MOST_EVENTS, settings)
            found = _played(notes, (*prompt, *drawn)).tune(sample_options.genre)
        else:
            raise UsageError("no note was sampled within this length", expected="a longer --length")
        yield _dressed(found, sample_options)


def _dressed(tune: Tune, sample_options: CompositionOptions) -> Tune:
    """Return the tune with exactly the requested tempo, meter and instrument."""
    if sample_options.tempo is not None:
        tune = replace(tune, tempos=((0, sample_options.tempo),))
    if sample_options.meter is not None:
        tune = replace(tune, meters=((0, *sample_options.meter),))
    if sample_options.program is not None:
        tune = replace(tune, programs=(sample_options.program,) * len(tune.programs))
    return tune
