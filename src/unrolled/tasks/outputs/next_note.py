"""The output `next` of notes: y^<t> is the next event of a tune. The last event is the end of the tune."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, TypedDict

import numpy as np
from numpy.typing import NDArray

from unrolled.core.config import Config, DataConfig, ModelConfig
from unrolled.core.types import Answer, Array, Example, Floats, Place, Targets
from unrolled.core.values.example_values import as_tune, elements
from unrolled.data.features.note_events import name_of, pitch_name
from unrolled.models.network_spec import Classes, output_layer
from unrolled.tasks.inputs.notes import OFF, ON, NoteInput, learn_notes, note_input
from unrolled.tasks.metrics.language import perplexity


class Surprise(TypedDict):
    """A note in a record, with its surprise in nats."""

    beat: float
    pitch: int
    voice: int
    surprise: float


@dataclass(frozen=True)
class NextNotes:
    """The output of events. It has the same events as the input."""

    notes: NoteInput

    targets: ClassVar[Targets] = "each"

    @property
    def n_y(self) -> int:
        """Number of events."""
        return self.notes.n_events

    def head(self, config: Config) -> Classes:
        """Return the description of the output layer; see `Output`."""
        return Classes(self.n_y, output_layer(config.model.softmax))

    def encode(self, y: object, steps: int, place: Place | None = None) -> NDArray[np.int64]:
        """Encode a tune as [T] the ids of its events."""
        return self.notes.numbers(as_tune(y))

    def calibrate(
        self, y: Sequence[Array], answers: Sequence[Floats], weights: Mapping[str, Array]
    ) -> NextNotes:
        """Return this output unchanged. It needs no calibration."""
        return self

    def to_answer(self, answer: Floats, steps: object, top: int, weights: Mapping[str, Array]) -> Answer:
        """Return the log-probability of a tune, and the surprise of each note in nats.

        The surprise of a note includes the events before it, such as waits. So the surprises of all notes and
        of the end add up to the negative log-probability of the tune.
        steps: the names of the events.
        The text is tab-separated: log-probability, perplexity per event, mean surprise per note, the most
        surprising note with its surprise.
        """
        numbers = [self._by_name[str(name)] for name in elements(steps)]
        asked = np.array(numbers, dtype=np.int64)[:, None]
        nats = -np.take_along_axis(answer, asked, axis=1)[:, 0].astype(np.float64)
        notes, end = self._surprises(numbers, nats.tolist())
        total, most = float(nats.sum()), max(notes, key=lambda note: note["surprise"], default=None)
        record: dict[str, object] = {
            "log_probability": -total,
            "perplexity": perplexity(total / max(1, len(nats))),
            "nats_per_note": total / max(1, len(notes)),
            "events": len(nats),
            "notes": notes,
            "end": end,
        }
        shown = (
            f"{pitch_name(most['pitch'])} at beat {most['beat']:g}: {most['surprise']:.2f}" if most else "-"
        )
        means = f"{-total:.4f}\t{record['perplexity']:.4f}\t{record['nats_per_note']:.4f}"
        return Answer(f"{means}\t{shown}", record)

    def _surprises(self, numbers: Sequence[int], nats: Sequence[float]) -> tuple[list[Surprise], float]:
        """Return each note with its surprise, and the surprise of the events after the last note.

        nats: the surprise of each event. The surprise of a note includes the events since the previous note.
        """
        performance, notes, since = self.notes.performance(), list[Surprise](), 0.0
        for number, own in zip(numbers, nats, strict=True):
            kind, pitch = self.notes.event(number)
            since += own
            if kind in ("on", "hit"):
                beat, voice = performance.step / self.notes.grid, performance.voice
                notes.append({"beat": beat, "pitch": pitch, "voice": voice, "surprise": since})
                since = 0.0
            performance.play((kind, pitch))
        return notes, since

    @cached_property
    def _by_name(self) -> dict[str, int]:
        return {name_of(self.notes.event(number)): number for number in range(self.n_y)}

    def blank(self) -> Answer:
        """Return an empty answer; there is no blank tune."""
        return Answer("", {})

    def figures(
        self, y: Sequence[Array], answers: Sequence[Floats], weights: Mapping[str, Array]
    ) -> Mapping[str, object]:
        """Return loss (nats per event), perplexity, accuracy, nats_per_note, nats_per_step, and notes.

        notes: the number of notes.
        answers: the results of `summarize`.
        """
        events = np.concatenate(y)
        told = np.concatenate(answers)[events >= 0]  # [N, 2]
        events = events[events >= 0]
        nats = -float(told[:, 0].sum(dtype=np.float64))
        notes = int(((events >= ON) & (events < OFF)).sum())
        notes += sum(self.notes.event(number)[0] == "hit" for number in events[events >= OFF].tolist())
        steps = int(events[events < ON].sum())
        loss = nats / max(1, len(events))
        return {
            "loss": loss,
            "perplexity": perplexity(loss),
            "accuracy": float(told[:, 1].mean()) if len(told) else 0.0,
            "nats_per_note": nats / max(1, notes),
            "nats_per_step": nats / max(1, steps),
            "notes": notes,
        }

    def describe(self) -> str:
        """Return a one-line description for messages."""
        low, high = pitch_name(self.notes.low), pitch_name(self.notes.high)
        moved = f", transposed by up to {self.notes.transpose} semitones" if self.notes.transpose else ""
        return f"the next of {self.n_y} events; {low} to {high}{moved}"

    def to_json(self) -> dict[str, object]:
        """Return the JSON object that `next_notes` reads."""
        return self.notes.to_json()


def summarize(y: Array, answer: Floats) -> Floats:
    """Return the part of an answer [T, n_y] that `figures` needs, as [T, 2]. Full answers need too much memory.

    The columns are the log-probability of the true event, and whether it was the most probable event.
    """
    asked = np.maximum(y, 0)
    told = np.take_along_axis(answer, asked[:, None], axis=1)[:, 0]
    return np.stack([told, (answer.argmax(axis=1) == y).astype(answer.dtype)], axis=1)


def next_notes(value: Mapping[str, object]) -> NextNotes:
    """Create a NextNotes from the JSON object of `to_json`. Raises DataError if it is damaged."""
    return NextNotes(note_input(value))


def learn_next_notes(examples: Iterable[Example], data: DataConfig, model: ModelConfig) -> NextNotes:
    """Learn the events of tunes. Raises DataError if there are no tunes."""
    return NextNotes(learn_notes(examples, data)[0])
