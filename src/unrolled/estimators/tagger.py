"""The tagger: one tag for each step of a sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypedDict

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import UsageError
from unrolled.core.types import Array, Example, Place
from unrolled.core.values.json_values import as_list, as_list_of, as_number, as_object, as_plain
from unrolled.data.text.tokenize import split_words
from unrolled.datasets.example_source import from_lists
from unrolled.estimators.base import sklearn_tags
from unrolled.estimators.errors import arguments_named
from unrolled.estimators.labels import checked, classes_of, name_of, refuse, type_of
from unrolled.estimators.options import WordOptions, default
from unrolled.estimators.sequences import NUMBERS, TOKENS, items
from unrolled.estimators.supervised import Supervised, Targets
from unrolled.inference import predictor
from unrolled.inference.open_model import Predictor

if TYPE_CHECKING:
    from sklearn.utils import Tags


class Span(TypedDict):
    """A span that the tags mark: the steps from `start` (0-based) to `end` (not included)."""

    type: str
    start: int
    end: int
    text: str
    probability: float


@dataclass(kw_only=True, repr=False, eq=False)
class Tagger(Supervised, WordOptions):
    """A model that predicts one tag for each step.

    X: token lists, texts (split at white space), or arrays of numbers.
    y: for each sequence, one tag per step.
    The arguments are options of `unrolled train tag` and `numbers:tags`.
    After `fit`: classes_ [tags], with the type that y had, in the order of np.unique.
    """

    bidirectional: bool | None = default("bidirectional")
    label_smoothing: float | None = default("label_smoothing")
    crf: bool | None = default("crf")
    wide: bool | None = default("wide")

    kinds: ClassVar[Mapping[str, str]] = {TOKENS: "tag", NUMBERS: "numbers:tags"}

    def _targets(self, y: object, name: str) -> Targets:
        rows = _rows(y, name)
        type_ = next((type_of(tags[0]) for tags in rows if len(tags)), "str")
        notes = {} if type_ == "str" else {"y_type": type_}
        return Targets([tuple(map(name_of, tags)) for tags in rows], notes)

    def take(self, model: Predictor) -> None:
        super().take(model)
        names = as_list_of(str, model.output.to_json()["classes"])
        self._classes = classes_of(names, model.file.notes.get("y_type", "str"))
        self.classes_ = self._classes.values

    @arguments_named()
    def predict(self, X: object) -> list[list[object]]:
        """Return the tags of each sequence, with the type that y had. An empty sequence has no tags."""
        return [self._classes.of(as_list_of(str, record["tags"])).tolist() for record in self._records(X)]

    @arguments_named()
    def predict_proba(self, X: object) -> list[NDArray[np.float64]]:
        """Return for each sequence [T_x, tags] the probability of each tag, in the order of `classes_`."""
        model = self._model
        found, _ = self._sequences(X, "X")
        own = {name: number for number, name in enumerate(as_list_of(str, model.output.to_json()["classes"]))}
        order = [own[name] for name in self._classes.names]
        examples = [Example(one, None, Place(Path("X"), number)) for number, one in enumerate(found, 1)]
        return [predictor.step_probabilities(model, example)[:, order] for example in examples]

    @arguments_named()
    def predict_spans(self, X: object) -> list[list[Span]]:
        """Return the spans of each sequence.

        The probability of a span is the lowest probability of its tags.
        Raises UsageError if the tags of the training data do not mark spans.
        """
        records = self._records(X)
        if self._model.output.to_json()["scheme"] == "none":
            raise UsageError(
                "the tags of this model do not mark spans", expected="tags such as B-PER, I-PER and O"
            )
        return [_spans(one) if one["tags"] else [] for one in records]

    @arguments_named()
    def score(self, X: object, y: object) -> float:
        """Return the span F1 if tags mark spans, else the accuracy over all tags."""
        model = self._model
        found, _ = self._sequences(X, "X")
        asked = [self._classes.names_of(tags) for tags in _rows(y, "y")]
        if len(asked) != len(found):
            raise UsageError(
                f"X has {len(found):,} sequences and y has {len(asked):,}", expected="equal lengths"
            )
        metrics = predictor.evaluate(model, from_lists(found, asked))
        return float(as_number(metrics.get("span_f1", metrics["accuracy"])))

    def __sklearn_tags__(self) -> Tags:
        """Return the tags that scikit-learn requires."""
        return sklearn_tags(None)


def _spans(record: Mapping[str, object]) -> list[Span]:
    """Return the spans of an answer. The probability of a span is the lowest probability of its tags."""
    probabilities = [as_number(one) for one in as_list(record["probabilities"])]
    found: list[Span] = []
    for one in map(as_object, as_list(record["spans"])):
        start, end = as_plain(int, one["start"]), as_plain(int, one["end"])
        kind, text = as_plain(str, one["type"]), as_plain(str, one["text"])
        lowest = min(probabilities[start:end])
        found.append({"type": kind, "start": start, "end": end, "text": text, "probability": lowest})
    return found


def _rows(y: object, name: str) -> list[Array]:
    """Return the tags of each sequence, all with the same type. A mix of numbers and bools becomes numbers."""
    rows: list[Sequence[object]] = []
    for number, one in enumerate(items(y, name, "lists of tags"), 1):
        tags = split_words(one) if isinstance(one, str) else items(one, f"{name}:{number}", "tags")
        for step, tag in enumerate(tags, 1):
            refuse(tag, f"{name}:{number}, step {step}")
        rows.append(tags)
    flat = checked([tag for tags in rows for tag in tags], name, lambda n: f"tag {n + 1} of {name}")
    return np.split(flat, np.cumsum([len(tags) for tags in rows])[:-1]) if rows else []
