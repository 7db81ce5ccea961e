"""Numbers: x^<t> is a vector, such as a row of a table. Learned: the mean and deviation of each number.

A missing number is NaN. It is replaced by the last known number before it in the sequence, or by the mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unrolled.core.config import Config, DataConfig, fill
from unrolled.core.errors import DataError
from unrolled.core.options import HISTORY
from unrolled.core.types import Array, Example, Place
from unrolled.core.values.json_values import as_list, as_number
from unrolled.models.wide.series_features import summary

MOST_VALUES = 2048  # maximum number of inputs of the linear model of a forecast, which is fitted in seconds


@dataclass(frozen=True)
class NumberInput:
    """The encoder of numbers. It subtracts the mean and divides by the standard deviation.

    mean, deviation: [n_x] over all steps of the training set.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    ids = False
    multi_hot = False
    unk_candidates = np.zeros(0, dtype=np.bool_)

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.deviation) or not np.isfinite([*self.mean, *self.deviation]).all():
            raise DataError(
                "the mean and deviation in the model file are damaged",
                expected="a mean and deviation for each number",
            )
        if not self.mean or min(self.deviation) <= 0:
            raise DataError(
                "the mean and deviation in the model file are damaged", expected="deviations above 0"
            )

    @property
    def n_x(self) -> int:
        """Numbers per step."""
        return len(self.mean)

    def steps(self, x: object) -> object:
        """Return the numbers [T, n_x] unchanged."""
        return x

    def encode(self, x: object, place: Place | None = None) -> NDArray[np.float32]:
        """Encode x as standardised numbers [T, n_x] without missing values.

        Raises DataError for a wrong width or an infinite number.
        """
        numbers = np.asarray(x, dtype=np.float64)
        if not len(numbers):
            return np.zeros((0, self.n_x), np.float32)
        if numbers.ndim != 2 or numbers.shape[1] != self.n_x:
            width = numbers.shape[1] if numbers.ndim == 2 else "no"
            raise _error(f"{width} numbers per step", f"{self.n_x}, as in training", place)
        if np.isinf(numbers).any():
            step, column = np.argwhere(np.isinf(numbers))[0].tolist()
            raise _error(
                f"step {step + 1}, number {column + 1} is {numbers[step, column]}", "a number", place
            )
        numbers = filled(numbers, np.array(self.mean))
        with np.errstate(over="ignore"):
            scaled = (numbers - np.array(self.mean)) / np.array(self.deviation)
        return np.clip(scaled, -1e6, 1e6).astype(np.float32)

    def unknown(self, x: object, encoded: Array) -> int:
        """Return 0, because numbers have no `<UNK>`."""
        return 0

    def to_json(self) -> dict[str, object]:
        """Return the JSON object that `number_input` reads."""
        return {"mean": list(self.mean), "deviation": list(self.deviation)}


def filled(numbers: NDArray[np.float64], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Replace each NaN in numbers [T, n] by the last number before it, or by `mean` [n] if there is none."""
    missing = np.isnan(numbers)
    if not missing.any():
        return numbers
    steps = np.where(missing, -1, np.arange(len(numbers))[:, None])
    last = np.maximum.accumulate(steps, axis=0)  # [T, n] the step of the last known number; -1: none so far
    return np.where(last >= 0, np.take_along_axis(numbers, np.maximum(last, 0), axis=0), mean)


def number_input(value: Mapping[str, object]) -> NumberInput:
    """Create a NumberInput from the JSON object of `to_json`. Raises DataError if it is damaged."""
    lists = [value.get("mean"), value.get("deviation")]
    if set(value) != {"mean", "deviation"} or not all(
        isinstance(part, list) and all(type(number) in (int, float) for number in part) for part in lists
    ):
        raise DataError("the mean and deviation in the model file are damaged", expected="mean, deviation")
    return NumberInput(*(tuple(map(as_number, as_list(part))) for part in lists))


def learn_numbers(examples: Iterable[Example], config: DataConfig) -> tuple[NumberInput, str]:
    """Learn the mean and deviation of each number over all steps; also returns a one-line description.

    Missing numbers are not counted. The statistics of each example are combined in one pass (Chan et al.
    1979).
    Raises DataError for sequences of different widths, numbers that are infinite or too large, and if there
    are no numbers.
    """
    count, mean, square = np.zeros(0), np.zeros(0), np.zeros(0)  # [n_x] each
    sequences = steps = 0
    for example in examples:
        x = np.asarray(example.x, dtype=np.float64)
        sequences += 1
        if not len(x):
            continue
        if not steps:
            count, mean, square = np.zeros((3, x.shape[1]))
        if x.shape[1] != len(mean):
            raise _error(f"{x.shape[1]} numbers per step", f"{len(mean)}, as in the first", example.place)
        if np.isinf(x).any():
            raise _error("a number that is not finite", "numbers", example.place)
        known = len(x) - np.isnan(x).sum(axis=0)  # [n_x]
        total = np.maximum(count + known, 1)
        with np.errstate(over="ignore", invalid="ignore"):
            own = _mean(x, known)
            square += np.nansum((x - own) ** 2, axis=0) + (own - mean) ** 2 * count * known / total
            mean += (own - mean) * known / total
        if not np.isfinite([mean, square]).all():
            raise _error("numbers too large to be squared", "another unit", example.place)
        count, steps = count + known, steps + len(x)
    if not count.any():
        raise DataError("no examples: not one step with numbers")
    deviation = np.sqrt(square / np.maximum(count, 1))
    # A number that never changes contains no information. It is encoded as 0, independent of rounding in its deviation.
    constant = deviation <= 1e-12 * np.abs(mean)
    deviation = np.where(constant, 1.0, deviation)
    words = f"{len(mean)} numbers per step, {steps:,} steps in {sequences:,} sequences"
    missing = int((steps - count).sum())
    if missing:
        words += f"; {missing:,} of {steps * len(mean):,} missing (replaced by the previous number, else by the mean)"
    if constant.any():
        words += f"; {int(constant.sum())} of the {len(mean)} numbers per step never change"
    return NumberInput(tuple(mean.tolist()), tuple(deviation.tolist())), words


def _mean(x: NDArray[np.float64], known: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return [n] the means of the numbers that are not missing; 0 if all are missing."""
    if (known == len(x)).all():
        return x.mean(axis=0)
    return np.nansum(x, axis=0) / np.maximum(known, 1)


def _error(what: str, expected: str, place: Place | None) -> DataError:
    return DataError(
        what, file=place.file if place else None, line=place.line if place else None, expected=expected
    )


def fill_numbers(config: Config) -> Config:
    """Fill `history`, unless it depends on the seasons of the data."""
    return config if config.data.horizon else fill(config, {"history": HISTORY})


def window_values(history: int) -> Callable[[NumberInput, object, Array], NDArray[np.float32]]:
    """Return a function that computes the numbers of the last steps of a window; see `WideFeatures`.

    history: number of steps of a window. A shorter window begins with means (0). At most MOST_VALUES are returned.
    """

    def values(given: NumberInput, x: object, encoded: Array) -> NDArray[np.float32]:
        steps = max(1, min(history, MOST_VALUES // given.n_x))
        last = encoded[-steps:]
        padding = np.zeros((steps - len(last), given.n_x), np.float32)
        return np.concatenate([padding, last]).reshape(-1)

    return values


def series_summary(given: NumberInput, x: object, encoded: Array) -> NDArray[np.float32]:
    """Return the summary statistics of a series; see `WideFeatures`."""
    return summary(encoded)
