"""The constructor arguments of the estimators: the options of `unrolled train` as Python arguments.

Each argument has the same name, default and range as the option.
Each estimator inherits from some of the groups below. As in scikit-learn, the constructor stores the
arguments unchanged. `fit` calls `checked` to check them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, SupportsFloat, SupportsInt

import numpy as np

from unrolled.core.config import Plain, Value, options
from unrolled.core.errors import UsageError


def default(name: str) -> Any:
    """Return the default of an option of `unrolled train`.

    None means that the value is chosen from the task, the data and the budget.
    It returns `Any` because the dataclass field declares the type. A test compares both types.
    """
    return options()[name].default


@dataclass(kw_only=True, repr=False, eq=False)
class TrainingOptions:
    """Options of the training and of the recurrent core.

    verbose: 0 prints nothing, 1 prints progress to stderr.
    """

    cell: str = default("cell")
    activation: str = default("activation")
    layers: int | None = default("layers")
    hidden: int | None = default("hidden")
    epochs: int | None = default("epochs")
    minutes: float | None = default("minutes")
    batch_size: int | None = default("batch_size")
    optimizer: str = default("optimizer")
    lr: float | None = default("lr")
    schedule: str = default("schedule")
    warmup: float = default("warmup")
    clip: float = default("clip")
    weight_decay: float | None = default("weight_decay")
    momentum: float = default("momentum")
    average: float | None = default("average")
    dropout: float | None = default("dropout")
    variational: bool = default("variational")
    weight_dropout: float = default("weight_dropout")
    zoneout: float = default("zoneout")
    patience: int = default("patience")
    hold_out: float = default("hold_out")
    seed: int = default("seed")
    threads: int | None = default("threads")
    deterministic: bool = default("deterministic")
    verbose: int = 0


@dataclass(kw_only=True, repr=False, eq=False)
class TextOptions:
    """Options of text input: tokens, vocabulary and embedding."""

    unit: str | None = default("unit")
    lower: bool = default("lower")
    vocab_size: int = default("vocab_size")
    embedding: int | None = default("embedding")
    input_dropout: float | None = default("input_dropout")


@dataclass(kw_only=True, repr=False, eq=False)
class WordOptions(TextOptions):
    """Options of text input that gets one answer, or one per token: features and pretrained vectors of words."""

    affixes: bool | None = default("affixes")
    vectors: str | None = default("vectors")
    vectors_extra: int = default("vectors_extra")


@dataclass(kw_only=True, repr=False, eq=False)
class LabelOptions:
    """Options of classifiers.

    classes: all classes in order (default: the classes in y).
    class_weight: None, "balanced" (all classes have the same total weight), "root" (weight 1 /
    sqrt(frequency)), or a dict {class: weight}.
    """

    bidirectional: bool | None = default("bidirectional")
    pooling: str | None = default("pooling")
    label_smoothing: float | None = default("label_smoothing")
    classes: object = None
    ordinal: bool = default("ordinal")
    class_weight: object = None


@dataclass(kw_only=True, repr=False, eq=False)
class SoundOptions:
    """Options that control how recordings are converted to frames."""

    bands: int = default("bands")
    rate: int | None = default("rate")
    normalise: str | None = default("normalise")
    front: str | None = default("front")
    front_size: int | None = default("front_size")
    augment: bool | None = default("augment")


@dataclass(kw_only=True, repr=False, eq=False)
class ClipOptions:
    """Options that control how clips are converted to frames of one size."""

    frame_size: int | None = default("frame_size")
    frame_rate: float | None = default("frame_rate")
    colour: bool | None = default("colour")
    differences: bool | None = default("differences")
    longest: int | None = default("longest")
    front: str | None = default("front")
    front_size: int | None = default("front_size")
    augment: bool | None = default("augment")
    flip: bool = default("flip")


def checked(arguments: Mapping[str, object]) -> dict[str, object]:
    """Return the arguments that are options and are set, as plain Python values.

    An argument is left out if it is None and None is its default.
    Raises UsageError, with the name, for an argument of a wrong type. `config.build` checks choices and
    ranges.
    """
    known = options()
    found: dict[str, object] = {}
    for name, value in arguments.items():
        if name not in known or (value is None and known[name].default is None):
            continue
        plain = known[name].plain
        if not _is(value, plain):
            expected = {int: "a whole number", float: "a number", bool: "True or False", str: "a text"}[plain]
            raise UsageError(f"{name}={value!r:.80}", expected=expected)
        found[name] = _of_python(value, plain)
    return found


def _of_python(value: object, plain: Plain) -> Value:
    """Convert a value, which may be a NumPy scalar, to the plain Python type."""
    if isinstance(value, str):
        return str.__str__(value)
    assert isinstance(value, SupportsInt) and isinstance(value, SupportsFloat)
    return plain(value)


def _is(value: object, plain: Plain) -> bool:
    """Return whether a value is valid for an option of this type. True and False do not count as numbers."""
    truth = isinstance(value, bool | np.bool_)
    if plain is bool or truth:
        return plain is bool and truth
    return isinstance(value, {int: Integral, float: Real, str: str}[plain])
