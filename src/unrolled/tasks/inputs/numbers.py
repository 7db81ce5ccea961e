"""Numbers: x^<t> is a vector, such as a row of a table. Learned: mean and deviation of each column."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unrolled.core.config import DataConfig
from unrolled.core.errors import DataError
from unrolled.core.types import Example, Place


@dataclass(frozen=True)
class NumberInput:
    """Each number less its mean, divided by its standard deviation, over all steps of the training part."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    ids = False
    multi_hot = False
    rare = np.zeros(0, dtype=np.bool_)

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

    def steps(self, x: Any) -> Any:
        """The numbers themselves, [T, n_x]."""
        return x

    def encode(self, x: Any, place: Place | None = None) -> NDArray[np.float32]:
        """[T, n_x] standardised; raises DataError for another width or what is not finite."""
        numbers = np.asarray(x, dtype=np.float64)
        if not len(numbers):
            return np.zeros((0, self.n_x), np.float32)
        if numbers.ndim != 2 or numbers.shape[1] != self.n_x:
            width = numbers.shape[1] if numbers.ndim == 2 else "no"
            raise _error(f"{width} numbers a step", f"{self.n_x}, as in training", place)
        if not np.isfinite(numbers).all():
            step, column = np.argwhere(~np.isfinite(numbers))[0].tolist()
            raise _error(
                f"step {step + 1}, number {column + 1} is {numbers[step, column]}", "a number", place
            )
        with np.errstate(over="ignore"):
            scaled = (numbers - np.array(self.mean)) / np.array(self.deviation)
        return np.clip(scaled, -1e6, 1e6).astype(np.float32)

    def unknown(self, x: Any) -> int:
        """Numbers know no `<UNK>`."""
        return 0

    def to_json(self) -> dict[str, Any]:
        """What `number_input` reads."""
        return {"mean": list(self.mean), "deviation": list(self.deviation)}


def number_input(value: Mapping[str, Any]) -> NumberInput:
    """What `to_json` gave; raises DataError where it is damaged."""
    lists = [value.get("mean"), value.get("deviation")]
    if set(value) != {"mean", "deviation"} or not all(
        isinstance(part, list) and all(type(number) in (int, float) for number in part) for part in lists
    ):
        raise DataError("how the model reads numbers is damaged", expected="mean, deviation")
    return NumberInput(tuple(value["mean"]), tuple(value["deviation"]))


def learn_numbers(examples: Iterable[Example], config: DataConfig) -> tuple[NumberInput, str]:
    """Mean and deviation over all steps of some examples, in one pass (Chan et al. 1979, sums of blocks combined)."""
    count, mean, square = 0, np.zeros(0), np.zeros(0)
    sequences = 0
    for example in examples:
        x = np.asarray(example.x, dtype=np.float64)
        sequences += 1
        if not len(x):
            continue
        if count == 0:
            mean, square = np.zeros(x.shape[1]), np.zeros(x.shape[1])
        if x.shape[1] != len(mean):
            raise _error(f"{x.shape[1]} numbers a step", f"{len(mean)}, as in the first", example.place)
        if not np.isfinite(x).all():
            raise _error("a number that is not finite", "numbers", example.place)
        total = count + len(x)
        with np.errstate(over="ignore", invalid="ignore"):
            own = x.mean(axis=0)
            square += ((x - own) ** 2).sum(axis=0) + (own - mean) ** 2 * count * len(x) / total
            mean += (own - mean) * len(x) / total
        if not np.isfinite([mean, square]).all():
            raise _error("numbers too large to be squared", "another unit", example.place)
        count = total
    if not count:
        raise DataError("no examples: not one step with numbers")
    deviation = np.sqrt(square / count)
    # A number that never changes says nothing: it becomes 0, whatever rounding made of its deviation.
    constant = deviation <= 1e-12 * np.abs(mean)
    deviation = np.where(constant, 1.0, deviation)
    words = f"{len(mean)} numbers a step, {count:,} steps in {sequences:,} sequences"
    words += f"; {int(constant.sum())} of them never change" if constant.any() else ""
    return NumberInput(tuple(mean.tolist()), tuple(deviation.tolist())), words


def _error(what: str, expected: str, place: Place | None) -> DataError:
    return DataError(
        what, file=place.file if place else None, line=place.line if place else None, expected=expected
    )
