"""The shared base of the estimators of labelled sequences: from X, y and sample weights to a training, and to answers.

X is a list of texts, of token lists, or of arrays [T_x, n_x], of any lengths; see `sequences`. Using an estimator needs
NumPy alone; fitting needs torch.
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
EVERY = 1 << 30  # of the answers: all


@dataclass(frozen=True)
class Targets:
    """The y of sequences: what is asked of each, as an example has it; notes for the model file about its type."""

    values: list[object]
    notes: Mapping[str, object]


@dataclass(kw_only=True, repr=False, eq=False)
class Supervised(Estimator):
    """An estimator of labelled sequences. kinds: the task for each kind of input.  fewest: the sequences it needs."""

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
        """Train on sequences and what is asked of each.

        sample_weight: [N] how much each sequence counts; those of weight 0 are left out.  validation_data: (X, y) to
        choose the best weights by, in place of a part that is held out of X.
        Raises UsageError and DataError for what cannot be learnt (both are ValueErrors), MissingExtra without torch.
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
            raise UsageError("validation_data is no pair", expected="(X, y)")
        found, _ = self._sequences(given[0], "validation_data X")
        return from_lists(
            found, self._asked(given[1], "validation_data y", len(found)).values, "validation_data"
        )

    def _task(self, kind: str) -> str:
        """The task for sequences of this kind."""
        kind = kind or next(iter(self.kinds))
        if kind not in self.kinds:
            what = f"{type(self).__name__} has no use for {kind}"
            raise UsageError(what, expected=" or ".join(self.kinds))
        return self.kinds[kind]

    def _sequences(self, X: object, name: str) -> tuple[Sequence[object], str]:
        """X as examples have it, and what kind of input it is."""
        return sequences(X, name)

    def _asked(self, y: object, name: str, count: int) -> Targets:
        """y as examples have it. Raises UsageError where there are not as many as sequences."""
        if y is None:
            what = f"{type(self).__name__} requires y to be passed, but the target y is None"
            raise UsageError(what, expected=f"{name}: one for each sequence")
        found = self._targets(y, name)
        if len(found.values) != count or not count:
            what = f"X has {count:,} sequences and {name} has {len(found.values):,} items"
            raise UsageError(what, expected="a list of sequences and as many y")
        return found

    @abstractmethod
    def _targets(self, y: object, name: str) -> Targets:
        """y, item by item."""

    def _weights(self, sample_weight: object, values: Sequence[object]) -> list[float]:
        """[N] how much each sequence counts. Raises UsageError for what is no weight."""
        if sample_weight is None:
            return [1.0] * len(values)
        weights = np.asarray(items(sample_weight, "sample_weight", "numbers"))
        if weights.shape != (len(values),) or weights.dtype.kind not in "iuf":
            what = f"sample_weight has the shape {list(weights.shape)} and the type {weights.dtype}"
            raise UsageError(what, expected=f"one number for each of the {len(values):,} sequences")
        if not np.isfinite(weights).all() or (weights < 0).any() or not (weights > 0).any():
            what = "sample_weight has a number that is no weight, or zero weights only"
            raise UsageError(what, expected="finite numbers of at least 0, one above 0")
        return weights.astype(np.float64).tolist()

    def _keep(self, file: ModelFile, path: Path) -> None:
        self.take(trained_from_file(file, path))

    def take(self, model: Predictor) -> None:
        """Become fitted: take an opened model of the right kind."""
        self.model_ = model

    @property
    def _model(self) -> Predictor:
        self._require_fitted()
        return self.model_

    def _records(self, X: object) -> list[dict[str, object]]:
        """The answer to each sequence, as `predict --format jsonl` has it; a blank one gets a blank answer."""
        model = self._model
        found, kind = self._sequences(X, "X")
        if kind and (kind == TOKENS) != model.input.ids:
            what = f"X has {kind}, and this model reads {'texts' if model.input.ids else 'numbers'}"
            raise UsageError(what, expected="sequences as in training")
        examples = [Example(one, None, Place(Path("X"), number)) for number, one in enumerate(found, 1)]
        return [dict(predictor.answer(model, example, EVERY).record) for example in examples]


def weighted_mean(values: Array, sample_weight: object) -> float:
    """The mean of [N] values, by weights [N] where there are any."""
    if sample_weight is None:
        return float(np.mean(values))
    return float(
        np.average(values, weights=np.asarray(items(sample_weight, "sample_weight", "numbers"), np.float64))
    )
