"""Numbers: x^<t> is a vector, a row of a table or what sensors say at a moment. Learnt: mean and deviation of each.

A number may be missing: it is NaN. It takes the last number before it in its sequence; without one it takes the mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unrolled.core.config import DataConfig
from unrolled.core.errors import DataError
from unrolled.core.types import Array, Example, Place
from unrolled.core.values.json_values import as_list, as_number


@dataclass(frozen=True)
class NumberInput:
    """Each number less its mean, divided by its standard deviation, over all steps of the training part."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    ids = False
    multi_hot = False
    unk_candidates = np.zeros(0, dtype=np.bool_)

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.deviation) or not np.isfinite([*self.mean, *self.deviation]).all():
            raise DataError(
                "how the model reads numbers is damaged", expected="a mean and deviation for each"
            )
        if not self.mean or min(self.deviation) <= 0:
            raise DataError("how the model reads numbers is damaged", expected="deviations above 0")

    @property
    def n_x(self) -> int:
        """Numbers a step."""
        return len(self.mean)

    def steps(self, x: object) -> object:
        """The numbers themselves, [T, n_x]."""
        return x

    def encode(self, x: object, place: Place | None = None) -> NDArray[np.float32]:
        """[T, n_x] standardised, missing numbers filled; raises DataError for another width or an infinite number."""
        numbers = np.asarray(x, dtype=np.float64)
        if not len(numbers):
            return np.zeros((0, self.n_x), np.float32)
        if numbers.ndim != 2 or numbers.shape[1] != self.n_x:
            width = numbers.shape[1] if numbers.ndim == 2 else "no"
            raise _error(f"{width} numbers a step", f"{self.n_x}, as in training", place)
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
        """Numbers know no `<UNK>`."""
        return 0

    def to_json(self) -> dict[str, object]:
        """What `number_input` reads."""
        return {"mean": list(self.mean), "deviation": list(self.deviation)}


def filled(numbers: NDArray[np.float64], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """[T, n] with the last number before it for each NaN, and `mean` [n] where there is none before it."""
    missing = np.isnan(numbers)
    if not missing.any():
        return numbers
    steps = np.where(missing, -1, np.arange(len(numbers))[:, None])
    last = np.maximum.accumulate(steps, axis=0)  # [T, n] the step of the last number; -1: none so far
    return np.where(last >= 0, np.take_along_axis(numbers, np.maximum(last, 0), axis=0), mean)


def number_input(value: Mapping[str, object]) -> NumberInput:
    """What `to_json` gave; raises DataError where it is damaged."""
    lists = [value.get("mean"), value.get("deviation")]
    if set(value) != {"mean", "deviation"} or not all(
        isinstance(part, list) and all(type(number) in (int, float) for number in part) for part in lists
    ):
        raise DataError("how the model reads numbers is damaged", expected="mean, deviation")
    return NumberInput(*(tuple(map(as_number, as_list(part))) for part in lists))


def learn_numbers(examples: Iterable[Example], config: DataConfig) -> tuple[NumberInput, str]:
    """Mean and deviation of the numbers that are not missing, over all steps of some examples, in one pass (Chan et al.
    1979, sums of blocks combined)."""
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
            raise _error(f"{x.shape[1]} numbers a step", f"{len(mean)}, as in the first", example.place)
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
    # A number that never changes says nothing: it becomes 0, whatever rounding made of its deviation.
    constant = deviation <= 1e-12 * np.abs(mean)
    deviation = np.where(constant, 1.0, deviation)
    words = f"{len(mean)} numbers a step, {steps:,} steps in {sequences:,} sequences"
    missing = int((steps - count).sum())
    if missing:
        words += f"; {missing:,} of {steps * len(mean):,} missing, which take the number before them, else the mean"
    words += f"; {int(constant.sum())} of them never change" if constant.any() else ""
    return NumberInput(tuple(mean.tolist()), tuple(deviation.tolist())), words


def _mean(x: NDArray[np.float64], known: NDArray[np.int64]) -> NDArray[np.float64]:
    """[n] the mean of the numbers that are not missing; 0 of none."""
    if (known == len(x)).all():
        return x.mean(axis=0)
    return np.nansum(x, axis=0) / np.maximum(known, 1)


def _error(what: str, expected: str, place: Place | None) -> DataError:
    return DataError(
        what, file=place.file if place else None, line=place.line if place else None, expected=expected
    )
