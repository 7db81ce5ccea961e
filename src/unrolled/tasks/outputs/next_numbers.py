"""The output `next` of numbers: y^<t> = x^<t+1>, the next step of a series, and the surprise of each step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from unrolled.core.config import Config, DataConfig, ModelConfig
from unrolled.core.errors import DataError
from unrolled.core.types import Answer, Array, Example, Floats, Place, Targets
from unrolled.core.values.json_values import as_list, as_number
from unrolled.models.network_spec import Reals, refuse_adaptive
from unrolled.tasks.details import of_numbers
from unrolled.tasks.details.parts import WORST, Details, Evaluated, combined
from unrolled.tasks.digits import shown
from unrolled.tasks.inputs.numbers import learn_numbers
from unrolled.tasks.metrics import regression

F64 = NDArray[np.float64]
USUAL = 0.999  # fraction of the steps of the validation set that are not above the threshold
NATS = 1.0  # precision of a surprise for output: smaller differences are not meaningful
BLOCK = 50  # steps that the bootstrap draws together, because the errors of neighbours are similar
SMALLEST = 1e-6  # minimum error in standard deviations: even perfect predictions are rounded


@dataclass(frozen=True)
class NextNumbers:
    """The output of the next step of a series.

    mean, deviation: of each number in the training set.
    error: the root mean square error of each number on the validation set, in standard deviations; 1 before
    calibration.
    threshold: the surprise that 0.1% of the steps of the validation set exceed; None: unknown.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    error: tuple[float, ...]
    threshold: float | None = None

    targets: ClassVar[Targets] = "each"

    def __post_init__(self) -> None:
        parts = (self.mean, self.deviation, self.error, (self.threshold or 0.0,))
        if (
            len({len(part) for part in parts[:3]}) > 1
            or not self.mean
            or not np.isfinite(np.concatenate(parts)).all()
        ):
            raise DataError(
                "the output settings in the model file are damaged", expected="means and deviations"
            )
        if min(*self.deviation, *self.error) <= 0 or (self.threshold is not None and self.threshold <= 0):
            raise DataError(
                "the output settings in the model file are damaged", expected="deviations above 0"
            )

    @property
    def n_y(self) -> int:
        """Numbers per step."""
        return len(self.mean)

    def head(self, config: Config) -> Reals:
        """Return the description of the output layer; see `Output`."""
        refuse_adaptive(config.model.softmax)
        return Reals(self.n_y)

    def encode(self, y: object, steps: int, place: Place | None = None) -> F64:
        """Encode y as [steps, n_y] standardised numbers. The loss ignores NaN.

        Raises DataError for a wrong shape or an infinite number.
        """
        values = np.asarray(y, dtype=np.float64)
        if values.shape != (steps, self.n_y) or np.isinf(values).any():
            raise DataError(
                f"the next steps have the shape {values.shape}",
                file=place.file if place else None,
                line=place.line if place else None,
                expected=f"{steps} steps of {self.n_y} finite numbers",
            )
        return (values - np.array(self.mean)) / np.array(self.deviation)

    def calibrate(
        self, y: Sequence[Array], answers: Sequence[Floats], weights: Mapping[str, Array]
    ) -> NextNumbers:
        """Return this output with the error and the threshold of the validation set."""
        off = np.concatenate(y) - np.concatenate(answers)  # [steps, n_y]
        off = off[~np.isnan(off).any(axis=1)]
        if not len(off):
            return self
        error = np.maximum(np.sqrt((off**2).mean(axis=0)), SMALLEST)
        surprise = 0.5 * ((off / error) ** 2).sum(axis=1)
        threshold = max(float(np.quantile(surprise, USUAL, method="higher")), SMALLEST)
        return replace(self, error=tuple(error.tolist()), threshold=threshold)

    def values(self, answer: Floats) -> F64:
        """Return [T, n_y] the predictions in the units of the data: row t predicts step t + 1."""
        return answer.astype(np.float64) * np.array(self.deviation) + np.array(self.mean)

    def surprise(self, answer: Floats, x: object) -> F64:
        """Return [T] the surprise of each step in nats.

        It is half the squared distance from the prediction, in units of `error`. For a normal distribution
        around the prediction, it is the log-probability of the predicted value minus that of the observed value.
        It is NaN for the first step and for steps with missing numbers.
        """
        seen = np.asarray(x, dtype=np.float64)  # NaN: a missing number
        off = (seen[1:] - self.values(answer)[:-1]) / (np.array(self.deviation) * np.array(self.error))
        return np.concatenate([[np.nan], 0.5 * (off**2).sum(axis=1)])

    def to_answer(self, answer: Floats, steps: object, top: int, weights: Mapping[str, Array]) -> Answer:
        """Return the highest surprise, its step (1-based), and the surprise of each step.

        The record also has the anomalies, and the prediction for the step after the last.
        """
        surprise = self.surprise(answer, steps)
        told = surprise[1:]
        known = bool((~np.isnan(told)).any())
        at = int(np.nanargmax(told)) + 2 if known else None
        highest = float(np.nanmax(told)) if known else None
        every = [None if np.isnan(nats) else nats for nats in told.tolist()]
        record: dict[str, object] = {
            "surprise": [None, *every],
            "highest": highest,
            "step": at,
            "next": self.values(answer)[-1].tolist(),
        }
        if self.threshold is not None:
            beyond = np.flatnonzero(told > self.threshold)
            beyond = beyond[np.argsort(-told[beyond], kind="stable")]
            record |= {
                "threshold": self.threshold,
                "score": None if highest is None else highest / self.threshold,
                "anomalies": (beyond + 2).tolist(),
            }
        each = ("-" if nats is None else shown(nats, NATS, least=4) for nats in every)
        first = (
            "-\t-\t-"
            if highest is None
            else f"{shown(highest, NATS, least=4)}\t{at}\t{' '.join(['-', *each])}"
        )
        return Answer(first, record)

    def blank(self) -> Answer:
        """Return the answer to a series without steps."""
        return Answer("", {"surprise": [], "highest": None, "step": None, "next": None})

    def figures(
        self, y: Sequence[Array], answers: Sequence[Floats], weights: Mapping[str, Array]
    ) -> Mapping[str, object]:
        """Return the metrics:

        loss: half the squared error of standardised numbers.
        mae, rmse, r2: of the next step.
        mae_last: the mean absolute error if the last value is repeated; None if it is unknown.
        surprise: mean nats per step.
        anomalies: fraction of steps above the threshold, if there is one.
        """
        truth, told, last = (np.concatenate(rows) for rows in zip(*map(_pairs, y, answers), strict=True))
        if not len(truth):
            raise DataError("no step has a next step", expected="series of two steps or more")
        deviation, mean = np.array(self.deviation), np.array(self.mean)
        score = regression.score(truth * deviation + mean, told * deviation + mean)
        surprise = 0.5 * (((truth - told) / np.array(self.error)) ** 2).sum(axis=1)
        known = ~np.isnan(last).any(axis=1)
        found = {
            "loss": 0.5 * float(((truth - told) ** 2).mean()),
            "mae": score.mean_mae,
            "rmse": score.mean_rmse,
            "r2": score.mean_r2,
            "mae_last": float((np.abs(truth - last)[known] * deviation).mean()) if known.any() else None,
            "surprise": float(surprise.mean()),
        }
        if self.threshold is not None:
            found["anomalies"] = float((surprise > self.threshold).mean())
        return found

    def describe(self) -> str:
        """Return a one-line description for messages."""
        return f"the next step, {self.n_y} number{'s' if self.n_y > 1 else ''}"

    def to_json(self) -> dict[str, object]:
        """Return the JSON object that `next_numbers` reads."""
        lists = {"mean": list(self.mean), "deviation": list(self.deviation), "error": list(self.error)}
        return {**lists, "threshold": self.threshold}


def details(output: NextNumbers, data: Evaluated) -> Details:
    """Return the errors of each number, the most surprising steps, predicted against true values, intervals."""
    rows = [_pairs(y, answer) for y, answer in zip(data.y, data.answers, strict=True)]
    deviation, mean = np.array(output.deviation), np.array(output.mean)
    truth = np.concatenate([one[0] for one in rows]) * deviation + mean  # [steps, n_y]
    told = np.concatenate([one[1] for one in rows]) * deviation + mean
    surprise = 0.5 * (((truth - told) / (deviation * np.array(output.error))) ** 2).sum(axis=1)
    sequence = np.repeat(np.arange(len(rows)), [len(one[0]) for one in rows])
    # Row t of y is step t + 2 of the sequence, counted from 1.
    step = np.concatenate([np.flatnonzero(~np.isnan(y).any(axis=1)) + 2 for y in data.y])
    worst = np.argsort(-surprise, kind="stable")[:WORST].tolist()
    examples = data.examples({int(sequence[i]) for i in worst})
    return combined(
        of_numbers.by_output(truth, told, None, None),
        of_numbers.worst_steps(
            [(examples[int(sequence[i])], int(step[i]), truth[i], told[i], float(surprise[i])) for i in worst]
        ),
        of_numbers.figures(truth, told, None),
        intervals=of_numbers.errors_with_intervals(truth, told, BLOCK),
    )


def _pairs(y: Array, answer: Floats) -> tuple[F64, F64, F64]:
    """Return the true values, the predictions and the previous values of all steps with targets.

    A previous value is NaN if it is unknown.
    """
    last = np.concatenate([np.full((1, y.shape[1]), np.nan), y[:-1]])
    asked = ~np.isnan(y).any(axis=1)
    return y[asked], answer[asked].astype(np.float64), last[asked]


def next_numbers(value: Mapping[str, object]) -> NextNumbers:
    """Create a NextNumbers from the JSON object of `to_json`. Raises DataError if it is damaged."""
    keys = ("mean", "deviation", "error")
    threshold = value.get("threshold")
    lists = [value.get(key) for key in keys]
    if (
        set(value) != {*keys, "threshold"}
        or not all(isinstance(part, list) and all(type(n) in (int, float) for n in part) for part in lists)
        or not (threshold is None or type(threshold) is int or type(threshold) is float)
    ):
        raise DataError("the output settings in the model file are damaged", expected=", ".join(keys))
    mean, deviation, error = (tuple(float(as_number(n)) for n in as_list(part)) for part in lists)
    return NextNumbers(mean, deviation, error, None if threshold is None else float(threshold))


def learn_next_numbers(examples: Iterable[Example], data: DataConfig, model: ModelConfig) -> NextNumbers:
    """Learn the mean and deviation of each number of a step. Raises the errors of `learn_numbers`."""
    found, _ = learn_numbers(examples, data)
    return NextNumbers(found.mean, found.deviation, (1.0,) * found.n_x)
