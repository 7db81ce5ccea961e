"""The constructor arguments of the estimators: options of `unrolled train` with the same names, defaults and ranges.

The groups below are combined by the estimators. An estimator keeps its arguments as they are given, as scikit-learn's
do; `checked` examines them when `fit` is called.
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
    """The default of an option of `unrolled train`; None: chosen from the task, the data and the budget.

    `Any`: the field that it is given to names the type, and a test compares the two.
    """
    return options()[name].default


@dataclass(kw_only=True, repr=False, eq=False)
class TrainingOptions:
    """How a network is trained, and its recurrent core.

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
    """How texts become tokens."""

    unit: str | None = default("unit")
    lower: bool = default("lower")
    vocab_size: int = default("vocab_size")
    embedding: int | None = default("embedding")
    input_dropout: float | None = default("input_dropout")


@dataclass(kw_only=True, repr=False, eq=False)
class LabelOptions:
    """What belongs to one class for a sequence.

    classes: all classes in their order (default: those of y).  class_weight: None, "balanced" (each class weighs the
    same in total), "root" (by the root of its rarity) or {class: weight}.
    """

    bidirectional: bool | None = default("bidirectional")
    pooling: str | None = default("pooling")
    label_smoothing: float | None = default("label_smoothing")
    classes: object = None
    ordinal: bool = default("ordinal")
    class_weight: object = None


@dataclass(kw_only=True, repr=False, eq=False)
class SoundOptions:
    """How recordings become frames."""

    bands: int = default("bands")
    rate: int | None = default("rate")
    normalise: str | None = default("normalise")
    front: str | None = default("front")
    front_size: int | None = default("front_size")
    augment: bool | None = default("augment")


@dataclass(kw_only=True, repr=False, eq=False)
class ClipOptions:
    """How clips become pictures of one size."""

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
    """Those arguments that are options and not None, as plain Python values. Raises UsageError for one of a wrong type,
    naming it; `config.build` checks choices and ranges."""
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
    """A value, be it NumPy's, as the type that Python has."""
    if isinstance(value, str):
        return str.__str__(value)
    assert isinstance(value, SupportsInt) and isinstance(value, SupportsFloat)
    return plain(value)


def _is(value: object, plain: Plain) -> bool:
    """Whether a value may stand for an option of this type; True and False are no numbers here."""
    truth = isinstance(value, bool | np.bool_)
    if plain is bool or truth:
        return plain is bool and truth
    return isinstance(value, {int: Integral, float: Real, str: str}[plain])
