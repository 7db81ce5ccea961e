"""The composer: learns tunes, with or without genres, and writes new ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from unrolled.core.errors import UsageError
from unrolled.core.types import Example, Place, Tune
from unrolled.core.values.example_values import as_sequence
from unrolled.data.media.midi import read_midi
from unrolled.estimators.base import sklearn_tags
from unrolled.estimators.errors import arguments_named
from unrolled.estimators.options import default
from unrolled.estimators.sequences import items, missing
from unrolled.estimators.supervised import EVERY, Supervised, Targets
from unrolled.inference import predictor
from unrolled.inference.composition import CompositionOptions, compose

if TYPE_CHECKING:
    from sklearn.utils import Tags

NOTES = "notes"


@dataclass(kw_only=True, repr=False, eq=False)
class Composer(Supervised):
    """A model of tunes.

    X: a list of paths of MIDI files, or of `core.types.Tune`.  y: the genre of each tune; None: no genre.
    The arguments are options of `unrolled train compose`.
    """

    embedding: int | None = default("embedding")
    window: int | None = default("window")
    grid: int | None = default("grid")
    transpose: int | None = default("transpose")
    augment: bool | None = default("augment")
    label_smoothing: float | None = default("label_smoothing")

    kinds: ClassVar[Mapping[str, str]] = {NOTES: "compose"}

    def _sequences(self, X: object, name: str) -> tuple[Sequence[Tune], str]:
        tunes: list[Tune] = []
        for number, one in enumerate(items(X, name, "tunes"), 1):
            if not isinstance(one, str | Path | Tune):
                raise UsageError(f"{name}:{number}: a {type(one).__name__}", expected="a path or a Tune")
            tunes.append(one if isinstance(one, Tune) else read_midi(Path(one)))
        return tunes, NOTES

    def _targets(self, y: object, name: str) -> Targets:
        return Targets(items(y, name, "tunes"), {})

    @arguments_named()
    def fit(
        self, X: object, y: object = None, sample_weight: object = None, validation_data: object = None
    ) -> Composer:
        """Train on tunes.

        y: the genre of each tune; None for a tune without a genre.  validation_data: tunes as (X, None);
        their genres are not used.  The other arguments are as in `Supervised.fit`.
        """
        tunes, _ = self._sequences(X, "X")
        genres = (
            [None] * len(tunes)
            if y is None
            else [_genre(one, f"y:{n}") for n, one in enumerate(items(y, "y"), 1)]
        )
        if len(genres) != len(tunes) or not tunes:
            what = f"X has {len(tunes):,} tunes and y has {len(genres):,} items"
            raise UsageError(what, expected="a list of tunes, and one genre for each or no y")
        own = [replace(one, genre=genre) for one, genre in zip(tunes, genres, strict=True)]
        if validation_data is not None:
            held, _ = self._sequences(as_sequence(validation_data)[0], "validation_data X")
            validation_data = held, held
        return super().fit(own, own, sample_weight, validation_data)

    @arguments_named()
    def sample(self, sample_options: CompositionOptions | None = None) -> list[Tune]:
        """Return new tunes; `data.media.midi.midi_bytes` converts a tune to a MIDI file.

        Raises UsageError for an unknown genre.
        """
        return list(compose(self._model, sample_options or CompositionOptions()))

    @arguments_named()
    def score_samples(self, X: object) -> list[dict[str, Any]]:
        """Return a score for each tune, with the keys of the JSON output.

        Among the keys: log_probability, perplexity, nats_per_note, and the surprise of each note.
        """
        model = self._model
        examples = [
            Example(one, None, Place(Path("X"), n)) for n, one in enumerate(self._sequences(X, "X")[0], 1)
        ]
        return [dict(predictor.network_answer(model, example, EVERY).record) for example in examples]

    def score(self, X: object, y: object = None) -> float:
        """Return the mean log-probability per event over all tunes. Higher is better."""
        scored = self.score_samples(X)
        return sum(one["log_probability"] for one in scored) / sum(one["events"] for one in scored)

    def __sklearn_tags__(self) -> Tags:
        """Return the tags that scikit-learn requires."""
        return sklearn_tags(None)


def _genre(one: object, place: str) -> str | None:
    """Return the genre as `str`, or None if the value is missing. Raises UsageError if it is not a text."""
    if missing(one):
        return None
    if not isinstance(one, str):
        raise UsageError(f"{place}: a {type(one).__name__}", expected="a text, or None")
    return str.__str__(one)
