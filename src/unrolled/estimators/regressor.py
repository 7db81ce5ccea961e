"""The regressor: one or more numbers for each text or series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import UsageError
from unrolled.estimators.base import sklearn_tags
from unrolled.estimators.errors import arguments_named
from unrolled.estimators.options import WordOptions, default
from unrolled.estimators.sequences import NUMBERS, TOKENS, Frame, as_array, items, missing
from unrolled.estimators.supervised import Supervised, Targets
from unrolled.tasks.metrics import regression

if TYPE_CHECKING:
    from sklearn.utils import Tags


@dataclass(kw_only=True, repr=False, eq=False)
class Regressor(Supervised, WordOptions):
    """A regressor of texts or series. y: [N], [N, 1] or [N, n_y] numbers; predictions have the same shape.

    The arguments are options of `unrolled train tokens:number` and `numbers:number`.
    """

    bidirectional: bool | None = default("bidirectional")
    pooling: str | None = default("pooling")
    wide: bool | None = default("wide")
    front: str | None = default("front")
    front_size: int | None = default("front_size")

    kinds: ClassVar[Mapping[str, str]] = {TOKENS: "tokens:number", NUMBERS: "numbers:number"}
    fewest: ClassVar[int] = 2

    def _targets(self, y: object, name: str) -> Targets:
        numbers = _numbers(y, name)
        column = numbers.ndim == 2 and numbers.shape[1] == 1
        return Targets(
            [tuple(row) for row in _table(numbers).tolist()], {"y_shape": "column"} if column else {}
        )

    def _shaped(self, rows: list[object]) -> NDArray[np.float64]:
        """Return rows of numbers as an array of predictions: [N, 1, ...] if y was a column [N, 1]."""
        found = np.array(rows, np.float64)
        return found[:, None] if self._model.file.notes.get("y_shape") == "column" else found

    @arguments_named()
    def predict(self, X: object) -> NDArray[np.float64]:
        """Return [N], [N, 1] or [N, n_y] predictions, in the shape of y.

        They are NaN for an empty or blank sequence.
        """
        n_y = self._model.output.n_y
        blank = np.nan if n_y == 1 else [np.nan] * n_y
        return self._shaped([blank if one["value"] is None else one["value"] for one in self._records(X)])

    @arguments_named()
    def predict_interval(self, X: object) -> NDArray[np.float64]:
        """Return [..., 2] the lower and upper end of a 90% prediction interval for each number of `predict`.

        The intervals are computed from the validation set. Raises UsageError if the model has none, because
        there was no validation set or it was too small.
        """
        model = self._model
        if not model.output.to_json()["half_width"]:
            what = "this model has no intervals: the validation set was missing or too small"
            raise UsageError(what, hint=".fit(X, y, validation_data=(X_valid, y_valid))")
        n_y = model.output.n_y
        blank = [np.nan] * 2 if n_y == 1 else [[np.nan] * 2] * n_y
        return self._shaped([one.get("interval", blank) for one in self._records(X)])

    @arguments_named()
    def score(self, X: object, y: object, sample_weight: object = None) -> float:
        """Return R2, averaged over the numbers and weighted by sample_weight [N].

        Raises UsageError for an empty sequence.
        """
        truth = _numbers(y, "y")
        found = self.predict(X)
        truth, found = _table(truth), _table(found)
        if truth.shape != found.shape:
            what = f"y has the shape {list(truth.shape)}, and the predictions have {list(found.shape)}"
            raise UsageError(what, expected="the same shape")
        empty = np.flatnonzero(np.isnan(found).any(axis=1))
        if len(empty):
            raise UsageError(f"X:{empty[0] + 1}: an empty sequence has no prediction", expected="sequences")
        if sample_weight is None:
            return regression.score(truth, found).mean_r2
        weights = np.asarray(items(sample_weight, "sample_weight", "numbers"), np.float64)
        mean = np.average(truth, axis=0, weights=weights)
        errors = (weights[:, None] * (truth - found) ** 2).sum(axis=0)
        return float(np.mean(1 - errors / (weights[:, None] * (truth - mean) ** 2).sum(axis=0)))

    def __sklearn_tags__(self) -> Tags:
        """Return the tags that scikit-learn requires."""
        return sklearn_tags("regressor", several=True)


def _table(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Reshape [N] or [N, n_y] to [N, n_y]."""
    return numbers[:, None] if numbers.ndim == 1 else numbers


def _numbers(y: object, name: str) -> NDArray[np.float64]:
    """Return y as [N] or [N, n_y]. Raises UsageError if a value is not a finite number."""
    listed = y.to_numpy() if isinstance(y, Frame) else y
    listed = items(listed, name, "numbers") if not isinstance(listed, np.ndarray) else as_array(listed, name)
    for number, one in enumerate(listed, 1):
        if missing(one) or isinstance(one, str | bytes):
            what = f"missing ({one}); Input y contains NaN." if missing(one) else f"a {type(one).__name__}"
            raise UsageError(f"{name}:{number}: {what}", expected="a number")
    try:
        numbers = np.asarray(listed, dtype=np.float64)
    except (TypeError, ValueError):
        raise UsageError(
            f"{name} has values that are not numbers, or rows of different lengths", expected="numbers"
        ) from None
    if numbers.ndim > 2:
        raise UsageError(f"{name} has the shape {list(numbers.shape)}", expected="[N] or [N, n_y]")
    wrong = np.flatnonzero(~np.isfinite(_table(numbers)).all(axis=1))
    if len(wrong):
        what = "NaN" if np.isnan(numbers[wrong[0]]).any() else "infinity"
        raise UsageError(f"{name}:{wrong[0] + 1}: Input y contains {what}.", expected="finite numbers")
    return numbers
