"""Classifiers: one class for each text, series, recording or clip."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeGuard

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import UsageError
from unrolled.core.types import Array
from unrolled.core.values.json_values import as_list_of, as_object
from unrolled.estimators.base import sklearn_tags
from unrolled.estimators.errors import arguments_named
from unrolled.estimators.labels import classes_of, equal, labels, name_of, type_of
from unrolled.estimators.options import (
    ClipOptions,
    LabelOptions,
    SoundOptions,
    WordOptions,
    checked,
    default,
)
from unrolled.estimators.sequences import FILES, NUMBERS, TOKENS, as_array, items
from unrolled.estimators.supervised import Supervised, Targets, weighted_mean
from unrolled.inference.open_model import Predictor

if TYPE_CHECKING:
    from sklearn.utils import Tags

WEIGHTS = ("balanced", "root")


@dataclass(kw_only=True, repr=False, eq=False)
class Labels(LabelOptions, Supervised):
    """Base class of the classifiers: one class for each sequence.

    After `fit`:
    classes_: [classes] the classes, with the type that y had, in the order of np.unique. The columns of
    `predict_proba` have the same order.
    """

    def _options(self) -> dict[str, object]:
        given = {**self.get_params(), "classes": self._order()}
        return {**checked(given), "class_weights": self._weighting() == "root"}

    def _order(self) -> str | None:
        """Return the argument `classes` in the form of the option: names separated by commas."""
        if self.classes is None or isinstance(self.classes, str):
            return self.classes
        names = [name_of(one) for one in labels(self.classes, "classes")]
        if any("," in name for name in names):
            raise UsageError("a name in classes contains a comma", expected="names without commas")
        return ",".join(names)

    def _targets(self, y: object, name: str) -> Targets:
        classes = labels(_column(y, name), name)
        type_ = type_of(classes[0]) if len(classes) else "str"
        notes = {} if type_ == "str" else {"y_type": type_}
        return Targets([name_of(one) for one in classes], notes)

    def _weighting(self) -> str | Mapping[object, object] | None:
        """Return the argument `class_weight`. Raises UsageError if it is invalid."""
        if self.class_weight is None or isinstance(self.class_weight, Mapping):
            return self.class_weight
        if isinstance(self.class_weight, str) and self.class_weight in WEIGHTS:
            return self.class_weight
        expected = "None, 'balanced', 'root' or a dict {class: weight}"
        raise UsageError(f"class_weight={self.class_weight!r:.80}", expected=expected)

    def _weights(self, sample_weight: object, values: Sequence[object]) -> list[float]:
        own, weighting = super()._weights(sample_weight, values), self._weighting()
        if weighting is None or weighting == "root":
            return own
        if isinstance(weighting, str):
            names, counts = np.unique(np.asarray(values), return_counts=True)
            by_name = dict(zip(names.tolist(), (len(values) / (len(names) * counts)).tolist(), strict=True))
        else:
            given = {_known(one, values): weight for one, weight in weighting.items()}
            by_name = {name: float(weight) for name, weight in given.items() if _is_weight(weight)}
            if len(by_name) < len(given):
                expected = "{class: weight}, each a number of at least 0"
                raise UsageError(f"class_weight={dict(weighting)!r:.80}", expected=expected)
        return [weight * by_name.get(str(name), 1.0) for weight, name in zip(own, values, strict=True)]

    def take(self, model: Predictor) -> None:
        super().take(model)
        names = as_list_of(str, model.output.to_json()["classes"])
        self._classes = classes_of(names, model.file.notes.get("y_type", "str"))
        self.classes_ = self._classes.values

    @arguments_named()
    def predict(self, X: object) -> Array:
        """Return [N] the class of each sequence.

        An empty or blank sequence has no class: "" if classes are texts, None otherwise.
        """
        return self._classes_of(self._records(X))

    def _classes_of(self, records: Sequence[Mapping[str, object]]) -> Array:
        return self._classes.of(
            None if record["label"] is None else str(record["label"]) for record in records
        )

    @arguments_named()
    def predict_proba(self, X: object) -> NDArray[np.float64]:
        """Return [N, classes] calibrated probabilities in the order of `classes_`.

        They are NaN for an empty or blank sequence.
        """
        rows = [
            [as_object(record["probabilities"]).get(name, np.nan) for name in self._classes.names]
            for record in self._records(X)
        ]
        return np.array(rows, np.float64).reshape(len(rows), len(self.classes_))

    def predict_log_proba(self, X: object) -> NDArray[np.float64]:
        """Return [N, classes] the logarithms of `predict_proba`."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    @arguments_named()
    def score(self, X: object, y: object, sample_weight: object = None) -> float:
        """Return the accuracy, weighted by sample_weight [N].

        Classes are compared by value: 1, 1.0, "1" and True are equal.
        Raises ValueError if y contains none of the classes of `fit`.
        """
        found = self.predict(X)
        truth = labels(_column(y, "y"), "y")
        if len(truth) != len(found):
            raise UsageError(
                f"X has {len(found):,} sequences and y has {len(truth):,} items", expected="equal lengths"
            )
        if len(truth) and not any(
            equal(one, other) for one in set(truth.tolist()) for other in self.classes_
        ):
            what, known = (
                f"y contains none of the classes of fit, but {truth[0]!r:.40}",
                map(repr, self.classes_[:8].tolist()),
            )
            raise UsageError(what, expected=", ".join(known))
        right = np.array([equal(one, other) for one, other in zip(truth, found, strict=True)], np.float64)
        return weighted_mean(right, sample_weight)

    def __sklearn_tags__(self) -> Tags:
        """Return the tags that scikit-learn requires."""
        return sklearn_tags("classifier")


@dataclass(kw_only=True, repr=False, eq=False)
class Classifier(Labels, WordOptions, SoundOptions):
    """A classifier of texts (or lists of tokens), series of numbers, or recordings.

    For recordings, X is a list of paths (pathlib.Path).
    The arguments are options of `unrolled train classify`, `numbers:label` and `audio:label`.
    """

    wide: bool | None = default("wide")

    kinds: ClassVar[Mapping[str, str]] = {TOKENS: "classify", FILES: "audio:label", NUMBERS: "numbers:label"}


@dataclass(kw_only=True, repr=False, eq=False)
class Recognizer(Labels, ClipOptions):
    """A classifier of clips, for example by the action that they show.

    Each item of X is the path of a video, the path of a folder of images, or an array of bytes [T, h, w] or
    [T, h, w, 3]. The arguments are options of `unrolled train recognize`.
    """

    kinds: ClassVar[Mapping[str, str]] = {FILES: "recognize"}

    def _sequences(self, X: object, name: str) -> tuple[Sequence[object], str]:
        listed = items(X, name, "clips")
        return [
            Path(one) if isinstance(one, str | Path) else as_array(one, f"{name}:{number}")
            for number, one in enumerate(listed, 1)
        ], FILES

    @arguments_named()
    def decisions(self, X: object) -> list[list[str]]:
        """Return the class that the model predicts after each frame of each clip.

        Raises UsageError if the model does not answer at every step: it must be unidirectional and pool the
        last step.
        """
        if self._model.stepwise is None:
            what = "this model gives one answer, after the last frame"
            raise UsageError(what, hint="bidirectional=False, pooling='last'")
        return [as_list_of(str, record["steps"]) for record in self._records(X)]


def _column(y: object, name: str) -> object:
    """Return y, or the column of an array [N, 1], with the same warning as scikit-learn."""
    if isinstance(y, np.ndarray) and y.ndim == 2 and y.shape[1] == 1:
        try:
            from sklearn.exceptions import DataConversionWarning as Kind
        except ImportError:
            Kind = UserWarning
        text = "A column-vector y was passed when a 1d array was expected. Please change its shape to (n_samples,)."
        warnings.warn(text, Kind, stacklevel=4)
        return y[:, 0]
    return y


def _known(one: object, names: Sequence[object]) -> str:
    """Return the name that y uses for this class; 1, 1.0 and True are equal.

    Raises UsageError if y does not contain the class.
    """
    alike = [name_of(one), *([name_of(bool(one))] if one in (0, 1) else [])]
    found = next((name for name in alike if name in names), None)
    if found is None:
        known = ", ".join(sorted(set(map(str, names)))[:12])
        raise UsageError(f"class_weight has a class that is not in y: {one!r:.80}", expected=known)
    return found


def _is_weight(weight: object) -> TypeGuard[Real]:
    return isinstance(weight, Real) and 0 <= float(weight) < np.inf
