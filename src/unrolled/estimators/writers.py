"""Estimators that write texts: `Translator` from texts or series, `Transcriber` from recordings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np

from unrolled.core.errors import UsageError
from unrolled.core.types import Example, Place
from unrolled.core.values.json_values import as_list, as_object
from unrolled.estimators.base import sklearn_tags
from unrolled.estimators.errors import arguments_named
from unrolled.estimators.options import SoundOptions, TextOptions, default
from unrolled.estimators.sequences import FILES, NUMBERS, TOKENS, items, texts
from unrolled.estimators.supervised import Supervised, Targets
from unrolled.inference import predictor
from unrolled.inference.open_model import Predictor
from unrolled.models.decoding.beam_search import BeamOptions
from unrolled.tasks.metrics.edit_distance import character_errors, word_errors
from unrolled.tasks.outputs import Output
from unrolled.tasks.outputs.ctc import Transcript
from unrolled.tasks.outputs.sequence import Sequences

if TYPE_CHECKING:
    from sklearn.utils import Tags


@dataclass(kw_only=True, repr=False, eq=False)
class Translator(Supervised, TextOptions):
    """A model that writes a text for each text or series of numbers.

    X: a list of texts or of arrays of numbers.  y: a list of texts.
    The arguments are options of `unrolled train translate`. The default of `unit` is "subword".
    """

    source_unit: str | None = default("source_unit")
    target_unit: str | None = default("target_unit")
    shared: bool | None = default("shared")
    attention: str | None = default("attention")
    feeding: bool = default("feeding")
    decoder_layers: int | None = default("decoder_layers")
    bidirectional: bool | None = default("bidirectional")
    tie: bool | None = default("tie")
    softmax: str = default("softmax")
    label_smoothing: float | None = default("label_smoothing")
    affixes: bool | None = default("affixes")

    kinds: ClassVar[Mapping[str, str]] = {TOKENS: "translate", NUMBERS: "numbers:sequence"}

    def _targets(self, y: object, name: str) -> Targets:
        return Targets(list(texts(y, name)), {})

    def _answers(self, model: Predictor, X: object) -> list[dict[str, object]]:
        found, _ = self._sequences(X, "X")
        examples = [Example(one, None, Place(Path("X"), number)) for number, one in enumerate(found, 1)]
        parts = (examples[i : i + predictor.ROWS] for i in range(0, len(examples), predictor.ROWS))
        return [dict(one.record) for part in parts for one in predictor.answers(model, part)]

    @arguments_named()
    def predict(self, X: object) -> list[str]:
        """Return the text for each sequence; "" for an empty sequence."""
        return [str(record["text"]) for record in self._answers(self._model, X)]

    @arguments_named()
    def predict_nbest(self, X: object, n: int = 5, *, beam: int | None = None) -> list[list[dict[str, Any]]]:
        """Return the `n` best texts of each sequence, best first, or fewer if the search finds fewer.

        Each text is a dict with the keys text, log_probability, score and tokens.
        beam: hypotheses kept at each step (default: 4, or `n` if it is greater).
        """
        search = BeamOptions(beam=max(4, n) if beam is None else beam, nbest=n)
        decode_options = replace(self._model.decode_options, search=search)
        answers = self._answers(replace(self._model, decode_options=decode_options), X)
        return [
            list(map(as_object, as_list(record.get("nbest", [record] if record["text"] else []))))
            for record in answers
        ]

    @arguments_named()
    def score(self, X: object, y: object) -> float:
        """Return 1 minus the character error rate.

        The score is 1 without errors and below 0 if there are more errors than characters.
        Before the comparison, y gets the form that the model writes: single spaces, and lower case if
        `lower` is set.
        """
        return 1 - character_errors(_pairs(self._model.output, y, self.predict(X))).rate

    def __sklearn_tags__(self) -> Tags:
        """Return the tags that scikit-learn requires."""
        return sklearn_tags(None)


@dataclass(kw_only=True, repr=False, eq=False)
class Transcriber(Supervised, SoundOptions):
    """A speech recognizer. X: a list of paths of recordings.  y: a list of texts.

    `predict` also takes arrays of samples [n] or [n, channels] at the sample rate of the model: floats from
    -1 to 1, or integers such as int16.
    The arguments are options of `unrolled train transcribe`.
    """

    unit: str | None = default("unit")
    lower: bool = default("lower")
    vocab_size: int = default("vocab_size")
    bidirectional: bool | None = default("bidirectional")

    kinds: ClassVar[Mapping[str, str]] = {FILES: "transcribe"}

    def _sequences(self, X: object, name: str) -> tuple[Sequence[object], str]:
        listed = items(X, name, "recordings")
        return [Path(one) if isinstance(one, str | Path) else np.asarray(one) for one in listed], FILES

    def _targets(self, y: object, name: str) -> Targets:
        return Targets(list(texts(y, name)), {})

    @arguments_named()
    def predict(self, X: object) -> list[str]:
        """Return the text of each recording."""
        return [str(record["text"]) for record in self._records(X)]

    @arguments_named()
    def transcribe(self, X: object) -> list[dict[str, Any]]:
        """Return the text of each recording with its confidence, and its words with times.

        Each answer is a dict, the same as a line of `predict --format jsonl`.
        """
        return self._records(X)

    @arguments_named()
    def score(self, X: object, y: object) -> float:
        """Return 1 minus the word error rate.

        Before the comparison, y gets the form that the model writes: single spaces, and lower case if
        `lower` is set.
        """
        return 1.0 - word_errors(_pairs(self._model.output, y, self.predict(X))).rate

    def __sklearn_tags__(self) -> Tags:
        """Return the tags that scikit-learn requires."""
        return sklearn_tags(None)


def _pairs(output: Output, y: object, answers: Sequence[str]) -> list[tuple[str, str]]:
    """Return (true text, answer) of each sequence.

    The true text is brought to the form that the model writes.
    Raises UsageError if X and y have different lengths.
    """
    truth = texts(y, "y")
    if len(truth) != len(answers):
        raise UsageError(
            f"X has {len(answers):,} sequences and y has {len(truth):,} texts", expected="equal lengths"
        )
    written = cast(Sequences | Transcript, output).as_written
    return list(zip(map(written, truth), answers, strict=True))
