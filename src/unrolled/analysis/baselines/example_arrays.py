"""Turn examples into what baselines read: texts, tokens, series, labels, tags and numbers, each checked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unrolled.core.errors import DataError
from unrolled.core.types import Example, Floats
from unrolled.core.values.example_values import as_words, elements, length
from unrolled.tasks.inputs.numbers import filled


def texts(examples: Sequence[Example]) -> list[str]:
    """The texts, tokens joined by spaces; raises DataError where x is numbers."""
    found: list[str] = []
    for example in _some(examples):
        x = example.x
        if isinstance(x, np.ndarray):
            raise _wrong(example, "the input is numbers", "a text")
        found.append(x if isinstance(x, str) else " ".join(as_words(x)))
    return found


def tokens(examples: Sequence[Example]) -> list[tuple[str, ...]]:
    """The tokens of each sentence; raises DataError where x is no sequence of words."""
    found: list[tuple[str, ...]] = []
    for example in _some(examples):
        if not isinstance(example.x, tuple):
            raise _wrong(example, "the sentence is not split into tokens", "a tuple of words")
        found.append(example.x)
    return found


def series(examples: Sequence[Example]) -> list[Floats]:
    """The numbers [T_x, n_x] of each, float64; one that is missing (NaN) takes the last one before it, else the mean of
    its series. Raises DataError: not that, empty, infinite, n_x differs."""
    found: list[Floats] = []
    for example in _some(examples):
        x = example.x
        if not isinstance(x, np.ndarray) or x.ndim != 2 or not x.size:
            raise _wrong(example, "the input is not numbers", "numbers [T_x, n_x], at least one step")
        if np.isinf(x).any():
            raise _wrong(example, "a number is not finite", "finite numbers")
        if found and x.shape[1] != found[0].shape[1]:
            raise _wrong(example, f"{x.shape[1]} numbers a step", str(found[0].shape[1]))
        known = np.maximum((~np.isnan(x)).sum(axis=0), 1)
        x = x.astype(np.float64)
        found.append(filled(x, np.nansum(x, axis=0) / known))
    return found


def labels(examples: Sequence[Example]) -> list[str]:
    """The class of each; raises DataError where there is none."""
    found: list[str] = []
    for example in _some(examples):
        if not isinstance(example.y, str):
            raise _wrong(example, "no class to learn from", "a label")
        found.append(example.y)
    return found


def tagged(examples: Sequence[Example]) -> list[tuple[str, ...]]:
    """The tags of each sentence; raises DataError where they are missing or not one a token."""
    found: list[tuple[str, ...]] = []
    for example in _some(examples):
        tags = tuple(tag for tag in elements(example.y) if isinstance(tag, str))
        if not isinstance(example.y, tuple) or len(tags) != length(example.x):
            raise _wrong(example, f"{len(tags)} tags for {length(example.x)} tokens", "a tag a token")
        found.append(tags)
    return found


def reals(examples: Sequence[Example]) -> Floats:
    """The targets [examples, n_y], float64; raises DataError where they are missing or their count differs."""
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
