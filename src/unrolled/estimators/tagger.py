"""The tagger: a tag for every step."""

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
from unrolled.estimators.options import TextOptions, default
from unrolled.estimators.sequences import NUMBERS, TOKENS, items
from unrolled.estimators.supervised import Supervised, Targets
from unrolled.inference import predictor
from unrolled.inference.open_model import Predictor

if TYPE_CHECKING:
    from sklearn.utils import Tags


class Span(TypedDict):
    """A span that tags mark: from step `start`, counted from 0, to before step `end`."""

    type: str
    start: int
    end: int
    text: str
    probability: float


@dataclass(kw_only=True, repr=False, eq=False)
class Tagger(Supervised, TextOptions):
    """A tag for every step: X token lists (or texts, split at white space), y as many tags each.

    The arguments are options of `unrolled train tag` and `numbers:tags`. After `fit`: classes_ [tags], of the type that
    y had, in the order of np.unique.
    """

    bidirectional: bool | None = default("bidirectional")
    label_smoothing: float | None = default("label_smoothing")
    affixes: bool | None = default("affixes")
    crf: bool | None = default("crf")

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
        """The tags of each sequence, of the type that y had; none for an empty one."""
        return [self._classes.of(as_list_of(str, record["tags"])).tolist() for record in self._records(X)]

    @arguments_named()
    def predict_proba(self, X: object) -> list[NDArray[np.float64]]:
        """For each sequence [T_x, tags] the probability of each tag at each step, in the order of `classes_`."""
        model = self._model
        found, _ = self._sequences(X, "X")
        own = {name: number for number, name in enumerate(as_list_of(str, model.output.to_json()["classes"]))}
        order = [own[name] for name in self._classes.names]
        examples = [Example(one, None, Place(Path("X"), number)) for number, one in enumerate(found, 1)]
        return [predictor.step_probabilities(model, example)[:, order] for example in examples]

    @arguments_named()
    def predict_spans(self, X: object) -> list[list[Span]]:
        """For each sequence its spans: type, start and end (steps from 0, the end not included), text, and probability:
        the lowest of its tags. Raises UsageError where the tags of training mark no spans."""
        records = self._records(X)
        if self._model.output.to_json()["scheme"] == "none":
            raise UsageError(
                "the tags of this model mark no spans", expected="tags such as B-PER, I-PER and O"
            )
        return [_spans(one) if one["tags"] else [] for one in records]

    @arguments_named()
    def score(self, X: object, y: object) -> float:
        """Span F1 where tags mark spans, else the fraction of tags that is right."""
        model = self._model
        found, _ = self._sequences(X, "X")
        asked = [self._classes.names_of(tags) for tags in _rows(y, "y")]
        if len(asked) != len(found):
            raise UsageError(f"X has {len(found):,} sequences and y has {len(asked):,}", expected="as many y")
        metrics = predictor.evaluate(model, from_lists(found, asked))
        return float(as_number(metrics.get("span_f1", metrics["accuracy"])))

    def __sklearn_tags__(self) -> Tags:
        """What scikit-learn asks."""
        return sklearn_tags(None)


def _spans(record: Mapping[str, object]) -> list[Span]:
    """The spans of an answer, each as probable as the least probable of its tags."""
    probabilities = [as_number(one) for one in as_list(record["probabilities"])]
    found: list[Span] = []
    for one in map(as_object, as_list(record["spans"])):
        start, end = as_plain(int, one["start"]), as_plain(int, one["end"])
        kind, text = as_plain(str, one["type"]), as_plain(str, one["text"])
        lowest = min(probabilities[start:end])
        found.append({"type": kind, "start": start, "end": end, "text": text, "probability": lowest})
    return found


def _rows(y: object, name: str) -> list[Array]:
    """The tags of each sequence, all of one type: where some are 1 and others True, all are numbers."""
    rows: list[Sequence[object]] = []
    for number, one in enumerate(items(y, name, "lists of tags"), 1):
        tags = split_words(one) if isinstance(one, str) else items(one, f"{name}:{number}", "tags")
        for step, tag in enumerate(tags, 1):
            refuse(tag, f"{name}:{number}, step {step}")
        rows.append(tags)
    flat = checked([tag for tags in rows for tag in tags], name, lambda n: f"tag {n + 1} of {name}")
    return np.split(flat, np.cumsum([len(tags) for tags in rows])[:-1]) if rows else []
