"""Convert examples to the inputs and targets of baselines, and check them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unrolled.core.errors import DataError
from unrolled.core.types import Example, Floats
from unrolled.core.values.example_values import as_words, elements, length
from unrolled.tasks.inputs.numbers import filled


def texts(examples: Sequence[Example]) -> list[str]:
    """Return the texts; tokens are joined by spaces. Raises DataError if an x is numbers."""
    found: list[str] = []
    for example in _some(examples):
        x = example.x
        if isinstance(x, np.ndarray):
            raise _wrong(example, "the input is numbers", "a text")
        found.append(x if isinstance(x, str) else " ".join(as_words(x)))
    return found


def tokens(examples: Sequence[Example]) -> list[tuple[str, ...]]:
    """Return the tokens of each sentence. Raises DataError if an x is not split into words."""
    found: list[tuple[str, ...]] = []
    for example in _some(examples):
        if not isinstance(example.x, tuple):
            raise _wrong(example, "the sentence is not split into tokens", "a tuple of words")
        found.append(example.x)
    return found


def series(examples: Sequence[Example]) -> list[Floats]:
    """Return the numbers of each series, [T_x, n_x], float64.

    A missing number (NaN) is replaced by the last number before it, or by the mean of its series if there is
    none.
    Raises DataError if a series has another shape, is empty, has infinite numbers, or has another n_x than
    the first.
    """
    found: list[Floats] = []
    for example in _some(examples):
        x = example.x
        if not isinstance(x, np.ndarray) or x.ndim != 2 or not x.size:
            raise _wrong(example, "the input is not numbers", "numbers [T_x, n_x], at least one step")
        if np.isinf(x).any():
            raise _wrong(example, "a number is not finite", "finite numbers")
        if found and x.shape[1] != found[0].shape[1]:
            raise _wrong(example, f"{x.shape[1]} numbers per step", str(found[0].shape[1]))
        known = np.maximum((~np.isnan(x)).sum(axis=0), 1)
        x = x.astype(np.float64)
        found.append(filled(x, np.nansum(x, axis=0) / known))
    return found


def labels(examples: Sequence[Example]) -> list[str]:
    """Return the class of each example. Raises DataError if one has no class."""
    found: list[str] = []
    for example in _some(examples):
        if not isinstance(example.y, str):
            raise _wrong(example, "no class to learn from", "a label")
        found.append(example.y)
    return found


def tagged(examples: Sequence[Example]) -> list[tuple[str, ...]]:
    """Return the tags of each sentence. Raises DataError if a sentence does not have one tag per token."""
    found: list[tuple[str, ...]] = []
    for example in _some(examples):
        tags = tuple(tag for tag in elements(example.y) if isinstance(tag, str))
        if not isinstance(example.y, tuple) or len(tags) != length(example.x):
            raise _wrong(example, f"{len(tags)} tags for {length(example.x)} tokens", "one tag per token")
        found.append(tags)
    return found


def reals(examples: Sequence[Example]) -> Floats:
    """Return the targets [examples, n_y], float64. Raises DataError if a number is missing or n_y differs."""
    found: list[list[float]] = []
    for example in _some(examples):
        if not isinstance(example.y, tuple) or not example.y or any(isinstance(v, str) for v in example.y):
            raise _wrong(example, "no numbers to learn from", "one or more numbers as the target")
        found.append([float(value) for value in example.y])
        if len(found[-1]) != len(found[0]):
            raise _wrong(example, f"{len(found[-1])} numbers as the target", str(len(found[0])))
    return np.array(found)


def _some(examples: Sequence[Example]) -> Sequence[Example]:
    if not examples:
        raise DataError("no examples", expected="at least one to learn from and one to answer")
    return examples


def _wrong(example: Example, what: str, expected: str) -> DataError:
    return DataError(what, file=example.place.file, line=example.place.line, expected=expected)
