"""Base class of the estimators of labelled sequences: train on X, y and sample weights, and predict.

X is a list of texts, token lists, or arrays [T_x, n_x]. The sequences may have different lengths; see
`sequences`. Training needs torch; prediction needs only NumPy.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeVar

import numpy as np

from unrolled.core.config import Config
from unrolled.core.errors import UsageError, need
from unrolled.core.types import Array, Example, Place
from unrolled.datasets.example_source import ExampleSource, from_lists
from unrolled.estimators.base import Estimator
from unrolled.estimators.errors import arguments_named
from unrolled.estimators.sequences import TOKENS, items, sequences
from unrolled.inference import predictor
from unrolled.inference.open_model import Predictor, trained_from_file
from unrolled.models.model_file import ModelFile

Fitted = TypeVar("Fitted", bound="Supervised")
EVERY = 1 << 30  # number of alternatives in an answer: all of them


@dataclass(frozen=True)
class Targets:
    """The targets of sequences.

    values: the y of each sequence, in the form of `Example.y`.
    notes: the type or shape of y, for the model file.
    """

    values: list[object]
    notes: Mapping[str, object]


@dataclass(kw_only=True, repr=False, eq=False)
class Supervised(Estimator):
    """An estimator of labelled sequences.

    kinds: the task for each kind of input.  fewest: the minimum number of sequences.
    """

    kinds: ClassVar[Mapping[str, str]]
    fewest: ClassVar[int] = 1

    @arguments_named()
    def fit(
        self: Fitted,
        X: object,
        y: object = None,
        sample_weight: object = None,
        validation_data: object = None,
    ) -> Fitted:
        """Train on sequences X with targets y.

        sample_weight: [N] the weight of each sequence; sequences with weight 0 are left out.
        validation_data: (X, y) that selects the best weights, instead of a fraction of X.
        Raises UsageError or DataError (both are ValueErrors) if the data is unusable, MissingExtra without
        torch.
        """
        found, kind = self._sequences(X, "X")
        asked = self._asked(y, "y", len(found))
        if len(found) < self.fewest:
            raise UsageError("X has one sample (n_samples=1)", expected=f"at least {self.fewest} sequences")
        weights = self._weights(sample_weight, asked.values)
        kept = [number for number, weight in enumerate(weights) if weight > 0]
        config = self._config(self._task(kind), {})
        data = from_lists(
            [found[n] for n in kept], [asked.values[n] for n in kept], "X", [weights[n] for n in kept]
        )
        valid = None if validation_data is None else self._validation(validation_data)
        self._train_on(config, data, valid, asked.notes)
        return self

    def _train_on(
        self, config: Config, data: ExampleSource, valid: ExampleSource | None, notes: Mapping[str, object]
    ) -> None:
        with need("train", "torch"):
            from unrolled.training.supervised_job import request
        self._train(lambda out, began: request(config, data, valid, out, began=began), notes)

    def _validation(self, given: object) -> ExampleSource:
        if not isinstance(given, tuple | list) or len(given) != 2:
            raise UsageError("validation_data is not a pair", expected="(X, y)")
        found, _ = self._sequences(given[0], "validation_data X")
        return from_lists(
            found, self._asked(given[1], "validation_data y", len(found)).values, "validation_data"
        )

    def _task(self, kind: str) -> str:
        """Return the task for sequences of this kind.

        Raises UsageError if the estimator does not support the kind.
        """
        kind = kind or next(iter(self.kinds))
        if kind not in self.kinds:
            what = f"{type(self).__name__} does not support {kind}"
            raise UsageError(what, expected=" or ".join(self.kinds))
        return self.kinds[kind]

    def _sequences(self, X: object, name: str) -> tuple[Sequence[object], str]:
        """Return X in the form of `Example.x`, and the kind of the input."""
        return sequences(X, name)

    def _asked(self, y: object, name: str, count: int) -> Targets:
        """Return y in the form of `Example.y`.

        Raises UsageError if X and y have different lengths or are empty.
        """
        if y is None:
            what = f"{type(self).__name__} requires y to be passed, but the target y is None"
            raise UsageError(what, expected=f"{name}: one for each sequence")
        found = self._targets(y, name)
        if len(found.values) != count or not count:
            what = f"X has {count:,} sequences and {name} has {len(found.values):,} items"
            raise UsageError(what, expected="a list of sequences and one y for each")
        return found

    @abstractmethod
    def _targets(self, y: object, name: str) -> Targets:
        """Convert y to one target for each sequence."""

    def _weights(self, sample_weight: object, values: Sequence[object]) -> list[float]:
        """Return [N] the weight of each sequence. Raises UsageError for an invalid weight."""
        if sample_weight is None:
            return [1.0] * len(values)
        weights = np.asarray(items(sample_weight, "sample_weight", "numbers"))
        if weights.shape != (len(values),) or weights.dtype.kind not in "iuf":
            what = f"sample_weight has the shape {list(weights.shape)} and the type {weights.dtype}"
            raise UsageError(what, expected=f"one number for each of the {len(values):,} sequences")
        if not np.isfinite(weights).all() or (weights < 0).any() or not (weights > 0).any():
            what = "sample_weight has an invalid weight, or zero weights only"
            raise UsageError(what, expected="finite numbers of at least 0, not all 0")
        return weights.astype(np.float64).tolist()

    def _keep(self, file: ModelFile, path: Path) -> None:
        self.take(trained_from_file(file, path))

    def take(self, model: Predictor) -> None:
        """Store an opened model of the right kind; the estimator is fitted then."""
        self.model_ = model

    @property
    def _model(self) -> Predictor:
        self._require_fitted()
        return self.model_

    def _records(self, X: object) -> list[dict[str, object]]:
        """Return the answer for each sequence as a dict with the fields of a line of `predict --format jsonl`.

        A blank sequence gets a blank answer.
        """
        model = self._model
        found, kind = self._sequences(X, "X")
        if kind and (kind == TOKENS) != model.input.ids:
            what = f"X has {kind}, but this model reads {'texts' if model.input.ids else 'numbers'}"
            raise UsageError(what, expected="sequences as in training")
        examples = [Example(one, None, Place(Path("X"), number)) for number, one in enumerate(found, 1)]
        return [dict(predictor.answer(model, example, EVERY).record) for example in examples]


def weighted_mean(values: Array, sample_weight: object) -> float:
    """Return the mean of values [N], weighted if sample_weight [N] is not None."""
    if sample_weight is None:
        return float(np.mean(values))
    return float(
        np.average(values, weights=np.asarray(items(sample_weight, "sample_weight", "numbers"), np.float64))
    )
