"""The output `number`: one or more real numbers for each sequence, with an interval (many-to-one)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from unrolled.core.config import Config, DataConfig, ModelConfig
from unrolled.core.errors import DataError
from unrolled.core.types import Answer, Array, Example, Floats, Place, Targets
from unrolled.core.values.example_values import as_sequence
from unrolled.core.values.json_values import as_list, as_number
from unrolled.models.network_spec import Reals, refuse_adaptive
from unrolled.tasks.details import of_numbers
from unrolled.tasks.details.parts import WORST, Details, Evaluated, combined
from unrolled.tasks.digits import shown
from unrolled.tasks.metrics import regression

SHARE = 0.9  # probability with which the interval contains a new value


@dataclass(frozen=True)
class Number:
    """The output of numbers.

    mean, deviation: of each number in the training set.
    half_width: half the width of the 90% interval of each number, in the units of the data; () before
    calibration, or if the validation set was too small.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    half_width: tuple[float, ...] = ()

    targets: ClassVar[Targets] = "one"

    def __post_init__(self) -> None:
        numbers = [*self.mean, *self.deviation, *self.half_width]
        lengths = {len(self.mean), len(self.deviation), len(self.half_width) or len(self.mean)}
        if len(lengths) > 1 or not self.mean or not np.isfinite(numbers).all() or min(self.deviation) <= 0:
            raise DataError(
                "the output settings in the model file are damaged", expected="means and deviations"
            )

    @property
    def n_y(self) -> int:
        """Number of outputs."""
        return len(self.mean)

    def head(self, config: Config) -> Reals:
        """Return the description of the output layer; see `Output`."""
        refuse_adaptive(config.model.softmax)
        return Reals(self.n_y, config.model.pooling or "last")

    def encode(self, y: object, steps: int, place: Place | None = None) -> NDArray[np.float64]:
        """Encode y as [n_y] standardised numbers.

        Raises DataError for a wrong count or a number that is not finite.
        """
        values = np.asarray(y, dtype=np.float64)
        if values.shape != (self.n_y,) or not np.isfinite(values).all():
            raise DataError(
                f"y is {list(values.reshape(-1))[:4]}",
                file=place.file if place else None,
                line=place.line if place else None,
                expected=f"{self.n_y} numbers",
            )
        return (values - np.array(self.mean)) / np.array(self.deviation)

    def calibrate(
        self, y: Sequence[Array], answers: Sequence[Floats], weights: Mapping[str, Array]
    ) -> Number:
        """Return this output with the interval of the validation set (split conformal prediction)."""
        errors = np.abs(np.stack(y) - np.concatenate(answers)) * np.array(self.deviation)  # [N, n_y]
        half = [regression.interval(errors[:, i], SHARE) for i in range(self.n_y)]
        return replace(self, half_width=tuple(half) if np.isfinite(half).all() else ())

    def values(self, answer: Floats) -> NDArray[np.float64]:
        """Return [n_y] the predictions in the units of the data."""
        return answer[-1].astype(np.float64) * np.array(self.deviation) + np.array(self.mean)

    def to_answer(self, answer: Floats, steps: object, top: int, weights: Mapping[str, Array]) -> Answer:
        """Return the numbers, separated by spaces. The record also has the interval.

        Each number is rounded to about a hundredth of the half width of its interval. If there is no interval,
        the standard deviation is used instead.
        """
        values = self.values(answer).tolist()
        record: dict[str, object] = {"value": values if len(values) > 1 else values[0]}
        if self.half_width:
            pairs = [[v - h, v + h] for v, h in zip(values, self.half_width, strict=True)]
            record |= {"interval": pairs if len(pairs) > 1 else pairs[0], "share": SHARE}
        precision = self.half_width or self.deviation
        return Answer(" ".join(map(shown, values, precision)), record, self._cells(values))

    def blank(self) -> Answer:
        """Return the answer to a blank line."""
        return Answer("", {"value": None}, self._cells([None] * self.n_y))

    def _cells(self, values: Sequence[float | None]) -> dict[str, float | None]:
        """Return the numbers, and the ends of their intervals if known, as columns of a table."""
        cells: dict[str, float | None] = {}
        for number, value in enumerate(values):
            end = f"_{number + 1}" if self.n_y > 1 else ""
            cells[f"prediction{end}"] = value
            if self.half_width:
                half = self.half_width[number]
                cells[f"low{end}"] = None if value is None else value - half
                cells[f"high{end}"] = None if value is None else value + half
        return cells

    def figures(
        self, y: Sequence[Array], answers: Sequence[Floats], weights: Mapping[str, Array]
    ) -> Mapping[str, object]:
        """Return loss (half the squared error, standardised), mae, rmse, r2, and coverage if there are intervals."""
        deviation = np.array(self.deviation)
        truth = np.stack(y) * deviation + np.array(self.mean)  # [N, n_y]
        guessed = np.stack([self.values(answer) for answer in answers])
        score = regression.score(truth, guessed)
        found = {
            "loss": 0.5 * float((((truth - guessed) / deviation) ** 2).mean()),
            "mae": score.mean_mae,
            "rmse": score.mean_rmse,
            "r2": score.mean_r2,
        }
        if self.half_width:
            found["coverage"] = float(regression.coverage(truth, guessed, np.array(self.half_width)).mean())
        return found

    def describe(self) -> str:
        """Return a one-line description for messages."""
        return f"{self.n_y} number{'s' if self.n_y > 1 else ''}, mean " + ", ".join(
            f"{m:.4g} ({d:.4g})" for m, d in list(zip(self.mean, self.deviation, strict=True))[:4]
        )

    def to_json(self) -> dict[str, object]:
        """Return the JSON object that `number` reads."""
        return {
            "mean": list(self.mean),
            "deviation": list(self.deviation),
            "half_width": list(self.half_width),
        }


def details(output: Number, data: Evaluated) -> Details:
    """Return the errors of each number, the worst errors, predicted against true values, and intervals."""
    truth = np.stack(data.y) * np.array(output.deviation) + np.array(output.mean)  # [N, n_y]
    told = np.stack([output.values(answer) for answer in data.answers])
    worst = np.argsort(-np.abs((told - truth) / np.array(output.deviation)).mean(axis=1), kind="stable")
    worst = worst[:WORST].tolist()
    examples = data.examples(worst)
    half = np.array(output.half_width) if output.half_width else None
    return combined(
        of_numbers.by_output(truth, told, half, data.config.data.horizon),
        of_numbers.worst_errors([(examples[i], truth[i], told[i]) for i in worst]),
        of_numbers.figures(truth, told, data.config.data.horizon),
        # Windows of one series overlap, so the errors of two horizons are drawn together.
        intervals=of_numbers.errors_with_intervals(truth, told, 2 * (data.config.data.horizon or 0) or 1),
    )


def number(value: Mapping[str, object]) -> Number:
    """Create a Number from the JSON object of `to_json`. Raises DataError if it is damaged."""
    keys = ("mean", "deviation", "half_width")
    parts = [value.get(key) for key in keys]
    if set(value) != set(keys) or not all(
        isinstance(part, list) and all(type(n) in (int, float) for n in part) for part in parts
    ):
        raise DataError("the output settings in the model file are damaged", expected=", ".join(keys))
    return Number(*(tuple(float(as_number(n)) for n in as_list(part)) for part in parts))


def learn_number(examples: Iterable[Example], data: DataConfig, model: ModelConfig) -> Number:
    """Learn the mean and deviation of each number of y.

    Raises DataError if the examples have different counts of numbers, if a number is not finite or too large,
    if all numbers are constant, or if there are no examples.
    """
    rows: list[Sequence[object]] = []
    for example in examples:
        rows.append(as_sequence(example.y))
        if len(rows[-1]) != len(rows[0]):
            place = example.place
            what = f"y has {len(rows[-1])} numbers"
            raise DataError(what, file=place.file, line=place.line, expected=f"{len(rows[0])}")
        if not np.isfinite(np.asarray(rows[-1])).all():
            what = f"y is {rows[-1][:4]}"
            raise DataError(what, file=example.place.file, line=example.place.line, expected="finite numbers")
    if not rows:
        raise DataError("no examples")
    values = np.array(rows, dtype=np.float64)  # [N, n_y]
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = values.mean(axis=0), values.std(axis=0)
    if not np.isfinite([mean, deviation]).all():
        raise DataError("the numbers of y are too large to be squared", expected="another unit")
    constant = deviation <= 1e-12 * np.abs(mean)  # constant except for rounding
    if constant.all():
        raise DataError("y is always the same number", expected="different numbers")
    deviation = np.where(constant, 1.0, deviation)  # a constant among other numbers is easy to learn
    return Number(tuple(mean.tolist()), tuple(deviation.tolist()))
